/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/sequential.h"

#include "analysis/profile.h"
#include "analysis/statistics.h"
#include "base/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* How often a repeat shows a pattern that is real, and one that is a chance. */
#define SHOWN_IF_REAL   0.9
#define SHOWN_IF_CHANCE 0.5

/* However much the floors resemble their neighbours, a line needs two and an error a third. */
#define INDEPENDENT_MIN 3.0
#define RESEMBLANCE_MAX 0.95

double sequential_ratio(unsigned agree, unsigned repeats)
{
    double others = (double)repeats - (double)agree;
    return pow(SHOWN_IF_REAL / SHOWN_IF_CHANCE, agree) *
           pow((1 - SHOWN_IF_REAL) / (1 - SHOWN_IF_CHANCE), others);
}

double sequential_share(double error, unsigned look)
{
    return look > 0 ? error / ((double)look * ((double)look + 1)) : 0;
}

/* The floors in the pauses after whole cycles, with the times of those. Returns how many. */
static size_t floors_of(const struct profile *profile, double *x, double *y)
{
    const struct lifetime_series *lifetime = profile->lifetime;
    size_t count = 0;
    for (size_t i = 0; i < lifetime->span_count; i++) {
        const struct span *cycle = &lifetime->spans[i];
        if (cycle->kind != SPAN_CYCLE || cycle->start_s < 0 || cycle->end_s > lifetime->uptime_s)
            continue;
        double end = lifetime->uptime_s; /* of the pause; the next cycle begins, or it is now */
        if (i + 1 < lifetime->span_count)
            end = fmin(end, lifetime->spans[i + 1].end_s);
        double floor = profile_floor_at(profile, false, cycle->end_s, end);
        if (isnan(floor))
            continue;
        x[count] = cycle->end_s;
        y[count++] = floor;
    }
    return count;
}

struct line {
    double slope, error; /* standard error of the slope, from `independent` points */
    double independent;
};

/* How many of the points tell something new, from the resemblance of neighbouring residuals, whose
 * bias in short series is taken out (Kendall and Stuart: -(2 + 4 rho) / n). */
static double independent_of(const double *rests, size_t count, double squares)
{
    double n = (double)count, products = 0;
    for (size_t i = 1; i < count; i++)
        products += rests[i] * rests[i - 1];
    double first = squares > 0 ? products / squares : 0;
    double rho = (first + 2 / n) / (1 - 4 / fmax(n, 6));
    rho = fmin(RESEMBLANCE_MAX, fmax(0, rho));
    return fmax(INDEPENDENT_MIN, n * (1 - rho) / (1 + rho));
}

/* Least squares; replaces y by the residuals. */
static struct line fit(const double *x, double *y, size_t count)
{
    double middle = mean_of(x, count), level = mean_of(y, count), sxx = 0, sxy = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        sxx += (x[i] - middle) * (x[i] - middle);
        sxy += (x[i] - middle) * (y[i] - level);
    }
    struct line line = {.slope = sxy / sxx};
    for (size_t i = 0; i < count; i++) {
        y[i] -= level + line.slope * (x[i] - middle);
        squares += y[i] * y[i];
    }
    line.independent = independent_of(y, count, squares);
    line.error = sqrt(squares / (line.independent - 2) / sxx * (double)count / line.independent);
    return line;
}

int sequential_growth_p(const struct lifetime_series *lifetime, double bytes_per_s,
                        double *ret_p_value)
{
    CLEANUP(profile_done) struct profile profile;
    *ret_p_value = NAN;
    int rc = profile_init(&profile, lifetime);
    if (rc)
        return rc;
    AUTO_FREE double *x = malloc((lifetime->span_count + 1) * sizeof(double));
    AUTO_FREE double *y = malloc((lifetime->span_count + 1) * sizeof(double));
    if (!x || !y)
        return -ENOMEM;
    size_t count = floors_of(&profile, x, y);
    if (count < SEQUENTIAL_FLOORS_MIN)
        return 0;
    /* A fill that is over must not count as growth, nor may growth that starts late hide behind a
     * long level stretch. */
    size_t used = count / 2 + 1 > SEQUENTIAL_FLOORS_MIN ? count / 2 + 1 : SEQUENTIAL_FLOORS_MIN;
    struct line line = fit(x + count - used, y + count - used, used);
    if (line.error > 0)
        *ret_p_value = student_upper((bytes_per_s - line.slope) / line.error, line.independent - 2);
    else /* not one page moved */
        *ret_p_value = line.slope < bytes_per_s ? 0 : 1;
    return 0;
}
