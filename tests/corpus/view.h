/* SPDX-License-Identifier: Apache-2.0 */
/* The awkward views of a trace: what an arm looks like to somebody who sees less of it. */
#pragma once

#include "analysis/series.h"

enum trace_view {
    VIEW_FULL,
    VIEW_TRIGGER_ONLY, /* as FULL, but what happened with more memory is not known */
    VIEW_EVERY_15_S,   /* one sample in 15 s of a trace that is stretched to an hour */
    VIEW_EVERY_60_S,   /* one sample a minute, likewise */
    VIEW_HALF,         /* the first half of the arm's time */
    VIEW_ONE_LIFETIME, /* the first lifetime of each arm */
    VIEW_NO_REQUESTS,  /* neither requests, nor phases, nor readiness: a metric and nothing else */
    VIEW_GAPS,         /* three stretches of a tenth of each lifetime are missing */
    VIEW_MINUTE_NO_REQUESTS, /* EVERY_60_S and NO_REQUESTS */
    VIEW_COUNT
};

const char *trace_view_name(enum trace_view view);

/* How much longer time is in this view: the trigger arm of a stretched view lasts an hour; 1 for
 * the others. */
double trace_view_scale(enum trace_view view, const struct arm_series *trigger);

/* A copy of `arm` as the view shows it, with time multiplied by `scale`; where that is not 1,
 * without the samples of a process that is already dying. Returns 0 or -ENOMEM; free it with
 * trace_view_done(). */
int trace_view_apply(enum trace_view view, double scale, const struct arm_series *arm,
                     struct arm_series *ret);
void trace_view_done(struct arm_series *arm);
