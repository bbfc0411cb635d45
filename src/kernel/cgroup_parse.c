/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of cgroup files. A key counts only as a whole word at the start of a line: "rss" must
 * not match "rss_huge", nor "anon" "inactive_anon". */
#include "kernel/cgroup-internal.h"

#include <stddef.h>
#include <string.h>

struct key {
    const char *name;
    enum metric metric;
    uint64_t scale;
};

bool cgroup_parse_number(const char *text, uint64_t *ret)
{
    uint64_t value = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return false;
    }
    if (p == text || !(*p == '\0' || *p == '\n' || *p == ' ' || *p == '\t'))
        return false;
    *ret = value;
    return true;
}

bool cgroup_list_has(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *p = list; *p;) {
        size_t span = strcspn(p, " \t\n");
        if (span == length && memcmp(p, word, length) == 0)
            return true;
        p += span;
        p += strspn(p, " \t\n");
    }
    return false;
}

static void parse_line(const char *line, const struct key *keys, size_t count,
                       struct metrics *metrics)
{
    size_t length = strcspn(line, " \n");
    if (line[length] != ' ')
        return;
    for (size_t i = 0; i < count; i++) {
        uint64_t value;
        if (strlen(keys[i].name) == length && memcmp(line, keys[i].name, length) == 0) {
            if (cgroup_parse_number(line + length + 1, &value) &&
                !__builtin_mul_overflow(value, keys[i].scale, &value))
                metrics_put(metrics, keys[i].metric, value);
            return;
        }
    }
}

static void parse_keys(const char *text, const struct key *keys, size_t count,
                       struct metrics *metrics)
{
    for (const char *line = text; line && *line;) {
        parse_line(line, keys, count, metrics);
        const char *end = strchr(line, '\n');
        line = end ? end + 1 : NULL;
    }
}

#define PARSE(text, keys, metrics) parse_keys(text, keys, sizeof(keys) / sizeof(*(keys)), metrics)

void cgroup_parse_stat(enum cgroup_version version, const char *text, struct metrics *metrics)
{
    /* The total_ values include descendants, as every value of v2 does. */
    static const struct key v1[] = {
        {"total_rss", METRIC_ANON, 1},
        {"total_cache", METRIC_FILE, 1},
        {"total_active_file", METRIC_ACTIVE_FILE, 1},
        {"total_inactive_file", METRIC_INACTIVE_FILE, 1},
        {"total_shmem", METRIC_SHMEM, 1},
        {"total_swap", METRIC_SWAP, 1},
    };
    static const struct key v2[] = {
        {"anon", METRIC_ANON, 1},
        {"file", METRIC_FILE, 1},
        {"active_file", METRIC_ACTIVE_FILE, 1},
        {"inactive_file", METRIC_INACTIVE_FILE, 1},
        {"shmem", METRIC_SHMEM, 1},
        {"kernel", METRIC_KERNEL, 1},
        {"slab", METRIC_SLAB, 1},
        {"sock", METRIC_SOCK, 1},
        {"pagetables", METRIC_PAGETABLES, 1},
        {"kernel_stack", METRIC_KERNEL_STACK, 1},
        {"percpu", METRIC_PERCPU, 1},
    };
    if (version == CGROUP_V1)
        PARSE(text, v1, metrics);
    else
        PARSE(text, v2, metrics);
}

void cgroup_parse_events_v2(const char *text, struct metrics *metrics)
{
    static const struct key keys[] = {
        {"max", METRIC_LIMIT_HITS, 1},
        {"oom", METRIC_OOM, 1},
        {"oom_kill", METRIC_OOM_KILL, 1},
        {"oom_group_kill", METRIC_OOM_GROUP_KILL, 1},
    };
    PARSE(text, keys, metrics);
}

void cgroup_parse_oom_control_v1(const char *text, struct metrics *metrics)
{
    static const struct key keys[] = {{"oom_kill", METRIC_OOM_KILL, 1}};
    PARSE(text, keys, metrics);
}

void cgroup_parse_cpu_stat(enum cgroup_version version, const char *text, struct metrics *metrics)
{
    static const struct key v1[] = {{"throttled_time", METRIC_CPU_THROTTLED, 1}};
    static const struct key v2[] = {
        {"usage_usec", METRIC_CPU, 1000},
        {"throttled_usec", METRIC_CPU_THROTTLED, 1000},
    };
    if (version == CGROUP_V1)
        PARSE(text, v1, metrics);
    else
        PARSE(text, v2, metrics);
}
