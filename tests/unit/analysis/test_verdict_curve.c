/* SPDX-License-Identifier: Apache-2.0 */
/* Curves that somebody recorded: no requests, no readiness, no kill. What is called a leak must not
 * hang on noise, and what rises at the end is not flat. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/rate.h"
#include "analysis/verdict.h"
#include "simulate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MIB        1048576.0
#define MINUTES    1440
#define LIMIT      (512 * MIB)
#define CYCLES     50U
#define SPANS      100 /* a pause after each */
#define PER_CYCLE  100
#define CYCLE_RATE 20 /* samples of one */

static struct point points[4096];

static void put(size_t i, double t_s, double bytes)
{
    points[i] = (struct point){.t_s = t_s,
                               .working_set = bytes,
                               .anon = bytes,
                               .file = 0,
                               .inactive_file = 0,
                               .shmem = 0,
                               .kernel = 0};
}

static struct verdict judge(size_t count, bool requests_unknown)
{
    const struct lifetime_series lifetime = {.index = 1,
                                             .points = points,
                                             .count = count,
                                             .uptime_s = points[count - 1].t_s,
                                             .cause = CAUSE_RUNNING,
                                             .level = LEVEL_OBSERVED,
                                             .peak_bytes = NAN};
    const struct arm_series arm = {.limit_bytes = LIMIT,
                                   .lifetimes = &lifetime,
                                   .count = 1,
                                   .requests_unknown = requests_unknown};
    struct verdict verdict;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    return verdict;
}

/* A day, a sample each minute: a straight line and white noise of 1 MiB. */
static struct verdict line(double rise_mib, uint64_t seed)
{
    struct random random = {seed};
    for (size_t i = 0; i < MINUTES; i++)
        put(i, 60.0 * (double)i,
            (100 + rise_mib * (double)i / MINUTES + sim_normal(&random)) * MIB);
    return judge(MINUTES, true);
}

/* More growth is never less of a leak. */
static void test_more_growth_is_no_less(void **state)
{
    (void)state;
    static const double rises[] = {10, 15, 20, 30, 40, 60, 80, 100, 120, 150, 200, 300};
    for (uint64_t seed = 1; seed <= 20; seed++) {
        bool leak = false;
        for (size_t i = 0; i < sizeof(rises) / sizeof(*rises); i++) {
            bool now = line(rises[i], seed).class == VERDICT_LEAK;
            if (leak && !now)
                fail_msg("seed %ju: +%g MiB is no leak, and less was", (uintmax_t)seed, rises[i]);
            leak = now;
        }
        assert_true(leak);
    }
}

static void test_a_mere_rise_is_inferred(void **state)
{
    (void)state;
    struct verdict verdict = line(300, 1);
    assert_int_equal(verdict.class, VERDICT_LEAK);
    assert_int_equal(verdict.level, LEVEL_INFERRED);
    assert_int_equal(verdict.driver, DRIVER_NONE);
    assert_non_null(strstr(verdict.summary, "looks the same"));
    assert_null(strstr(verdict.summary, "between releases"));
    verdict = judge(MINUTES, false); /* nobody sent requests: then time drives it */
    assert_int_equal(verdict.driver, DRIVER_TIME);
}

static void test_level_and_then_rising(void **state)
{
    (void)state;
    struct random random = {3};
    for (size_t i = 0; i < MINUTES; i++) {
        double late = (double)i - 0.8 * MINUTES;
        put(i, 60.0 * (double)i, (100 + fmax(0, late) + sim_normal(&random)) * MIB);
    }
    struct verdict verdict = judge(MINUTES, true);
    assert_int_equal(verdict.class, VERDICT_INCONCLUSIVE);
    assert_non_null(strstr(verdict.summary, "rose by"));
    assert_true(verdict.would_settle[0] != '\0');
}

/* A day's load that comes back is level, also when the record ends at the top. */
static void test_a_peak_that_was_there_before(void **state)
{
    (void)state;
    struct random random = {4};
    for (size_t i = 0; i < MINUTES; i++)
        put(i, 60.0 * (double)i,
            (100 + 50 * sin(2 * M_PI * (double)i / 320) + sim_normal(&random)) * MIB);
    assert_int_equal(judge(MINUTES, true).class, VERDICT_STABLE);
}

