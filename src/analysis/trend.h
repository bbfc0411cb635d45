/* SPDX-License-Identifier: Apache-2.0 */
/* Growth of the retained floor, against requests and against time. Pure functions. */
#pragma once

#include "analysis/series.h"

struct estimate {
    double value;     /* NAN: not enough data */
    double low, high; /* 95 % confidence interval, corrected for autocorrelation */
};

/* Pairs are compared within a series only; longer series are first reduced to the medians of so
 * many equal groups, so that the cost stays bounded (n samples: O(n log n) plus this squared). */
#define TREND_POINTS_MAX 512

/* Theil-Sen slope of y over x (x ascending). The interval is Sen's (1968) with the variance of
 * Kendall's S corrected for autocorrelation after Hamed and Rao (1998). `p_value`: two-sided
 * Mann-Kendall with that correction. Needs 8 points, else NAN. Allocates; returns 0 or -ENOMEM. */
int trend_sen(const double *x, const double *y, size_t count, struct estimate *ret,
              double *ret_p_value);

/* Several series with one common slope (lifetimes, idle phases): pairs within a series only, S and
 * its variance summed, as in the seasonal Kendall test (Hirsch, Slack, Smith 1982) and Gilbert's
 * (1987) slope. */
struct trend_series {
    const double *x, *y; /* x ascending */
    size_t count;        /* fewer than 3: passed over */
};
struct trend {
    struct estimate slope;
    double p_value;    /* NAN with the slope */
    double s;          /* Kendall's S */
    double variance;   /* of S, with ties, without autocorrelation */
    double correction; /* Hamed and Rao's n/n*, at least 1; of several series the weighted mean */
    size_t points;     /* used */
};
/* As trend_sen(). Needs 8 points in total. */
int trend_common(const struct trend_series *series, size_t count, struct trend *ret);

/* The retained floor: the troughs of a garbage collector's sawtooth (the minimum in each of `bins`
 * equal bins of x, at its own x). Writes at most `bins` points and returns how many. */
size_t trend_floor(const double *x, const double *y, size_t count, size_t bins, double *ret_x,
                   double *ret_y);

/* The lowest values between two rises of a sawtooth. */
struct trend_troughs {
    size_t count;
    double first, before_last, last; /* NAN as long as there are too few */
};

/* How often y fell by at least `drop` below the highest value since the last fall. The troughs are
 * those that y rose out of again by as much. */
size_t trend_releases(const double *y, size_t count, double drop,
                      struct trend_troughs *ret_troughs);

/* What the process keeps: the working set without active page cache, which the kernel can still
 * reclaim; that is anonymous, shared and kernel memory. NAN when unknown. */
double retained_bytes(const struct point *point);

#define GROWTH_CYCLES_MAX 128

struct growth {
    struct estimate per_request; /* bytes per completed request, while cycles ran */
    struct estimate per_second;  /* bytes per second */
    struct estimate
        idle_per_second;   /* bytes per second while no request ran (idle, gaps, cool-down) */
    double baseline_bytes; /* the floor before the first request */
    double first_bytes, last_bytes, peak_bytes; /* working set */
    double
        cycle_growth[GROWTH_CYCLES_MAX]; /* floor growth per complete cycle; the first is warm-up */
    size_t cycle_count;
};

/* Growth of one lifetime's retained memory. Returns 0 or -ENOMEM. */
int growth_of_lifetime(const struct lifetime_series *lifetime, struct growth *ret);
