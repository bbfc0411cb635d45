/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/growth.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define assert_near(value, expected, by) assert_true(fabs((value) - (expected)) <= (by))

#define SLOPE(...)                                                                                 \
    heap_growth_slope((const struct heap_point[]){__VA_ARGS__},                                    \
                      sizeof((const struct heap_point[]){__VA_ARGS__}) /                           \
                          sizeof(struct heap_point))

static void test_line(void **state)
{
    (void)state;
    assert_near(SLOPE({0, 5}, {10, 105}, {20, 205}), 10, 1e-9);
    assert_near(SLOPE({0, 100}, {10, 50}), -5, 1e-9);
}

/* A table that the first request fills is no growth, and neither is one stray moment. */
static void test_is_robust(void **state)
{
    (void)state;
    assert_near(SLOPE({0, 0}, {1, 9000}, {2, 9000}, {3, 9000}, {4, 9000}, {5, 9000}, {6, 9000}), 0,
                1e-9);
    assert_near(SLOPE({0, 0}, {1, 10}, {2, 5000}, {3, 30}, {4, 40}, {5, 50}), 10, 1);
}

/* The published example of Theil-Sen: slopes 1, 1.5, 2 between (1,1), (2,2), (3,4): median 1.5. */
static void test_median_of_slopes(void **state)
{
    (void)state;
    assert_near(SLOPE({1, 1}, {2, 2}, {3, 4}), 1.5, 1e-9);
}

/* A killed child takes its memory along; what grows until then, grows. Where a child is killed
 * between all of the moments, what remains is what tells. */
static void test_kills(void **state)
{
    (void)state;
    assert_near(SLOPE({0, 0, 0}, {10, 100, 0}, {20, 10, 1}, {30, 110, 1}, {40, 5, 2}, {50, 105, 2}),
                10, 1e-9);
    assert_near(SLOPE({0, 0, 0}, {10, 20, 1}, {20, 40, 2}), 2, 1e-9);
    assert_near(SLOPE({0, 0, 0}, {10, 0, 0}, {20, 0, 0}, {30, 0, 0}, {40, 0, 1}, {50, 100, 1}), 10,
                1e-9);
    assert_near(SLOPE({0, 0, 0}, {10, 0, 0}, {20, 0, 0}, {30, 0, 0}, {40, 0, 0}, {50, 100, 0}), 0,
                1e-9);
}

static void test_unknown(void **state)
{
    (void)state;
    assert_true(isnan(heap_growth_slope(NULL, 0)));
    assert_true(isnan(SLOPE({3, 5})));
    assert_true(isnan(SLOPE({3, 5}, {3, 50})));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_is_robust),
        cmocka_unit_test(test_median_of_slopes),
        cmocka_unit_test(test_kills),
        cmocka_unit_test(test_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
