/* SPDX-License-Identifier: Apache-2.0 */
/* Collects what is known about one lifetime's death, record by record, and hands it to the
 * attribution (src/analysis) and to the lifecycle event. */
#pragma once

#include "analysis/attribution.h"
#include "observe/observer.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct life_facts {
    pid_t main_pid;      /* in our pid namespace */
    bool initial_pid_ns; /* ours is the one whose pids the kernel log prints */
    int cgroup_version;
    char kernel_path[CGROUP_PATH_MAX];
    bool kernel_log_readable;
    enum platform_kill platform_kill;
    bool platform_sent_sigkill;
    enum kernel_log_scope kernel_log;
    bool victim_is_main, group_kill;
    bool oom_group;              /* v2: a kill for this cgroup's limit takes all of it */
    bool oom_child_told;         /* the event oom-child was written */
    uint64_t oomd_marks[2];      /* life_facts_oomd_marks() at start, end */
    bool oomd_log, earlyoom_log; /* a user-space killer says in its log that it killed here */
    int64_t last_kill_ns;        /* monotonic: when oom_kill last went up; 0 never */
};

void life_facts_init(struct life_facts *facts);

/* Take in an increase of oom_kill. */
void life_facts_add_kill(struct life_facts *facts, const struct observation *kill);

/* Take in a kernel log line about this container. */
void life_facts_add_kmsg(struct life_facts *facts, const struct kmsg_oom *oom);

/* True, once for each such line, when it says that a process other than the main one was killed and
 * that the main one goes on. Unknown (false) where the kernel log's pids are not ours, or where the
 * victim may be the first of its group: then the end tells. */
bool life_facts_child_killed(struct life_facts *facts, const struct kmsg_oom *oom);

/* Does memory.oom.group of this cgroup say 1? Read it when a kill is seen: it can be changed. */
bool life_facts_read_oom_group(int cgroup_fd);

/* systemd-oomd's marks on this cgroup and those above it, added up: the extended attributes
 * user.oomd_ooms, which it raises before it kills, and user.oomd_kill, raised afterwards. Opens
 * files; 0 where there are none (cgroup v1 has no such attributes). */
uint64_t life_facts_oomd_marks(int cgroup_fd);

/* The attribution's input. `console_tail` is borrowed by `ret`. */
void life_facts_fill(const struct life_facts *facts, const struct observation *end,
                     const char *console_tail, struct death_facts *ret);

/* What Azure cannot say, as a JSON object: cause, level, counters. */
void life_facts_json(const struct life_facts *facts, const struct observation *end,
                     const struct death *death, char *json, size_t size);
