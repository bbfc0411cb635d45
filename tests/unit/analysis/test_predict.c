/* SPDX-License-Identifier: Apache-2.0 */
/* Predictions against simulated kills under another limit: how often the interval holds the next
 * one, and how wide it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/predict.h"
#include "simulate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MIB 1048576.0

static unsigned seeds(void)
{
    const char *text = getenv("OOMLAB_TEST_SEEDS");
    return text ? (unsigned)strtoul(text, NULL, 10) : 60;
}

struct coverage {
    unsigned predicted, held;
    double width; /* sum of (high - low) / middle */
    double error; /* sum of |observed / middle - 1| */
};

/* Long enough for the kill under the raised limit. */
static struct sim draw(enum model model, uint64_t seed, unsigned kills)
{
    struct sim sim = sim_draw(model, seed);
    sim.cycles *= 4;
    sim.kill_stop = kills;
    return sim;
}

static size_t predictions_of(const struct sim *sim, double factor, struct prediction *ret)
{
    struct arm_series trigger = sim_run(sim);
    struct verdict verdict;
    assert_int_equal(verdict_of_arm(&trigger, &verdict), 0);
    size_t count = predict_for_limit(&trigger, &verdict, factor * sim->limit, ret, PREDICTIONS_MAX);
    sim_done(&trigger);
    return count;
}

/* The raise arm is another run: its own random numbers, the same program and requests. */
static double observe(struct sim sim, double factor, const char *metric)
{
    sim.limit *= factor;
    sim.seed += 1000000;
    struct arm_series raise = sim_run(&sim);
    double observed = predict_observed(&raise, metric);
    sim_done(&raise);
    return observed;
}

static void try_one(enum model model, uint64_t seed, unsigned kills, double factor,
                    const char *metric, struct coverage *coverage)
{
    struct sim sim = draw(model, seed, kills);
    struct prediction predictions[PREDICTIONS_MAX];
    size_t count = predictions_of(&sim, factor, predictions);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(predictions[i].hypothesis, "leak") || strcmp(predictions[i].metric, metric))
            continue;
        double observed = observe(sim, factor, metric);
        if (isnan(observed)) /* the traffic ended before */
            return;
        double middle = (predictions[i].low + predictions[i].high) / 2;
        assert_true(predictions[i].low >= 0 && predictions[i].low <= predictions[i].high);
        coverage->predicted++;
        coverage->held += predict_holds(&predictions[i], observed);
        coverage->width += (predictions[i].high - predictions[i].low) / middle;
        coverage->error += fabs(observed / middle - 1);
    }
}

static struct coverage cover(enum model model, unsigned kills, double factor, const char *metric)
{
    struct coverage coverage = {0};
    for (uint64_t seed = 1; seed <= UINT64_C(4) * seeds(); seed++)
        try_one(model, seed, kills, factor, metric, &coverage);
    print_message("%-32s %u kills, limit x %.1f, %-17s: %5.1f %% of %u held, mean width %4.1f %%, "
                  "mean error %.1f %%\n",
                  model_name(model), kills, factor, metric,
                  100.0 * coverage.held / coverage.predicted, coverage.predicted,
                  100 * coverage.width / coverage.predicted,
                  100 * coverage.error / coverage.predicted);
    assert_true(coverage.predicted >= 3 * seeds());
    return coverage;
}

static void assert_covers(enum model model, unsigned kills, double factor, const char *metric,
                          double width)
{
    struct coverage coverage = cover(model, kills, factor, metric);
    assert_true(10 * coverage.held >= 9 * coverage.predicted);
    assert_true(coverage.width <= width * coverage.predicted);
}

static void test_requests_to_kill(void **state)
{
    (void)state;
    assert_covers(MODEL_LEAK, 3, 2, PREDICT_REQUESTS, 0.45);
    assert_covers(MODEL_LEAK, 5, 2, PREDICT_REQUESTS, 0.3);
    assert_covers(MODEL_LEAK, 3, 1.5, PREDICT_REQUESTS, 0.45);
    assert_covers(MODEL_LEAK_SHMEM, 3, 2, PREDICT_REQUESTS, 0.45);
    assert_covers(MODEL_LEAK_COLLECTED, 3, 2, PREDICT_REQUESTS, 0.45);
}

