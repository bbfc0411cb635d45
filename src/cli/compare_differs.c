/* SPDX-License-Identifier: Apache-2.0 */
/* What was set differently in two arms: read from the plans that their runs recorded. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/size.h"
#include "cli/compare.h"
#include "report/rows.h"

#include <errno.h>
#include <string.h>

#define VALUE_MAX 120

enum unit { UNIT_PLAIN, UNIT_BYTES, UNIT_REQUESTS };

/* A setting: where the plan has it, and what a difference in it means. */
struct setting {
    const char *key, *label;
    enum compare_factor factor;
    enum unit unit;
};

static const struct setting OF_ARM[] = {{"memory_limit_bytes", "memory", FACTOR_MEMORY, UNIT_BYTES},
                                        {"cpu_cores", "cpu", FACTOR_OTHER, UNIT_PLAIN},
                                        {"command", "command", FACTOR_OTHER, UNIT_PLAIN},
                                        {"kill_stop", "kills", FACTOR_LENGTH, UNIT_PLAIN},
                                        {NULL, NULL, 0, 0}};

static const struct setting OF_TRAFFIC[] = {
    {"rate_per_s", "rate", FACTOR_REQUESTS, UNIT_PLAIN},
    {"per_cycle", "per-cycle", FACTOR_REQUESTS, UNIT_PLAIN},
    {"arrival", "arrival", FACTOR_REQUESTS, UNIT_PLAIN},
    {"idle_s", "idle", FACTOR_REQUESTS, UNIT_PLAIN},
    {"gap_s", "gap", FACTOR_REQUESTS, UNIT_PLAIN},
    {"requests", "requests", FACTOR_REQUESTS, UNIT_REQUESTS},
    {"cycles", "cycles", FACTOR_LENGTH, UNIT_PLAIN},
    {"cooldown_s", "cooldown", FACTOR_LENGTH, UNIT_PLAIN},
    {NULL, NULL, 0, 0}};

static const struct setting OF_PLAN[] = {
    {"seed", "seed", FACTOR_REQUESTS, UNIT_PLAIN},
    {"https", "https", FACTOR_OTHER, UNIT_PLAIN},
    {"ready", "ready", FACTOR_OTHER, UNIT_PLAIN},
    {"liveness", "liveness", FACTOR_OTHER, UNIT_PLAIN},
    {"startup", "startup", FACTOR_OTHER, UNIT_PLAIN},
    {"backoff", "backoff", FACTOR_OTHER, UNIT_PLAIN},
    {"pids_max", "pids-max", FACTOR_OTHER, UNIT_PLAIN},
    {"heap", "heap", FACTOR_OTHER, UNIT_PLAIN},
    {"sample_rate_hz", "sample-rate", FACTOR_OTHER, UNIT_PLAIN},
    {NULL, NULL, 0, 0}};

static const struct setting OF_HOST[] = {
    {"kernel", "kernel", FACTOR_OTHER, UNIT_PLAIN},
    {"cgroup_version", "cgroup version", FACTOR_OTHER, UNIT_PLAIN},
    {"cpus", "the machine's CPUs", FACTOR_OTHER, UNIT_PLAIN},
    {"memory_bytes", "the machine's memory", FACTOR_OTHER, UNIT_BYTES},
    {NULL, NULL, 0, 0}};

/* --- values ---------------------------------------------------------------------------------- */

static void put_words(const json_t *list, struct buffer *text)
{
    size_t index;
    const json_t *word;
    json_array_foreach(list, index, word)
        buffer_printf(text, "%s%s", index ? " " : "", json_string_value(word));
}

static void put_requests(const json_t *list, struct buffer *text)
{
    size_t index;
    const json_t *request;
    json_array_foreach(list, index, request)
    {
        const char *path = json_string_value(json_object_get(request, "path"));
        buffer_printf(text, "%s%s %s weight %g", index ? ", " : "",
                      json_string_value(json_object_get(request, "method")), path ? path : "?",
                      json_number_value(json_object_get(request, "weight")));
    }
}

static bool is_words(const json_t *value)
{
    size_t index;
    const json_t *word;
    json_array_foreach(value, index, word)
    {
        if (!json_is_string(word))
            return false;
    }
    return json_is_array(value);
}

static void put_value(const json_t *value, enum unit unit, struct buffer *text)
{
    char size[SIZE_TEXT_MAX];
    if (!value || json_is_null(value))
        buffer_puts(text, "(unset)");
    else if (unit == UNIT_BYTES && json_is_integer(value))
        buffer_puts(text, size_format_quantity((uint64_t)json_integer_value(value), size));
    else if (unit == UNIT_REQUESTS)
        put_requests(value, text);
    else if (json_is_string(value))
        buffer_puts(text, json_string_value(value));
    else if (json_is_number(value))
        buffer_printf(text, "%.6g", json_number_value(value));
    else if (is_words(value))
        put_words(value, text);
    else {
        char *dump = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
        buffer_puts(text, dump ? dump : "?");
        free(dump);
    }
}

/* --- differences ----------------------------------------------------------------------------- */

static int add(struct compare_differences *found, enum compare_factor factor, const char *text)
{
    if (factor != FACTOR_LENGTH)
        found->factors++;
    found->kinds |= factor;
    return json_array_append_new(found->texts, json_string(text)) < 0 ? -ENOMEM : 0;
}

