/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/totals.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define assert_near(value, expected, by) assert_true(fabs((value) - (expected)) <= (by))

#define RATE 65536U

struct fixture {
    struct heap_map *map;
    struct heap_totals totals;
    uint64_t random;
    uint32_t used;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    fixture->map = aligned_alloc(4096, sizeof(struct heap_map));
    assert_non_null(fixture->map);
    memset(fixture->map, 0, sizeof(struct heap_map));
    fixture->map->processes[1] = (struct heap_process){.state = HEAP_PROCESS_LIVE, .pid = 1};
    fixture->random = 12345;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    free(fixture->map);
    free(fixture);
    return 0;
}

static struct heap_sample *put(struct fixture *fixture, uint32_t slot, uint64_t size,
                               uint32_t stack)
{
    struct heap_sample *sample = &fixture->map->samples[fixture->used];
    fixture->map->keys[fixture->used] =
        HEAP_KEY(slot, 0x7f0000000000 + 64 * (uint64_t)fixture->used);
    fixture->used++;
    *sample = (struct heap_sample){
        .size_bytes = size,
        .rate_bytes = RATE,
        .stack = stack,
        .sequence = 1,
    };
    return sample;
}

static double uniform(struct fixture *fixture)
{
    fixture->random = fixture->random * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return (double)(fixture->random >> 11) * 0x1p-53;
}

static void test_range_of_means(void **state)
{
    struct fixture *fixture = *state;
    heap_totals_sum(fixture->map, fixture->map->processes, &fixture->totals);
    assert_int_equal(fixture->totals.rate_least, 0);
    assert_int_equal(fixture->totals.rate_most, 0);
    put(fixture, 1, 100, 5);
    put(fixture, 1, 100, 5)->rate_bytes = RATE / 4;
    put(fixture, 1, 100, 5)->rate_bytes = UINT64_C(2) * RATE;
    put(fixture, 2, 100, 5)->rate_bytes = UINT64_C(4) * RATE; /* of a process that is not there */
    heap_totals_sum(fixture->map, fixture->map->processes, &fixture->totals);
    assert_int_equal(fixture->totals.rate_least, RATE / 4);
    assert_int_equal(fixture->totals.rate_most, 2 * RATE);
}

static void test_weight_of_one(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, 1, RATE, 7);
    heap_totals_sum(fixture->map, fixture->map->processes, &fixture->totals);
    /* 1 / (1 - 1/e) = 1.5819767 */
    assert_near(fixture->totals.stacks[7].objects, 1.5819767068693265, 1e-12);
    assert_near(fixture->totals.stacks[7].bytes, 1.5819767068693265 * RATE, 1e-6);
    assert_int_equal(fixture->totals.samples, 1);
    assert_int_equal(fixture->totals.torn, 0);
}

/* What the recorder does, many times over: the mean is the truth and the interval covers it. */
static void simulate(struct fixture *fixture, uint64_t size, unsigned objects, double *ret_mean,
                     double *ret_covered)
{
    const int runs = 2000;
    double p = heap_sample_probability(size, RATE), truth = (double)size * objects;
    double sum = 0, covered = 0;
    for (int run = 0; run < runs; run++) {
        fixture->used = 0;
        memset(fixture->map->keys, 0, 4096 * sizeof(fixture->map->keys[0]));
        for (unsigned i = 0; i < objects; i++) {
            if (uniform(fixture) < p)
                put(fixture, 1, size, 3);
        }
        double bytes = 0, variance = 0, low, high;
        for (unsigned i = 0; i < fixture->used; i++) {
            double weight = (double)size / p;
            bytes += weight;
            variance += (1 - p) * weight * weight;
        }
        if (run % 500 == 0) { /* the sum itself is slow: it reads the whole table */
            heap_totals_sum(fixture->map, fixture->map->processes, &fixture->totals);
            assert_near(fixture->totals.stacks[3].bytes, bytes, 1e-3);
            assert_near(fixture->totals.stacks[3].variance, variance, variance * 1e-9);
        }
        heap_total_interval(bytes, variance, &low, &high);
        sum += bytes;
        covered += low <= truth && truth <= high;
    }
    *ret_mean = sum / runs / truth;
    *ret_covered = covered / runs;
}

static void test_unbiased_and_covered(void **state)
{
    static const struct {
        uint64_t size;
        unsigned objects;
    } cases[] = {{24, 60000}, {512, 6000}, {4096, 400}, {65536, 60}, {200000, 40}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        double mean, covered;
        simulate(*state, cases[i].size, cases[i].objects, &mean, &covered);
        /* 2000 runs of about 20 samples: the mean's own deviation is 0.5 %. */
        assert_true(fabs(mean - 1) < 0.025);
        assert_true(covered >= 0.93 && covered <= 0.99);
    }
}

static void test_interval_of_a_certain_sum(void **state)
{
    double low, high;
    (void)state;
    heap_total_interval(1000, 0, &low, &high);
    assert_near(low, 1000, 0);
    assert_near(high, 1000, 0);
    /* Ten samples of one unit each: the exact Poisson limits are 4.795 and 18.390 (chi-squared
     * quantiles, Garwood 1936). */
    heap_total_interval(10, 10, &low, &high);
    assert_near(low, 4.795, 0.02);
    assert_near(high, 18.390, 0.02);
}

static void test_torn_is_left_out(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, 1, 100, 5);
    put(fixture, 1, 100, 5);
    fixture->map->keys[fixture->used - 1] |= HEAP_KEY_WRITING;
    put(fixture, 1, 0, 5); /* no size: cannot have been sampled */
    put(fixture, 1, 100, 5)->rate_bytes = 0;
    put(fixture, 1, 100, HEAP_STACKS + 9); /* an impossible stack is a lost one */
    heap_totals_sum(fixture->map, fixture->map->processes, &fixture->totals);
    assert_int_equal(fixture->totals.torn, 1);
    assert_int_equal(fixture->totals.stacks[5].samples, 1);
    assert_int_equal(fixture->totals.stacks[0].samples, 1);
    assert_int_equal(fixture->totals.samples, 2);
}

static void test_whose_samples_count(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        uint32_t state;
        int32_t pid;
        bool counts;
    } cases[] = {
        {HEAP_PROCESS_LIVE, 12, true},     {HEAP_PROCESS_FREE, 12, false},
        {HEAP_PROCESS_EXITED, 1, true}, /* its end is the moment in question */
        {HEAP_PROCESS_EXITED, 12, false},  {HEAP_PROCESS_REPLACED, 1, false},
        {HEAP_PROCESS_CLAIMED, 12, false},
    };
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture->map->processes[i + 2] =
            (struct heap_process){.state = cases[i].state, .pid = cases[i].pid};
        put(fixture, i + 2, 100, 10 + i);
    }
    heap_totals_sum(fixture->map, fixture->map->processes, &fixture->totals);
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(fixture->totals.stacks[10 + i].samples, cases[i].counts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_range_of_means, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_weight_of_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unbiased_and_covered, set_up, tear_down),
        cmocka_unit_test(test_interval_of_a_certain_sum),
        cmocka_unit_test_setup_teardown(test_torn_is_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_whose_samples_count, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
