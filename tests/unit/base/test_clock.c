/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/duration.h"

#include <time.h>

static void test_timestamps(void **state)
{
    (void)state;
    char text[TIMESTAMP_TEXT_MAX];
    assert_string_equal(timestamp_format(0, text), "1970-01-01T00:00:00.000000Z");
    /* `date -u -d @1795354061 +%FT%TZ` */
    assert_string_equal(timestamp_format(INT64_C(1795354061123456789), text),
                        "2026-11-22T13:27:41.123456Z");
    assert_string_equal(timestamp_format(-1, text), "1969-12-31T23:59:59.999999Z");
    assert_string_equal(timestamp_format(-NS_PER_S, text), "1969-12-31T23:59:59.000000Z");
    assert_string_equal(timestamp_format(INT64_MAX, text), "2262-04-11T23:47:16.854775Z");
    assert_string_equal(timestamp_format(INT64_MIN, text), "1677-09-21T00:12:43.145224Z");
}

static void test_clocks_advance(void **state)
{
    (void)state;
    int64_t monotonic = clock_monotonic_ns();
    int64_t boottime = clock_boottime_ns();
    const struct timespec pause = {.tv_nsec = 2 * NS_PER_MS};
    nanosleep(&pause, NULL);
    assert_true(clock_monotonic_ns() - monotonic >= pause.tv_nsec);
    assert_true(clock_boottime_ns() - boottime >= pause.tv_nsec);
}

static void test_the_wall_clock_is_the_systems(void **state)
{
    (void)state;
    time_t before = time(NULL);
    int64_t now = clock_realtime_ns();
    time_t after = time(NULL);
    /* time(2) may lag by a tick. */
    assert_true(now / NS_PER_S >= before && now / NS_PER_S <= after + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timestamps),
        cmocka_unit_test(test_clocks_advance),
        cmocka_unit_test(test_the_wall_clock_is_the_systems),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
