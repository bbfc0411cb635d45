/* SPDX-License-Identifier: Apache-2.0 */
/* Quantiles against the exact ones of the sorted values. */
#include "base/cleanup.h"
#include "base/duration.h"
#include "base/random.h"
#include "traffic/traffic.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define VALUES 20000

static void free_histogram(struct histogram **histogram)
{
    histogram_free(*histogram);
}
#define AUTO_HISTOGRAM CLEANUP(free_histogram) struct histogram

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t flat(struct random *random)
{
    return (int64_t)random_below(random, 10 * (uint64_t)NS_PER_MS);
}

static int64_t exponential(struct random *random)
{
    return (int64_t)(-log(1 - random_unit(random)) * 5e6);
}

/* From 1 us to 1 h, evenly in the logarithm. */
static int64_t logarithmic(struct random *random)
{
    return (int64_t)(1e3 * exp(random_unit(random) * log(3.6e9)));
}

/* Quick answers, and a few that waited for a restart. */
static int64_t two_peaks(struct random *random)
{
    return random_below(random, 100) < 97 ? 800000 + flat(random) / 10
                                          : 5 * NS_PER_S + flat(random);
}

static void check_quantiles(int64_t (*draw)(struct random *random))
{
    AUTO_HISTOGRAM *histogram = histogram_new();
    AUTO_FREE int64_t *values = calloc(VALUES, sizeof(*values));
    assert_non_null(histogram);
    assert_non_null(values);
    struct random random = {.state = 42};
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = draw(&random);
        histogram_record(histogram, values[i]);
    }
    qsort(values, VALUES, sizeof(*values), by_value);
    assert_int_equal(histogram_count(histogram), VALUES);
    assert_int_equal(histogram_quantile(histogram, 0), values[0]);
    assert_int_equal(histogram_quantile(histogram, 1), values[VALUES - 1]);

    const double quantiles[] = {0.001, 0.01, 0.1,  0.25, 0.5,   0.75,
                                0.9,   0.96, 0.98, 0.99, 0.999, 0.9999};
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(*quantiles); i++) {
        size_t rank = (size_t)ceil(quantiles[i] * VALUES);
        double exact = (double)values[rank - 1];
        double got = (double)histogram_quantile(histogram, quantiles[i]);
        if (fabs(got - exact) > 0.0005 * exact)
            fail_msg("quantile %g: %.0f instead of %.0f", quantiles[i], got, exact);
    }
}

static void test_quantiles_flat(void **state)
{
    (void)state;
    check_quantiles(flat);
}

static void test_quantiles_exponential(void **state)
{
    (void)state;
    check_quantiles(exponential);
}

static void test_quantiles_logarithmic(void **state)
{
    (void)state;
    check_quantiles(logarithmic);
}

static void test_quantiles_two_peaks(void **state)
{
    (void)state;
    check_quantiles(two_peaks);
}

static void test_empty(void **state)
{
    (void)state;
    AUTO_HISTOGRAM *histogram = histogram_new();
    assert_non_null(histogram);
    assert_int_equal(histogram_count(histogram), 0);
    assert_int_equal(histogram_quantile(histogram, 0.5), 0);
}

static void test_out_of_range(void **state)
{
    (void)state;
    AUTO_HISTOGRAM *histogram = histogram_new();
    assert_non_null(histogram);
    histogram_record(histogram, -5);
    histogram_record(histogram, INT64_MAX);
    assert_int_equal(histogram_count(histogram), 2);
    assert_int_equal(histogram_quantile(histogram, 0), 0);
    assert_int_equal(histogram_quantile(histogram, 1), 3600 * NS_PER_S);
}

/* Around every power of two, where a bucket's width doubles. */
static void test_every_magnitude(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 41; bit++)
        for (int64_t delta = -1; delta <= 1; delta++) {
            AUTO_HISTOGRAM *histogram = histogram_new();
            assert_non_null(histogram);
            int64_t value = (INT64_C(1) << bit) + delta;
            histogram_record(histogram, value);
            histogram_record(histogram, 3600 * NS_PER_S);
            double got = (double)histogram_quantile(histogram, 0.5);
            assert_true(fabs(got - (double)value) <= 0.0005 * (double)value);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles_flat),
        cmocka_unit_test(test_quantiles_exponential),
        cmocka_unit_test(test_quantiles_logarithmic),
        cmocka_unit_test(test_quantiles_two_peaks),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_out_of_range),
        cmocka_unit_test(test_every_magnitude),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
