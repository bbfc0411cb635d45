/* SPDX-License-Identifier: Apache-2.0 */
/* How fast a stack's memory grew with the requests. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct heap_point {
    double requests, bytes;
    uint64_t kills; /* of child processes before it */
};

/* Theil and Sen's slope: the median of the slopes between all pairs of points with different
 * numbers of requests. Memory taken once (a table filled at the first request) does not move it.
 * What a killed child process took with it is no shrinking: pairs with a kill between them count
 * only where there are no others. Nor is it a standstill where nothing was held from one kill to
 * the next: the process that will was not there.
 * NAN: there is no such pair, or no memory for the work. */
double heap_growth_slope(const struct heap_point *points, size_t count);
