/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab compare: the arms of two runs side by side, from their results. */
#include "base/cleanup.h"
#include "base/size.h"
#include "base/table.h"
#include "cli/result.h"
#include "cli/state.h"
#include "cli/verb.h"

#include <errno.h>
#include <math.h>
#include <string.h>

struct compare_arguments {
    const char *format;
};

enum unit { UNIT_TEXT, UNIT_COUNT, UNIT_BYTES };

static json_t *member(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return value ? json_incref(value) : json_null();
}

static json_t *get_class(const json_t *arm)
{
    return member(json_object_get(arm, "verdict"), "class");
}

static json_t *get_limit(const json_t *arm)
{
    return member(arm, "memory_limit_bytes");
}

static json_t *get_kills(const json_t *arm)
{
    return member(arm, "oom_kills");
}

static json_t *get_restarts(const json_t *arm)
{
    return member(arm, "restarts");
}

static json_t *get_health(const json_t *arm)
{
    return member(arm, "health_state");
}

static json_t *get_completed(const json_t *arm)
{
    return member(json_object_get(arm, "requests"), "completed");
}

static json_t *get_failed(const json_t *arm)
{
    return member(json_object_get(arm, "requests"), "failed");
}

/* The highest working set of all lifetimes. */
static json_t *get_peak(const json_t *arm)
{
    size_t index;
    const json_t *lifetime;
    json_int_t peak = -1;
    json_array_foreach(json_object_get(arm, "lifetimes"), index, lifetime)
    {
        const json_t *value =
            json_object_get(json_object_get(lifetime, "working_set"), "peak_bytes");
        if (json_is_number(value) && (json_int_t)json_number_value(value) > peak)
            peak = (json_int_t)json_number_value(value);
    }
    return peak < 0 ? json_null() : json_integer(peak);
}

/* How many requests the first process completed, when it was killed for memory. */
static json_t *get_first_kill(const json_t *arm)
{
    const json_t *first = json_array_get(json_object_get(arm, "lifetimes"), 0);
    const char *cause = json_string_value(json_object_get(json_object_get(first, "end"), "cause"));
    if (!cause || strncmp(cause, "oom-", 4) != 0)
        return json_null();
    return member(first, "requests_completed");
}

static json_t *get_growth(const json_t *arm)
{
    size_t index;
    const json_t *lifetime;
    const json_t *longest = NULL;
    double requests = -1;
    json_array_foreach(json_object_get(arm, "lifetimes"), index, lifetime)
    {
        double completed = json_number_value(json_object_get(lifetime, "requests_completed"));
        if (completed > requests) {
            requests = completed;
            longest = json_object_get(lifetime, "growth");
        }
    }
    return member(longest, "bytes_per_request");
}

static const struct metric_row {
    const char *key, *label;
    enum unit unit;
    json_t *(*get)(const json_t *arm); /* new reference; null where the arm does not say */
} METRICS[] = {
    {"verdict", "verdict", UNIT_TEXT, get_class},
    {"memory_limit_bytes", "memory limit", UNIT_BYTES, get_limit},
    {"oom_kills", "kills", UNIT_COUNT, get_kills},
    {"restarts", "restarts", UNIT_COUNT, get_restarts},
    {"health_state", "health", UNIT_TEXT, get_health},
    {"requests_completed", "requests completed", UNIT_COUNT, get_completed},
    {"requests_failed", "requests failed", UNIT_COUNT, get_failed},
    {"requests_to_first_kill", "requests to first kill", UNIT_COUNT, get_first_kill},
    {"peak_working_set_bytes", "peak working set", UNIT_BYTES, get_peak},
    {"growth_bytes_per_request", "growth per request", UNIT_BYTES, get_growth},
};
#define METRIC_ROWS (sizeof(METRICS) / sizeof(METRICS[0]))

static bool same_text(const json_t *a, const json_t *b, const char *key)
{
    const char *left = json_string_value(json_object_get(a, key));
    const char *right = json_string_value(json_object_get(b, key));
    return left && right && strcmp(left, right) == 0;
}

/* The same arm of the other run; NULL: it has none. */
static const json_t *find_arm(const json_t *result, const json_t *arm)
{
    size_t index;
    const json_t *other;
    json_array_foreach(json_object_get(result, "arms"), index, other)
    {
        if (same_text(arm, other, "scenario") && same_text(arm, other, "name"))
            return other;
    }
    return NULL;
}

/* Either arm may be NULL. */
static json_t *compare_arms(const json_t *a, const json_t *b)
{
    const json_t *any = a ? a : b;
    json_t *values = json_object();
    for (size_t i = 0; i < METRIC_ROWS; i++)
        json_object_set_new(values, METRICS[i].key,
                            json_pack("{s:o, s:o}", "a", a ? METRICS[i].get(a) : json_null(), "b",
                                      b ? METRICS[i].get(b) : json_null()));
    return json_pack("{s:o, s:o, s:o}", "scenario", member(any, "scenario"), "name",
                     member(any, "name"), "values", values);
}

