/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/plan_value.h"

#include "base/duration.h"
#include "base/size.h"
#include "lab/plan_nearest.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_MIN_BYTES (4 * MIB)
#define CPU_MIN_CORES    0.01
#define KILLS_MAX        1000
#define CONFIDENCE_MIN   0.5
#define CONFIDENCE_MAX   0.999

int count_parse(const char *text, uint64_t low, uint64_t high, uint64_t *ret, struct error *err)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    /* strtoull() takes a sign and leading blanks. */
    if (!isdigit((unsigned char)text[0]) || *end != '\0')
        return error_usage(err, "'%s' is not a whole number", text);
    if (errno == ERANGE || number < low || number > high)
        return error_usage(err, "%s is out of range; it must be from %" PRIu64 " to %" PRIu64, text,
                           low, high);
    *ret = number;
    return 0;
}

int flag_parse(const char *text, bool *ret, struct error *err)
{
    static const char *const words[] = {"false", "no", "off", "true", "yes", "on"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret = i >= 3;
            return 0;
        }
    }
    return error_usage(err, "'%s' is neither true nor false", text);
}

int cpu_parse(const char *text, double *ret_cores, struct error *err)
{
    char *end = NULL;
    bool plain = isdigit((unsigned char)text[0]) || text[0] == '.';
    bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    double cores = strtod(text, &end);
    if (plain && !hexadecimal && strcmp(end, "m") == 0) {
        cores /= 1000;
        end++;
    }
    if (!plain || hexadecimal || *end != '\0' || end == text)
        return error_usage(err, "'%s' is not a number of cores; write it like 0.25, 2 or 250m",
                           text);
    if (cores == 0)
        return error_usage(err, "%s cores cannot run anything; leave it out for no quota", text);
    if (!(cores >= CPU_MIN_CORES) || !isfinite(cores))
        return error_usage(err, "'%s' is out of range: Linux takes 0.01 cores at least", text);
    *ret_cores = cores;
    return 0;
}

int confidence_parse(const char *text, double *ret, struct error *err)
{
    char *end = NULL;
    bool plain = isdigit((unsigned char)text[0]) || text[0] == '.';
    bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    double share = strtod(text, &end);
    if (plain && !hexadecimal && strcmp(end, "%") == 0) {
        share /= 100;
        end++;
    }
    if (!plain || hexadecimal || *end != '\0' || end == text)
        return error_usage(err, "'%s' is not a confidence; write it like 0.95 or 95%%", text);
    if (!(share >= CONFIDENCE_MIN && share <= CONFIDENCE_MAX))
        return error_usage(err, "%s is out of range; it must be from %g to %g", text,
                           CONFIDENCE_MIN, CONFIDENCE_MAX);
    *ret = share;
    return 0;
}

int memory_parse(const char *text, uint64_t *ret_bytes, struct error *err)
{
    uint64_t bytes = 0;
    int r = size_parse(text, &bytes, err);
    if (r < 0)
        return r;
    if (bytes < MEMORY_MIN_BYTES)
        return error_usage(err,
                           "%s is too little: no process starts reliably below 4Mi (did you leave "
                           "out the unit? 512Mi is 512 * 1024 * 1024 bytes)",
                           text);
    *ret_bytes = bytes;
    return 0;
}

int port_parse(const char *text, uint16_t *ret, struct error *err)
{
    uint64_t port = 0;
    if (strcmp(text, "auto") != 0) {
        int r = count_parse(text, 1, 65535, &port, err);
        if (r < 0)
            return r;
    }
    *ret = (uint16_t)port;
    return 0;
}

int arrival_parse(const char *text, enum traffic_arrival *ret, struct error *err)
{
    if (strcmp(text, "uniform") == 0)
        *ret = TRAFFIC_UNIFORM;
    else if (strcmp(text, "poisson") == 0)
        *ret = TRAFFIC_POISSON;
    else
        return error_usage(err, "'%s' is no arrival pattern; it is uniform or poisson", text);
    return 0;
}

