/* SPDX-License-Identifier: Apache-2.0 */
/* The one list of what is sampled from a container: filled in by src/kernel, carried by
 * src/observe, a column each in src/store. Absent is not zero: a value counts only when its bit is
 * set. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* X(identifier, column name, what it is). Bytes unless the name says otherwise.
 * v1 = cgroup v1 source, v2 = cgroup v2 source. */
#define METRIC_LIST(X)                                                                             \
    X(USAGE, "usage_bytes", "v1 memory.usage_in_bytes, v2 memory.current")                         \
    X(WORKING_SET, "working_set_bytes", "usage - inactive file, floored at 0 (cAdvisor's rule)")   \
    X(ANON, "anon_bytes", "v1 total_rss, v2 anon")                                                 \
    X(FILE, "file_bytes", "v1 total_cache, v2 file; shmem included")                               \
    X(ACTIVE_FILE, "active_file_bytes", "v1 total_active_file, v2 active_file")                    \
    X(INACTIVE_FILE, "inactive_file_bytes", "v1 total_inactive_file, v2 inactive_file")            \
    X(SHMEM, "shmem_bytes", "v1 total_shmem, v2 shmem")                                            \
    X(KERNEL, "kernel_bytes", "v1 memory.kmem.usage_in_bytes, v2 kernel (5.18+)")                  \
    X(SLAB, "slab_bytes", "v2 slab")                                                               \
    X(SOCK, "sock_bytes", "v1 memory.kmem.tcp.usage_in_bytes, v2 sock")                            \
    X(PAGETABLES, "pagetables_bytes", "v2 pagetables")                                             \
    X(KERNEL_STACK, "kernel_stack_bytes", "v2 kernel_stack")                                       \
    X(PERCPU, "percpu_bytes", "v2 percpu")                                                         \
    X(SWAP, "swap_bytes", "v1 total_swap, v2 memory.swap.current")                                 \
    X(PEAK, "peak_bytes", "v1 memory.max_usage_in_bytes, v2 memory.peak (5.19+)")                  \
    X(LIMIT_HITS, "limit_hits",                                                                    \
      "count: v1 memory.failcnt + memory.memsw.failcnt, v2 max in memory.events")                  \
    X(OOM, "oom", "count: v2 oom in memory.events; absent on v1")                                  \
    X(OOM_KILL, "oom_kill", "count: v1 oom_kill in memory.oom_control, v2 in memory.events")       \
    X(OOM_GROUP_KILL, "oom_group_kill", "count: v2 oom_group_kill in memory.events (5.17+)")       \
    X(CPU, "cpu_ns", "v1 cpuacct.usage, v2 usage_usec in cpu.stat")                                \
    X(CPU_THROTTLED, "cpu_throttled_ns", "v1 throttled_time, v2 throttled_usec in cpu.stat")       \
    X(PIDS, "pids", "count: pids.current")                                                         \
    X(PSI_SOME, "psi_some_us", "total= of 'some' in memory.pressure")                              \
    X(PSI_FULL, "psi_full_us", "total= of 'full' in memory.pressure")

enum metric {
#define METRIC_ENUM(id, name, source) METRIC_##id,
    METRIC_LIST(METRIC_ENUM)
#undef METRIC_ENUM
        METRIC_COUNT
};

struct metrics {
    uint64_t present; /* bit 1 << enum metric */
    uint64_t value[METRIC_COUNT];
};

static inline bool metrics_has(const struct metrics *metrics, enum metric metric)
{
    return (metrics->present >> metric) & 1;
}

static inline void metrics_put(struct metrics *metrics, enum metric metric, uint64_t value)
{
    metrics->present |= UINT64_C(1) << metric;
    metrics->value[metric] = value;
}

/* The column name of a metric; static storage. */
const char *metric_name(enum metric metric);
