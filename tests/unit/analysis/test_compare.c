/* SPDX-License-Identifier: Apache-2.0 */
/* The difference of two arms, against SciPy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/compare.h"
#include "analysis/statistics.h"
#include "oracle/compare_table.h"

#include <math.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_close(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-9 * fmax(1, fabs(expected))))
        fail_msg("%.12g instead of %.12g", value, expected);
}

static void assert_estimate(const struct estimate *estimate, const double expected[static 3])
{
    assert_close(estimate->value, expected[0]);
    assert_close(estimate->low, expected[1]);
    assert_close(estimate->high, expected[2]);
}

static void test_means_as_scipy(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(compare_cases); i++) {
        const struct compare_case *c = &compare_cases[i];
        struct estimate estimate;
        compare_means(c->a, c->a_count, c->b, c->b_count, 0, &estimate);
        assert_estimate(&estimate, c->difference);
        compare_mean(c->b, c->b_count, 0, &estimate);
        assert_estimate(&estimate, c->mean_of_b);
    }
}

static void test_estimates_as_scipy(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(normal_differences); i++) {
        const struct normal_case *c = &normal_differences[i];
        double a_half = NORMAL_975 * c->a_deviation, b_half = NORMAL_975 * c->b_deviation;
        struct estimate a = {c->a, c->a - a_half, c->a + a_half};
        struct estimate b = {c->b, c->b - b_half, c->b + b_half};
        struct estimate difference;
        compare_estimates(&a, &b, &difference);
        assert_estimate(&difference, c->difference);
    }
}

/* a reaches far up, b far down: the difference may be far below, and hardly above. */
static void test_a_lopsided_interval_stays_lopsided(void **state)
{
    (void)state;
    struct estimate a = {10, 9, 13}, b = {20, 16, 20}, difference;
    compare_estimates(&a, &b, &difference);
    assert_estimate(&difference, (const double[]){10, 5, 11});
}

static void test_one_observation_claims_nothing(void **state)
{
    (void)state;
    const double one[] = {10}, many[] = {500, 501, 502};
    struct estimate estimate;
    compare_means(one, 1, many, 3, 1, &estimate);
    assert_close(estimate.value, 491);
    assert_int_equal(comparison_of(&estimate), COMPARISON_UNKNOWN);
    compare_means(many, 3, one, 1, 1, &estimate);
    assert_int_equal(comparison_of(&estimate), COMPARISON_UNKNOWN);
    compare_mean(one, 1, 1, &estimate);
    assert_close(estimate.value, 10);
    assert_true(isnan(estimate.low) && isnan(estimate.high));
    compare_means(one, 0, many, 3, 1, &estimate);
    assert_true(isnan(estimate.value));
}

/* Two kills at the very same request: known to the request, not exactly. */
static void test_without_spread_the_error_remains(void **state)
{
    (void)state;
    const double a[] = {40, 40}, b[] = {41, 41}, c[] = {60, 60};
    struct estimate estimate;
    compare_means(a, 2, b, 2, 1, &estimate);
    assert_estimate(&estimate, (const double[]){1, 1 - sqrt(2), 1 + sqrt(2)});
    assert_int_equal(comparison_of(&estimate), COMPARISON_OPEN);
    compare_means(a, 2, c, 2, 1, &estimate);
    assert_int_equal(comparison_of(&estimate), COMPARISON_MORE);
}

static void test_the_interval_decides(void **state)
{
    (void)state;
    assert_int_equal(comparison_of(&(struct estimate){5, 1, 9}), COMPARISON_MORE);
    assert_int_equal(comparison_of(&(struct estimate){-5, -9, -1}), COMPARISON_LESS);
    assert_int_equal(comparison_of(&(struct estimate){5, -1, 11}), COMPARISON_OPEN);
    assert_int_equal(comparison_of(&(struct estimate){5, 0, 10}), COMPARISON_OPEN);
    assert_int_equal(comparison_of(&(struct estimate){5, NAN, 11}), COMPARISON_UNKNOWN);
    assert_int_equal(comparison_of(&(struct estimate){NAN, NAN, NAN}), COMPARISON_UNKNOWN);
    assert_string_equal(comparison_name(COMPARISON_LESS), "less");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_means_as_scipy),
        cmocka_unit_test(test_estimates_as_scipy),
        cmocka_unit_test(test_a_lopsided_interval_stays_lopsided),
        cmocka_unit_test(test_one_observation_claims_nothing),
        cmocka_unit_test(test_without_spread_the_error_remains),
        cmocka_unit_test(test_the_interval_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