static void test_two_kills_and_one(void **state)
{
    (void)state;
    assert_covers(MODEL_LEAK, 2, 2, PREDICT_REQUESTS, 1.2); /* t with one degree of freedom */
    assert_covers(MODEL_LEAK, 1, 2, PREDICT_REQUESTS, 0.8);
}

static void test_seconds_to_kill(void **state)
{
    (void)state;
    assert_covers(MODEL_LEAK_TIME, 3, 2, PREDICT_SECONDS, 0.45);
    assert_covers(MODEL_LEAK_TICKS, 3, 2, PREDICT_SECONDS, 0.7);
    assert_covers(MODEL_LEAK, 3, 2, PREDICT_SECONDS,
                  2.5); /* pauses of the traffic come in between */
}

/* A program as regular as the built-in lab's (3 MiB a request in 512 MiB): the interval is narrow.
 */
static void test_regular_leak(void **state)
{
    (void)state;
    struct sim sim = draw(MODEL_LEAK, 1, 3);
    sim.limit = 512 * MIB;
    sim.base = 6 * MIB;
    sim.per_request = 3 * MIB;
    sim.noise = sim.spread = 0;
    sim.rate = 100;
    sim.hertz = 20;
    struct prediction predictions[PREDICTIONS_MAX];
    assert_int_equal(predictions_of(&sim, 2, predictions), 3);
    double observed = observe(sim, 2, PREDICT_REQUESTS);
    print_message("regular leak: %.1f to %.1f requests predicted, %.0f observed\n",
                  predictions[0].low, predictions[0].high, observed);
    assert_true(predict_holds(&predictions[0], observed));
    assert_true(predictions[0].high - predictions[0].low < 0.1 * observed);
}

static void test_rivals(void **state)
{
    (void)state;
    struct prediction predictions[PREDICTIONS_MAX];
    struct sim sim = draw(MODEL_LEAK, 1, 3);
    size_t count = predictions_of(&sim, 2, predictions);
    assert_int_equal(count, 3);
    assert_string_equal(predictions[0].hypothesis, "leak");
    assert_string_equal(predictions[0].metric, PREDICT_REQUESTS);
    assert_string_equal(predictions[1].metric, PREDICT_SECONDS);
    assert_string_equal(predictions[2].hypothesis, "peak-demand");
    assert_string_equal(predictions[2].metric, PREDICT_KILLED);
    assert_true(predictions[2].low == 0 && predictions[2].high == 0);

    sim = draw(MODEL_LEAK_TIME, 1, 3);
    count = predictions_of(&sim, 2, predictions);
    assert_int_equal(count, 2);
    assert_string_equal(predictions[0].metric, PREDICT_SECONDS);

    sim = draw(MODEL_STARTUP, 1, 3);
    count = predictions_of(&sim, 2, predictions);
    assert_int_equal(count, 2);
    assert_string_equal(predictions[0].hypothesis, "startup-demand");
    assert_true(predictions[0].high == 0);
    assert_string_equal(predictions[1].hypothesis, "leak");
    assert_true(predictions[1].low == 1 && predictions[1].high == 1);

    sim = draw(MODEL_HEALTHY, 1, 3);
    assert_int_equal(predictions_of(&sim, 2, predictions), 0);
}

static void test_room_for_fewer(void **state)
{
    (void)state;
    struct sim sim = draw(MODEL_LEAK, 1, 3);
    struct arm_series trigger = sim_run(&sim);
    struct verdict verdict;
    struct prediction predictions[PREDICTIONS_MAX];
    assert_int_equal(verdict_of_arm(&trigger, &verdict), 0);
    for (size_t max = 0; max <= 3; max++)
        assert_int_equal(predict_for_limit(&trigger, &verdict, 2 * sim.limit, predictions, max),
                         max);
    assert_int_equal(predict_for_limit(&trigger, &verdict, NAN, predictions, 4), 0);
    assert_int_equal(predict_for_limit(&trigger, &verdict, 0, predictions, 4), 0);
    sim_done(&trigger);
}

