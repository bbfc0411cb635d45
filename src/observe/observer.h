/* SPDX-License-Identifier: Apache-2.0 */
/* The observer thread: samples every live container, learns of kills and ends from the kernel, and
 * stamps and reads everything before anyone may touch the cgroup.
 *
 * It neither decides nor stores: it fills a ring of observations and signals a descriptor. After
 * observer_start() its thread allocates nothing, its memory is locked where the machine allows that
 * (observer_locked()), and it runs with real-time priority where it may. */
#pragma once

#include "base/error.h"
#include "base/metrics.h"
#include "base/ring.h"
#include "kernel/cgroup.h"
#include "kernel/kmsg.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define OBSERVER_TARGETS_MAX 256

enum observation_kind {
    OBSERVATION_SAMPLE, /* periodic */
    OBSERVATION_KILL,   /* oom_kill went up by `kills`; metrics read right after */
    OBSERVATION_KMSG,   /* an OOM line of the kernel log; lifetime_id 0 when it matched none */
    OBSERVATION_END,    /* the main process ended; counters read while the cgroup still exists */
};

struct observation {
    enum observation_kind kind;
    uint32_t lifetime_id;
    int64_t at_ns;       /* monotonic: when the fact was noticed (SAMPLE: when it was read) */
    int64_t recorded_ns; /* monotonic: when this record was complete in memory */
    union {
        struct metrics metrics; /* SAMPLE */
        struct {
            struct metrics metrics;
            uint64_t kills;    /* increase of oom_kill since the last KILL */
            int64_t kernel_ns; /* the kernel log's stamp of the kill on the monotonic clock; 0
                                  unknown. That of the kill line, or, where it is not printed yet,
                                  that of the summary right before the kill. Never after at_ns */
        } kill;
        struct {
            struct kmsg_record record;
            struct kmsg_oom oom;
            int64_t kernel_ns; /* the record's stamp on the monotonic clock; 0 unknown */
        } kmsg;
        struct {
            struct metrics start; /* at observer_add() */
            struct metrics end;
            int wait_code;   /* CLD_EXITED, CLD_KILLED, CLD_DUMPED; 0: not our child, unknown */
            int wait_status; /* exit code or signal */
            /* Of the cgroups above at start, end: v2 `oom`, v1 memory.failcnt */
            uint64_t ancestor_oom[2];
            bool has_ancestor_oom;
            bool main_ran_after_kill;    /* it was seen to run on after the last KILL: no victim */
            bool main_dying_after_kill;  /* right after the last KILL it had a SIGKILL pending */
            uint64_t user_ns, system_ns; /* of the main process, from waitid's rusage */
        } end;
    };
};

struct observer_options {
    double rate_hz;        /* 1 to 1000; default 20 */
    unsigned ring_records; /* default: 2048 up to 128 Hz, then 16 a Hz (a record has about 2 KiB,
                              and all of them are locked in memory) */
    bool no_realtime;      /* tests: stay in the ordinary scheduling class */
};

/* That oom_kill went up, as soon as it was noticed: the same that the KILL says. */
struct observer_notice {
    uint32_t lifetime_id;
    int64_t at_ns; /* the KILL's */
};

struct observer;

int observer_start(const struct observer_options *options, struct observer **ret,
                   struct error *err);
/* Stop the thread and free. Targets still there are dropped without an END. */
void observer_stop(struct observer *observer);

/* Order and loss. Records of one lifetime come as they happened, its KILLs before its END;
 * recorded_ns rises strictly over all records. When the consumer is slow, SAMPLEs are left out
 * first (the last quarter of the ring is not for them, ring_dropped() counts them), then the kernel
 * log is not read on (it is a buffer itself); KILLs and ENDs wait in the target until there is
 * room: they are never lost.
 *
 * What is locked: the observer itself with its targets, its thread's stack and the ring, and, as
 * far as the limit goes, the code that the thread runs. Not the whole process (mlockall): the lab's
 * other threads hold much memory that may as well be reclaimed. None of it is there in forked
 * children: they must not touch the observer. */

/* Watch a held container (call between sandbox_start() and sandbox_release()). Descriptors are
 * opened or duplicated here, the start counters are read here; all are the observer's until the
 * END. The observer reaps the main process (waitid on the pidfd). lifetime_id is unique and not 0.
 */
int observer_add(struct observer *observer, uint32_t lifetime_id, const struct cgroup *cgroup,
                 int pidfd, struct error *err);
/* Forget a target without an END (a container whose exec failed). */
void observer_remove(struct observer *observer, uint32_t lifetime_id);

/* The observations, in order; one consumer (the store's writer). */
struct ring *observer_ring(struct observer *observer);
/* An eventfd (non-blocking) that counts up whenever a KILL, KMSG or END was pushed: the consumer
 * commits at once. Borrowed. */
int observer_urgent_fd(struct observer *observer);

/* The kills (struct observer_notice) for what cannot wait until the disk has them: to look at what
 * the container holds. One consumer; an eventfd (non-blocking) counts up with each. A consumer that
 * is 256 behind misses some. Borrowed. */
struct ring *observer_notices(struct observer *observer);
int observer_notice_fd(struct observer *observer);

bool observer_locked(const struct observer *observer);   /* memory is locked */
bool observer_has_kmsg(const struct observer *observer); /* the kernel log can be read */

/* What observing costs, and how well it keeps up. Since the start; from any thread. */
struct observer_stats {
    uint64_t ticks;           /* of the sampling clock, served */
    uint64_t ticks_missed;    /* came due while an earlier one was served: not made up for */
    uint64_t samples;         /* SAMPLEs pushed */
    uint64_t samples_dropped; /* left out because the ring was three quarters full */
    uint64_t wakeups;         /* of the thread */
    uint64_t polls;           /* extra looks at a target's counters while it was in trouble */
    uint64_t log_gaps; /* times that the kernel log overwrote records before they were read */
    uint64_t cpu_ns;   /* of the thread */
    bool realtime;
    int64_t log_clock_error_ns; /* how far a kernel_ns can be off, both ways; -1: it is only known
                                   not to be early by more than the log's own resolution */
};
void observer_stats(const struct observer *observer, struct observer_stats *ret);
