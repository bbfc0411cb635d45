/* SPDX-License-Identifier: Apache-2.0 */
/* Against the numbers of oracle/make_trend_table.py: SciPy's theilslopes, kendalltau and
 * distributions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/statistics.h"
#include "analysis/trend.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/random.h"
#include "oracle/trend_table.h"

#include <math.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void assert_close(const char *what, double actual, double expected)
{
    double scale = fmax(fabs(expected), 1e-300);
    if (!(fabs(actual - expected) <= 1e-9 * scale + 1e-13))
        fail_msg("%s: %.17g instead of %.17g", what, actual, expected);
}

static void test_oracle(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(trend_cases); i++) {
        const struct trend_case *c = &trend_cases[i];
        struct trend_series series[4];
        struct trend trend;
        for (size_t k = 0; k < c->series; k++)
            series[k] = (struct trend_series){c->x + k * c->each, c->y + k * c->each, c->each};
        assert_int_equal(trend_common(series, c->series, &trend), 0);
        assert_close(c->name, trend.slope.value, c->slope);
        assert_close(c->name, trend.slope.low, c->low);
        assert_close(c->name, trend.slope.high, c->high);
        assert_close(c->name, trend.s, c->s);
        assert_close(c->name, trend.variance, c->variance);
        assert_close(c->name, trend.correction, c->correction);
        assert_close(c->name, trend.p_value, c->p);
        assert_int_equal(trend.points, c->series * c->each);
    }
}

static void test_sen_is_the_common_slope_of_one(void **state)
{
    (void)state;
    const struct trend_case *c = &trend_cases[4];
    struct estimate estimate;
    double p_value;
    assert_int_equal(trend_sen(c->x, c->y, c->each, &estimate, &p_value), 0);
    assert_close("slope", estimate.value, c->slope);
    assert_close("low", estimate.low, c->low);
    assert_close("p", p_value, c->p);
}

static void test_distributions(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(student_cases); i++)
        assert_close("t", student_975(student_cases[i][0]), student_cases[i][1]);
    for (size_t i = 0; i < COUNT(normal_cases); i++)
        assert_close("normal", normal_two_sided(normal_cases[i][0]), normal_cases[i][1]);
}

static void test_order_statistics(void **state)
{
    (void)state;
    double odd[] = {3, 1, 2}, even[] = {4, 1, 3, 2};
    assert_true(median_of(odd, 3) == 2);
    assert_true(median_of(even, 4) == 2.5);
    assert_true(isnan(median_of(odd, 0)));
    assert_true(mean_of(even, 4) == 2.5);
    assert_close("deviation", deviation_of(even, 4), 1.2909944487358056);
    assert_true(isnan(deviation_of(odd, 1)));
}

static void test_too_few_points(void **state)
{
    (void)state;
    double x[] = {1, 2, 3, 4, 5, 6, 7}, y[] = {1, 2, 3, 4, 5, 6, 7}, p_value;
    struct estimate estimate;
    for (size_t count = 0; count <= 7; count++) {
        assert_int_equal(trend_sen(x, y, count, &estimate, &p_value), 0);
        assert_true(isnan(estimate.value) && isnan(estimate.low) && isnan(p_value));
    }
}

static void test_same_x_everywhere(void **state)
{
    (void)state;
    double x[10] = {0}, y[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, p_value;
    struct estimate estimate;
    assert_int_equal(trend_sen(x, y, 10, &estimate, &p_value), 0);
    assert_true(isnan(estimate.value));
}

/* One in ten values is wild: least squares would not survive it. */
static void test_outliers_do_not_move_the_slope(void **state)
{
    (void)state;
    double x[40], y[40], p_value;
    struct estimate estimate;
    for (size_t i = 0; i < 40; i++) {
        x[i] = (double)i;
        y[i] = 5 * x[i] + (i % 10 == 3 ? 1e9 : 0);
    }
    assert_int_equal(trend_sen(x, y, 40, &estimate, &p_value), 0);
    assert_true(fabs(estimate.value - 5) < 0.2);
    assert_true(p_value < 1e-6);
}

/* A 1 kHz run: 200000 samples stay cheap, and the reduced series has the same slope. */
static void test_long_series(void **state)
{
    (void)state;
    const size_t count = 200000;
    AUTO_FREE double *x = malloc(count * sizeof(double));
    AUTO_FREE double *y = malloc(count * sizeof(double));
    assert_true(x && y);
    struct random random = {7};
    for (size_t i = 0; i < count; i++) {
        x[i] = (double)i / 1000;
        y[i] = 3 * x[i] + 50 * random_unit(&random);
    }
    struct estimate estimate;
    double p_value;
    int64_t start = clock_monotonic_ns();
    assert_int_equal(trend_sen(x, y, count, &estimate, &p_value), 0);
    assert_true(clock_monotonic_ns() - start < INT64_C(2000000000));
    assert_true(fabs(estimate.value - 3) < 0.01);
    assert_true(estimate.high - estimate.low < 0.02);
}

