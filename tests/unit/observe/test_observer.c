/* SPDX-License-Identifier: Apache-2.0 */
/* Starting and stopping, without any container; tests/kernel/observe has those. */
#include "observe/observer.h"

#include "base/clock.h"
#include "base/duration.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_rate_out_of_range(void **state)
{
    (void)state;
    static const double wrong[] = {-1, 0.5, 1001, 1e9, __builtin_nan("")};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        struct error err = {0};
        struct observer *observer = NULL;
        const struct observer_options options = {.rate_hz = wrong[i]};
        assert_int_equal(observer_start(&options, &observer, &err), -EINVAL);
        assert_int_equal(err.kind, ERROR_USAGE);
        assert_null(observer);
    }
}

static struct observer *start(const struct observer_options *options)
{
    struct error err = {0};
    struct observer *observer;
    if (observer_start(options, &observer, &err) < 0)
        fail_msg("%s", err.text);
    return observer;
}

static void test_ring_sizes(void **state)
{
    (void)state;
    static const struct {
        struct observer_options options;
        size_t records;
    } cases[] = {
        {{0}, 2048},
        {{.rate_hz = 1000}, 16384},
        {{.rate_hz = 1000, .ring_records = 100}, 128},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct observer *observer = start(&cases[i].options);
        assert_int_equal(observer_ring(observer)->capacity, cases[i].records);
        assert_int_equal(observer_ring(observer)->record_bytes, sizeof(struct observation));
        observer_stop(observer);
    }
}

static void test_ticks_without_targets(void **state)
{
    (void)state;
    struct observer *observer =
        start(&(struct observer_options){.rate_hz = 200, .no_realtime = true});
    struct observer_stats stats;
    int64_t deadline_ns = clock_monotonic_ns() + 10 * NS_PER_S;
    do {
        poll(NULL, 0, 1);
        observer_stats(observer, &stats);
    } while (stats.ticks < 3 && clock_monotonic_ns() < deadline_ns);
    assert_true(stats.ticks >= 3);
    assert_int_equal(stats.samples, 0);
    assert_false(stats.realtime);
    assert_true(stats.cpu_ns > 0);
    observer_stop(observer);
}

static void test_unknown_lifetimes_are_ignored(void **state)
{
    (void)state;
    struct observer *observer = start(&(struct observer_options){0});
    observer_remove(observer, 0);
    observer_remove(observer, 12);
    observer_stop(observer);
    observer_stop(NULL);
}

static void test_a_cgroup_that_is_gone(void **state)
{
    (void)state;
    struct observer *observer = start(&(struct observer_options){0});
    struct cgroup cgroup = {.version = CGROUP_V2};
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        cgroup.dir_fd[i] = -1;
    for (int i = 0; i < 2 * OBSERVER_TARGETS_MAX; i++) { /* no slot is lost */
        struct error err = {0};
        assert_true(observer_add(observer, 1, &cgroup, 0, &err) < 0);
        assert_int_not_equal(err.code, -ENOSPC);
        assert_int_not_equal(err.text[0], '\0');
    }
    observer_stop(observer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_out_of_range),
        cmocka_unit_test(test_ring_sizes),
        cmocka_unit_test(test_ticks_without_targets),
        cmocka_unit_test(test_unknown_lifetimes_are_ignored),
        cmocka_unit_test(test_a_cgroup_that_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
