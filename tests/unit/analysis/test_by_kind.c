/* SPDX-License-Identifier: Apache-2.0 */
/* An arm's growth by kind of memory: series of known rates, and processes of known truth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/by_kind.h"
#include "simulate.h"

#include <math.h>

#define POINTS    400
#define LIFETIMES 2
#define MIB       1048576.0

/* Bytes that each request adds to each kind. */
static const double RATES[MEMORY_KINDS] = {40960, 8192, 1024, 4096, 2048};

struct steady {
    struct point points[LIFETIMES][POINTS];
    struct lifetime_series lifetimes[LIFETIMES];
};

/* Two lifetimes, ten requests a second, a sample with each. */
static struct arm_series make_steady(struct steady *steady)
{
    for (unsigned i = 0; i < LIFETIMES; i++) {
        for (int k = 0; k < POINTS; k++) {
            double requests = k, of[MEMORY_KINDS];
            for (size_t kind = 0; kind < MEMORY_KINDS; kind++)
                of[kind] = 10 * MIB + RATES[kind] * requests;
            double file = of[MEMORY_SHMEM] + of[MEMORY_FILE_ACTIVE] + of[MEMORY_FILE_INACTIVE];
            steady->points[i][k] = (struct point){
                .t_s = requests / 10,
                .requests = requests,
                .working_set =
                    of[MEMORY_ANON] + of[MEMORY_KERNEL] + file - of[MEMORY_FILE_INACTIVE],
                .anon = of[MEMORY_ANON],
                .file = file,
                .inactive_file = of[MEMORY_FILE_INACTIVE],
                .shmem = of[MEMORY_SHMEM],
                .kernel = of[MEMORY_KERNEL],
            };
        }
        steady->lifetimes[i] = (struct lifetime_series){.index = i + 1,
                                                        .points = steady->points[i],
                                                        .count = POINTS,
                                                        .uptime_s = POINTS / 10.0,
                                                        .requests_completed = POINTS,
                                                        .cause = CAUSE_OOM_CONTAINER_LIMIT,
                                                        .peak_bytes = NAN};
    }
    return (struct arm_series){90 * MIB, steady->lifetimes, LIFETIMES};
}

static void assert_near(double value, double expected, double share)
{
    if (!(fabs(value - expected) <= share * fabs(expected)))
        fail_msg("%.12g instead of %.12g", value, expected);
}

static const struct verdict BY_REQUESTS = {.driver = DRIVER_REQUESTS, .per_request = {1, 1, 1}};
static const struct verdict BY_TIME = {.driver = DRIVER_TIME, .per_request = {1, 1, 1}};

static void test_each_kind_its_own_rate(void **state)
{
    (void)state;
    struct steady steady;
    struct arm_series arm = make_steady(&steady);
    struct growth_kinds kinds;
    assert_int_equal(growth_by_kind(&arm, &BY_REQUESTS, &kinds), 0);
    assert_true(kinds.by_requests);
    for (size_t kind = 0; kind < MEMORY_KINDS; kind++)
        assert_near(kinds.bytes[kind], RATES[kind], 1e-9);
    assert_int_equal(growth_by_kind(&arm, &BY_TIME, &kinds), 0);
    assert_false(kinds.by_requests);
    for (size_t kind = 0; kind < MEMORY_KINDS; kind++)
        assert_near(kinds.bytes[kind], 10 * RATES[kind], 1e-9);
}

/* What the source does not tell stays unknown, and takes nothing else along. */
static void test_unknown_kinds_stay_unknown(void **state)
{
    (void)state;
    struct steady steady;
    struct arm_series arm = make_steady(&steady);
    for (size_t i = 0; i < LIFETIMES; i++)
        for (size_t k = 0; k < POINTS; k++)
            steady.points[i][k].kernel = steady.points[i][k].file = NAN;
    struct growth_kinds kinds;
    assert_int_equal(growth_by_kind(&arm, &BY_REQUESTS, &kinds), 0);
    assert_near(kinds.bytes[MEMORY_ANON], RATES[MEMORY_ANON], 1e-9);
    assert_near(kinds.bytes[MEMORY_FILE_INACTIVE], RATES[MEMORY_FILE_INACTIVE], 1e-9);
    assert_true(isnan(kinds.bytes[MEMORY_KERNEL]) && isnan(kinds.bytes[MEMORY_FILE_ACTIVE]));
}

static void test_too_few_samples_are_unknown(void **state)
{
    (void)state;
    struct steady steady;
    struct arm_series arm = make_steady(&steady), none = {90 * MIB, NULL, 0};
    struct growth_kinds kinds;
    for (size_t i = 0; i < LIFETIMES; i++)
        steady.lifetimes[i].count = i; /* none, and one */
    assert_int_equal(growth_by_kind(&arm, &BY_REQUESTS, &kinds), 0);
    assert_true(isnan(kinds.bytes[MEMORY_ANON]));
    assert_int_equal(growth_by_kind(&none, &BY_REQUESTS, &kinds), 0);
    assert_true(isnan(kinds.bytes[MEMORY_ANON]));
}

/* Under cycles, pauses, kills and noise; the leak is all in one kind. */
static void check_model(enum model model, enum memory_kind leaking)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim sim = sim_draw(model, seed);
        struct arm_series arm = sim_run(&sim);
        struct verdict verdict;
        struct growth_kinds kinds;
        assert_int_equal(verdict_of_arm(&arm, &verdict), 0);
        assert_int_equal(growth_by_kind(&arm, &verdict, &kinds), 0);
        double whole = kinds.by_requests ? verdict.per_request.value : verdict.per_second.value;
        assert_true(kinds.by_requests == (model != MODEL_LEAK_TIME));
        for (enum memory_kind kind = 0; kind < MEMORY_KINDS; kind++) {
            if (kind == leaking)
                assert_near(kinds.bytes[kind], whole, 0.05);
            else if (!(fabs(kinds.bytes[kind]) <= 0.05 * whole))
                fail_msg("seed %ju: %s grows by %g of %g", (uintmax_t)seed, memory_kind_name(kind),
                         kinds.bytes[kind], whole);
        }
        sim_done(&arm);
    }
}

static void test_leaks_of_one_kind(void **state)
{
    (void)state;
    check_model(MODEL_LEAK, MEMORY_ANON);
    check_model(MODEL_LEAK_SHMEM, MEMORY_SHMEM);
    check_model(MODEL_LEAK_TIME, MEMORY_ANON);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_its_own_rate),
        cmocka_unit_test(test_unknown_kinds_stay_unknown),
        cmocka_unit_test(test_too_few_samples_are_unknown),
        cmocka_unit_test(test_leaks_of_one_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
