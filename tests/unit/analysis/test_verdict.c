/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict on processes of known truth (simulate.c), many seeds each, and on cases made by hand.
 * OOMLAB_TEST_SEEDS=1000 looks longer than an ordinary run, OOMLAB_TEST_FIRST_SEED elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/predict.h"
#include "analysis/recommend.h"
#include "analysis/verdict.h"
#include "analysis/view.h"
#include "base/clock.h"
#include "simulate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MIB 1048576.0

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

/* The class a model must get, in so many percent of the runs; `other` is as good. */
static const struct truth {
    enum verdict_class class, other;
    unsigned percent;
    enum driver driver; /* of the runs that got the class, in as many percent; DRIVER_NONE: any */
} truths[MODEL_COUNT] = {
    [MODEL_HEALTHY] = {VERDICT_STABLE, VERDICT_STABLE, 98},
    [MODEL_NOISE] = {VERDICT_STABLE, VERDICT_STABLE, 95},
    [MODEL_WARM_UP] = {VERDICT_STABLE, VERDICT_BOUNDED_CACHE, 98},
    [MODEL_SPIKE] = {VERDICT_STABLE, VERDICT_STABLE, 98},
    [MODEL_COLLECTOR] = {VERDICT_STABLE, VERDICT_STABLE, 95},
    /* It cannot be told from a small leak, and the verdict has to say so. */
    [MODEL_YOUNG_HEAP] = {VERDICT_INCONCLUSIVE, VERDICT_STABLE, 98},
    [MODEL_CACHE] = {VERDICT_BOUNDED_CACHE, VERDICT_BOUNDED_CACHE, 98},
    [MODEL_LRU] = {VERDICT_BOUNDED_CACHE, VERDICT_BOUNDED_CACHE, 95},
    [MODEL_PAGE_CACHE] = {VERDICT_RECLAIMABLE_CACHE, VERDICT_RECLAIMABLE_CACHE, 98},
    [MODEL_EXITS] = {VERDICT_NOT_MEMORY, VERDICT_NOT_MEMORY, 98},
    [MODEL_STARTUP] = {VERDICT_STARTUP_DEMAND, VERDICT_STARTUP_DEMAND, 98, DRIVER_STARTUP},
    /* Killed before it could level off: from this arm alone it looks like a leak, and the verdict
     * says that only more memory tells. */
    [MODEL_LARGE_LRU] = {VERDICT_LEAK, VERDICT_INCONCLUSIVE, 95},
    [MODEL_PEAK] = {VERDICT_PEAK_DEMAND, VERDICT_INCONCLUSIVE, 95},
    [MODEL_LEAK] = {VERDICT_LEAK, VERDICT_LEAK, 95, DRIVER_REQUESTS},
    [MODEL_LEAK_SHMEM] = {VERDICT_LEAK, VERDICT_LEAK, 95, DRIVER_REQUESTS},
    [MODEL_LEAK_TIME] = {VERDICT_LEAK, VERDICT_LEAK, 95, DRIVER_TIME},
    [MODEL_LEAK_TICKS] = {VERDICT_LEAK, VERDICT_LEAK, 95, DRIVER_TIME},
    [MODEL_LEAK_COLLECTED] = {VERDICT_LEAK, VERDICT_LEAK, 95, DRIVER_REQUESTS},
    [MODEL_LEAK_SLOW] = {VERDICT_LEAK, VERDICT_LEAK, 95, DRIVER_REQUESTS},
    [MODEL_LEAK_SLOW_COLLECTED] = {VERDICT_LEAK, VERDICT_LEAK, 95, DRIVER_REQUESTS},
    [MODEL_LEAK_SLOW_TIME] = {VERDICT_LEAK, VERDICT_LEAK, 95, DRIVER_TIME},
};

struct tally {
    unsigned class[VERDICT_COUNT];
    unsigned right, driven, misled; /* misled: with a wrong driver rather than none */
    double confidence;              /* sum over the runs with a class */
};

static void check_contract(const struct verdict *verdict)
{
    assert_true(verdict->confidence >= 0 && verdict->confidence <= 1);
    assert_true(verdict->summary[0] != '\0');
    bool open = verdict->class == VERDICT_INCONCLUSIVE;
    assert_true(open == (verdict->would_settle[0] != '\0'));
    assert_true(!open || verdict->confidence == 0);
    assert_true(strlen(verdict->summary) < VERDICT_TEXT_MAX - 1); /* nothing was cut */
    assert_true(verdict->class != VERDICT_LEAK || verdict->level >= LEVEL_CORRELATED);
}

static void run_once(enum model model, uint64_t seed, struct tally *tally)
{
    struct sim sim = sim_draw(model, seed);
    struct arm_series arm = sim_run(&sim);
    struct verdict verdict;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    check_contract(&verdict);
    const struct truth *truth = &truths[model];
    tally->class[verdict.class]++;
    tally->right += verdict.class == truth->class || verdict.class == truth->other;
    tally->driven += verdict.class == truth->class && verdict.driver == truth->driver;
    tally->misled += verdict.class == truth->class && truth->driver != DRIVER_NONE &&
                     verdict.driver != truth->driver && verdict.driver != DRIVER_NONE;
    tally->confidence += verdict.confidence;
    sim_done(&arm);
}

static void print_matrix(const struct tally tallies[MODEL_COUNT])
{
    print_message("%-36s", "truth \\ answer");
    for (enum verdict_class class = 0; class < VERDICT_COUNT; class ++)
        print_message(" %10.10s", verdict_class_name(class));
    print_message(" %10s %10s\n", "driver", "misled");
    for (enum model model = 0; model < MODEL_COUNT; model++) {
        print_message("%-36s", model_name(model));
        for (enum verdict_class class = 0; class < VERDICT_COUNT; class ++)
            print_message(" %10u", tallies[model].class[class]);
        if (truths[model].driver != DRIVER_NONE)
            print_message(" %10u %10u", tallies[model].driven, tallies[model].misled);
        print_message("\n");
    }
}

