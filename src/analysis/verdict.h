/* SPDX-License-Identifier: Apache-2.0 */
/* From an arm's series to one class, with the reasons in words and the level they allow. */
#pragma once

#include "analysis/trend.h"

#define VERDICT_TEXT_MAX 512

struct verdict {
    enum verdict_class class;
    double confidence; /* 0 to 1 */
    enum driver driver;
    enum evidence_level level;
    char summary[VERDICT_TEXT_MAX];      /* one or two plain sentences with the figures */
    char would_settle[VERDICT_TEXT_MAX]; /* inconclusive: which measurement would settle it; else ""
                                          */
    struct estimate per_request, per_second; /* over the arm's lifetimes; NAN unknown */
    struct estimate drift_bytes; /* growth of the retained floor after warm-up, over the longest
                                    lifetime; NAN unknown */
    double peak_bytes;    /* most used over all lifetimes: the kernel's high-water mark, which
                             has page cache in it, or a working set */
    double working_bytes; /* highest working set; NAN or 0 unknown */
    double
        need_bytes; /* that without page cache, which is given back when needed; NAN or 0 unknown */
    double limit_bytes;   /* the arm's */
    unsigned child_kills; /* OOM kills that the main processes outlived */
    bool looks_level;     /* left open only because too little was seen to call it level */
    bool runtime_limit;   /* all its ends for memory were by its runtime's own limit */
    bool watched;         /* its requests or its readiness were */
    bool held_at_limit;   /* it filled its limit, was not killed, and could not grow any further */
    unsigned kills;       /* ends by oom-container-limit, -ancestor-limit or -host */
    unsigned agree, repeats; /* of so many lifetimes that ended for memory, those that show the
                                class; 0 of 0 where none did or it is left open */
};

/* Classify one arm on its own evidence. Returns 0 or -ENOMEM. */
int verdict_of_arm(const struct arm_series *arm, struct verdict *ret);

/* What its children held when they were killed is known, from a heap profile: what would settle it
 * asks no more for that. */
void verdict_children_seen(struct verdict *verdict);

/* Its growth is given per request; else per second. */
bool verdict_by_requests(const struct verdict *verdict);

/* The kernel killed it, or a child process of its container, for memory: its limit did not hold. */
bool verdict_did_not_hold(const struct verdict *verdict);

/* It was not killed, and what it keeps does not grow on. */
bool verdict_levels_off(const struct verdict *verdict);

/* What became of a prediction. */
enum prediction_outcome { PREDICTION_UNDECIDED, PREDICTION_HOLDS, PREDICTION_REFUTED };

/* The verdict of the trigger and of the same work with more memory together. A kill with more
 * memory after steady growth, or within the leak's predicted interval (`leak` holds), is a leak
 * whatever the trigger alone looked like; one that nothing explains leaves it open, and so does a
 * leak whose kill did not come when its forecast said and that shows no growth of its own there.
 * `raised` may be NULL: the trigger's own verdict then. */
void verdict_combine(const struct verdict *trigger, const struct verdict *raised,
                     enum prediction_outcome leak, struct verdict *ret);

/* A known-good arm of the same work (the patch, where that levelled off) outranks every threshold:
 * where they left the trigger open or called it stable, and it keeps significantly more than that
 * arm (the 95 % interval of the difference), it is a leak. `good` may be NULL. */
void verdict_against_good(const struct verdict *good, struct verdict *verdict);
