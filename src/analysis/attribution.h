/* SPDX-License-Identifier: Apache-2.0 */
/* Who ended a process: the table "Who sent SIGKILL?" of docs/semantics.md as one pure function over
 * recorded facts. */
#pragma once

#include "base/terms.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A counter at a lifetime's start and end; unknown where the kernel has none. A counter that went
 * backwards is treated as unknown. */
struct counter_pair {
    bool known;
    uint64_t start, end;
};

/* What the kernel log said about a kill in this container. */
enum kernel_log_scope { KERNEL_LOG_NONE, KERNEL_LOG_OWN, KERNEL_LOG_ANCESTOR, KERNEL_LOG_HOST };

struct death_facts {
    bool ended;
    bool by_signal;
    int signal;         /* when by_signal */
    int exit_code;      /* when not */
    int cgroup_version; /* 1 or 2 */
    /* limit_hits: v1 memory.failcnt, v2 `max`; it proves no kill. ancestor_oom: v2 `oom` of an
     * ancestor (it counts its descendants' too), v1 its failcnt. */
    struct counter_pair oom, oom_kill, oom_group_kill, limit_hits, ancestor_oom;
    /* From the last increase of oom_kill that was noticed to the end of the main process. Where it
     * is unknown and the kernel log is silent, nothing ties the counted kill to the main process
     * but its SIGKILL, and the level is one step weaker. */
    bool kill_age_known;
    int64_t kill_age_ns;
    /* After the last increase of oom_kill the main process was seen to run on, without a SIGKILL
     * pending: no counted kill was its own. */
    bool main_ran_after_kill;
    /* Right after that increase, within 0.1 s, it had a SIGKILL pending: the kill was its own. */
    bool main_dying_after_kill;
    enum platform_kill platform_kill; /* we sent a signal before the end, and why */
    bool platform_sent_sigkill;       /* and it was (also) SIGKILL */
    bool kernel_log_readable;
    enum kernel_log_scope kernel_log; /* the OOM record that names this container's victim; of
                                         several, the main process's own */
    bool kernel_log_victim_is_main;   /* its pid is the main process's */
    bool kernel_log_group_kill;
    bool oomd_xattr, oomd_log, earlyoom_log; /* a user-space killer left its mark */
    const char *console_tail;                /* last lines, may be NULL */
};

#define DEATH_TEXT_MAX 256

struct death {
    enum end_cause cause;
    enum evidence_level level;
    bool oom_child;      /* a child was OOM-killed in this lifetime, and the end is not that */
    const char *runtime; /* runtime-out-of-memory: "Java", "Node.js", ... (static) else NULL */
    char explanation[DEATH_TEXT_MAX]; /* one plain sentence */
};

/* An oom-container-limit, -ancestor-limit or -host cause with a level of Correlated or stronger
 * means: a counter or record of the kernel says that its OOM killer killed the main process; what
 * is weaker than Measured is then which limit fired. */
void attribute_death(const struct death_facts *facts, struct death *ret);

/* The language runtime whose out-of-memory message stands in `console`, or NULL. The exit must fit
 * too: Java 1 or 3 or 134, Node 134 (or 139 as PID 1), Go 2, Python 1, C++ 134 (or 139 as PID 1);
 * an exit code 128 + N passes for the signal N, because a shell in front reports it so. Static
 * storage. */
const char *runtime_out_of_memory(const char *console, bool by_signal, int signal, int exit_code);
