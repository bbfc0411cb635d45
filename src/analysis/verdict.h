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
    double peak_bytes;           /* highest working set over all lifetimes */
    double
        need_bytes; /* that without page cache, which is given back when needed; NAN or 0 unknown */
    double limit_bytes;   /* the arm's */
    unsigned child_kills; /* OOM kills that the main processes outlived */
    unsigned kills;       /* ends by oom-container-limit, -ancestor-limit or -host */
};

/* Classify one arm on its own evidence. Returns 0 or -ENOMEM. */
int verdict_of_arm(const struct arm_series *arm, struct verdict *ret);

/* It was not killed, and what it keeps does not grow on. */
bool verdict_levels_off(const struct verdict *verdict);

/* The verdict of the trigger and of the same work with more memory together. A kill with more
 * memory after steady growth, or within the leak's predicted interval (`leak_held`), is a leak
 * whatever the trigger alone looked like; one that nothing explains leaves it open. `raised` may be
 * NULL: the trigger's own verdict then. */
void verdict_combine(const struct verdict *trigger, const struct verdict *raised, bool leak_held,
                     struct verdict *ret);

struct recommendation {
    enum { ADVISE_FIX_LEAK, ADVISE_RAISE_LIMIT, ADVISE_KEEP_LIMIT, ADVISE_INVESTIGATE } action;
    double memory_bytes; /* NAN: no size is given (a leak gets none) */
    char reason[VERDICT_TEXT_MAX];
};
const char *recommendation_action_name(int action);

/* Size advice: after an OOM max(peak + 100 MiB, 1.2 peak) (Kubernetes' Vertical Pod Autoscaler),
 * else max(1.15 peak) (KRR), page cache left out; a leak gets no size. `verdict` is the combined
 * one (verdict_combine()); `raised` is that of the arm with more memory, or NULL. */
void recommend(const struct verdict *verdict, const struct verdict *raised, double limit_bytes,
               struct recommendation *ret);
