/* SPDX-License-Identifier: Apache-2.0 */
/* Theil-Sen slope and Mann-Kendall test, corrected for autocorrelation, over one or several series.
 */
#include "analysis/trend.h"

#include "analysis/statistics.h"
#include "base/cleanup.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define POINTS_MIN 8
#define SERIES_MIN 3

static const struct estimate no_estimate = {NAN, NAN, NAN};

/* Sum of k (k - 1) (2 k + 5) over the groups of equal values (Kendall's tie correction). */
static double tie_term(double *values, size_t count)
{
    double sum = 0;
    sort_doubles(values, count);
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && values[next] == values[i];)
            next++;
        double k = (double)(next - i);
        sum += k * (k - 1) * (2 * k + 5);
    }
    return sum;
}

/* Medians of TREND_POINTS_MAX groups of (nearly) equal size, in the order of x. */
static size_t reduce(const struct trend_series *series, double *x, double *y, double *scratch)
{
    if (series->count <= TREND_POINTS_MAX) {
        memcpy(x, series->x, series->count * sizeof(*x));
        memcpy(y, series->y, series->count * sizeof(*y));
        return series->count;
    }
    for (size_t i = 0; i < TREND_POINTS_MAX; i++) {
        size_t from = i * series->count / TREND_POINTS_MAX;
        size_t size = (i + 1) * series->count / TREND_POINTS_MAX - from;
        memcpy(scratch, series->x + from, size * sizeof(*scratch));
        x[i] = median_of(scratch, size);
        memcpy(scratch, series->y + from, size * sizeof(*scratch));
        y[i] = median_of(scratch, size);
    }
    return TREND_POINTS_MAX;
}

/* Average ranks, O(n^2) over at most TREND_POINTS_MAX values. */
static void rank(const double *values, size_t count, double *ret)
{
    for (size_t i = 0; i < count; i++) {
        size_t less = 0, equal = 0;
        for (size_t k = 0; k < count; k++) {
            less += values[k] < values[i];
            equal += values[k] == values[i];
        }
        ret[i] = (double)less + ((double)equal + 1) / 2;
    }
}

static double lag_weight(double n, double lag)
{
    return 2 * (n - lag) * (n - lag - 1) * (n - lag - 2) / (n * (n - 1) * (n - 2));
}

/* The same factor for ranks that follow a first-order process. Its coefficient is the first
 * autocorrelation with the bias of a detrended series taken out (Kendall and Stuart: -(2 + 4 rho) /
 * n). */
static double first_order_factor(double first, size_t count)
{
    double n = (double)count;
    double rho = fmin(0.98, (first + 2 / n) / (1 - 4 / n)), power = 1, sum = 1;
    for (size_t lag = 1; lag < count; lag++) {
        power *= rho;
        sum += lag_weight(n, (double)lag) * power;
    }
    return sum;
}

/* n/n* of Hamed and Rao (1998), eq. 14: from the autocorrelation of the ranks of the detrended
 * series, significant lags only. In short series that leaves out the higher lags of a slow process
 * and alarms four times too often at rho = 0.7, so at least the first-order factor is taken when
 * lag 1 is significant. */
static double autocorrelation_factor(const double *x, const double *y, size_t count, double slope,
                                     double *scratch)
{
    double *ranks = scratch, *detrended = scratch + count;
    for (size_t i = 0; i < count; i++)
        detrended[i] = y[i] - slope * x[i];
    rank(detrended, count, ranks);
    double n = (double)count, mean = (n + 1) / 2, variance = 0, factor = 1, first = 0;
    for (size_t i = 0; i < count; i++)
        variance += (ranks[i] - mean) * (ranks[i] - mean);
    if (variance <= 0)
        return 1;
    for (size_t lag = 1; lag < count; lag++) {
        double product = 0;
        for (size_t i = 0; i + lag < count; i++)
            product += (ranks[i] - mean) * (ranks[i + lag] - mean);
        double rho = product / variance;
        first = lag == 1 ? rho : first;
        if (fabs(rho) > NORMAL_975 / sqrt(n))
            factor += lag_weight(n, (double)lag) * rho;
    }
    return first > NORMAL_975 / sqrt(n) ? fmax(factor, first_order_factor(first, count)) : factor;
}

/* Slopes and S of all pairs of one series. Returns how many slopes were written. */
static size_t pair_slopes(const double *x, const double *y, size_t count, double *slopes, double *s)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count; k++) {
            if (x[k] <= x[i])
                continue;
            slopes[used++] = (y[k] - y[i]) / (x[k] - x[i]);
            *s += (y[k] > y[i]) - (y[k] < y[i]);
        }
    return used;
}

/* Sen (1968), eq. 2.6, and the two-sided test with continuity correction. */
static void finish(const double *slopes, size_t count, double variance, struct trend *ret)
{
    double sigma = sqrt(variance), spread = NORMAL_975 * sigma, pairs = (double)count;
    double low = round((pairs - spread) / 2) - 1, high = round((pairs + spread) / 2);
    ret->slope.value = median_sorted(slopes, count);
    ret->slope.low = slopes[low > 0 ? (size_t)low : 0];
    ret->slope.high = slopes[high < pairs - 1 ? (size_t)high : count - 1];
    double z = ret->s > 0 ? (ret->s - 1) / sigma : ret->s < 0 ? (ret->s + 1) / sigma : 0;
    ret->p_value = sigma > 0 ? normal_two_sided(z) : 1;
}