static void test_words_of_what_is_not_flat(void **state)
{
    (void)state;
    struct random random = {5};
    for (size_t i = 0; i < MINUTES; i++)
        put(i, 60.0 * (double)i, (300 - 0.1 * (double)i + sim_normal(&random)) * MIB);
    struct verdict verdict = judge(MINUTES, true);
    assert_non_null(strstr(verdict.summary, "floor fell"));
    for (size_t i = 0; i < MINUTES; i++)
        put(i, 60.0 * (double)i, (100 + 0.1 * sim_normal(&random)) * MIB);
    verdict = judge(MINUTES, true);
    assert_int_equal(verdict.class, VERDICT_STABLE);
    assert_non_null(strstr(verdict.summary, "is flat"));
    assert_non_null(strstr(verdict.summary, "would not have shown in 23 h 59 min"));
}

/* A sample each second: what is kept grows to `kept_mib` in each of the collector's periods of 100
 * s up to `until_s`, below teeth of `tooth_mib`. */
static struct verdict sawtooth(double periods, double kept_mib, double until_s, double tooth_mib)
{
    struct random random = {1};
    size_t count = (size_t)(100 * periods);
    for (size_t i = 0; i < count; i++)
        put(i, (double)i,
            (150 + kept_mib * fmin((double)i, until_s) / 100 + tooth_mib * (double)(i % 100) / 100 +
             0.02 * sim_normal(&random)) *
                MIB);
    return judge(count, true);
}

/* Wherever in the collector's period the curve ends: what rises from trough to trough is never
 * called level, and what does not is never called a leak. */
static void test_a_slow_collector(void **state)
{
    (void)state;
    for (unsigned tenths = 22; tenths < 120; tenths++) {
        for (unsigned tooth = 30; tooth <= 120; tooth += 30) {
            enum verdict_class leaks = sawtooth(tenths / 10.0, 10, INFINITY, tooth).class;
            if (leaks != VERDICT_LEAK && leaks != VERDICT_INCONCLUSIVE)
                fail_msg("%g periods, teeth of %u MiB: %s", tenths / 10.0, tooth,
                         verdict_class_name(leaks));
            enum verdict_class fills = sawtooth(tenths / 10.0, 40, 150, tooth).class;
            if (fills == VERDICT_LEAK)
                fail_msg("%g periods, teeth of %u MiB: a leak of what is full", tenths / 10.0,
                         tooth);
        }
    }
}

/* It rises for half of the time to a share of its limit, and stays. */
static struct verdict filling(double share)
{
    for (size_t i = 0; i < 600; i++)
        put(i, (double)i, LIMIT * (0.2 + (share - 0.2) * fmin(1, (double)i / 300)));
    return judge(600, true);
}

static void test_a_level_at_the_limit_is_the_limits(void **state)
{
    (void)state;
    struct verdict verdict = filling(0.99);
    assert_int_equal(verdict.class, VERDICT_INCONCLUSIVE);
    assert_true(verdict.held_at_limit);
    assert_non_null(strstr(verdict.summary, "It filled its limit (506.9 MiB of 512.0 MiB)"));
    assert_string_equal(verdict.would_settle, "The same work under a higher limit.");
    verdict = filling(0.9);
    assert_false(verdict.held_at_limit);
    assert_int_equal(verdict.class, VERDICT_BOUNDED_CACHE);
}

