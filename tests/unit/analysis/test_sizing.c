/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/recommend.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MIB 1048576.0

#define POINTS 400

static struct point points[POINTS];

/* A steady line from `start`, so much a second, ten requests a second, sampled at 20 Hz. */
static struct arm_series line(struct lifetime_series *lifetime, enum end_cause cause, double start,
                              double per_s, double limit)
{
    for (size_t i = 0; i < POINTS; i++) {
        double t = (double)i / 20;
        points[i] = (struct point){.t_s = t,
                                   .requests = floor(10 * t),
                                   .working_set = start + per_s * t,
                                   .anon = NAN,
                                   .file = NAN,
                                   .inactive_file = NAN,
                                   .shmem = NAN,
                                   .kernel = NAN};
    }
    *lifetime = (struct lifetime_series){.index = 1,
                                         .points = points,
                                         .count = POINTS,
                                         .ready_s = 0,
                                         .uptime_s = POINTS / 20.0,
                                         .requests_completed = 10 * POINTS / 20.0,
                                         .cause = cause,
                                         .level = LEVEL_OBSERVED,
                                         .peak_bytes = NAN};
    return (struct arm_series){.limit_bytes = limit, .lifetimes = lifetime, .count = 1};
}

static void assert_near(double value, double expected, double share)
{
    if (!(fabs(value - expected) <= share * fabs(expected)))
        fail_msg("%g is not within %g of %g", value, share, expected);
}

static void assert_ordered(const struct estimate *estimate)
{
    assert_true(estimate->low <= estimate->value);
    assert_true(isnan(estimate->high) || estimate->value <= estimate->high);
}

/* 10 MiB at the start, 5 MiB a second: 100 MiB after 18 s from the start; at 109.75 MiB now. */
static void test_a_leak_that_was_not_killed(void **state)
{
    (void)state;
    struct lifetime_series lifetime;
    struct arm_series arm = line(&lifetime, CAUSE_RUNNING, 10 * MIB, 5 * MIB, 200 * MIB);
    struct verdict verdict;
    struct forecasts found;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    assert_int_equal(verdict.class, VERDICT_LEAK);
    forecast_limits(&arm, &verdict, &found);
    assert_int_equal(found.count, FORECASTS_MAX);
    static const double limits[] = {200, 400, 800};
    for (size_t i = 0; i < found.count; i++) {
        const struct forecast *each = &found.items[i];
        assert_near(each->limit_bytes, limits[i] * MIB, 1e-9);
        assert_near(each->seconds.value, (limits[i] - 10) / 5, 0.03);
        assert_near(each->seconds_left.value, (limits[i] - 109.75) / 5, 0.05);
        assert_ordered(&each->seconds);
        assert_ordered(&each->seconds_left);
    }
    /* 600 s later than the start: 10 MiB + 3000 MiB. */
    assert_near(forecast_hiding_limit(&found), 3010 * MIB, 0.03);
}

static void test_a_leak_that_was_killed(void **state)
{
    (void)state;
    struct lifetime_series lifetime;
    struct arm_series arm =
        line(&lifetime, CAUSE_OOM_CONTAINER_LIMIT, 10 * MIB, 5 * MIB, 110 * MIB);
    struct verdict verdict;
    struct forecasts found;
    struct recommendation advice;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    assert_int_equal(verdict.class, VERDICT_LEAK);
    forecast_limits(&arm, &verdict, &found);
    assert_int_equal(found.count, FORECASTS_MAX);
    assert_near(found.items[0].seconds.value, 20, 0.05);
    assert_near(found.items[1].seconds.value, 42, 0.05);
    assert_true(isnan(found.items[0].seconds_left.value));
    recommend(&verdict, NULL, arm.limit_bytes, &found, &advice);
    assert_int_equal(advice.action, ADVISE_FIX_LEAK);
    assert_true(isnan(advice.memory_bytes));
    assert_int_equal(advice.rule_count, 0);
    assert_non_null(
        strstr(advice.reason, "No limit holds: at this traffic growth like this kills it every "));
    assert_non_null(strstr(advice.reason, "at 440.0 MiB"));
    assert_non_null(strstr(advice.reason, "CrashLoopBackOff would disappear"));
}

/* The same growth up to the runtime's own limit: no limit of the container has a say in its end. */
static void test_a_leak_up_to_the_runtimes_limit(void **state)
{
    (void)state;
    struct lifetime_series lifetime;
    struct arm_series arm =
        line(&lifetime, CAUSE_RUNTIME_OUT_OF_MEMORY, 10 * MIB, 5 * MIB, 110 * MIB);
    arm.limit_bytes = 400 * MIB;
    struct verdict verdict;
    struct forecasts found;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    assert_int_equal(verdict.class, VERDICT_LEAK);
    assert_true(verdict.runtime_limit);
    assert_non_null(strstr(verdict.summary, "until its runtime's own limit ends it"));
    forecast_limits(&arm, &verdict, &found);
    assert_int_equal(found.count, 0);
}