static bool is_leak(enum model model)
{
    return model >= MODEL_LEAK;
}

static void check_model(enum model model, const struct tally *tally, unsigned runs)
{
    const struct truth *truth = &truths[model];
    unsigned allowed = ((100 - truth->percent) * runs + 99) / 100;
    if (runs - tally->right > allowed)
        fail_msg("%s: %u of %u right", model_name(model), tally->right, runs);
    if (truth->driver != DRIVER_NONE && runs - tally->driven > allowed)
        fail_msg("%s: %u of %u with the right driver", model_name(model), tally->driven, runs);
    if (100 * tally->misled > runs)
        fail_msg("%s: %u of %u with a wrong driver", model_name(model), tally->misled, runs);
    if (!is_leak(model) && model != MODEL_LARGE_LRU && 100 * tally->class[VERDICT_LEAK] > 3 * runs)
        fail_msg("%s: %u of %u called a leak", model_name(model), tally->class[VERDICT_LEAK], runs);
}

/* Alarms on models that do not leak; a cache over the limit is counted apart, for its sake the
 * verdict has its reservation. Also: how often a decided verdict was right, against what its
 * confidence says. */
static void check_rates(const struct tally tallies[MODEL_COUNT], unsigned runs)
{
    unsigned alarms = 0, harmless = 0, decided = 0, right = 0;
    double confidence = 0;
    for (enum model model = 0; model < MODEL_COUNT; model++) {
        const struct tally *tally = &tallies[model];
        decided += runs - tally->class[VERDICT_INCONCLUSIVE];
        if (model != MODEL_LARGE_LRU && truths[model].class != VERDICT_INCONCLUSIVE)
            right += tally->class[truths[model].class];
        confidence += tally->confidence;
        if (is_leak(model) || model == MODEL_LARGE_LRU)
            continue;
        alarms += tally->class[VERDICT_LEAK];
        harmless += runs;
    }
    print_message("called a leak without one: %u of %u; of %u decided verdicts %u right, mean "
                  "confidence %.2f\n",
                  alarms, harmless, decided, right, confidence / decided);
    for (enum model model = 0; model < MODEL_COUNT; model++)
        check_model(model, &tallies[model], runs);
    assert_true(100 * alarms <= harmless);
    assert_true(confidence <= right); /* not surer than right */
}

static void test_confusion_matrix(void **state)
{
    (void)state;
    struct tally tallies[MODEL_COUNT] = {0};
    uint64_t first = from_environment("OOMLAB_TEST_FIRST_SEED", 1);
    unsigned runs = (unsigned)from_environment("OOMLAB_TEST_SEEDS", 60);
    for (enum model model = 0; model < MODEL_COUNT; model++)
        for (uint64_t seed = first; seed < first + runs; seed++)
            run_once(model, seed, &tallies[model]);
    print_matrix(tallies);
    check_rates(tallies, runs);
}

/* The built-in lab's own figures: 3 MiB a request, 100 a second, killed after about 165 in 512 MiB.
 */
static struct sim built_in(double limit)
{
    struct sim sim = sim_draw(MODEL_LEAK, 1);
    sim.limit = limit;
    sim.rate = 100;
    sim.hertz = 20;
    sim.cycles = 5;
    sim.per_cycle = 160;
    sim.base = 6 * MIB;
    sim.per_request = 3 * MIB;
    sim.noise = sim.spread = 0;
    return sim;
}

static void assert_built_in(double hertz)
{
    struct sim sim = built_in(512 * MIB);
    sim.hertz = hertz;
    struct arm_series arm = sim_run(&sim);
    struct verdict verdict;
    int64_t start = clock_monotonic_ns();
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    assert_true(clock_monotonic_ns() - start < INT64_C(2000000000));
    assert_int_equal(verdict.class, VERDICT_LEAK);
    assert_int_equal(verdict.driver, DRIVER_REQUESTS);
    assert_int_equal(verdict.kills, 3);
    assert_true(verdict.confidence >= 0.75);
    assert_true(fabs(verdict.per_request.value / (3 * MIB) - 1) < 0.03);
    assert_true(verdict.per_request.low < 3.05 * MIB && verdict.per_request.high > 2.95 * MIB);
    sim_done(&arm);
}

static void test_built_in_lab(void **state)
{
    (void)state;
    assert_built_in(20);
}

/* A busy machine answers more slowly than requests come, and goes on in the pauses and in the
 * cool-down. `gap_s`: long enough for the rest, or not. */
static struct sim overloaded(enum model model, double gap_s)
{
    struct sim sim = built_in(512 * MIB);
    sim.model = model;
    sim.cycles = 14;
    sim.capacity = 60;
    sim.per_cycle = 90;
    sim.gap_s = gap_s;
    sim.per_second = model == MODEL_LEAK_TIME ? 90 * MIB : 0;
    return sim;
}

static void assert_driver(const struct sim *sim, enum driver driver, bool by_requests)
{
    struct arm_series arm = sim_run(sim);
    struct verdict verdict;
    struct prediction predictions[PREDICTIONS_MAX];
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    assert_int_equal(verdict.class, VERDICT_LEAK);
    assert_int_equal(verdict.driver, driver);
    size_t count = predict_for_limit(&arm, &verdict, 2 * sim->limit, predictions, PREDICTIONS_MAX);
    assert_true(count > 0);
    assert_string_equal(predictions[0].metric, by_requests ? PREDICT_REQUESTS : PREDICT_SECONDS);
    sim_done(&arm);
}