/* Each killed lifetime lies at its limit for as long again before the kill. */
static void stall(struct arm_series *arm, struct lifetime_series *lifetimes, struct point **copies)
{
    for (size_t i = 0; i < arm->count; i++) {
        struct lifetime_series *lifetime = &lifetimes[i];
        *lifetime = arm->lifetimes[i];
        copies[i] = calloc(2 * lifetime->count + 1, sizeof(**copies));
        assert_non_null(copies[i]);
        memcpy(copies[i], lifetime->points, lifetime->count * sizeof(**copies));
        if (lifetime->cause != CAUSE_OOM_CONTAINER_LIMIT || lifetime->count == 0)
            continue;
        for (size_t k = 0; k < lifetime->count; k++) {
            struct point last = lifetime->points[lifetime->count - 1];
            last.t_s = lifetime->uptime_s + lifetime->points[k].t_s;
            last.anon += 0.995 * arm->limit_bytes - last.working_set;
            last.working_set = 0.995 * arm->limit_bytes;
            copies[i][lifetime->count + k] = last;
        }
        lifetime->points = copies[i];
        lifetime->count *= 2;
        lifetime->uptime_s *= 2;
        lifetime->peak_bytes = arm->limit_bytes;
    }
    arm->lifetimes = lifetimes;
}

static void judge_stalled(enum model model, uint64_t seed)
{
    struct sim sim = sim_draw(model, seed);
    struct arm_series arm = sim_run(&sim), stalled = arm;
    struct lifetime_series lifetimes[16];
    struct point *copies[16] = {0};
    struct verdict before, after;
    assert_in_range(arm.count, 1, 16);
    assert_int_equal(verdict_of_arm(&arm, &before), 0);
    stall(&stalled, lifetimes, copies);
    assert_int_equal(verdict_of_arm(&stalled, &after), 0);
    if (before.class == VERDICT_LEAK && after.class != VERDICT_LEAK)
        fail_msg("%s, seed %ju: %s", model_name(model), (uintmax_t)seed, after.summary);
    for (size_t i = 0; i < arm.count; i++)
        free(copies[i]);
    sim_done(&arm);
}

static void test_a_stall_before_the_kill_hides_no_leak(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        judge_stalled(MODEL_LEAK, seed);
        judge_stalled(MODEL_LEAK_TIME, seed);
    }
}

/* Slow growth as the kernel counts it: nothing for some cycles, and then a batch at once. */
static void test_growth_in_batches(void **state)
{
    (void)state;
    struct span spans[SPANS];
    size_t count = 0, used = 0;
    for (unsigned cycle = 0; cycle < CYCLES; cycle++) {
        double start = 2.5 * cycle;
        spans[used++] = (struct span){SPAN_CYCLE, cycle + 1, start, start + 2};
        spans[used++] = (struct span){SPAN_GAP, cycle + 1, start + 2, start + 2.5};
        for (unsigned k = 0; k < CYCLE_RATE + 5; k++) {
            double done = PER_CYCLE * (cycle + fmin(1, (double)k / CYCLE_RATE));
            double kept = RATE_COUNTER_BYTES * floor(1024 * done / RATE_COUNTER_BYTES);
            put(count, start + 0.1 * k, 20 * MIB + kept);
            points[count++].requests = done;
        }
    }
    const struct lifetime_series lifetime = {.index = 1,
                                             .points = points,
                                             .count = count,
                                             .spans = spans,
                                             .span_count = used,
                                             .uptime_s = points[count - 1].t_s + 0.1,
                                             .requests_completed = CYCLES * PER_CYCLE,
                                             .cause = CAUSE_RUNNING,
                                             .level = LEVEL_OBSERVED,
                                             .peak_bytes = NAN};
    const struct arm_series arm = {.limit_bytes = 64 * MIB, .lifetimes = &lifetime, .count = 1};
    struct verdict verdict;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    if (verdict.class != VERDICT_LEAK)
        fail_msg("%s: %s %s", verdict_class_name(verdict.class), verdict.summary,
                 verdict.would_settle);
    assert_true(verdict.per_request.low < 1024 && verdict.per_request.high > 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_more_growth_is_no_less),
        cmocka_unit_test(test_a_mere_rise_is_inferred),
        cmocka_unit_test(test_level_and_then_rising),
        cmocka_unit_test(test_a_peak_that_was_there_before),
        cmocka_unit_test(test_words_of_what_is_not_flat),
        cmocka_unit_test(test_a_slow_collector),
        cmocka_unit_test(test_a_level_at_the_limit_is_the_limits),
        cmocka_unit_test(test_a_stall_before_the_kill_hides_no_leak),
        cmocka_unit_test(test_growth_in_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
