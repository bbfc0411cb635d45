/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one arm: a revision is deployed, the plan's traffic is sent from its first readiness on, and
 * the arm ends when the traffic is complete, enough kills were seen, or nothing more can come. */
#pragma once

#include "analysis/stopping.h"
#include "lab/plan.h"
#include "platform/platform.h"

#include <stdbool.h>

/* What the arms of a run share. */
struct lab {
    const struct plan *plan;
    const struct lab_options *options;
    struct store *store;
    struct platform *platform;
    volatile int interrupted_by; /* a signal number once one came */
    bool hurry;                  /* a second signal: do not wait for grace periods */
    bool cancelled;              /* an error elsewhere: arms under way end now */
};

enum arm_end {
    ARM_RUNNING,
    ARM_SEQUENCE_COMPLETE,
    ARM_SETTLED,    /* the stopping rule: its question is answered */
    ARM_KILL_STOP,  /* as many OOM kills as were asked for */
    ARM_CRASH_LOOP, /* it keeps ending by itself */
    ARM_NEVER_READY,
    ARM_DEADLINE,
    ARM_FAILED, /* the container could not be started */
    ARM_INTERRUPTED,
};
/* The spelling in the store. */
const char *arm_end_name(enum arm_end end);

struct arm_result {
    int64_t arm_id;
    enum arm_end end;
    unsigned kills, restarts;
    bool was_ready;
    struct error failure; /* of ARM_FAILED */
};

/* An arm under way. Several may be at the same time, on one platform. */
struct arm_run;

/* Deploy the arm's revision. A container that fails to start is a result, not an error. The plan's
 * strings are borrowed until arm_finish(), and so is the question of the stopping rule (NULL: fixed
 * limits). */
int arm_begin(struct lab *lab, const struct scenario_plan *scenario, const struct arm_plan *arm,
              const struct stopping_question *question, struct arm_run **ret, struct error *err);
/* See what has happened; call it after each platform_run_once(). True: the arm is over, its
 * container is gone and everything is recorded; arm_finish() is due. */
bool arm_step(struct arm_run *run);
/* Free it. The result, or the error that kept the arm from being recorded. */
int arm_finish(struct arm_run *run, struct arm_result *ret, struct error *err);

/* What it is doing, at any time. */
struct arm_status {
    int64_t arm_id;
    unsigned kills;
    int64_t killed_ns;                       /* monotonic: the last of them */
    bool alive;                              /* a container is there, ready or not */
    int64_t traffic_started_ns;              /* 0: not yet */
    const struct traffic_plan *traffic_plan; /* borrowed until arm_finish() */
    struct traffic_progress progress;
};
void arm_get_status(const struct arm_run *run, struct arm_status *ret);
/* "leak/raise 120/1000 requests, 3 failed, 1 kill": for a status line. */
void arm_describe(const struct arm_run *run, char *text, size_t size);
