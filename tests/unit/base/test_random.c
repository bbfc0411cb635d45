/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"

static void test_reference_sequence(void **state)
{
    (void)state;
    /* The first outputs of SplitMix64 for seed 1234567, as published with Rosetta Code's task
     * "Pseudo-random numbers/Splitmix64". */
    static const uint64_t expected[] = {
        UINT64_C(6457827717110365317),  UINT64_C(3203168211198807973),
        UINT64_C(9817491932198370423),  UINT64_C(4593380528125082431),
        UINT64_C(16408922859458223821),
    };
    struct random random = {.state = 1234567};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_true(random_next(&random) == expected[i]);
}

static void test_unit_interval(void **state)
{
    (void)state;
    struct random random = {.state = 1};
    double sum = 0;
    for (unsigned i = 0; i < 100000; i++) {
        double value = random_unit(&random);
        assert_true(value >= 0 && value < 1);
        sum += value;
    }
    /* Standard error of the mean: 1 / sqrt(12 * 100000) = 0.0009. */
    assert_true(sum / 100000 > 0.495 && sum / 100000 < 0.505);
}

static void test_below(void **state)
{
    (void)state;
    struct random random = {.state = 7};
    unsigned seen[10] = {0};
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t value = random_below(&random, 10);
        assert_true(value < 10);
        seen[value]++;
    }
    for (size_t i = 0; i < 10; i++)
        assert_in_range(seen[i], 9500, 10500);
    assert_true(random_below(&random, 1) == 0);
    assert_true(random_below(&random, UINT64_MAX) < UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_sequence),
        cmocka_unit_test(test_unit_interval),
        cmocka_unit_test(test_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
