/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/live_points.h"

#include "analysis/trend.h"

#include <math.h>

#define POINTS_LEAST   16
#define REQUESTS_LEAST 8

static void thin_out(struct live_points *points)
{
    for (size_t i = 0; i < LIVE_POINTS / 2; i++) {
        points->requests[i] = points->requests[2 * i];
        points->seconds[i] = points->seconds[2 * i];
        points->bytes[i] = points->bytes[2 * i];
    }
    points->count = LIVE_POINTS / 2;
    points->stride *= 2;
}

void live_points_add(struct live_points *points, int64_t lifetime_id, double requests,
                     double seconds, double bytes)
{
    if (points->lifetime_id != lifetime_id) {
        points->lifetime_id = lifetime_id;
        points->count = 0;
        points->stride = 1;
        points->skipped = 0;
    }
    if (++points->skipped < points->stride)
        return;
    points->skipped = 0;
    if (points->count == LIVE_POINTS)
        thin_out(points);
    points->requests[points->count] = requests;
    points->seconds[points->count] = seconds;
    points->bytes[points->count++] = bytes;
}

struct live_growth live_points_growth(const struct live_points *points,
                                      const struct live_rest *rest)
{
    struct live_growth growth = {.kind = LIVE_MEASURING, .until_limit = (double)NAN};
    struct estimate slope;
    double p_value;
    if (points->count < POINTS_LEAST)
        return growth;
    /* The later half: a start that fills memory is not what goes on. */
    size_t first = points->count / 2;
    size_t last = points->count - 1;
    if (points->count < 2UL * POINTS_LEAST)
        first = 0;
    bool by_request = points->requests[last] - points->requests[first] >= REQUESTS_LEAST;
    const double *x = by_request ? points->requests : points->seconds;
    if (trend_sen(x + first, points->bytes + first, points->count - first, &slope, &p_value) < 0 ||
        !isfinite(slope.low))
        return growth;
    growth.kind = LIVE_LEVEL;
    if (!(slope.low > 0) || slope.value < 1)
        return growth;
    growth.kind = by_request ? LIVE_PER_REQUEST : LIVE_PER_SECOND;
    growth.bytes = slope.value;
    double until = fmax(rest->limit_bytes - points->bytes[last], 0) / slope.value;
    if (until <= (by_request ? rest->requests : rest->seconds))
        growth.until_limit = until;
    return growth;
}