static void test_late_answers_are_not_idle(void **state)
{
    (void)state;
    struct sim sim = overloaded(MODEL_LEAK, 0.3); /* it never catches up */
    assert_driver(&sim, DRIVER_REQUESTS, true);
    sim = overloaded(MODEL_LEAK, 2.5);
    assert_driver(&sim, DRIVER_REQUESTS, true);
    sim = overloaded(MODEL_LEAK_TIME, 2.5);
    assert_driver(&sim, DRIVER_TIME, false);
}

static void test_one_kilohertz(void **state)
{
    (void)state;
    assert_built_in(500); /* the simulation's own step is 2 ms */
}

/* The level never exceeds that of the kills it rests on. */
static void test_level_of_the_sources(void **state)
{
    (void)state;
    struct sim sim = built_in(512 * MIB);
    struct arm_series arm = sim_run(&sim);
    struct lifetime_series *lifetimes = (struct lifetime_series *)arm.lifetimes;
    struct verdict verdict;
    lifetimes[1].level = LEVEL_INFERRED;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    assert_int_equal(verdict.class, VERDICT_LEAK);
    assert_int_equal(verdict.level, LEVEL_INFERRED);
    sim_done(&arm);
}

/* Two lifetimes that went through complete cycles exclude a cache that is too large; three killed
 * in their first cycle do not. */
static void test_level_needs_cycles(void **state)
{
    (void)state;
    struct sim sim = built_in(512 * MIB);
    struct verdict few, many;
    struct arm_series arm = sim_run(&sim);
    assert_int_equal(verdict_of_arm(&arm, &few), 0);
    sim_done(&arm);
    sim.per_cycle = 40;
    sim.cycles = 20;
    arm = sim_run(&sim);
    assert_int_equal(verdict_of_arm(&arm, &many), 0);
    sim_done(&arm);
    assert_int_equal(few.level, LEVEL_STRONGLY_SUGGESTED);
    assert_non_null(strstr(few.summary, "cache"));
    assert_int_equal(many.level, LEVEL_CORRELATED);
    assert_null(strstr(many.summary, "cache"));
}

/* --- by hand -------------------------------------------------------------------------------------
 */

static struct point flat_points[100];

static struct arm_series flat_arm(struct lifetime_series *lifetime, enum end_cause cause,
                                  double level)
{
    for (size_t i = 0; i < 100; i++)
        flat_points[i] = (struct point){.t_s = (double)i / 20,
                                        .requests = (double)i,
                                        .working_set = level + (double)(i % 3) * 4096,
                                        .anon = NAN,
                                        .file = NAN,
                                        .inactive_file = NAN,
                                        .shmem = NAN,
                                        .kernel = NAN};
    *lifetime = (struct lifetime_series){.index = 1,
                                         .points = flat_points,
                                         .count = 100,
                                         .ready_s = 0,
                                         .uptime_s = 5,
                                         .requests_completed = 100,
                                         .cause = cause,
                                         .level = LEVEL_STRONGLY_SUGGESTED,
                                         .peak_bytes = NAN};
    return (struct arm_series){.limit_bytes = 100 * MIB, .lifetimes = lifetime, .count = 1};
}

static struct verdict flat_verdict(enum end_cause cause, double level)
{
    struct lifetime_series lifetime;
    struct verdict verdict;
    struct arm_series arm = flat_arm(&lifetime, cause, level);
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    check_contract(&verdict);
    return verdict;
}

static void test_deaths_that_are_not_memory(void **state)
{
    (void)state;
    assert_int_equal(flat_verdict(CAUSE_SIGNALLED, 30 * MIB).class, VERDICT_NOT_MEMORY);
    assert_int_equal(flat_verdict(CAUSE_KILLED_EXTERNALLY, 30 * MIB).class, VERDICT_NOT_MEMORY);
    assert_int_equal(flat_verdict(CAUSE_KILLED_EXTERNALLY, 30 * MIB).level,
                     LEVEL_STRONGLY_SUGGESTED);
    assert_int_equal(flat_verdict(CAUSE_KILLED_BY_PLATFORM, 30 * MIB).class, VERDICT_STABLE);
    assert_int_equal(flat_verdict(CAUSE_RUNNING, 30 * MIB).class, VERDICT_STABLE);
}

static struct verdict ended(struct lifetime_series end, size_t times)
{
    struct lifetime_series lifetimes[4];
    struct verdict verdict;
    struct arm_series arm = flat_arm(&lifetimes[0], end.cause, 30 * MIB);
    lifetimes[0].has_exit_code = end.has_exit_code;
    lifetimes[0].exit_code = end.exit_code;
    lifetimes[0].platform_kill = end.platform_kill;
    lifetimes[0].child_kills = end.child_kills;
    for (size_t i = 1; i < times; i++)
        lifetimes[i] = lifetimes[0];
    arm.lifetimes = lifetimes;
    arm.count = times;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    check_contract(&verdict);
    return verdict;
}

static void test_ends_are_named(void **state)
{
    (void)state;
    struct verdict v = ended(
        (struct lifetime_series){.cause = CAUSE_EXITED, .has_exit_code = true, .exit_code = 3}, 3);
    assert_int_equal(v.class, VERDICT_NOT_MEMORY);
    assert_non_null(strstr(v.summary, "exited with code 3, 3 times."));
    v = ended((struct lifetime_series){.cause = CAUSE_SIGNALLED,
                                       .has_exit_code = true,
                                       .exit_code = 128 + 11},
              1);
    assert_non_null(strstr(v.summary, "ended by SIGSEGV, once."));
    v = ended((struct lifetime_series){.cause = CAUSE_EXITED}, 1);
    assert_non_null(strstr(v.summary, "not recorded"));
    v = ended((struct lifetime_series){.cause = CAUSE_KILLED_BY_PLATFORM,
                                       .platform_kill = PLATFORM_KILL_LIVENESS},
              2);
    assert_int_equal(v.class, VERDICT_NOT_MEMORY);
    assert_non_null(strstr(v.summary, "restarted by its liveness probe, 2 times."));
}

