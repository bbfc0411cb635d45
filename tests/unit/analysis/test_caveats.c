/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of samples that lack something, and that nothing is said of good ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/caveats.h"

#include <math.h>
#include <string.h>

#define POINTS 1200

static struct point points[POINTS];

/* `distance_s` apart, a request with each. */
static struct lifetime_series make(size_t count, double distance_s)
{
    for (size_t i = 0; i < count; i++)
        points[i] = (struct point){
            .t_s = (double)i * distance_s, .requests = (double)i, .working_set = 1e7, .anon = 1e7};
    return (struct lifetime_series){.index = 1,
                                    .points = points,
                                    .count = count,
                                    .uptime_s = (double)(count - 1) * distance_s,
                                    .requests_completed = (double)count};
}

static struct caveats of(struct lifetime_series lifetime)
{
    struct caveats ret;
    const struct arm_series arm = {.limit_bytes = 1e8, .lifetimes = &lifetime, .count = 1};
    caveats_of_arm(&arm, &ret);
    return ret;
}

static void assert_only(const struct caveats *caveats, enum caveat_kind kind, const char *text)
{
    assert_int_equal(caveats->count, 1);
    assert_int_equal(caveats->items[0].kind, kind);
    if (!strstr(caveats->items[0].text, text))
        fail_msg("'%s' is not in '%s'", text, caveats->items[0].text);
}

static void test_nothing_of_good_samples(void **state)
{
    (void)state;
    assert_int_equal(of(make(POINTS, 0.05)).count, 0);
    struct lifetime_series none = make(0, 1);
    none.uptime_s = 0;
    assert_int_equal(of(none).count, 0);
}

static void test_few(void **state)
{
    (void)state;
    struct caveats caveats = of(make(7, 1));
    assert_only(&caveats, CAVEAT_FEW_SAMPLES, "more than 7 samples; a trend needs 8");
    caveats = of(make(8, 1));
    assert_int_equal(caveats.count, 0);
    caveats = of(make(1, 1));
    assert_only(&caveats, CAVEAT_FEW_SAMPLES, "more than 1 sample;");
}

static void test_coarse(void **state)
{
    (void)state;
    struct caveats caveats = of(make(100, 15));
    assert_only(&caveats, CAVEAT_COARSE_SAMPLING, "One sample in 15");
    assert_int_equal(of(make(100, 4)).count, 0);
}

static void test_gaps(void **state)
{
    (void)state;
    struct lifetime_series lifetime = make(100, 1);
    for (size_t i = 60; i < 100; i++)
        points[i].t_s += 50;
    lifetime.uptime_s += 50;
    struct caveats caveats = of(lifetime);
    assert_only(&caveats, CAVEAT_GAPS, "No sample for 51");
    assert_non_null(strstr(caveats.items[0].text, "(34 % of the time), from second 59 on"));
    for (size_t i = 30; i < 100; i++)
        points[i].t_s += 20;
    lifetime.uptime_s += 20;
    caveats = of(lifetime);
    assert_only(&caveats, CAVEAT_GAPS, "2 stretches of altogether 1 min 12 s (43 % of the time)");
}

/* The last sample long before the end is a hole, too. */
static void test_silent_end(void **state)
{
    (void)state;
    struct lifetime_series lifetime = make(100, 1);
    lifetime.uptime_s = 120;
    struct caveats caveats = of(lifetime);
    assert_only(&caveats, CAVEAT_GAPS, "from second 99 on");
}

/* What a machine under pressure stalls is no gap, nor are many short ones of a long time. */
static void test_stalls_are_no_gaps(void **state)
{
    (void)state;
    struct lifetime_series lifetime = make(POINTS, 0.05);
    for (size_t i = 600; i < POINTS; i++)
        points[i].t_s += 1.9;
    lifetime.uptime_s += 1.9;
    assert_int_equal(of(lifetime).count, 0);
    lifetime = make(POINTS, 1);
    for (size_t i = 600; i < POINTS; i++)
        points[i].t_s += 50;
    lifetime.uptime_s += 50;
    assert_int_equal(of(lifetime).count, 0); /* 4 % */
}

static void test_absent(void **state)
{
    (void)state;
    struct lifetime_series lifetime = make(100, 1);
    for (size_t i = 0; i < 100; i += 10)
        points[i].working_set = points[i].anon = NAN;
    struct caveats caveats = of(lifetime);
    assert_only(&caveats, CAVEAT_ABSENT_VALUES, "10 of 100 samples");
    for (size_t i = 0; i < 100; i++)
        points[i].anon = 1e7;
    assert_int_equal(of(lifetime).count, 0);
}