static json_t *compare_results(const json_t *a, const json_t *b)
{
    json_t *arms = json_array();
    size_t index;
    const json_t *arm;
    json_array_foreach(json_object_get(a, "arms"), index, arm)
        json_array_append_new(arms, compare_arms(arm, find_arm(b, arm)));
    json_array_foreach(json_object_get(b, "arms"), index, arm)
    {
        if (!find_arm(a, arm))
            json_array_append_new(arms, compare_arms(NULL, arm));
    }
    return arms;
}

#define CELL_MAX 64

static void format_value(const json_t *value, enum unit unit, char text[static CELL_MAX])
{
    char size[SIZE_TEXT_MAX];
    double number = json_number_value(value);
    if (json_is_string(value))
        snprintf(text, CELL_MAX, "%s", json_string_value(value));
    else if (!json_is_number(value))
        snprintf(text, CELL_MAX, "-");
    else if (unit == UNIT_BYTES)
        snprintf(text, CELL_MAX, "%s%s", number < 0 ? "-" : "",
                 size_format((uint64_t)fabs(number), size));
    else
        snprintf(text, CELL_MAX, "%.6g", number);
}

static void format_change(const json_t *a, const json_t *b, char text[static CELL_MAX])
{
    text[0] = '\0';
    if (!json_is_number(a) || !json_is_number(b)) {
        if (!json_equal(a, b))
            snprintf(text, CELL_MAX, "differs");
        return;
    }
    double from = json_number_value(a);
    double to = json_number_value(b);
    if (from < to || from > to)
        snprintf(text, CELL_MAX, from > 0 || from < 0 ? "%+.1f %%" : "differs",
                 100 * (to - from) / fabs(from));
}

static int add_arm_rows(struct table *table, const json_t *arm)
{
    char name[160];
    snprintf(name, sizeof(name), "%s/%s", json_string_value(json_object_get(arm, "scenario")),
             json_string_value(json_object_get(arm, "name")));
    int r = 0;
    for (size_t i = 0; r == 0 && i < METRIC_ROWS; i++) {
        char a[CELL_MAX], b[CELL_MAX], change[CELL_MAX];
        const json_t *pair = json_object_get(json_object_get(arm, "values"), METRICS[i].key);
        const json_t *left = json_object_get(pair, "a");
        const json_t *right = json_object_get(pair, "b");
        if (json_is_null(left) && json_is_null(right))
            continue;
        format_value(left, METRICS[i].unit, a);
        format_value(right, METRICS[i].unit, b);
        format_change(left, right, change);
        const char *const cells[] = {name, METRICS[i].label, a, b, change};
        r = table_add(table, cells);
        name[0] = '\0';
    }
    return r;
}

static int print_table(const json_t *arms, const struct run_directory runs[2], struct error *err)
{
    static const char *const headings[] = {"ARM", "", ">A", ">B", ">CHANGE", NULL};
    size_t index;
    const json_t *arm;
    struct table *table = table_new(headings);
    int r = table ? 0 : -ENOMEM;
    json_array_foreach(arms, index, arm)
    {
        if (r == 0)
            r = add_arm_rows(table, arm);
    }
    printf("A  %s\nB  %s\n\n", runs[0].id, runs[1].id);
    if (r == 0)
        table_print(table, stdout);
    table_free(table);
    return r < 0 ? error_errno(err, -r, "comparing the runs") : 0;
}

static int run_compare(const struct invocation *invocation, struct error *err)
{
    const struct compare_arguments *arguments = invocation->arguments;
    CLEANUP(json_cleanup) json_t *a = NULL;
    CLEANUP(json_cleanup) json_t *b = NULL;
    struct run_directory runs[2];
    bool json = false;
    int r = format_parse(arguments->format, &json, err);
    for (size_t i = 0; r == 0 && i < 2; i++)
        r = run_directory_find(invocation->operands[i], &runs[i], err);
    if (r == 0)
        r = result_load(&runs[0], &a, err);
    if (r == 0)
        r = result_load(&runs[1], &b, err);
    if (r < 0)
        return r;
    CLEANUP(json_cleanup) json_t *arms = compare_results(a, b);
    if (!json)
        return print_table(arms, runs, err);
    return json_print(json_pack("{s:s, s:{s:s, s:s}, s:O}", "schema", "oomlab.compare/1", "runs",
                                "a", runs[0].id, "b", runs[1].id, "arms", arms),
                      stdout, err);
}

static const struct option_spec OPTIONS[] = {OPTION_FORMAT(struct compare_arguments),
                                             {.name = NULL}};

const struct verb VERB_COMPARE = {
    .name = "compare",
    .summary = "show the arms of two runs side by side",
    .operands = "RUN RUN",
    .operand_values = "@run",
    .details = "RUN is a run's id or the beginning of one, its directory, or 'last'.",
    .operands_min = 2,
    .operands_max = 2,
    .options = OPTIONS,
    .arguments_bytes = sizeof(struct compare_arguments),
    .run = run_compare,
};
