/* SPDX-License-Identifier: Apache-2.0 */
#include "report/advice.h"

#include "base/cleanup.h"
#include "report/rows.h"
#include "report/story.h"
#include "report/text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#define MIB_BYTES 1048576.0
/* What recommend() leaves free above the need where nothing was killed. */
#define HEADROOM 1.15

const struct advice_target *advice_target_find(const char *name)
{
    static const struct advice_target targets[] = {
        {"kubernetes", advice_write_kubernetes}, {"azure", advice_write_azure},
        {"compose", advice_write_compose},       {"systemd", advice_write_systemd},
        {"prometheus", advice_write_prometheus},
    };
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        if (strcmp(targets[i].name, name) == 0)
            return &targets[i];
    }
    return NULL;
}

/* The names of container, alert group and unit must be DNS labels: what is none becomes '-'. */
static void name_label(const char *name, char label[static ADVICE_NAME_MAX])
{
    size_t used = 0;
    for (; *name && used < ADVICE_NAME_MAX - 1; name++) {
        unsigned char c = (unsigned char)*name;
        bool plain = c < 0x80 && isalnum(c);
        if (plain)
            label[used++] = (char)tolower(c);
        else if (used > 0 && label[used - 1] != '-')
            label[used++] = '-';
    }
    while (used > 0 && label[used - 1] == '-')
        used--;
    label[used] = '\0';
    if (used == 0)
        snprintf(label, ADVICE_NAME_MAX, "app");
}

/* The service as it is. A control is another service, unless the answer is about it. */
static bool is_unchanged(const json_t *arm, const json_t *subject)
{
    static const char *const changed[] = {"patch", "fix", "control", "revert"};
    for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++) {
        if (is_text(arm, "name", changed[i]))
            return arm == subject && is_text(arm, "name", "control");
    }
    return true;
}

/* The service with the change that shall cure it. */
static bool is_repaired(const json_t *arm, const json_t *subject)
{
    (void)subject;
    return is_text(arm, "name", "patch") || is_text(arm, "name", "fix");
}

/* Whether this arm took all its traffic and levelled off. */
static bool arm_held(const json_t *arm)
{
    static const char *const level[] = {"stable", "bounded-cache", "reclaimable-cache"};
    static const char *const cut_short[] = {"interrupted", "failed", "deadline"};
    bool levels_off = false;
    for (size_t i = 0; i < sizeof(cut_short) / sizeof(cut_short[0]); i++) {
        if (is_text(arm, "ended_because", cut_short[i]))
            return false;
    }
    for (size_t i = 0; i < sizeof(level) / sizeof(level[0]); i++)
        levels_off = levels_off || is_text(arm, "verdict.class", level[i]);
    return levels_off && !(number_at(arm, "oom_kills") > 0) &&
           number_at(arm, "memory_limit_bytes") > 0;
}

/* Of the arms of the subject's scenario that are as `is_meant` says, the one that held with the
 * least memory. */
static const json_t *find_held(const json_t *result, const json_t *subject,
                               bool (*is_meant)(const json_t *arm, const json_t *subject))
{
    const json_t *found = NULL;
    size_t index;
    json_t *arm;
    if (!subject || flag_at(result, "run.interrupted"))
        return NULL;
    json_array_foreach(json_object_get(result, "arms"), index, arm)
    {
        if (is_text(arm, "scenario", text_or(subject, "scenario", "")) && is_meant(arm, subject) &&
            arm_held(arm) &&
            (!found ||
             number_at(arm, "memory_limit_bytes") < number_at(found, "memory_limit_bytes")))
            found = arm;
    }
    return found;
}

bool advice_was_seen_to_hold(const json_t *result, const json_t *subject)
{
    return find_held(result, subject, is_unchanged) != NULL;
}

/* Where the whole run says leak, or nothing, a single arm that levelled off proves no size. */
static bool has_size(const json_t *result)
{
    return !is_text(result, "verdict.class", "leak") &&
           !is_text(result, "verdict.class", "inconclusive");
}

