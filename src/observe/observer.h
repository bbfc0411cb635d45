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

#define OBSERVER_TARGETS_MAX 64

enum observation_kind {
    OBSERVATION_SAMPLE, /* periodic */
    OBSERVATION_KILL,   /* oom_kill went up by `kills`; metrics read right after */
    OBSERVATION_KMSG,   /* an OOM line of the kernel log; lifetime_id 0 when it matched none */
    OBSERVATION_END,    /* the main process ended; counters read while the cgroup still exists */
};

struct observation {
    enum observation_kind kind;
    uint32_t lifetime_id;
    int64_t at_ns;        /* monotonic: when the fact was noticed (SAMPLE: when it was read) */
    int64_t recorded_ns;  /* monotonic: when this record was complete in memory */
    union {
        struct metrics metrics; /* SAMPLE */
        struct {
            struct metrics metrics;
            uint64_t kills;     /* increase of oom_kill since the last KILL */
            int64_t kernel_ns;  /* the kernel log's stamp of the kill on the monotonic clock; 0 unknown */
        } kill;
        struct {
            struct kmsg_record record;
            struct kmsg_oom oom;
        } kmsg;
        struct {
            struct metrics start; /* at observer_add() */
            struct metrics end;
            int wait_code;        /* CLD_EXITED, CLD_KILLED, CLD_DUMPED */
            int wait_status;      /* exit code or signal */
            uint64_t ancestor_oom[2];      /* v2: oom of the run's parent cgroups at start, end */
            bool has_ancestor_oom;
            uint64_t user_ns, system_ns;   /* of the main process, from waitid's rusage */
        } end;
    };
};

struct observer_options {
    double rate_hz;        /* 1 to 1000; default 20 */
    unsigned ring_records; /* default 65536 */
    bool no_realtime;      /* tests: stay in the ordinary scheduling class */
};

struct observer;

int observer_start(const struct observer_options *options, struct observer **ret,
                   struct error *err);
/* Stop the thread and free. Targets still there are dropped without an END. */
void observer_stop(struct observer *observer);

/* Watch a held container (call between sandbox_start() and sandbox_release()). Descriptors are opened
 * or duplicated here, the start counters are read here; all are the observer's until the END. The
 * observer reaps the main process (waitid on the pidfd). lifetime_id is unique and not 0. */
int observer_add(struct observer *observer, uint32_t lifetime_id, const struct cgroup *cgroup,
                 int pidfd, struct error *err);
/* Forget a target without an END (a container whose exec failed). */
void observer_remove(struct observer *observer, uint32_t lifetime_id);

/* The observations, in order; one consumer (the store's writer). */
struct ring *observer_ring(struct observer *observer);
/* An eventfd (non-blocking) that counts up whenever a KILL, KMSG or END was pushed: the consumer
 * commits at once. Borrowed. */
int observer_urgent_fd(struct observer *observer);

bool observer_locked(const struct observer *observer);    /* memory is locked */
bool observer_has_kmsg(const struct observer *observer);  /* the kernel log can be read */