static void test_idle(void **state)
{
    (void)state;
    struct lifetime_series lifetime = make(200, 1);
    for (size_t i = 61; i < 200; i++)
        points[i].requests = 60;
    struct caveats caveats = of(lifetime);
    assert_only(&caveats, CAVEAT_LONG_IDLE, "No request in 70 % of the time");
    for (size_t i = 61; i < 150; i++)
        points[i].in_flight = 1; /* one that takes its time */
    assert_int_equal(of(lifetime).count, 0);
    lifetime.requests_completed = 0; /* requests are not counted at all */
    for (size_t i = 0; i < 200; i++)
        points[i].requests = points[i].in_flight = 0;
    assert_int_equal(of(lifetime).count, 0);
}

static void test_clock(void **state)
{
    (void)state;
    struct lifetime_series lifetime = make(100, 1);
    struct caveats caveats;
    struct arm_series arm = {
        .limit_bytes = 1e8,
        .lifetimes = &lifetime,
        .count = 1,
        .clock_steps = {.count = 1, .largest_s = 7200, .line = 7, .left_out = 3}};
    caveats_of_arm(&arm, &caveats);
    assert_only(&caveats, CAVEAT_CLOCK_STEPS,
                "went back once, by 2 h 0 min (line 7). Only the longest stretch between two such "
                "steps is judged; 3 samples on the other side of one are left out.");
}

static void test_conflicts(void **state)
{
    (void)state;
    struct lifetime_series lifetime = make(100, 1);
    struct caveats caveats;
    struct arm_series arm = {.limit_bytes = 1e8,
                             .lifetimes = &lifetime,
                             .count = 1,
                             .conflicts = {1, 12, 104857600, 419430400}};
    caveats_of_arm(&arm, &caveats);
    assert_only(&caveats, CAVEAT_CONFLICTS,
                "The moment at second 12 has two sizes, 100.0 MiB and 400.0 MiB; the higher is");
    arm.conflicts.count = 3;
    caveats_of_arm(&arm, &caveats);
    assert_only(&caveats, CAVEAT_CONFLICTS, "3 moments have two sizes each, the first (second 12)");
}

static void test_above_limit(void **state)
{
    (void)state;
    struct lifetime_series lifetime = make(100, 1); /* 1e7 bytes */
    struct caveats caveats;
    struct arm_series arm = {.limit_bytes = 9.6e6, .lifetimes = &lifetime, .count = 1};
    caveats_of_arm(&arm, &caveats); /* rounded figures */
    assert_int_equal(caveats.count, 0);
    assert_true(isnan(caveats_above_limit(&arm)));
    arm.limit_bytes = 9.5e6;
    caveats_of_arm(&arm, &caveats);
    assert_only(&caveats, CAVEAT_ABOVE_LIMIT, "reach 9.5 MiB, above the limit of 9.1 MiB");
    assert_float_equal(caveats_above_limit(&arm), 1e7, 1);
    arm.limit_bytes = 0; /* none */
    assert_true(isnan(caveats_above_limit(&arm)));
    arm.limit_bytes = NAN;
    assert_true(isnan(caveats_above_limit(&arm)));
}

/* The words of all at their longest fit, and each kind has a name. */
static void test_all_at_once(void **state)
{
    (void)state;
    struct lifetime_series lifetimes[2];
    struct caveats caveats;
    lifetimes[0] = make(100, 86400);
    for (size_t i = 2; i < 100; i++) {
        points[i].requests = 1;
        points[i].t_s += 1e7;
        points[i].working_set = points[i].anon = i % 2 ? (double)NAN : 1;
    }
    points[50].t_s -= 5e6;
    points[60].working_set = 1.1e18;
    lifetimes[1] = lifetimes[0];
    lifetimes[1].index = 4000000000;
    struct arm_series arm = {.limit_bytes = 1e8,
                             .lifetimes = lifetimes,
                             .count = 2,
                             .clock_steps = {.count = 4000000000,
                                             .largest_s = 1e9,
                                             .left_out = SIZE_MAX,
                                             .line = UINT64_MAX},
                             .conflicts = {SIZE_MAX, 1e9, 1.1e18, 1.1e18}};
    caveats_of_arm(&arm, &caveats);
    assert_int_equal(caveats.count,
                     CAVEAT_KINDS - 1); /* few samples, and many, do not go together */
    for (size_t i = 0; i < caveats.count; i++) {
        const char *text = caveats.items[i].text;
        assert_int_equal(text[strlen(text) - 1], '.');
        assert_true(strlen(caveat_kind_name(caveats.items[i].kind)) > 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_of_good_samples),
        cmocka_unit_test(test_few),
        cmocka_unit_test(test_coarse),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_silent_end),
        cmocka_unit_test(test_stalls_are_no_gaps),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_above_limit),
        cmocka_unit_test(test_all_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
