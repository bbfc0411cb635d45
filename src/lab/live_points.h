/* SPDX-License-Identifier: Apache-2.0 */
/* The working set of the lifetime under way against requests and time, and what it comes to. */
#pragma once

#include "lab/live_view.h"

#include <stdint.h>

#define LIVE_POINTS 256

struct live_points {
    int64_t lifetime_id;
    size_t count;
    unsigned stride, skipped; /* one point in so many is kept */
    double requests[LIVE_POINTS], seconds[LIVE_POINTS], bytes[LIVE_POINTS];
};

/* A point of another lifetime begins anew. Old points are thinned out when there are too many. */
void live_points_add(struct live_points *points, int64_t lifetime_id, double requests,
                     double seconds, double bytes);

/* What may still come: of the arm, at most. */
struct live_rest {
    double limit_bytes, requests, seconds;
};
/* Growth per request where requests were answered lately, else per second: Sen's slope, where its
 * 95 % interval is above 0. */
struct live_growth live_points_growth(const struct live_points *points,
                                      const struct live_rest *rest);
