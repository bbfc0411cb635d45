/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/backoff.h"

#include "base/duration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct backoff_spec KUBERNETES = {
    .name = "kubernetes",
    .first_ns = 10 * NS_PER_S,
    .max_ns = 300 * NS_PER_S,
    .reset_ns = 600 * NS_PER_S,
    .scale = 1,
};

/* The waits between the starts that were recorded on Azure for kills that took about 2 s each:
 * 04:10:51, 04:11:02, 04:11:24, 04:12:06, 04:13:29, 04:16:11, 04:21:13. */
static void test_series_matches_the_recorded_restarts(void **state)
{
    (void)state;
    static const int64_t expected_s[] = {0, 10, 20, 40, 80, 160, 300, 300};
    struct backoff backoff;
    backoff_init(&backoff, &KUBERNETES);
    for (size_t i = 0; i < sizeof(expected_s) / sizeof(expected_s[0]); i++)
        assert_int_equal(backoff_next(&backoff, 2 * NS_PER_S), expected_s[i] * NS_PER_S);
}

static void test_long_life_starts_the_series_again(void **state)
{
    (void)state;
    struct backoff backoff;
    backoff_init(&backoff, &KUBERNETES);
    for (int i = 0; i < 4; i++)
        backoff_next(&backoff, NS_PER_S);
    assert_int_equal(backoff_next(&backoff, 599 * NS_PER_S), 80 * NS_PER_S);
    assert_int_equal(backoff_next(&backoff, 600 * NS_PER_S), 0);
    assert_int_equal(backoff_next(&backoff, NS_PER_S), 10 * NS_PER_S);
}

/* A leak that takes longer than the reset time never builds any back-off. */
static void test_slow_kills_never_wait(void **state)
{
    (void)state;
    struct backoff backoff;
    backoff_init(&backoff, &KUBERNETES);
    for (int i = 0; i < 50; i++)
        assert_int_equal(backoff_next(&backoff, 601 * NS_PER_S), 0);
}

static void test_first_above_max_is_max(void **state)
{
    (void)state;
    struct backoff_spec spec = KUBERNETES;
    spec.first_ns = 7 * NS_PER_S;
    spec.max_ns = 5 * NS_PER_S;
    struct backoff backoff;
    backoff_init(&backoff, &spec);
    assert_int_equal(backoff_next(&backoff, 0), 0);
    assert_int_equal(backoff_next(&backoff, 0), 5 * NS_PER_S);
    assert_int_equal(backoff_next(&backoff, 0), 5 * NS_PER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_series_matches_the_recorded_restarts),
        cmocka_unit_test(test_long_life_starts_the_series_again),
        cmocka_unit_test(test_slow_kills_never_wait),
        cmocka_unit_test(test_first_above_max_is_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
