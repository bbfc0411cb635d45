/* SPDX-License-Identifier: Apache-2.0 */
/* How well a growth rate is known: Sen's interval holds for the points that were measured. It knows
 * neither what is wrong with all of them alike nor how one process differs from the next. Internal
 * to src/analysis. */
#pragma once

#include "analysis/trend.h"

struct rate_errors {
    double bytes; /* each level is wrong by up to so much */
    double x;     /* so is each x (requests, or seconds) */
};

/* The kernel charges memory in batches of 64 pages on each CPU, and two CPUs are enough to work on
 * one request; a request counts when it is complete, and has allocated before. */
#define RATE_COUNTER_BYTES 262144.0
#define RATE_REQUEST       1.0

/* The slope of `trend`, which trend_common() made of these series, with an interval that allows for
 * the errors of the measurement at both ends of each series, and for the spread (Student's t) of
 * the series' own slopes, or of those of their quarters, whichever is wider. Never narrower than
 * trend->slope; of one series, where it holds 0, not beyond all that the series moved. Returns 0 or
 * -ENOMEM. */
int rate_of(const struct trend_series *series, size_t count, const struct trend *trend,
            const struct rate_errors *errors, struct estimate *ret);
