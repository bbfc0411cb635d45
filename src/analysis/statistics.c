/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/statistics.h"

#include <math.h>
#include <stdlib.h>

double normal_two_sided(double z)
{
    return erfc(fabs(z) / sqrt(2));
}

static double log_gamma(double x)
{
    int sign; /* lgamma() would write a global */
    return lgamma_r(x, &sign);
}

/* The continued fraction of the incomplete beta function, modified Lentz's method. */
static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double h = d;
    for (int m = 1; m <= 500; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        for (int half = 0; half < 2; half++) {
            double factor = half ? odd : even;
            d = 1 + factor * d;
            c = 1 + factor / c;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = fabs(c) < tiny ? tiny : c;
            h *= d * c;
        }
        if (fabs(d * c - 1) < 1e-14)
            break;
    }
    return h;
}

static double beta_regularised(double a, double b, double x)
{
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;
    double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double student_upper(double t, double freedom)
{
    double tail = beta_regularised(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2;
    return t > 0 ? tail : 1 - tail;
}

double student_975(double freedom)
{
    double low = 0, high = 1000; /* t(1) is 12.7 */
    for (int i = 0; i < 200 && high - low > 1e-12 * high; i++) {
        double t = (low + high) / 2;
        if (student_upper(t, freedom) > 0.025)
            low = t;
        else
            high = t;
    }
    return (low + high) / 2;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void sort_doubles(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare_doubles);
}

double median_sorted(const double *sorted, size_t count)
{
    if (count == 0)
        return NAN;
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

double median_of(double *values, size_t count)
{
    sort_doubles(values, count);
    return median_sorted(values, count);
}

double mean_of(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return count ? sum / (double)count : NAN;
}

double deviation_of(const double *values, size_t count)
{
    if (count < 2)
        return NAN;
    double mean = mean_of(values, count), squares = 0;
    for (size_t i = 0; i < count; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    return sqrt(squares / (double)(count - 1));
}
