/* SPDX-License-Identifier: Apache-2.0 */
/* Two arms against each other: the difference of two figures, and whether it shows. Pure. */
#pragma once

#include "analysis/trend.h"

enum comparison {
    COMPARISON_UNKNOWN, /* no interval: too few observations */
    COMPARISON_OPEN,    /* the interval holds 0 */
    COMPARISON_LESS,    /* the second is the smaller one */
    COMPARISON_MORE,
};
const char *comparison_name(enum comparison comparison); /* "unknown", "open", "less", "more" */

/* What the difference's interval allows to say. */
enum comparison comparison_of(const struct estimate *difference);

/* The mean of independent observations (one a lifetime) with Student's t interval, in quadrature
 * with `error`, by which all of them may be wrong alike. One observation has no interval (NAN),
 * none has no value either. */
void compare_mean(const double *values, size_t count, double error, struct estimate *ret);

/* b minus a of independent observations with Welch's (1947) interval; each side may be wrong by
 * `error`, in quadrature. No interval unless both sides have at least two observations. */
void compare_means(const double *a, size_t a_count, const double *b, size_t b_count, double error,
                   struct estimate *ret);

/* b minus a of two independent estimates that come with their own intervals: each end lies as far
 * off as the two distances in quadrature (MOVER: Zou and Donner, 2008), so that intervals which are
 * wider on one side stay so. NAN where one of them has no interval. */
void compare_estimates(const struct estimate *a, const struct estimate *b, struct estimate *ret);