static void test_children_killed(void **state)
{
    (void)state;
    struct verdict v = ended((struct lifetime_series){.cause = CAUSE_RUNNING, .child_kills = 4}, 1);
    assert_int_equal(v.class, VERDICT_INCONCLUSIVE);
    assert_int_equal(v.child_kills, 4);
    assert_int_equal(v.kills, 0);
    assert_non_null(strstr(v.summary, "4 child processes were killed for memory"));
    assert_string_equal(v.would_settle, "What those children hold, each on its own, and the same "
                                        "work with more memory.");
    verdict_children_seen(&v);
    assert_string_equal(v.would_settle, "The same work with more memory.");
    verdict_children_seen(&v); /* nothing is left to take away */
    assert_string_equal(v.would_settle, "The same work with more memory.");
}

/* Idle for `idle_s`, then requests up to the kill; memory rises by 10 MiB every half second of both
 * (`ticks`), or by 1 MiB a request. */
static enum driver driver_of(bool ticks, double idle_s)
{
    static struct point points[200];
    const struct span spans[] = {{.kind = SPAN_IDLE, .start_s = 0, .end_s = idle_s},
                                 {.kind = SPAN_CYCLE, .cycle = 1, .start_s = idle_s, .end_s = 60}};
    size_t count = (size_t)((idle_s + 4) * 20);
    for (size_t i = 0; i < count; i++) {
        double t = (double)i / 20, requests = floor(fmax(0, t - idle_s) * 20);
        points[i] =
            (struct point){.t_s = t,
                           .requests = requests,
                           .working_set = 8 * MIB + MIB * (ticks ? 10 * floor(2 * t) : requests),
                           .anon = NAN,
                           .file = NAN,
                           .inactive_file = NAN,
                           .shmem = NAN,
                           .kernel = NAN};
    }
    const struct lifetime_series lifetime = {.index = 1,
                                             .points = points,
                                             .count = count,
                                             .spans = spans,
                                             .span_count = 2,
                                             .uptime_s = idle_s + 4,
                                             .requests_completed = 80,
                                             .cause = CAUSE_OOM_CONTAINER_LIMIT,
                                             .peak_bytes = NAN};
    const struct arm_series arm = {.limit_bytes = 100 * MIB, .lifetimes = &lifetime, .count = 1};
    struct view view;
    assert_int_equal(view_init(&view, &arm), 0);
    enum driver driver = view.driver;
    view_done(&view);
    return driver;
}

/* One second of idleness shows two ticks at most: too few to say that growth pauses. */
static void test_ticks_are_not_requests(void **state)
{
    (void)state;
    assert_int_equal(driver_of(false, 1), DRIVER_REQUESTS);
    assert_int_equal(driver_of(true, 1), DRIVER_NONE);
    assert_int_equal(driver_of(true, 5), DRIVER_TIME);
}

/* 8 MiB each at 20 a second under 128 MiB, of which six hang when it is killed after ten answers:
 * the completed ones alone say much more than 8. */
static void test_requests_in_flight(void **state)
{
    (void)state;
    static struct point points[40];
    for (size_t i = 0; i < 40; i++)
        points[i] = (struct point){.t_s = (double)i / 50,
                                   .requests = floor((double)i / 4),
                                   .working_set = 2 * MIB + 126.0 / 40 * (double)i * MIB,
                                   .anon = NAN,
                                   .file = NAN,
                                   .inactive_file = NAN,
                                   .shmem = NAN,
                                   .kernel = NAN};
    const struct lifetime_series lifetime = {.index = 1,
                                             .points = points,
                                             .count = 40,
                                             .uptime_s = 0.2,
                                             .requests_completed = 10,
                                             .cause = CAUSE_OOM_CONTAINER_LIMIT,
                                             .peak_bytes = NAN};
    const struct arm_series arm = {.limit_bytes = 128 * MIB, .lifetimes = &lifetime, .count = 1};
    struct verdict verdict;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    assert_true(verdict.per_request.value > 10 * MIB);
    assert_true(verdict.per_request.low <= 8 * MIB && verdict.per_request.low > 6 * MIB);
}

/* Growth that levels off within a few per cent of the limit is an interpreter's warm-up. */
static void test_warm_up_is_no_cache(void **state)
{
    (void)state;
    struct lifetime_series lifetime;
    struct verdict verdict;
    const double rises[] = {3, 30}; /* MiB, under 64 */
    for (size_t k = 0; k < 2; k++) {
        struct arm_series arm = flat_arm(&lifetime, CAUSE_RUNNING, 20 * MIB);
        arm.limit_bytes = 64 * MIB;
        for (size_t i = 0; i < 100; i++)
            flat_points[i].working_set =
                20 * MIB + rises[k] * MIB * (1 - exp(-(double)i / 12)) + (double)(i % 3) * 4096;
        assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
        assert_int_equal(verdict.class == VERDICT_STABLE, k == 0);
    }
}

/* Flat memory of a process that never served anything is no stable service. */
static void test_never_ready(void **state)
{
    (void)state;
    struct lifetime_series lifetime;
    struct verdict verdict;
    struct arm_series arm = flat_arm(&lifetime, CAUSE_RUNNING, 30 * MIB);
    lifetime.ready_s = NAN;
    lifetime.requests_completed = 0;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    check_contract(&verdict);
    assert_int_equal(verdict.class, VERDICT_NOT_MEMORY);
    assert_non_null(strstr(verdict.summary, "never became ready"));

    arm = flat_arm(&lifetime, CAUSE_RUNNING, 95 * MIB);
    lifetime.ready_s = NAN;
    lifetime.requests_completed = 0;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    check_contract(&verdict);
    assert_int_equal(verdict.class, VERDICT_INCONCLUSIVE);
    assert_non_null(strstr(verdict.would_settle, "limit"));

    arm = flat_arm(&lifetime, CAUSE_RUNNING, 30 * MIB); /* it answered: nobody watched readiness */
    lifetime.ready_s = NAN;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    assert_int_equal(verdict.class, VERDICT_STABLE);
}