static const char *const EXPECTATIONS[] = {
    [EXPECT_NOTHING] = "nothing",
    [EXPECT_LEAK] = "leak",
    [EXPECT_STARTUP_DEMAND] = "startup-demand",
    [EXPECT_HEALTHY] = "healthy",
};

const char *expectation_name(enum expectation expectation)
{
    return EXPECTATIONS[expectation];
}

int expectation_parse(const char *text, enum expectation *ret, struct error *err)
{
    for (size_t i = 0; i < sizeof(EXPECTATIONS) / sizeof(EXPECTATIONS[0]); i++) {
        if (strcmp(text, EXPECTATIONS[i]) == 0) {
            *ret = (enum expectation)i;
            return 0;
        }
    }
    return error_usage(
        err, "'%s' is no expectation; it is leak, startup-demand, healthy or nothing", text);
}

static const struct {
    const char *name, *purpose;
} ARMS[ARM_KINDS] = {
    [ARM_TRIGGER] = {"trigger", "Does the failure reproduce?"},
    [ARM_RAISE] = {"raise", "Does more memory cure it, or only delay the restart?"},
    [ARM_PATCH] = {"patch", "Does removing the leak cure it at the old limit?"},
    [ARM_FIX] = {"fix", "The shipped fix: does it recover within one revision?"},
    [ARM_CONTROL] = {"control", "Is the platform itself sound?"},
    [ARM_REVERT] = {"revert", "Falsification: does the failure come back without the fix?"},
};

const char *arm_kind_name(enum arm_kind kind)
{
    return ARMS[kind].name;
}

const char *arm_kind_purpose(enum arm_kind kind)
{
    return ARMS[kind].purpose;
}

int arm_kind_parse(const char *text, enum arm_kind *ret, struct error *err)
{
    struct nearest nearest;
    nearest_init(&nearest, text);
    for (size_t i = 0; i < ARM_KINDS; i++) {
        if (strcmp(text, ARMS[i].name) == 0) {
            *ret = (enum arm_kind)i;
            return 0;
        }
        nearest_offer(&nearest, ARMS[i].name);
    }
    char hint[NEAREST_HINT_MAX];
    return error_usage(err, "'%s' is no arm (trigger, raise, patch, fix, control, revert)%s", text,
                       nearest_hint(&nearest, "", hint));
}

/* The next element of a comma-separated list, without blanks around it. False at the end. */
static bool next_element(const char **at, char *text, size_t size)
{
    if (!*at)
        return false;
    const char *comma = strchr(*at, ',');
    const char *start = *at;
    size_t length = comma ? (size_t)(comma - start) : strlen(start);
    *at = comma ? comma + 1 : NULL;
    while (length > 0 && isspace((unsigned char)*start)) {
        start++;
        length--;
    }
    while (length > 0 && isspace((unsigned char)start[length - 1]))
        length--;
    snprintf(text, size, "%.*s", (int)(length < size ? length : size - 1), start);
    return true;
}

int arm_order_parse(const char *text, struct arm_order *ret, struct error *err)
{
    struct arm_order order = {.count = 0};
    bool seen[ARM_KINDS] = {false};
    char word[64];
    for (const char *at = text; next_element(&at, word, sizeof(word));) {
        enum arm_kind kind = ARM_TRIGGER;
        int r = arm_kind_parse(word, &kind, err);
        if (r < 0)
            return r;
        if (seen[kind])
            return error_usage(err, "the arm '%s' stands there twice", word);
        seen[kind] = true;
        order.kinds[order.count++] = kind;
    }
    *ret = order;
    return 0;
}

int kill_stops_set(struct kill_stops *stops, const char *arm, const char *text, struct error *err)
{
    enum arm_kind kind = ARM_TRIGGER;
    uint64_t count = 0;
    int r = arm_kind_parse(arm, &kind, err);
    if (r == 0)
        r = count_parse(text, 0, KILLS_MAX, &count, err);
    if (r < 0)
        return r;
    stops->given[kind] = true;
    stops->count[kind] = (unsigned)count;
    return 0;
}

