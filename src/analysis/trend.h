/* SPDX-License-Identifier: Apache-2.0 */
/* Growth of the retained floor, against requests and against time. Pure functions. */
#pragma once

#include "analysis/series.h"

struct estimate {
    double value;     /* NAN: not enough data */
    double low, high; /* 95 % confidence interval, corrected for autocorrelation */
};

/* Theil-Sen slope of y over x. The interval is Sen's (1968) with the variance of Kendall's S
 * corrected for autocorrelation after Hamed and Rao (1998). `p_value`: two-sided Mann-Kendall with
 * that correction. Needs 8 points, else NAN. Allocates; returns 0 or -ENOMEM. */
int trend_sen(const double *x, const double *y, size_t count, struct estimate *ret,
              double *ret_p_value);

/* The retained floor: the troughs of a garbage collector's sawtooth (the minimum in each of `bins`
 * equal bins of x). Writes at most `bins` points and returns how many. */
size_t trend_floor(const double *x, const double *y, size_t count, size_t bins, double *ret_x,
                   double *ret_y);

struct growth {
    struct estimate per_request; /* bytes per completed request, while cycles ran */
    struct estimate per_second;  /* bytes per second */
    struct estimate
        idle_per_second;   /* bytes per second while no request ran (idle, gaps, cool-down) */
    double baseline_bytes; /* the floor before the first request */
    double first_bytes, last_bytes, peak_bytes; /* working set */
    double cycle_growth[32]; /* floor growth per complete cycle; the first is warm-up */
    size_t cycle_count;
};

/* Growth of one lifetime's working set. Returns 0 or -ENOMEM. */
int growth_of_lifetime(const struct lifetime_series *lifetime, struct growth *ret);