double advice_peak(const json_t *arm)
{
    double peak = (double)NAN;
    size_t index;
    json_t *lifetime;
    json_array_foreach(json_object_get(arm, "lifetimes"), index, lifetime)
    {
        peak = fmax(peak, number_at(lifetime, "working_set.peak_bytes"));
    }
    return peak;
}

static void size_holder(struct advice *advice)
{
    advice->limit = advice->request = advice->peak = (double)NAN;
    if (!advice->holder)
        return;
    advice->peak = advice_peak(advice->holder);
    advice->limit = number_at(advice->holder, "memory_limit_bytes");
    double need = ceil(HEADROOM * advice->peak / MIB_BYTES) * MIB_BYTES;
    advice->request = isfinite(need) && need > 0 ? fmin(advice->limit, need) : advice->limit;
}

static int read_probe(const json_t *lab, const char *key, struct advice_probe *probe)
{
    const json_t *told = json_object_get(lab, key);
    const char *kind = text_or(told, "kind", "");
    const char *path = text_at(told, "path");
    AUTO_BUFFER clean = {0};
    if (strcmp(kind, "tcp") != 0 && (strcmp(kind, "http") != 0 || !path))
        return 0;
    snprintf(probe->kind, sizeof(probe->kind), "%s", kind);
    probe->period_s = number_at(told, "period_s");
    probe->timeout_s = number_at(told, "timeout_s");
    probe->delay_s = number_at(told, "delay_s");
    probe->failures = (int)json_integer_value(json_object_get(told, "failures"));
    if (!path)
        return 0;
    text_append_clean(&clean, path);
    probe->path = buffer_steal(&clean);
    return probe->path ? 0 : -ENOMEM;
}

/* A diagnosis has a plan without any of these. */
static int read_lab(const json_t *lab, struct advice *advice)
{
    advice->https = flag_at(lab, "https");
    advice->port = (int)json_integer_value(json_object_get(lab, "port"));
    int r = read_probe(lab, "ready", &advice->ready);
    if (r == 0)
        r = read_probe(lab, "liveness", &advice->liveness);
    return r == 0 ? read_probe(lab, "startup", &advice->startup) : r;
}

static void json_cleanup(json_t **json)
{
    json_decref(*json);
}

int advice_read(struct store *store, const json_t *result, struct advice *ret, struct error *err)
{
    AUTO_ROWS rows = {0};
    CLEANUP(json_cleanup) json_t *lab = NULL;
    const struct story story = {.result = result,
                                .arms = json_object_get(result, "arms"),
                                .verdict = json_object_get(result, "verdict")};
    *ret = (struct advice){.result = result, .subject = answer_subject(&story)};
    int64_t arm = json_integer_value(json_object_get(ret->subject, "row"));
    ret->holder = has_size(result) ? find_held(result, ret->subject, is_unchanged) : NULL;
    ret->repaired = find_held(result, ret->subject, is_repaired);
    ret->current = number_at(ret->subject, "memory_limit_bytes");
    size_holder(ret);
    int r =
        rows_query(&rows, store,
                   "SELECT lab_json, (SELECT app FROM arm WHERE id = ?1), lab FROM run", arm, err);
    if (r == 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    AUTO_FREE char *text = row_text(&rows, 0);
    AUTO_FREE char *name = row_text(&rows, row_is_null(&rows, 1) ? 2 : 1);
    if (!text || !name)
        return error_errno(err, ENOMEM, "reading the run's plan");
    name_label(name, ret->app);
    lab = json_loads(text, 0, NULL);
    return read_lab(lab, ret) < 0 ? error_errno(err, ENOMEM, "reading the run's plan") : 0;
}

void advice_done(struct advice *advice)
{
    free(advice->ready.path);
    free(advice->liveness.path);
    free(advice->startup.path);
    *advice = (struct advice){.result = NULL};
}
