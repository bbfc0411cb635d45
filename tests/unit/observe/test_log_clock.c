/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel log's clock. Where perf is to be had the offset is checked against bounds that the
 * kernel itself gives: nothing that the log holds can be from the future. */
#include "observe/log_clock.h"

#include "base/clock.h"
#include "base/duration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

static struct log_clock without_perf(void)
{
    return (struct log_clock){.perf_fd = -1, .area = MAP_FAILED, .error_ns = -1};
}

static void test_unknown_at_first(void **state)
{
    (void)state;
    struct log_clock clock = without_perf();
    assert_int_equal(log_clock_to_monotonic(&clock, 1000), 0);
}

static void test_the_least_delay_counts(void **state)
{
    (void)state;
    struct log_clock clock = without_perf();
    log_clock_observe(&clock, 1000, 1000 + 500 + 40); /* the true offset is 500 */
    log_clock_observe(&clock, 2000, 2000 + 500 + 3);
    log_clock_observe(&clock, 3000, 3000 + 500 + 90);
    assert_int_equal(log_clock_to_monotonic(&clock, 4000), 4503);
    assert_int_equal(clock.error_ns, -1);
}

static void test_a_bound_gets_stale(void **state)
{
    (void)state;
    struct log_clock clock = without_perf();
    log_clock_observe(&clock, 1000, 1500);
    int64_t later_ns = 100 * NS_PER_S;
    log_clock_observe(&clock, later_ns, later_ns + 700);
    assert_int_equal(log_clock_to_monotonic(&clock, later_ns), later_ns + 700);
}

static void test_calibration(void **state)
{
    (void)state;
    struct log_clock clock;
    log_clock_open(&clock);
    if (clock.perf_fd < 0) {
        print_message("perf events cannot be had here\n");
        skip();
    }
    log_clock_calibrate(&clock, "test");
    assert_true(clock.known);
    assert_in_range(clock.error_ns, 1, NS_PER_MS);
    int64_t first_ns = clock.offset_ns, first_error_ns = clock.error_ns;
    /* Within 100 ms nothing is measured again; later the offset is the same but for what both
     * measurements may be off and NTP may slew. */
    log_clock_calibrate(&clock, "test");
    assert_int_equal(clock.offset_ns, first_ns);
    clock.calibrated_ns -= NS_PER_S;
    log_clock_calibrate(&clock, "test");
    assert_true(llabs(clock.offset_ns - first_ns) <= clock.error_ns + first_error_ns + NS_PER_MS);
    log_clock_close(&clock);
    log_clock_close(&clock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_at_first),
        cmocka_unit_test(test_the_least_delay_counts),
        cmocka_unit_test(test_a_bound_gets_stale),
        cmocka_unit_test(test_calibration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