static void test_a_death_near_the_limit_stays_open(void **state)
{
    (void)state;
    struct verdict verdict = flat_verdict(CAUSE_KILLED_EXTERNALLY, 95 * MIB);
    assert_int_equal(verdict.class, VERDICT_INCONCLUSIVE);
    assert_non_null(strstr(verdict.would_settle, "OOM"));
}

/* An innocent container: killed for its neighbours' memory. */
static void test_killed_for_others(void **state)
{
    (void)state;
    struct verdict verdict = flat_verdict(CAUSE_OOM_ANCESTOR_LIMIT, 30 * MIB);
    assert_int_equal(verdict.class, VERDICT_INCONCLUSIVE);
    assert_non_null(strstr(verdict.would_settle, "neighbours"));
    assert_int_equal(verdict.kills, 1);
    assert_int_equal(flat_verdict(CAUSE_OOM_HOST, 30 * MIB).class, VERDICT_INCONCLUSIVE);
}

static void test_nothing_to_judge(void **state)
{
    (void)state;
    struct verdict verdict;
    struct arm_series none = {.limit_bytes = 100 * MIB};
    assert_int_equal(verdict_of_arm(&none, &verdict), 0);
    assert_int_equal(verdict.class, VERDICT_INCONCLUSIVE);
    assert_int_equal(verdict.level, LEVEL_NOT_PROVEN);
    assert_true(isnan(verdict.per_request.value) && isnan(verdict.peak_bytes));

    struct lifetime_series lifetime;
    struct arm_series arm = flat_arm(&lifetime, CAUSE_RUNNING, 30 * MIB);
    for (lifetime.count = 0; lifetime.count < 8; lifetime.count++) {
        assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
        assert_int_equal(verdict.class, VERDICT_INCONCLUSIVE);
    }
    lifetime.cause = CAUSE_OOM_CONTAINER_LIMIT;
    lifetime.count = 3;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    assert_int_equal(verdict.class, VERDICT_INCONCLUSIVE);
    assert_non_null(strstr(verdict.would_settle, "sampling"));
    assert_int_equal(verdict.kills, 1);
}

static void test_unknown_limit(void **state)
{
    (void)state;
    struct lifetime_series lifetime;
    struct verdict verdict;
    struct arm_series arm = flat_arm(&lifetime, CAUSE_RUNNING, 30 * MIB);
    arm.limit_bytes = NAN;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    assert_int_equal(verdict.class, VERDICT_STABLE);
}

/* One kill at the start is less than three, and a lifetime that did start speaks against it. */
static void test_startup_confidence(void **state)
{
    (void)state;
    struct lifetime_series lifetimes[4];
    for (size_t i = 0; i < 4; i++)
        lifetimes[i] = (struct lifetime_series){.index = (unsigned)i + 1,
                                                .ready_s = NAN,
                                                .uptime_s = 1,
                                                .cause = CAUSE_OOM_CONTAINER_LIMIT,
                                                .level = LEVEL_OBSERVED,
                                                .peak_bytes = 100 * MIB};
    struct arm_series arm = {.limit_bytes = 100 * MIB, .lifetimes = lifetimes};
    struct verdict one, three, mixed;
    arm.count = 1;
    assert_int_equal(verdict_of_arm(&arm, &one), 0);
    arm.count = 3;
    assert_int_equal(verdict_of_arm(&arm, &three), 0);
    flat_arm(&lifetimes[3], CAUSE_RUNNING, 30 * MIB);
    arm.count = 4;
    assert_int_equal(verdict_of_arm(&arm, &mixed), 0);
    assert_int_equal(one.class, VERDICT_STARTUP_DEMAND);
    assert_int_equal(one.level, LEVEL_STRONGLY_SUGGESTED);
    assert_int_equal(three.class, VERDICT_STARTUP_DEMAND);
    assert_int_equal(three.level, LEVEL_CORRELATED);
    assert_true(one.confidence < three.confidence && mixed.confidence < three.confidence);
}

static void test_growth_of_a_lifetime(void **state)
{
    (void)state;
    struct sim sim = sim_draw(MODEL_LEAK_SLOW, 5);
    sim.noise = sim.spread = 0;
    struct arm_series arm = sim_run(&sim);
    struct growth growth;
    assert_int_equal(growth_of_lifetime(&arm.lifetimes[0], &growth), 0);
    assert_true(fabs(growth.per_request.value / sim.per_request - 1) < 0.05);
    assert_true(growth.per_second.value > 0);
    assert_true(fabs(growth.idle_per_second.value) < 0.02 * growth.per_second.value);
    assert_true(fabs(growth.baseline_bytes / sim.base - 1) < 0.1);
    assert_int_equal(growth.cycle_count, sim.cycles);
    for (size_t i = 0; i < growth.cycle_count; i++)
        assert_true(fabs(growth.cycle_growth[i] / (sim.per_request * sim.per_cycle) - 1) < 0.1);
    assert_true(growth.first_bytes < growth.last_bytes && growth.last_bytes <= growth.peak_bytes);
    sim_done(&arm);

    sim = sim_draw(MODEL_LEAK_SLOW_TIME, 5);
    arm = sim_run(&sim);
    assert_int_equal(growth_of_lifetime(&arm.lifetimes[0], &growth), 0);
    assert_true(fabs(growth.idle_per_second.value / growth.per_second.value - 1) < 0.2);
    sim_done(&arm);

    assert_int_equal(growth_of_lifetime(&(struct lifetime_series){.ready_s = NAN}, &growth), 0);
    assert_true(isnan(growth.per_request.value) && isnan(growth.first_bytes));
}

