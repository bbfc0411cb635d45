/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/mix.h"

#include "analysis/compare.h"
#include "analysis/verdict_parts.h"

#include <math.h>

/* Requests completed a second, from the first cycle's start to the last one's end: the busy slope
 * runs over the gaps between them, too. */
static double pace_of(const struct view *view)
{
    double seconds = 0, requests = 0;
    for (size_t i = 0; i < view->arm->count; i++) {
        const struct lifetime_series *lifetime = &view->arm->lifetimes[i];
        double first = INFINITY, last = 0;
        for (size_t k = 0; k < lifetime->span_count; k++) {
            const struct span *span = &lifetime->spans[k];
            if (span->kind != SPAN_CYCLE || span->start_s >= lifetime->uptime_s)
                continue;
            first = fmin(first, fmax(span->start_s, 0));
            last = fmax(last, fmin(span->end_s, lifetime->uptime_s));
        }
        if (killed_at_start(lifetime) || !(last > first))
            continue;
        seconds += last - first;
        requests += isnan(lifetime->requests_completed) ? 0 : lifetime->requests_completed;
    }
    return seconds > 0 ? requests / seconds : NAN;
}

bool mix_of(const struct view *view, struct mix *ret)
{
    const struct estimate *idle = &view->idle_per_second.slope;
    const struct estimate *busy = &view->busy_per_second.slope;
    double pace = pace_of(view);
    struct estimate more;
    if (!view->traffic || !(pace > 0) || !verdict_trend_rises(&view->idle_per_second))
        return false;
    compare_estimates(idle, busy, &more);
    if (comparison_of(&more) != COMPARISON_MORE || !(idle->value >= MIX_PART_SHARE * busy->value) ||
        !(more.value >= MIX_PART_SHARE * busy->value))
        return false;
    *ret = (struct mix){*idle, {more.value / pace, more.low / pace, more.high / pace}};
    return true;
}
