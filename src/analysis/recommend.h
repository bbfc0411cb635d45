/* SPDX-License-Identifier: Apache-2.0 */
/* What to do: an action, a size where there is one, how long a limit lasts where there is none. */
#pragma once

#include "analysis/sizing.h"

struct recommendation {
    enum { ADVISE_FIX_LEAK, ADVISE_RAISE_LIMIT, ADVISE_KEEP_LIMIT, ADVISE_INVESTIGATE } action;
    double memory_bytes; /* NAN: no size is given (a leak gets none) */
    char reason[VERDICT_TEXT_MAX];
    struct forecasts forecasts;             /* of a leak */
    struct size_rule rules[SIZE_RULES_MAX]; /* of what can be sized */
    size_t rule_count;
};
const char *recommendation_action_name(int action);

/* Size advice: after an OOM max(peak + 100 MiB, 1.2 peak) (Kubernetes' Vertical Pod Autoscaler),
 * else max(1.15 peak) (KRR), page cache left out; a leak gets no size, but a forecast for several.
 * `verdict` is the combined one (verdict_combine()); `raised` is that of the arm with more memory,
 * or NULL; `forecasts` are those of the leading arm (forecast_limits()), or NULL. */
void recommend(const struct verdict *verdict, const struct verdict *raised, double limit_bytes,
               const struct forecasts *forecasts, struct recommendation *ret);
