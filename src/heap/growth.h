/* SPDX-License-Identifier: Apache-2.0 */
/* How fast a stack's memory grew with the requests. */
#pragma once

#include <stddef.h>

struct heap_point {
    double requests, bytes;
};

/* Theil and Sen's slope: the median of the slopes between all pairs of points with different
 * numbers of requests. Memory taken once (a table filled at the first request) does not move it.
 * NAN: there is no such pair, or no memory for the work. */
double heap_growth_slope(const struct heap_point *points, size_t count);
