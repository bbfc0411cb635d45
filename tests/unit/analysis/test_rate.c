/* SPDX-License-Identifier: Apache-2.0 */
/* The interval of a growth rate: by hand, and how often it holds the truth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/rate.h"
#include "simulate.h"

#include <math.h>

#define POINTS 24
#define RUNS   400

struct lines {
    double x[3][POINTS], y[3][POINTS];
    struct trend_series series[3];
};

static void draw_line(struct lines *lines, size_t line, double slope, double x_step)
{
    for (size_t i = 0; i < POINTS; i++) {
        lines->x[line][i] = (double)i * x_step;
        lines->y[line][i] = slope * lines->x[line][i];
    }
    lines->series[line] = (struct trend_series){lines->x[line], lines->y[line], POINTS};
}

static void test_spread_of_the_series(void **state)
{
    (void)state;
    struct lines lines;
    for (size_t i = 0; i < 3; i++)
        draw_line(&lines, i, 1 + (double)i, 1);
    struct trend trend;
    struct estimate rate;
    assert_int_equal(trend_common(lines.series, 3, &trend), 0);
    assert_int_equal(rate_of(lines.series, 3, &trend, &(struct rate_errors){0}, &rate), 0);
    /* t(2) = 4.302653, the slopes' deviation is 1: 4.302653 / sqrt(3) */
    double half = 2.484138, above = trend.slope.high - 2, below = 2 - trend.slope.low;
    assert_true(rate.value == 2);
    assert_true(fabs(rate.high - (2 + hypot(above, half))) < 1e-5);
    assert_true(fabs(rate.low - (2 - hypot(below, half))) < 1e-5);
}

/* A step in the first quarter and then a level: the quarters differ for ever, and yet no more than
 * the step can have come of every x. */
static void test_a_step_bounds_the_rate(void **state)
{
    (void)state;
    double x[48], y[48];
    for (size_t i = 0; i < 48; i++) {
        x[i] = (double)i * 100;
        y[i] = (i < 4 ? 0 : 1e6) + (double)(i % 3) * 1e4;
    }
    const struct trend_series series = {x, y, 48};
    const struct rate_errors errors = {1e5, 1};
    struct trend trend;
    struct estimate rate;
    assert_int_equal(trend_common(&series, 1, &trend), 0);
    assert_int_equal(rate_of(&series, 1, &trend, &errors, &rate), 0);
    double most = (1e6 + 2e4 + 2e5) / 4699;
    assert_true(rate.low < 0 && rate.low >= -most - 1e-9);
    assert_true(rate.high > 0 && rate.high <= most + 1e-9);
}

static void test_errors_at_the_ends(void **state)
{
    (void)state;
    struct lines lines;
    draw_line(&lines, 0, 10, 1);
    struct trend trend;
    struct estimate rate;
    assert_int_equal(trend_common(lines.series, 1, &trend), 0);
    assert_true(trend.slope.low == 10 && trend.slope.high == 10); /* a line without any scatter */
    const struct rate_errors errors = {.bytes = 3, .x = 0.4};
    assert_int_equal(rate_of(lines.series, 1, &trend, &errors, &rate), 0);
    /* 1.959964 sqrt(2/3) hypot(3, 0.4 * 10) / 23 */
    assert_true(fabs(rate.high - 10 - 0.347890) < 1e-5);
    assert_true(fabs(10 - rate.low - 0.347890) < 1e-5);

    assert_int_equal(trend_common(lines.series, 0, &trend), 0); /* nothing known stays unknown */
    assert_int_equal(rate_of(lines.series, 0, &trend, &errors, &rate), 0);
    assert_true(isnan(rate.value) && isnan(rate.low) && isnan(rate.high));
}

/* Three processes whose rates differ by 3 %, counters that are wrong by up to `error` for as long
 * as a batch lasts, and some noise. */
static bool covered(struct random *random, double error, bool plain)
{
    struct lines lines;
    for (size_t i = 0; i < 3; i++) {
        draw_line(&lines, i, 1000 * (1 + 0.03 * sim_normal(random)), 10);
        double first = (2 * random_unit(random) - 1) * error;
        double last = (2 * random_unit(random) - 1) * error;
        for (size_t k = 0; k < POINTS; k++)
            lines.y[i][k] +=
                first + (last - first) * (double)k / (POINTS - 1) + 100 * sim_normal(random);
    }
    struct trend trend;
    struct estimate rate;
    assert_int_equal(trend_common(lines.series, 3, &trend), 0);
    assert_int_equal(rate_of(lines.series, 3, &trend, &(struct rate_errors){error, 0}, &rate), 0);
    assert_true(rate.low <= trend.slope.low && rate.high >= trend.slope.high);
    const struct estimate *shown = plain ? &trend.slope : &rate;
    return shown->low <= 1000 && shown->high >= 1000;
}

static void test_coverage(void **state)
{
    (void)state;
    struct random random = {20};
    unsigned plain = 0, whole = 0;
    for (unsigned run = 0; run < RUNS; run++) {
        plain += covered(&random, 3000, true);
        whole += covered(&random, 3000, false);
    }
    print_message("holds the truth: %.1f %%; Sen's own interval %.1f %%\n", 100.0 * whole / RUNS,
                  100.0 * plain / RUNS);
    assert_true(whole >= 0.93 * RUNS);
    assert_true(plain < 0.80 * RUNS); /* why there is more than Sen's */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spread_of_the_series),
        cmocka_unit_test(test_a_step_bounds_the_rate),
        cmocka_unit_test(test_errors_at_the_ends),
        cmocka_unit_test(test_coverage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
