/* SPDX-License-Identifier: Apache-2.0 */
/* Two arms side by side, from their results. */
#include "base/size.h"
#include "cli/compare.h"

#include <math.h>
#include <string.h>

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
    bool measured;                     /* the measures have it with its interval */
} METRICS[] = {
    {"verdict", "verdict", UNIT_TEXT, get_class, false},
    {"memory_limit_bytes", "memory limit", UNIT_BYTES, get_limit, false},
    {"oom_kills", "kills", UNIT_COUNT, get_kills, true},
    {"restarts", "restarts", UNIT_COUNT, get_restarts, false},
    {"health_state", "health", UNIT_TEXT, get_health, false},
    {"requests_completed", "requests completed", UNIT_COUNT, get_completed, false},
    {"requests_failed", "requests failed", UNIT_COUNT, get_failed, false},
    {"requests_to_first_kill", "requests to first kill", UNIT_COUNT, get_first_kill, true},
    {"peak_working_set_bytes", "peak working set", UNIT_BYTES, get_peak, true},
    {"growth_bytes_per_request", "growth per request", UNIT_BYTES, get_growth, true},
};
#define METRIC_ROWS (sizeof(METRICS) / sizeof(METRICS[0]))

json_t *compare_values(const json_t *a, const json_t *b)
{
    json_t *values = json_object();
    for (size_t i = 0; i < METRIC_ROWS; i++)
        json_object_set_new(values, METRICS[i].key,
                            json_pack("{s:o, s:o}", "a", a ? METRICS[i].get(a) : json_null(), "b",
                                      b ? METRICS[i].get(b) : json_null()));
    return values;
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

int compare_values_add(struct table *table, const json_t *values, bool measured)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < METRIC_ROWS; i++) {
        char a[CELL_MAX], b[CELL_MAX], change[CELL_MAX];
        const json_t *pair = json_object_get(values, METRICS[i].key);
        const json_t *left = json_object_get(pair, "a");
        const json_t *right = json_object_get(pair, "b");
        if ((json_is_null(left) && json_is_null(right)) || (measured && METRICS[i].measured))
            continue;
        format_value(left, METRICS[i].unit, a);
        format_value(right, METRICS[i].unit, b);
        format_change(left, right, change);
        const char *const cells[] = {METRICS[i].label, a, b, change};
        r = table_add(table, cells);
    }
    return r;
}