int kill_stops_parse(const char *text, struct kill_stops *ret, struct error *err)
{
    struct kill_stops stops = *ret;
    if (!strchr(text, '=')) {
        static const char *const arms[] = {"trigger", "raise", "revert"};
        for (size_t i = 0; i < sizeof(arms) / sizeof(arms[0]); i++) {
            int r = kill_stops_set(&stops, arms[i], text, err);
            if (r < 0)
                return r;
        }
        *ret = stops;
        return 0;
    }
    char word[64];
    for (const char *at = text; next_element(&at, word, sizeof(word));) {
        char *equals = strchr(word, '=');
        if (!equals)
            return error_usage(err, "'%s' is not ARM=NUMBER, as in trigger=3,raise=2", word);
        *equals = '\0';
        int r = kill_stops_set(&stops, word, equals + 1, err);
        if (r < 0)
            return r;
    }
    *ret = stops;
    return 0;
}

/* kubelet's own: 10 s doubling to 300 s, forgotten after 10 min. */
static struct backoff_spec kubernetes_backoff(double scale)
{
    return (struct backoff_spec){
        .first_ns = (int64_t)(10e9 * scale),
        .max_ns = (int64_t)(300e9 * scale),
        .reset_ns = (int64_t)(600e9 * scale),
        .scale = scale,
    };
}

/* Two durations of one's own; the reset stays kubelet's. */
static int backoff_times(const char *text, struct backoff_spec *spec, struct error *err)
{
    char first[sizeof(spec->name)], max[sizeof(spec->name)];
    const char *at = text;
    next_element(&at, first, sizeof(first));
    if (!next_element(&at, max, sizeof(max)) || at)
        return error_usage(
            err, "'%s' is no back-off; it is kubernetes, fast or FIRST,MAX as in 1s,30s", text);
    int r = duration_parse(first, &spec->first_ns, err);
    if (r == 0)
        r = duration_parse(max, &spec->max_ns, err);
    if (r == 0 && spec->first_ns > spec->max_ns)
        r = error_usage(err, "'%s' starts above its maximum; write FIRST,MAX as in 1s,30s", text);
    return r;
}

int backoff_parse(const char *text, struct backoff_spec *ret, struct error *err)
{
    struct backoff_spec spec = kubernetes_backoff(1);
    int r = 0;
    if (strlen(text) >= sizeof(spec.name))
        return error_usage(err, "'%.40s' is no back-off; it is kubernetes, fast or FIRST,MAX",
                           text);
    if (strcmp(text, "fast") == 0)
        spec = kubernetes_backoff(1.0 / 20);
    else if (strcmp(text, "kubernetes") != 0)
        r = backoff_times(text, &spec, err);
    snprintf(spec.name, sizeof(spec.name), "%s", text);
    if (r == 0)
        *ret = spec;
    return r;
}

int name_check(const char *text, struct error *err)
{
    size_t length = strlen(text);
    if (length == 0 || length > NAME_MAX_CHARS)
        return error_usage(err, "a name has 1 to %d characters", NAME_MAX_CHARS);
    for (size_t i = 0; i < length; i++) {
        bool inner = i > 0 && i + 1 < length;
        bool ok = (text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '0' && text[i] <= '9') ||
                  (inner && text[i] == '-');
        if (!ok)
            return error_usage(err,
                               "'%s' is no name: it takes a-z, 0-9 and inner hyphens (it becomes "
                               "part of file and cgroup names)",
                               text);
    }
    return 0;
}

void name_make(const char *text, char ret[static NAME_MAX_CHARS + 1])
{
    size_t used = 0;
    for (; *text && used < NAME_MAX_CHARS; text++) {
        unsigned char c = (unsigned char)tolower((unsigned char)*text);
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (plain)
            ret[used++] = (char)c;
        else if (used > 0 && ret[used - 1] != '-')
            ret[used++] = '-';
    }
    while (used > 0 && ret[used - 1] == '-')
        used--;
    ret[used] = '\0';
    if (used == 0)
        memcpy(ret, "service", sizeof("service"));
}
