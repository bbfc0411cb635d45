/* SPDX-License-Identifier: Apache-2.0 */
/* One container's lifetimes out of rows that repeat, come late and overlap: a kill is counted once,
 * however many rows tell it. */
#pragma once

#include "base/terms.h"
#include "import/facts.h"
#include "kernel/killer_log.h"
#include "store/store.h"

#define LIFE_FACTS_MAX  8
#define LIFE_REASON_MAX 64
#define LIFE_TEXT_MAX   400

/* One kill by the kernel, or by a user-space killer, as its log tells it. */
struct recorded_kill {
    int64_t at_ns, boot_ns; /* FACT_TIME_UNKNOWN */
    enum kmsg_scope scope;
    char oom_memcg[KMSG_CGROUP_MAX], task_memcg[KMSG_CGROUP_MAX], comm[KMSG_COMM_MAX];
    int64_t pid;        /* 0 unknown */
    bool from_log;      /* false: a platform's or a metric's word for it */
    bool whole;         /* the log shows that nothing in its cgroup was left */
    enum killer killer; /* KILLER_NONE: the kernel */
    bool sigterm;       /* the killer began with SIGTERM */
    uint64_t count;     /* of a metric: so many at once */
    int64_t facts[LIFE_FACTS_MAX];
    size_t fact_count;
};

struct life {
    int64_t start_ns, end_ns, boot_ns; /* FACT_TIME_UNKNOWN */
    int64_t gone_ns;         /* its end unknown: by then a counter showed it; FACT_TIME_UNKNOWN */
    bool started, ended;     /* a row says so */
    int64_t start_fact;      /* 0: none */
    int exit_code, signal;   /* FACT_CODE_UNKNOWN, 0 */
    bool oom_killed;         /* the platform says OOMKilled */
    enum fact_origin origin; /* of the end */
    char reason[LIFE_REASON_MAX];
    int64_t facts[LIFE_FACTS_MAX];    /* the rows that tell its end */
    size_t fact_count, rows;          /* `rows`: all of them */
    const struct recorded_kill *kill; /* NULL */
    bool stopped;                     /* the platform said that it stops it */
    char stop_reason[LIFE_REASON_MAX];
    int64_t stop_ns, stop_fact; /* of its last word before the end */
};

/* What else was told, with the first row that tells it (0: none). */
struct told {
    uint64_t count; /* rows */
    uint64_t times; /* a row may stand for several */
    int64_t fact, first_ns, last_ns;
    char reason[LIFE_REASON_MAX];
};

struct lives {
    struct life *items; /* owned; in order of time */
    size_t count;
    struct recorded_kill *kills; /* owned */
    size_t kill_count;
    struct told probes, backoffs, images, running, restarts, state, stops;
    double restart_count; /* the platform's own; NAN */
    int64_t anew_ns;      /* its counter last began anew; FACT_TIME_UNKNOWN: never */
    int64_t anew_fact;
    double anew_count;         /* what it had counted before */
    unsigned origins;          /* bit 1 << enum fact_origin */
    int64_t first_ns, last_ns; /* of all rows; FACT_TIME_UNKNOWN */
    bool truncated;            /* more rows than are looked at */
};

int lives_load(struct store *store, int64_t arm_id, struct lives *ret, struct error *err);
void lives_done(struct lives *lives);