struct workspace {
    double *slopes, *x, *y, *scratch;
    size_t slope_count;
    double common;    /* median of all slopes */
    double corrected; /* variance of S after the correction */
};

static void workspace_done(struct workspace *work)
{
    free(work->slopes);
    free(work->x);
    free(work->y);
    free(work->scratch);
}

static int workspace_init(struct workspace *work, const struct trend_series *series, size_t count)
{
    size_t pairs = 0, longest = TREND_POINTS_MAX;
    for (size_t i = 0; i < count; i++) {
        size_t n = series[i].count < TREND_POINTS_MAX ? series[i].count : TREND_POINTS_MAX;
        pairs += n * n / 2;
        longest = series[i].count > longest ? series[i].count : longest;
    }
    *work = (struct workspace){
        .slopes = malloc((pairs + 1) * sizeof(double)),
        .x = malloc(TREND_POINTS_MAX * sizeof(double)),
        .y = malloc(TREND_POINTS_MAX * sizeof(double)),
        .scratch = malloc(2 * longest * sizeof(double)),
    };
    return work->slopes && work->x && work->y && work->scratch ? 0 : -ENOMEM;
}

/* Variance of S of one series, and what autocorrelation adds to it. */
static void add_variance(struct workspace *work, size_t count, struct trend *ret)
{
    double n = (double)count;
    double variance = n * (n - 1) * (2 * n + 5);
    memcpy(work->scratch, work->x, count * sizeof(double));
    variance -= tie_term(work->scratch, count);
    memcpy(work->scratch, work->y, count * sizeof(double));
    variance = (variance - tie_term(work->scratch, count)) / 18;
    double factor = autocorrelation_factor(work->x, work->y, count, work->common, work->scratch);
    ret->variance += variance;
    /* A factor below 1 (ranks that alternate) would make the test surer than independent data do.
     */
    work->corrected += variance * (factor > 1 ? factor : 1);
}

int trend_common(const struct trend_series *series, size_t count, struct trend *ret)
{
    *ret = (struct trend){.slope = no_estimate, .p_value = NAN, .correction = 1};
    __attribute__((cleanup(workspace_done))) struct workspace work = {0};
    if (workspace_init(&work, series, count))
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (series[i].count < SERIES_MIN)
            continue;
        size_t n = reduce(&series[i], work.x, work.y, work.scratch);
        work.slope_count += pair_slopes(work.x, work.y, n, work.slopes + work.slope_count, &ret->s);
        ret->points += n;
    }
    if (ret->points < POINTS_MIN || work.slope_count == 0)
        return 0;
    sort_doubles(work.slopes, work.slope_count);
    work.common = median_sorted(work.slopes, work.slope_count);
    for (size_t i = 0; i < count; i++) {
        if (series[i].count >= SERIES_MIN)
            add_variance(&work, reduce(&series[i], work.x, work.y, work.scratch), ret);
    }
    ret->correction = ret->variance > 0 ? work.corrected / ret->variance : 1;
    finish(work.slopes, work.slope_count, work.corrected, ret);
    return 0;
}

int trend_sen(const double *x, const double *y, size_t count, struct estimate *ret,
              double *ret_p_value)
{
    struct trend trend;
    int rc = trend_common(&(struct trend_series){x, y, count}, 1, &trend);
    *ret = rc ? no_estimate : trend.slope;
    *ret_p_value = rc ? NAN : trend.p_value;
    return rc;
}

size_t trend_floor(const double *x, const double *y, size_t count, size_t bins, double *ret_x,
                   double *ret_y)
{
    if (count == 0 || bins == 0)
        return 0;
    double start = x[0], width = (x[count - 1] - x[0]) / (double)bins;
    size_t used = 0, bin = 0;
    for (size_t i = 0; i < count; i++) {
        double position = width > 0 ? (x[i] - start) / width : 0;
        size_t mine = position < (double)bins ? (position > 0 ? (size_t)position : 0) : bins - 1;
        mine = mine > bin ? mine : bin;
        if (used == 0 || mine != bin) {
            bin = mine;
            ret_x[used] = x[i];
            ret_y[used++] = y[i];
        } else if (y[i] < ret_y[used - 1]) {
            ret_x[used - 1] = x[i];
            ret_y[used - 1] = y[i];
        }
    }
    return used;
}

size_t trend_releases(const double *y, size_t count, double drop, struct trend_troughs *ret_troughs)
{
    struct trend_troughs troughs = {0, NAN, NAN, NAN};
    size_t releases = 0;
    bool falling = false;
    double extreme = count ? y[0] : 0; /* highest while rising, lowest while falling */
    for (size_t i = 1; i < count; i++) {
        if (falling ? y[i] < extreme : y[i] > extreme) {
            extreme = y[i];
        } else if (fabs(y[i] - extreme) >= drop) {
            if (falling) {
                troughs.before_last = troughs.last;
                troughs.last = extreme;
                troughs.first = troughs.count++ == 0 ? extreme : troughs.first;
            }
            releases += !falling;
            falling = !falling;
            extreme = y[i];
        }
    }
    *ret_troughs = troughs;
    return releases;
}