/* 20 KiB a second: 100 MiB last for more than an hour. */
static void test_a_leak_that_outlives_the_back_off(void **state)
{
    (void)state;
    struct lifetime_series lifetime;
    struct arm_series arm = line(&lifetime, CAUSE_RUNNING, 10 * MIB, 5 * MIB, NAN);
    struct verdict verdict;
    struct forecasts found;
    char text[VERDICT_TEXT_MAX];
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    for (size_t i = 0; i < POINTS; i++) /* an hour and a half instead of 20 s */
        points[i].t_s *= 270;
    lifetime.uptime_s *= 270;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    assert_int_equal(verdict.class, VERDICT_LEAK);
    forecast_limits(&arm, &verdict, &found);
    assert_near(found.items[0].limit_bytes, 1024 * MIB, 1e-9); /* no limit: of 1 GiB and more */
    assert_true(isnan(forecast_hiding_limit(&found)));
    forecast_sentence(&found, &verdict, text, sizeof(text));
    assert_non_null(strstr(text, "it would die every 15 h"));
    assert_non_null(strstr(text, "lives for more than 10 minutes each time"));
}

static void test_no_forecast_for_what_is_no_leak(void **state)
{
    (void)state;
    struct lifetime_series lifetime;
    struct arm_series arm = line(&lifetime, CAUSE_RUNNING, 10 * MIB, 0, 200 * MIB);
    struct verdict verdict;
    struct forecasts found;
    char text[VERDICT_TEXT_MAX] = "x";
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    assert_int_equal(verdict.class, VERDICT_STABLE);
    forecast_limits(&arm, &verdict, &found);
    assert_int_equal(found.count, 0);
    forecast_sentence(&found, &verdict, text, sizeof(text));
    assert_string_equal(text, "");
}

/* The rules' own arithmetic, on figures small enough to do by hand. */
static void test_rules_of_today(void **state)
{
    (void)state;
    struct size_rule rules[SIZE_RULES_MAX];
    struct verdict killed = {.class = VERDICT_PEAK_DEMAND,
                             .kills = 2,
                             .peak_bytes = 512 * MIB,
                             .limit_bytes = 512 * MIB};
    assert_int_equal(size_rules(&killed, NULL, 512 * MIB, rules), 2);
    assert_string_equal(rules[0].name, "vertical-pod-autoscaler");
    assert_near(rules[0].memory_bytes, 1.15 * 1.2 * 512 * MIB, 1e-9); /* 614.4 beats 612 MiB */
    assert_near(rules[1].memory_bytes, 1.25 * 512 * MIB, 1e-9);       /* beats 588.8 MiB */
    struct verdict raised = {.class = VERDICT_STABLE, .peak_bytes = 700 * MIB};
    assert_int_equal(size_rules(&killed, &raised, 512 * MIB, rules), 2);
    assert_near(rules[0].memory_bytes, 1.15 * 1.2 * 700 * MIB, 1e-9);
    assert_near(rules[1].memory_bytes, 1.15 * 700 * MIB, 1e-9);
    struct verdict calm = {.class = VERDICT_STABLE, .peak_bytes = 100 * MIB};
    assert_int_equal(size_rules(&calm, NULL, 512 * MIB, rules), 2);
    assert_near(rules[0].memory_bytes, 250 * MIB, 1e-9); /* its least */
    assert_near(rules[1].memory_bytes, 115 * MIB, 1e-9);
    struct verdict cached = calm; /* page cache is given back: it is no need */
    cached.need_bytes = 80 * MIB;
    assert_int_equal(size_rules(&cached, NULL, 512 * MIB, rules), 2);
    assert_near(rules[1].memory_bytes, 92 * MIB, 1e-9);
    struct verdict leak = killed;
    leak.class = VERDICT_LEAK;
    assert_int_equal(size_rules(&leak, NULL, 512 * MIB, rules), 0);
    struct verdict unknown = {.class = VERDICT_STABLE, .peak_bytes = NAN, .need_bytes = NAN};
    assert_int_equal(size_rules(&unknown, NULL, 512 * MIB, rules), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_leak_that_was_not_killed),
        cmocka_unit_test(test_a_leak_that_was_killed),
        cmocka_unit_test(test_a_leak_up_to_the_runtimes_limit),
        cmocka_unit_test(test_a_leak_that_outlives_the_back_off),
        cmocka_unit_test(test_no_forecast_for_what_is_no_leak),
        cmocka_unit_test(test_rules_of_today),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