/* A leak of shared memory is named as such, one of the process' own memory needs no word. */
static void test_kind_of_growth(void **state)
{
    (void)state;
    struct sim sim = built_in(512 * MIB);
    for (int shared = 0; shared < 2; shared++) {
        sim.model = shared ? MODEL_LEAK_SHMEM : MODEL_LEAK;
        struct arm_series arm = sim_run(&sim);
        struct verdict verdict;
        assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
        assert_int_equal(verdict.class, VERDICT_LEAK);
        assert_int_equal(shared, strstr(verdict.summary, "% of it is shared memory") != NULL);
        assert_null(strstr(verdict.summary, "kernel memory"));
        struct point *points = (struct point *)arm.lifetimes[0].points;
        for (size_t i = 0; i < arm.lifetimes[0].count; i++) {
            points[i].kernel += points[i].shmem; /* the same in sockets */
            points[i].file -= points[i].shmem;
            points[i].shmem = 0;
        }
        arm.count = 1;
        assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
        assert_int_equal(shared, strstr(verdict.summary, "% of it is kernel memory") != NULL);
        sim_done(&(struct arm_series){.lifetimes = arm.lifetimes, .count = 3});
    }
}

/* What the kernel has taken back by the end was page cache all the same. */
static void test_reclaimed_page_cache(void **state)
{
    (void)state;
    struct sim sim = sim_draw(MODEL_PAGE_CACHE, 3);
    struct arm_series arm = sim_run(&sim);
    const struct lifetime_series *lifetime = &arm.lifetimes[0];
    struct point *last = (struct point *)&lifetime->points[lifetime->count - 1];
    last->working_set -= last->file - last->inactive_file;
    last->file = last->inactive_file = 0;
    struct verdict verdict;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    assert_int_equal(verdict.class, VERDICT_RECLAIMABLE_CACHE);
    sim_done(&arm);
}

/* Every request holds its memory while it runs, and too many run at once: nothing is answered
 * before the kill. */
static void test_killed_by_what_is_in_flight(void **state)
{
    (void)state;
    struct point points[30];
    for (size_t i = 0; i < 30; i++)
        points[i] = (struct point){.t_s = (double)i / 20,
                                   .in_flight = i < 20 ? 0 : 8,
                                   .anon = NAN,
                                   .file = NAN,
                                   .inactive_file = NAN,
                                   .shmem = NAN,
                                   .kernel = NAN,
                                   .working_set = (i < 20 ? 5 : 5 + 9.5 * (double)(i - 19)) * MIB};
    struct span spans[] = {{.kind = SPAN_IDLE, .start_s = 0, .end_s = 1},
                           {.kind = SPAN_CYCLE, .cycle = 1, .start_s = 1, .end_s = 9}};
    struct lifetime_series lifetimes[3];
    for (size_t i = 0; i < 3; i++)
        lifetimes[i] = (struct lifetime_series){.index = (unsigned)i + 1,
                                                .points = points,
                                                .count = 30,
                                                .spans = spans,
                                                .span_count = 2,
                                                .ready_s = 0,
                                                .uptime_s = 1.5,
                                                .cause = CAUSE_OOM_CONTAINER_LIMIT,
                                                .level = LEVEL_MEASURED,
                                                .peak_bytes = 100 * MIB};
    struct arm_series arm = {.limit_bytes = 100 * MIB, .lifetimes = lifetimes, .count = 3};
    struct verdict verdict;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    assert_int_equal(verdict.class, VERDICT_PEAK_DEMAND);
    assert_int_equal(verdict.driver, DRIVER_REQUESTS);
    for (size_t i = 0; i < 30; i++) /* refused at once: none of them did it */
        points[i].in_flight = 0;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    assert_int_not_equal(verdict.class, VERDICT_PEAK_DEMAND);
    assert_null(strstr(verdict.summary, "in flight"));
}

/* Node under --max-old-space-size, Python under RLIMIT_AS: half of the container's limit is free,
 * and more of it would change nothing. */
static void test_runtimes_own_limit_is_not_the_containers(void **state)
{
    (void)state;
    static const double ready_s[] = {0, NAN}; /* while it serves, and at its start */
    for (size_t i = 0; i < 2; i++) {
        struct lifetime_series lifetime;
        struct arm_series arm = flat_arm(&lifetime, CAUSE_RUNTIME_OUT_OF_MEMORY, 30 * MIB);
        struct verdict verdict;
        struct recommendation advice;
        lifetime.ready_s = ready_s[i];
        lifetime.requests_completed = 0;
        lifetime.level = LEVEL_OBSERVED;
        arm.limit_bytes = 100 * MIB;
        assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
        assert_int_equal(verdict.class, VERDICT_INCONCLUSIVE);
        assert_non_null(strstr(verdict.summary, "runtime's own limit"));
        assert_non_null(strstr(verdict.would_settle, "heap limit of the runtime"));
        recommend(&verdict, NULL, arm.limit_bytes, NULL, &advice);
        assert_int_not_equal(advice.action, ADVISE_RAISE_LIMIT);
    }
}

/* Requests were sent, none was answered, nothing died: flat memory is no good news. */
static void test_nothing_served_is_not_stable(void **state)
{
    (void)state;
    struct lifetime_series lifetime;
    struct arm_series arm = flat_arm(&lifetime, CAUSE_RUNNING, 30 * MIB);
    struct verdict verdict;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    assert_int_equal(verdict.class, VERDICT_STABLE);
    struct span cycle = {.kind = SPAN_CYCLE, .start_s = 1, .end_s = 4};
    for (size_t i = 0; i < lifetime.count; i++)
        flat_points[i].requests = 0;
    lifetime.requests_completed = 0;
    lifetime.spans = &cycle;
    lifetime.span_count = 1;
    assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
    assert_int_equal(verdict.class, VERDICT_INCONCLUSIVE);
    assert_non_null(strstr(verdict.summary, "answered none"));
}