/* Slopes of independent noise: the 5 % test alarms in about 5 %, the interval covers about 95 %. */
static void test_error_rate_of_white_noise(void **state)
{
    (void)state;
    struct random random = {1};
    unsigned alarms = 0, covered = 0, runs = 2000;
    for (unsigned run = 0; run < runs; run++) {
        double x[30], y[30], p_value;
        struct estimate estimate;
        for (size_t i = 0; i < 30; i++) {
            x[i] = (double)i;
            y[i] = random_unit(&random) + random_unit(&random) + random_unit(&random);
        }
        assert_int_equal(trend_sen(x, y, 30, &estimate, &p_value), 0);
        alarms += p_value < 0.05;
        covered += estimate.low <= 0 && estimate.high >= 0;
    }
    print_message("white noise: %.1f %% alarms at 5 %%, interval covers %.1f %%\n",
                  100.0 * alarms / runs, 100.0 * covered / runs);
    assert_in_range(alarms, runs * 2 / 100, runs * 8 / 100);
    assert_in_range(covered, runs * 92 / 100, runs * 98 / 100);
}

/* AR(1): the plain test's well-known false alarms, and what the correction leaves of them. */
static void test_error_rate_of_autocorrelated_noise(void **state)
{
    (void)state;
    struct random random = {2};
    unsigned plain = 0, corrected = 0, runs = 1000;
    for (unsigned run = 0; run < runs; run++) {
        double x[60], y[60];
        struct trend trend;
        for (size_t i = 0; i < 60; i++) {
            x[i] = (double)i;
            y[i] = (i ? 0.7 * y[i - 1] : 0) + random_unit(&random) - 0.5;
        }
        assert_int_equal(trend_common(&(struct trend_series){x, y, 60}, 1, &trend), 0);
        double z = fmax(0, fabs(trend.s) - 1) / sqrt(trend.variance);
        plain += normal_two_sided(z) < 0.05;
        corrected += trend.p_value < 0.05;
    }
    print_message("AR(1) 0.7: %.1f %% alarms at 5 %% plain, %.1f %% corrected\n",
                  100.0 * plain / runs, 100.0 * corrected / runs);
    assert_true(plain > runs * 25 / 100);
    assert_true(corrected < runs * 15 / 100);
}

static void test_floor_finds_the_troughs(void **state)
{
    (void)state;
    double x[80], y[80], fx[10], fy[10];
    for (size_t i = 0; i < 80; i++) {
        x[i] = (double)i;
        y[i] = (double)(i % 8) * 10 + (double)i; /* sawtooth of 8 on a slope of 1 */
    }
    assert_int_equal(trend_floor(x, y, 80, 10, fx, fy), 10);
    for (size_t i = 0; i < 10; i++)
        assert_true(fy[i] == fx[i]); /* every one a trough */
}

static void test_floor_edges(void **state)
{
    (void)state;
    double x[] = {1, 1, 1}, y[] = {5, 3, 4}, fx[4], fy[4];
    assert_int_equal(trend_floor(x, y, 0, 4, fx, fy), 0);
    assert_int_equal(trend_floor(x, y, 3, 0, fx, fy), 0);
    assert_int_equal(trend_floor(x, y, 3, 4, fx, fy), 1);
    assert_true(fy[0] == 3);
    double backwards[] = {3, 2, 1};
    assert_in_range(trend_floor(backwards, y, 3, 2, fx, fy), 1, 2);
}

static void test_releases(void **state)
{
    (void)state;
    double saw[] = {0, 10, 20, 5, 15, 25, 6, 30, 29, 28, 30}, flat[] = {5, 5.5, 5, 5.5};
    struct trend_troughs troughs;
    assert_int_equal(trend_releases(saw, COUNT(saw), 10, &troughs), 2);
    assert_int_equal(troughs.count, 2);
    assert_true(troughs.first == 5 && troughs.before_last == 5 && troughs.last == 6);
    assert_int_equal(trend_releases(flat, COUNT(flat), 1, &troughs), 0);
    assert_int_equal(troughs.count, 0);
    assert_int_equal(trend_releases(flat, 0, 1, &troughs), 0);
    assert_int_equal(troughs.count, 0);
}

static void test_retained_bytes(void **state)
{
    (void)state;
    struct point point = {
        .working_set = 100, .anon = 60, .file = 50, .inactive_file = 10, .shmem = 15, .kernel = 5};
    assert_true(retained_bytes(&point) == 75); /* active file is 50 - 10 - 15 */
    point.file = NAN;
    assert_true(retained_bytes(&point) == 100);
    point.working_set = NAN;
    assert_true(retained_bytes(&point) == 80);
    point.shmem = NAN;
    assert_true(retained_bytes(&point) == 65);
    point.anon = NAN;
    assert_true(isnan(retained_bytes(&point)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oracle),
        cmocka_unit_test(test_sen_is_the_common_slope_of_one),
        cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_order_statistics),
        cmocka_unit_test(test_too_few_points),
        cmocka_unit_test(test_same_x_everywhere),
        cmocka_unit_test(test_outliers_do_not_move_the_slope),
        cmocka_unit_test(test_long_series),
        cmocka_unit_test(test_error_rate_of_white_noise),
        cmocka_unit_test(test_error_rate_of_autocorrelated_noise),
        cmocka_unit_test(test_floor_finds_the_troughs),
        cmocka_unit_test(test_floor_edges),
        cmocka_unit_test(test_releases),
        cmocka_unit_test(test_retained_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
