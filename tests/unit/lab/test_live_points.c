/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lab/live_points.h"

#include <math.h>
#include <stdlib.h>

#define MIB 1048576.0

static const struct live_rest REST = {.limit_bytes = 64 * MIB, .requests = 1000, .seconds = 60};

/* 10 points a second, as the view adds them. */
static struct live_points *points_of(size_t count, double per_request, double per_s, double rate)
{
    struct live_points *points = calloc(1, sizeof(*points));
    assert_non_null(points);
    for (size_t i = 0; i < count; i++) {
        double s = (double)i / 10;
        double noise = i % 2 == 0 ? 4096 : 0;
        live_points_add(points, 7, floor(rate * s), s,
                        8 * MIB + per_request * floor(rate * s) + per_s * s + noise);
    }
    return points;
}

static void test_growth_per_request(void **state)
{
    (void)state;
    struct live_points *points = points_of(100, 100000, 0, 50);
    struct live_growth growth = live_points_growth(points, &REST);
    assert_int_equal(growth.kind, LIVE_PER_REQUEST);
    assert_true(fabs(growth.bytes - 100000) < 1000);
    /* 495 requests are answered: 8 MiB + 49.5 MB are used, and the rest holds so many. */
    assert_true(fabs(growth.until_limit - (56 * MIB / 100000 - 495)) < 5);
    free(points);
}

static void test_growth_per_second(void **state)
{
    (void)state;
    struct live_points *points = points_of(100, 0, MIB, 0);
    struct live_growth growth = live_points_growth(points, &REST);
    assert_int_equal(growth.kind, LIVE_PER_SECOND);
    assert_true(fabs(growth.bytes - MIB) < 0.01 * MIB);
    assert_true(fabs(growth.until_limit - 46.1) < 0.5);
    const struct live_rest soon = {.limit_bytes = 64 * MIB, .requests = 0, .seconds = 10};
    assert_true(isnan(live_points_growth(points, &soon).until_limit));
    free(points);
}

static void test_no_growth_and_too_little(void **state)
{
    (void)state;
    struct live_points *level = points_of(100, 0, 0, 50);
    struct live_points *few = points_of(15, 100000, 0, 50);
    assert_int_equal(live_points_growth(level, &REST).kind, LIVE_LEVEL);
    assert_int_equal(live_points_growth(few, &REST).kind, LIVE_MEASURING);
    free(level);
    free(few);
}

static void test_a_new_lifetime_begins_anew(void **state)
{
    (void)state;
    struct live_points *points = points_of(100, 100000, 0, 50);
    live_points_add(points, 8, 500, 11, MIB);
    assert_int_equal(points->count, 1);
    assert_int_equal(live_points_growth(points, &REST).kind, LIVE_MEASURING);
    free(points);
}

static void test_a_day_is_thinned_out(void **state)
{
    (void)state;
    struct live_points *points = points_of(864000, 1000, 0, 1);
    assert_in_range(points->count, LIVE_POINTS / 2, LIVE_POINTS);
    for (size_t i = 1; i < points->count; i++)
        assert_true(points->seconds[i] > points->seconds[i - 1]);
    assert_true(points->seconds[0] < 1 && points->seconds[points->count - 1] > 80000);
    struct live_growth growth = live_points_growth(points, &REST);
    assert_int_equal(growth.kind, LIVE_PER_REQUEST);
    assert_true(fabs(growth.bytes - 1000) < 1);
    free(points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth_per_request),
        cmocka_unit_test(test_growth_per_second),
        cmocka_unit_test(test_no_growth_and_too_little),
        cmocka_unit_test(test_a_new_lifetime_begins_anew),
        cmocka_unit_test(test_a_day_is_thinned_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