/* Flat over few requests is not yet a level: what one in twenty does may not have come. */
static void test_few_requests_settle_nothing(void **state)
{
    (void)state;
    for (unsigned requests = 57; requests <= 60; requests++) {
        struct lifetime_series lifetime;
        struct verdict verdict;
        struct arm_series arm = flat_arm(&lifetime, CAUSE_RUNNING, 30 * MIB);
        for (size_t i = 0; i < 100; i++)
            flat_points[i].requests = (double)i * requests / 99;
        lifetime.requests_completed = requests;
        assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
        check_contract(&verdict);
        assert_int_equal(verdict.class,
                         requests < 59 ? VERDICT_INCONCLUSIVE : VERDICT_STABLE); /* 0.95^59 < 5 % */
        assert_true((strstr(verdict.would_settle, "at least 59") != NULL) == (requests < 59));
        assert_true(verdict.looks_level == (requests < 59));
        arm.requests_unknown = true; /* a recorded curve has none to count */
        for (size_t i = 0; i < 100; i++)
            flat_points[i].requests = 0;
        lifetime.requests_completed = 0;
        assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
        assert_int_equal(verdict.class, VERDICT_STABLE);
    }
}

/* No trend, and yet the interval holds growth that would be over the limit before long: the same
 * curve is a level one under a limit with room for that. */
static void test_a_wide_interval_needs_room(void **state)
{
    (void)state;
    static const struct {
        double limit_mib;
        enum verdict_class class;
    } cases[] = {{56, VERDICT_INCONCLUSIVE}, {400, VERDICT_STABLE}};
    for (size_t k = 0; k < 2; k++) {
        struct lifetime_series lifetime;
        struct verdict verdict;
        struct arm_series arm = flat_arm(&lifetime, CAUSE_RUNNING, 30 * MIB);
        uint32_t random = 1;
        for (size_t i = 0; i < 100; i++) {
            random = random * 1664525 + 1013904223;
            flat_points[i].working_set += (double)(random >> 16) / 65536 * 24 * MIB;
        }
        arm.limit_bytes = cases[k].limit_mib * MIB;
        assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
        check_contract(&verdict);
        assert_int_equal(verdict.class, cases[k].class);
        assert_true((strstr(verdict.summary, "as long again") != NULL) == (k == 0));
    }
}

/* Cycles that each add less than the counters are wrong by all agree with a level. */
static void test_more_cycles_make_a_level_surer(void **state)
{
    (void)state;
    double before = 0;
    for (unsigned cycles = 3; cycles <= 12; cycles += 3) {
        struct sim sim = sim_draw(MODEL_HEALTHY, 5);
        struct verdict verdict;
        sim.cycles = cycles;
        struct arm_series arm = sim_run(&sim);
        assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
        assert_int_equal(verdict.class, VERDICT_STABLE);
        assert_true(verdict.confidence > before);
        before = verdict.confidence;
        sim_done(&arm);
    }
}

/* Seen on a busy machine: a quarter of a second after the kill the sampler still finds what is
 * left. */
static void test_tear_down_is_no_release(void **state)
{
    (void)state;
    struct lifetime_series lifetime;
    struct arm_series arm = flat_arm(&lifetime, CAUSE_KILLED_BY_PLATFORM, 30 * MIB);
    for (size_t i = 0; i < 100; i++) /* a leak, not killed: 0.6 MiB a request */
        flat_points[i].working_set += (double)i * 0.6 * MIB;
    struct growth growth;
    struct verdict before, after;
    assert_int_equal(verdict_of_arm(&arm, &before), 0);
    for (size_t i = 97; i < 100; i++)
        flat_points[i].working_set = (double)(100 - i) * MIB;
    assert_int_equal(verdict_of_arm(&arm, &after), 0);
    assert_int_equal(growth_of_lifetime(&lifetime, &growth), 0);
    assert_int_equal(before.class, after.class);
    assert_true(fabs(after.drift_bytes.value / before.drift_bytes.value - 1) < 0.1);
    assert_true(fabs(growth.last_bytes - (30 + 96 * 0.6) * MIB) < MIB);
}

/* --- trigger and raise together ------------------------------------------------------------------
 */

static struct verdict verdict_like(enum verdict_class class, unsigned kills, double limit_mib)
{
    return (struct verdict){.class = class,
                            .confidence = class == VERDICT_INCONCLUSIVE ? 0 : 0.7,
                            .level = LEVEL_CORRELATED,
                            .kills = kills,
                            .watched = true,
                            .limit_bytes = limit_mib * MIB,
                            .drift_bytes = {NAN, NAN, NAN},
                            .summary = "As seen.",
                            .would_settle = ""};
}

static struct verdict combined(enum verdict_class trigger, enum verdict_class raised,
                               unsigned raise_kills, enum prediction_outcome leak)
{
    struct verdict before = verdict_like(trigger, 3, 64);
    struct verdict after = verdict_like(raised, raise_kills, 128), ret;
    verdict_combine(&before, &after, leak, &ret);
    return ret;
}

