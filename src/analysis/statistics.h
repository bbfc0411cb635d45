/* SPDX-License-Identifier: Apache-2.0 */
/* The few distributions and order statistics that the analysis needs. Internal to src/analysis. */
#pragma once

#include <stddef.h>

#define NORMAL_975 1.959963984540054 /* the standard normal's 97.5 % quantile */

/* Two-sided p-value of a standard normal deviate. */
double normal_two_sided(double z);

/* The 97.5 % quantile of Student's t with `freedom` >= 1 degrees of freedom, by bisection on its
 * distribution function (regularised incomplete beta, continued fraction: Numerical Recipes 6.4).
 */
double student_975(double freedom);

/* The chance that a Student's t with `freedom` > 0 degrees of freedom is above `t`. */
double student_upper(double t, double freedom);

/* Ascending, in place. */
void sort_doubles(double *values, size_t count);
/* Median of sorted values; NAN when there are none. */
double median_sorted(const double *sorted, size_t count);
/* Sorts in place. */
double median_of(double *values, size_t count);
double mean_of(const double *values, size_t count);
/* Sample standard deviation (n - 1); NAN below two. */
double deviation_of(const double *values, size_t count);
