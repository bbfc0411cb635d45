/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/metrics.h"
#include "base/terms.h"

#include <string.h>

/* Every value of an enum has a spelling of its own, in the contract's style. */
#define ASSERT_NAMES(count, first, name_of)                                                        \
    do {                                                                                           \
        for (unsigned i = (first); i < (count); i++) {                                             \
            assert_non_null(name_of(i));                                                           \
            assert_true(strlen(name_of(i)) > 2);                                                   \
            for (unsigned j = (first); j < i; j++)                                                 \
                assert_string_not_equal(name_of(i), name_of(j));                                   \
        }                                                                                          \
    } while (0)

static void test_every_value_has_its_name(void **state)
{
    (void)state;
    ASSERT_NAMES(LEVEL_COUNT, 0, level_name);
    ASSERT_NAMES(CAUSE_COUNT, 0, cause_name);
    ASSERT_NAMES(VERDICT_COUNT, 0, verdict_class_name);
    ASSERT_NAMES(DRIVER_COUNT, DRIVER_REQUESTS, driver_name);
    ASSERT_NAMES(PLATFORM_KILL_COUNT, 0, platform_kill_name);
    ASSERT_NAMES(METRIC_COUNT, 0, metric_name);
    assert_null(driver_name(DRIVER_NONE));
}

static void test_the_contracts_spellings(void **state)
{
    (void)state;
    assert_string_equal(level_name(LEVEL_STRONGLY_SUGGESTED), "Strongly Suggested");
    assert_string_equal(cause_name(CAUSE_OOM_CONTAINER_LIMIT), "oom-container-limit");
    assert_string_equal(verdict_class_name(VERDICT_STARTUP_DEMAND), "startup-demand");
    assert_string_equal(metric_name(METRIC_WORKING_SET), "working_set_bytes");
    assert_string_equal(metric_name(METRIC_PSI_FULL), "psi_full_us");
}

static void test_the_weaker_level_wins(void **state)
{
    (void)state;
    assert_int_equal(level_weaker(LEVEL_MEASURED, LEVEL_INFERRED), LEVEL_INFERRED);
    assert_int_equal(level_weaker(LEVEL_NOT_PROVEN, LEVEL_OBSERVED), LEVEL_NOT_PROVEN);
    assert_int_equal(level_weaker(LEVEL_OBSERVED, LEVEL_OBSERVED), LEVEL_OBSERVED);
}

static void test_absent_is_not_zero(void **state)
{
    (void)state;
    struct metrics metrics = {0};
    assert_false(metrics_has(&metrics, METRIC_OOM_KILL));
    metrics_put(&metrics, METRIC_OOM_KILL, 0);
    assert_true(metrics_has(&metrics, METRIC_OOM_KILL));
    assert_false(metrics_has(&metrics, METRIC_OOM));
    for (unsigned metric = 0; metric < METRIC_COUNT; metric++)
        metrics_put(&metrics, metric, metric + 1);
    for (unsigned metric = 0; metric < METRIC_COUNT; metric++) {
        assert_true(metrics_has(&metrics, metric));
        assert_int_equal(metrics.value[metric], metric + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_value_has_its_name),
        cmocka_unit_test(test_the_contracts_spellings),
        cmocka_unit_test(test_the_weaker_level_wins),
        cmocka_unit_test(test_absent_is_not_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