static void test_raise_has_the_last_word(void **state)
{
    (void)state;
    struct verdict v = combined(VERDICT_PEAK_DEMAND, VERDICT_LEAK, 2, PREDICTION_UNDECIDED);
    assert_int_equal(v.class, VERDICT_LEAK);
    assert_non_null(strstr(v.summary, "With 128.0 MiB the same work was killed again"));
    v = combined(VERDICT_INCONCLUSIVE, VERDICT_LEAK, 2, PREDICTION_HOLDS);
    assert_int_equal(v.class, VERDICT_LEAK);
    assert_string_equal(v.would_settle, "");
    v = combined(VERDICT_INCONCLUSIVE, VERDICT_INCONCLUSIVE, 1,
                 PREDICTION_HOLDS); /* only the forecast */
    assert_int_equal(v.class, VERDICT_LEAK);
    assert_true(v.level >= LEVEL_STRONGLY_SUGGESTED);
    v = combined(VERDICT_PEAK_DEMAND, VERDICT_INCONCLUSIVE, 1, PREDICTION_UNDECIDED);
    assert_int_equal(v.class, VERDICT_INCONCLUSIVE);
    assert_true(v.confidence == 0 && v.would_settle[0] != '\0');
    v = combined(VERDICT_LEAK, VERDICT_PEAK_DEMAND, 1,
                 PREDICTION_UNDECIDED); /* the arms contradict each other */
    assert_int_equal(v.class, VERDICT_INCONCLUSIVE);
    v = combined(VERDICT_LEAK, VERDICT_PEAK_DEMAND, 1, PREDICTION_HOLDS);
    assert_int_equal(v.class, VERDICT_LEAK);
    v = combined(VERDICT_PEAK_DEMAND, VERDICT_PEAK_DEMAND, 2, PREDICTION_UNDECIDED);
    assert_int_equal(v.class, VERDICT_PEAK_DEMAND);
    assert_non_null(strstr(v.summary, "needs more than that"));
}

static void test_raise_without_a_kill(void **state)
{
    (void)state;
    assert_int_equal(combined(VERDICT_PEAK_DEMAND, VERDICT_STABLE, 0, PREDICTION_UNDECIDED).class,
                     VERDICT_PEAK_DEMAND);
    assert_int_equal(combined(VERDICT_LEAK, VERDICT_BOUNDED_CACHE, 0, PREDICTION_UNDECIDED).class,
                     VERDICT_BOUNDED_CACHE);
    assert_int_equal(combined(VERDICT_INCONCLUSIVE, VERDICT_STABLE, 0, PREDICTION_UNDECIDED).class,
                     VERDICT_PEAK_DEMAND);
    assert_int_equal(combined(VERDICT_PEAK_DEMAND, VERDICT_LEAK, 0, PREDICTION_UNDECIDED).class,
                     VERDICT_LEAK);
    assert_int_equal(combined(VERDICT_LEAK, VERDICT_INCONCLUSIVE, 0, PREDICTION_UNDECIDED).class,
                     VERDICT_LEAK);
    struct verdict refuted = combined(VERDICT_LEAK, VERDICT_INCONCLUSIVE, 0, PREDICTION_REFUTED);
    assert_int_equal(refuted.class, VERDICT_INCONCLUSIVE); /* it outlived its own forecast */
    assert_non_null(strstr(refuted.summary, "no kill came"));
    assert_int_equal(combined(VERDICT_LEAK, VERDICT_LEAK, 0, PREDICTION_REFUTED).class,
                     VERDICT_LEAK); /* and yet it grows there */
    struct verdict before = verdict_like(VERDICT_LEAK, 3, 64), ret;
    struct verdict level = verdict_like(VERDICT_STABLE, 0, 128);
    before.watched = false; /* its start, or its work? */
    verdict_combine(&before, &level, PREDICTION_UNDECIDED, &ret);
    assert_int_equal(ret.class, VERDICT_INCONCLUSIVE);
    assert_non_null(strstr(ret.summary, "no leak"));
    assert_true(ret.would_settle[0] != '\0');
    struct recommendation advice;
    recommend(&ret, &level, 64 * MIB, NULL, &advice);
    assert_int_equal(advice.action, ADVISE_RAISE_LIMIT); /* that much is known */

    before = verdict_like(VERDICT_PEAK_DEMAND, 3, 64);
    verdict_combine(&before, NULL, PREDICTION_UNDECIDED, &ret);
    assert_int_equal(ret.class, VERDICT_PEAK_DEMAND);
    struct verdict growing = verdict_like(VERDICT_INCONCLUSIVE, 0, 128);
    growing.drift_bytes = (struct estimate){9 * MIB, 8 * MIB, 10 * MIB};
    verdict_combine(&before, &growing, PREDICTION_UNDECIDED, &ret);
    assert_int_equal(ret.class, VERDICT_INCONCLUSIVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_confusion_matrix),
        cmocka_unit_test(test_built_in_lab),
        cmocka_unit_test(test_one_kilohertz),
        cmocka_unit_test(test_late_answers_are_not_idle),
        cmocka_unit_test(test_level_of_the_sources),
        cmocka_unit_test(test_level_needs_cycles),
        cmocka_unit_test(test_deaths_that_are_not_memory),
        cmocka_unit_test(test_never_ready),
        cmocka_unit_test(test_a_death_near_the_limit_stays_open),
        cmocka_unit_test(test_killed_for_others),
        cmocka_unit_test(test_nothing_to_judge),
        cmocka_unit_test(test_unknown_limit),
        cmocka_unit_test(test_startup_confidence),
        cmocka_unit_test(test_growth_of_a_lifetime),
        cmocka_unit_test(test_kind_of_growth),
        cmocka_unit_test(test_reclaimed_page_cache),
        cmocka_unit_test(test_killed_by_what_is_in_flight),
        cmocka_unit_test(test_runtimes_own_limit_is_not_the_containers),
        cmocka_unit_test(test_nothing_served_is_not_stable),
        cmocka_unit_test(test_few_requests_settle_nothing),
        cmocka_unit_test(test_a_wide_interval_needs_room),
        cmocka_unit_test(test_more_cycles_make_a_level_surer),
        cmocka_unit_test(test_tear_down_is_no_release),
        cmocka_unit_test(test_ends_are_named),
        cmocka_unit_test(test_children_killed),
        cmocka_unit_test(test_ticks_are_not_requests),
        cmocka_unit_test(test_requests_in_flight),
        cmocka_unit_test(test_warm_up_is_no_cache),
        cmocka_unit_test(test_raise_has_the_last_word),
        cmocka_unit_test(test_raise_without_a_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