/* JSON tells 1 from 1.0, a plan does not. */
static bool is_same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) <= json_number_value(b) &&
               json_number_value(a) >= json_number_value(b);
    return (!a || json_is_null(a)) ? !b || json_is_null(b) : b && json_equal(a, b);
}

static int add_change(struct compare_differences *found, const struct setting *setting,
                      const char *before, const json_t *a, const json_t *b)
{
    /* An arm that no kill ends, as a patch, was not set to another number of them. */
    bool absent = !a || !b || json_is_null(a) || json_is_null(b);
    if (is_same(a, b) || (absent && setting->factor == FACTOR_LENGTH))
        return 0;
    AUTO_BUFFER from = {0};
    AUTO_BUFFER to = {0};
    AUTO_BUFFER text = {0};
    put_value(a, setting->unit, &from);
    put_value(b, setting->unit, &to);
    const char *left = buffer_text(&from), *right = buffer_text(&to);
    if (strcmp(left, right) == 0) /* in what the words leave out: headers, bodies */
        buffer_printf(&text, "%s%s", before, setting->label);
    else
        buffer_printf(&text, "%s%s: %.*s%s -> %.*s%s", before, setting->label, VALUE_MAX, left,
                      strlen(left) > VALUE_MAX ? "..." : "", VALUE_MAX, right,
                      strlen(right) > VALUE_MAX ? "..." : "");
    if (from.failed || to.failed || text.failed)
        return -ENOMEM;
    return add(found, setting->factor, buffer_text(&text));
}

static int add_settings(struct compare_differences *found, const struct setting *settings,
                        const json_t *a, const json_t *b)
{
    int r = 0;
    for (const struct setting *at = settings; r == 0 && at->key; at++)
        r = add_change(found, at, "", json_object_get(a, at->key), json_object_get(b, at->key));
    return r;
}

static int add_env(struct compare_differences *found, json_t *a, json_t *b)
{
    int r = 0;
    const char *name;
    json_t *value;
    json_object_foreach(a, name, value)
    {
        const struct setting setting = {name, name, FACTOR_OTHER, UNIT_PLAIN};
        if (r == 0)
            r = add_change(found, &setting, "env ", value, json_object_get(b, name));
    }
    json_object_foreach(b, name, value)
    {
        const struct setting setting = {name, name, FACTOR_OTHER, UNIT_PLAIN};
        if (r == 0 && !json_object_get(a, name))
            r = add_change(found, &setting, "env ", NULL, value);
    }
    return r;
}

/* --- plans ----------------------------------------------------------------------------------- */

static json_t *find_named(const json_t *list, const char *name)
{
    size_t index;
    json_t *item;
    json_array_foreach(list, index, item)
    {
        const char *its = json_string_value(json_object_get(item, "name"));
        if (its && name && strcmp(its, name) == 0)
            return item;
    }
    return NULL;
}

int compare_setup_load(struct store *store, const json_t *result, const json_t *arm,
                       struct compare_setup *ret, struct error *err)
{
    AUTO_ROWS rows = {0};
    *ret = (struct compare_setup){0};
    int r = rows_query(&rows, store, "SELECT lab_json FROM run", 0, err);
    if (r == 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    if (r == 0)
        return 0;
    ret->plan = row_json_object(&rows, 0);
    if (!ret->plan)
        return error_errno(err, ENOMEM, "reading the plan");
    const json_t *scenario = find_named(json_object_get(ret->plan, "scenarios"),
                                        json_string_value(json_object_get(arm, "scenario")));
    ret->traffic = json_object_get(scenario, "traffic");
    ret->arm = find_named(json_object_get(scenario, "arms"),
                          json_string_value(json_object_get(arm, "name")));
    ret->host = json_object_get(json_object_get(result, "run"), "host");
    return 0;
}

void compare_setup_done(struct compare_setup *setup)
{
    json_decref(setup->plan);
    *setup = (struct compare_setup){0};
}

/* A plan that is not there (a diagnosis has none) differs in nothing that could be named. */
int compare_differences_find(const struct compare_setup *a, const struct compare_setup *b,
                             bool same_sequence, struct compare_differences *ret)
{
    struct compare_differences found = {.known = a->arm && b->arm, .texts = json_array()};
    int r = found.texts ? 0 : -ENOMEM;
    if (r == 0 && found.known) {
        r = add_settings(&found, OF_ARM, a->arm, b->arm);
        if (r == 0)
            r = add_env(&found, json_object_get(a->arm, "env"), json_object_get(b->arm, "env"));
        if (r == 0)
            r = add_settings(&found, OF_TRAFFIC, a->traffic, b->traffic);
        /* A seed may change nothing: one kind of request at even distances. */
        for (const struct setting *at = OF_PLAN; r == 0 && at->key; at++) {
            if (at->factor != FACTOR_REQUESTS || !same_sequence)
                r = add_change(&found, at, "", json_object_get(a->plan, at->key),
                               json_object_get(b->plan, at->key));
        }
        if (r == 0)
            r = add_settings(&found, OF_HOST, a->host, b->host);
    }
    if (r < 0) {
        json_decref(found.texts);
        return r;
    }
    *ret = found;
    return 0;
}