static void test_observed(void **state)
{
    (void)state;
    struct lifetime_series lifetimes[] = {
        {.cause = CAUSE_EXITED, .requests_completed = 5, .uptime_s = 1},
        {.cause = CAUSE_OOM_CONTAINER_LIMIT, .requests_completed = 70, .uptime_s = 2},
        {.cause = CAUSE_OOM_CONTAINER_LIMIT, .requests_completed = 90, .uptime_s = 3},
    };
    struct arm_series arm = {.lifetimes = lifetimes, .count = 3};
    assert_true(predict_observed(&arm, PREDICT_REQUESTS) == 70);
    assert_true(predict_observed(&arm, PREDICT_SECONDS) == 2);
    assert_true(predict_observed(&arm, PREDICT_KILLED) == 1);
    assert_true(isnan(predict_observed(&arm, "else")));
    arm.count = 1;
    assert_true(isnan(predict_observed(&arm, PREDICT_REQUESTS)));
    assert_true(predict_observed(&arm, PREDICT_KILLED) == 0);

    struct prediction prediction = {.low = 10, .high = 20};
    assert_true(predict_holds(&prediction, 10) && predict_holds(&prediction, 20));
    assert_false(predict_holds(&prediction, 9.9));
    assert_false(predict_holds(&prediction, 20.1));
    assert_false(predict_holds(&prediction, NAN));
}

static enum prediction_outcome settle(size_t index, enum end_cause cause, double requests,
                                      double *ret_observed)
{
    const struct prediction all[] = {
        {.hypothesis = "leak", .metric = PREDICT_REQUESTS, .low = 320, .high = 350},
        {.hypothesis = "leak", .metric = PREDICT_SECONDS, .low = 3, .high = 4},
        {.hypothesis = "peak-demand", .metric = PREDICT_KILLED, .low = 0, .high = 0},
    };
    const struct lifetime_series lifetime = {
        .index = 1, .uptime_s = 9, .requests_completed = requests, .cause = cause};
    const struct arm_series arm = {.limit_bytes = 1, .lifetimes = &lifetime, .count = 1};
    return predict_settle(all, 3, index, &arm, ret_observed);
}

/* Traffic that ends inside or before the interval decides nothing, for no hypothesis. */
static void test_censored(void **state)
{
    (void)state;
    double observed;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(settle(i, CAUSE_RUNNING, 340, &observed), PREDICTION_UNDECIDED);
        assert_true(isnan(observed));
    }
    assert_int_equal(settle(0, CAUSE_RUNNING, 351, &observed), PREDICTION_REFUTED);
    assert_true(observed == 351);
    assert_int_equal(settle(1, CAUSE_RUNNING, 351, &observed), PREDICTION_REFUTED);
    assert_int_equal(settle(2, CAUSE_RUNNING, 351, &observed), PREDICTION_HOLDS);
    assert_true(observed == 0);
    assert_int_equal(settle(0, CAUSE_OOM_CONTAINER_LIMIT, 340, &observed), PREDICTION_HOLDS);
    assert_true(observed == 340);
    assert_int_equal(settle(0, CAUSE_OOM_CONTAINER_LIMIT, 319, &observed), PREDICTION_REFUTED);
    assert_int_equal(settle(2, CAUSE_OOM_CONTAINER_LIMIT, 319, &observed), PREDICTION_REFUTED);
}

/* "Not killed" is about the container: a child's kill refutes it, be it that the main process
 * lives.
 */
static void test_a_killed_child_is_a_kill(void **state)
{
    (void)state;
    const struct prediction demand = {.hypothesis = "peak-demand", .metric = PREDICT_KILLED};
    struct lifetime_series lifetime = {
        .index = 1, .uptime_s = 9, .requests_completed = 40, .cause = CAUSE_RUNNING};
    const struct arm_series arm = {.limit_bytes = 1, .lifetimes = &lifetime, .count = 1};
    double observed;
    assert_int_equal(predict_settle(&demand, 1, 0, &arm, &observed), PREDICTION_HOLDS);
    lifetime.child_kills = 1282;
    assert_int_equal(predict_settle(&demand, 1, 0, &arm, &observed), PREDICTION_REFUTED);
    assert_true(observed == 1);
    assert_true(isnan(predict_observed(&arm, PREDICT_REQUESTS)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_to_kill),
        cmocka_unit_test(test_two_kills_and_one),
        cmocka_unit_test(test_a_killed_child_is_a_kill),
        cmocka_unit_test(test_seconds_to_kill),
        cmocka_unit_test(test_regular_leak),
        cmocka_unit_test(test_rivals),
        cmocka_unit_test(test_room_for_fewer),
        cmocka_unit_test(test_observed),
        cmocka_unit_test(test_censored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
