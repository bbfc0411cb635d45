/* SPDX-License-Identifier: Apache-2.0 */
/* Gates: what must hold for a lab's hypotheses, each as a list of checks with the observed value
 * and the threshold beside it. Pure functions over a few plain facts per arm; src/lab fills them in
 * from the store. */
#pragma once

#include "analysis/predict.h"
#include "analysis/verdict.h"

#include <stdbool.h>
#include <stddef.h>

#define GATE_CHECKS_MAX 8
#define GATE_ID_MAX     48
#define GATE_TEXT_MAX   256

struct gate_check {
    char id[GATE_ID_MAX];
    bool pass;
    char observed[GATE_TEXT_MAX];  /* with its unit: "3 of 3 kills" */
    char threshold[GATE_TEXT_MAX]; /* what it must be: "at least 3" */
};

struct gate {
    char id[GATE_ID_MAX];           /* "trigger-reproduces" */
    char hypothesis[GATE_TEXT_MAX]; /* one sentence */
    bool pass;                      /* all checks pass, and there is at least one */
    struct gate_check checks[GATE_CHECKS_MAX];
    size_t check_count;
};

/* Start a gate (no checks: not passed). */
void gate_begin(struct gate *gate, const char *id, const char *hypothesis);
/* Append a check and bring gate->pass up to date. `threshold` is printf-like. More than
 * GATE_CHECKS_MAX checks make the gate fail rather than be lost. Returns the check, for its
 * observed text. */
struct gate_check *gate_add(struct gate *gate, const char *id, bool pass, const char *threshold,
                            ...) __attribute__((format(printf, 4, 5)));
void gate_observed(struct gate_check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* One lifetime of an arm, in order. */
struct gate_lifetime {
    enum end_cause cause;      /* CAUSE_RUNNING when it outlived the arm */
    enum evidence_level level; /* of the cause */
    bool by_signal;
    int code;   /* the signal when by_signal, else the exit code; ignored while running */
    bool ready; /* was ready at some time before its end */
    double requests_completed; /* by this process, before its end */
    double uptime_s;
};

struct gate_arm {
    const char *name; /* "leak/trigger": for the texts */
    double limit_bytes;
    const struct gate_lifetime *lifetimes;
    size_t lifetime_count;
    unsigned restarts;        /* the platform's restart count */
    unsigned revisions;       /* template changes made for this arm; 1 is ideal */
    const char *health_state; /* "Healthy", "Unhealthy", "None"; at the arm's end */
    double requests_planned, requests_completed; /* over all lifetimes */
    const struct verdict *verdict;               /* of this arm alone */
};

/* What an arm is expected to show. */
enum gate_failure {
    GATE_FAILS_BY_LEAK,    /* killed after sustained traffic, never before readiness */
    GATE_FAILS_AT_START,   /* killed before readiness, each time */
    GATE_FAILS_IN_SERVICE, /* one's own service with a leak: killed after readiness, however soon */
};

/* A kill after fewer completed requests than this is no "sustained traffic". */
#define GATE_SUSTAINED_REQUESTS 20.0
/* "Flat": the floor's growth after warm-up, up to the upper end of its interval, stays below this
 * share of the limit; or its interval holds zero and the estimate itself stays below. */
#define GATE_FLAT_SHARE 0.05

/* An end proven by the kernel: an oom-container-limit, -ancestor-limit or -host cause whose level
 * is LEVEL_MEASURED (counter) or LEVEL_OBSERVED (kernel log record). */
bool gate_kernel_proven(const struct gate_lifetime *lifetime);

/* At least `wanted_kills` kernel-proven kills, no other deaths, exit 137 for each, the restart
 * count at least kills - 1, the place of the kills as `failure` says, and, where that was
 * `expected` before the run, the arm's verdict is that class: a failure that was taken from that
 * very verdict would check itself. */
void gate_trigger_reproduces(const struct gate_arm *trigger, enum gate_failure failure,
                             bool expected, unsigned wanted_kills, struct gate *ret);

/* Leak: killed again (>= wanted_kills, kernel-proven) under a higher limit, later in requests (or
 * in seconds when the prediction is about seconds), and the next kill inside the predicted
 * interval. `prediction` is the leak hypothesis' requests-to-kill or seconds-to-kill made from the
 * trigger before. */
void gate_raise_only_delays(const struct gate_arm *trigger, const struct gate_arm *raise,
                            const struct prediction *prediction, unsigned wanted_kills,
                            struct gate *ret);

/* Startup demand: no death at the higher limit, ready, no restart. */
void gate_raise_cures(const struct gate_arm *trigger, const struct gate_arm *raise,
                      struct gate *ret);

/* The same limit as the trigger's, no death, ready, and one process served more than the trigger's
 * best before its kill (leak) or any at all (at start); no leak is left in the verdict. */
void gate_patch_cures(const struct gate_arm *trigger, const struct gate_arm *patch,
                      struct gate *ret);

/* One revision, Healthy, no death, no restart, all planned requests completed. */
void gate_fix_reaches_healthy(const struct gate_arm *fix, struct gate *ret);

/* No death, no restart, and the retained floor does not grow (GATE_FLAT_SHARE). */
void gate_control_stays_flat(const struct gate_arm *control, struct gate *ret);

/* The trigger again, after the fix: kernel-proven kills (>= wanted_kills), exit 137, of the same
 * class and, for a leak, after a like number of requests (within a factor of two of the trigger's
 * median). */
void gate_revert_brings_it_back(const struct gate_arm *trigger, const struct gate_arm *revert,
                                enum gate_failure failure, unsigned wanted_kills, struct gate *ret);
