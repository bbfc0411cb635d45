/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/compare.h"

#include "analysis/statistics.h"

#include <math.h>

const char *comparison_name(enum comparison comparison)
{
    static const char *const NAMES[] = {
        [COMPARISON_UNKNOWN] = "unknown",
        [COMPARISON_OPEN] = "open",
        [COMPARISON_LESS] = "less",
        [COMPARISON_MORE] = "more",
    };
    return NAMES[comparison];
}

enum comparison comparison_of(const struct estimate *difference)
{
    if (isnan(difference->value) || isnan(difference->low) || isnan(difference->high))
        return COMPARISON_UNKNOWN;
    if (difference->high < 0)
        return COMPARISON_LESS;
    return difference->low > 0 ? COMPARISON_MORE : COMPARISON_OPEN;
}

static void around(double value, double half, struct estimate *ret)
{
    *ret = (struct estimate){value, value - half, value + half};
}

/* The variance of the mean; NAN below two. */
static double variance_of_mean(const double *values, size_t count)
{
    double deviation = deviation_of(values, count);
    return deviation * deviation / (double)count;
}

void compare_mean(const double *values, size_t count, double error, struct estimate *ret)
{
    double half = NAN;
    if (count >= 2)
        half = hypot(student_975((double)count - 1) * sqrt(variance_of_mean(values, count)), error);
    around(mean_of(values, count), half, ret);
}

/* Welch and Satterthwaite's degrees of freedom; without any spread as few as there can be. */
static double welch_freedom(double a, size_t a_count, double b, size_t b_count)
{
    double below = a * a / (double)(a_count - 1) + b * b / (double)(b_count - 1);
    return below > 0 ? (a + b) * (a + b) / below : 1;
}

void compare_means(const double *a, size_t a_count, const double *b, size_t b_count, double error,
                   struct estimate *ret)
{
    double half = NAN;
    if (a_count >= 2 && b_count >= 2) {
        double of_a = variance_of_mean(a, a_count), of_b = variance_of_mean(b, b_count);
        double freedom = welch_freedom(of_a, a_count, of_b, b_count);
        half = hypot(student_975(freedom) * sqrt(of_a + of_b), hypot(error, error));
    }
    around(mean_of(b, b_count) - mean_of(a, a_count), half, ret);
}

void compare_estimates(const struct estimate *a, const struct estimate *b, struct estimate *ret)
{
    double value = b->value - a->value;
    *ret = (struct estimate){
        .value = value,
        .low = value - hypot(b->value - b->low, a->high - a->value),
        .high = value + hypot(b->high - b->value, a->value - a->low),
    };
}
