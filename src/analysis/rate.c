/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/rate.h"

#include "analysis/statistics.h"
#include "base/cleanup.h"

#include <errno.h>
#include <math.h>

/* Into so many parts a series is cut. */
#define PARTS 4

/* What is wrong by up to e, as likely high as low, has the deviation e / sqrt(3); the difference of
 * two ends sqrt(2) times that. */
static double ends_deviation(double error)
{
    return error * sqrt(2.0 / 3.0);
}

/* Half-width that the errors at the ends of the series leave: each counts as Sen's pairs weigh it,
 * by the square of its way. */
static double half_of_ends(const struct trend_series *series, size_t count, double slope,
                           const struct rate_errors *errors)
{
    double bytes = ends_deviation(errors->bytes), x = ends_deviation(errors->x) * fabs(slope);
    double weights = 0;
    for (size_t i = 0; i < count; i++) {
        double way = series[i].count >= 3 ? series[i].x[series[i].count - 1] - series[i].x[0] : 0;
        weights += way * way;
    }
    /* The root of the sum of (weight * deviation / way)^2, over the sum of the weights. */
    return weights > 0 ? NORMAL_975 * hypot(bytes, x) / sqrt(weights) : 0;
}

/* Half-width of the mean of slopes that differ; 0 with fewer than two. */
static double half_of_spread(const double *slopes, size_t count)
{
    double n = (double)count;
    return count < 2 ? 0 : student_975(n - 1) * deviation_of(slopes, count) / sqrt(n);
}

/* The slopes of each series' `parts` equal parts, as far as they have enough points. */
static int part_slopes(const struct trend_series *series, size_t count, size_t parts, double *ret,
                       size_t *ret_count)
{
    *ret_count = 0;
    for (size_t i = 0; i < count * parts; i++) {
        const struct trend_series *whole = &series[i / parts];
        size_t from = i % parts * whole->count / parts;
        size_t to = (i % parts + 1) * whole->count / parts;
        struct estimate own;
        double ignored;
        int rc = trend_sen(whole->x + from, whole->y + from, to - from, &own, &ignored);
        if (rc)
            return rc;
        if (!isnan(own.value))
            ret[(*ret_count)++] = own.value;
    }
    return 0;
}

/* Half-width that the differences between the series leave, or those between the parts of each:
 * what one process keeps does not grow in a line either, and wanders more slowly than a test on
 * neighbouring points can see. */
static int half_of_differences(const struct trend_series *series, size_t count, double *ret)
{
    AUTO_FREE double *slopes = malloc((count * PARTS + 1) * sizeof(*slopes));
    if (!slopes)
        return -ENOMEM;
    size_t used;
    int rc = part_slopes(series, count, 1, slopes, &used);
    if (rc)
        return rc;
    *ret = half_of_spread(slopes, used);
    rc = part_slopes(series, count, PARTS, slopes, &used);
    if (rc == 0)
        *ret = fmax(*ret, half_of_spread(slopes, used));
    return rc;
}

/* What grows at a rate has risen by its way at the end: no rate of one process is beyond all that
 * it moved, and what the errors at its ends may hide. */
static double largest_rate(const struct trend_series *series, const struct rate_errors *errors)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t k = 0; k < series->count; k++) {
        low = fmin(low, series->y[k]);
        high = fmax(high, series->y[k]);
    }
    double way = series->count >= 3 ? series->x[series->count - 1] - series->x[0] : 0;
    return way > errors->x ? (high - low + 2 * errors->bytes) / (way - errors->x) : INFINITY;
}

int rate_of(const struct trend_series *series, size_t count, const struct trend *trend,
            const struct rate_errors *errors, struct estimate *ret)
{
    *ret = trend->slope;
    if (isnan(ret->value))
        return 0;
    double spread;
    int rc = half_of_differences(series, count, &spread);
    if (rc)
        return rc;
    double half = hypot(half_of_ends(series, count, ret->value, errors), spread);
    ret->low = ret->value - hypot(ret->value - trend->slope.low, half);
    ret->high = ret->value + hypot(trend->slope.high - ret->value, half);
    /* It may be none at all: a step, say, and then a level. */
    if (count == 1 && ret->low < 0 && ret->high > 0) {
        double most = largest_rate(series, errors);
        ret->low = fmax(ret->low, fmin(trend->slope.low, -most));
        ret->high = fmin(ret->high, fmax(trend->slope.high, most));
    }
    return 0;
}
