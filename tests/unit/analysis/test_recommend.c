/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/recommend.h"

#include <math.h>
#include <string.h>

#define MIB 1048576.0

static struct recommendation advise(enum verdict_class class, unsigned kills, double peak,
                                    const struct verdict *raised)
{
    struct verdict trigger = {.class = class, .kills = kills, .peak_bytes = peak * MIB};
    struct recommendation advice;
    if (class == VERDICT_INCONCLUSIVE)
        strcpy(trigger.would_settle, "More cycles.");
    struct verdict verdict;
    verdict_combine(&trigger, raised, PREDICTION_UNDECIDED, &verdict);
    recommend(&verdict, raised, 512 * MIB, NULL, &advice);
    assert_true(advice.reason[0] != '\0');
    return advice;
}

static struct verdict raised(enum verdict_class class, unsigned kills, double peak)
{
    return (struct verdict){.class = class, .kills = kills, .peak_bytes = peak * MIB};
}

static void test_a_leak_gets_no_size(void **state)
{
    (void)state;
    struct recommendation advice = advise(VERDICT_LEAK, 3, 512, NULL);
    assert_int_equal(advice.action, ADVISE_FIX_LEAK);
    assert_true(isnan(advice.memory_bytes));
    struct verdict again = raised(VERDICT_LEAK, 2, 1024);
    advice = advise(VERDICT_LEAK, 3, 512, &again);
    assert_int_equal(advice.action, ADVISE_FIX_LEAK);
    assert_non_null(strstr(advice.reason, "killed again"));
    advice = advise(VERDICT_INCONCLUSIVE, 3, 512, &again); /* more memory showed what it was */
    assert_int_equal(advice.action, ADVISE_FIX_LEAK);
}

/* max(peak + 100 MiB, 1.2 peak), from the need that was seen under more memory. */
static void test_size_after_a_demand(void **state)
{
    (void)state;
    struct verdict cured = raised(VERDICT_STABLE, 0, 606);
    struct recommendation advice = advise(VERDICT_STARTUP_DEMAND, 3, 512, &cured);
    assert_int_equal(advice.action, ADVISE_RAISE_LIMIT);
    assert_true(fabs(advice.memory_bytes - 727.2 * MIB) < 1); /* 1.2 x 606 is above 706 */
    advice = advise(VERDICT_STARTUP_DEMAND, 3, 512, NULL);
    assert_int_equal(advice.action, ADVISE_RAISE_LIMIT);
    assert_true(fabs(advice.memory_bytes - 614.4 * MIB) < 1); /* 1.2 x 512 */
    cured.class = VERDICT_BOUNDED_CACHE;
    advice = advise(VERDICT_PEAK_DEMAND, 1, 512, &cured);
    assert_int_equal(advice.action, ADVISE_RAISE_LIMIT);
}

/* What looked like a leak, and levelled off with more memory, was none. */
static void test_raise_refutes_a_leak(void **state)
{
    (void)state;
    struct verdict cured = raised(VERDICT_BOUNDED_CACHE, 0, 700);
    struct recommendation advice = advise(VERDICT_LEAK, 3, 512, &cured);
    assert_int_equal(advice.action, ADVISE_RAISE_LIMIT);
    assert_true(fabs(advice.memory_bytes - 840 * MIB) < 1);
    struct verdict open = raised(VERDICT_INCONCLUSIVE, 0, 700); /* not killed, but still growing */
    assert_int_equal(advise(VERDICT_LEAK, 3, 512, &open).action, ADVISE_FIX_LEAK);
}

static void test_survivors(void **state)
{
    (void)state;
    struct recommendation advice = advise(VERDICT_STABLE, 0, 100, NULL);
    assert_int_equal(advice.action, ADVISE_KEEP_LIMIT);
    assert_true(advice.memory_bytes == 512 * MIB);
    advice = advise(VERDICT_STABLE, 0, 500, NULL); /* 1.15 x 500 is over the limit */
    assert_int_equal(advice.action, ADVISE_RAISE_LIMIT);
    assert_true(fabs(advice.memory_bytes - 575 * MIB) < 1);
    advice = advise(VERDICT_RECLAIMABLE_CACHE, 0, 510, NULL);
    assert_int_equal(advice.action, ADVISE_RAISE_LIMIT); /* not known to be page cache */
    struct verdict cache = {.class = VERDICT_STABLE,
                            .peak_bytes = 512 * MIB,
                            .need_bytes = 20 * MIB}; /* page cache fills what it is given */
    recommend(&cache, NULL, 512 * MIB, NULL, &advice);
    assert_int_equal(advice.action, ADVISE_KEEP_LIMIT);
    assert_true(advice.memory_bytes == 512 * MIB);
    assert_non_null(strstr(advice.reason, "20.0 MiB without page cache"));
}

/* The raised limit was not enough either: no claim that one holds, and the size starts there. */
static void test_killed_under_both_limits(void **state)
{
    (void)state;
    struct verdict again = raised(VERDICT_PEAK_DEMAND, 2, 1024);
    again.limit_bytes = 1024 * MIB;
    struct recommendation advice = advise(VERDICT_PEAK_DEMAND, 3, 512, &again);
    assert_int_equal(advice.action, ADVISE_RAISE_LIMIT);
    assert_true(advice.memory_bytes > 1024 * MIB);
    assert_non_null(strstr(advice.reason, "needs more than 1.0 GiB"));
    assert_non_null(strstr(advice.reason, "No limit that holds"));
}

/* Child processes that were killed under the raised limit: it did not hold either, and no size
 * below it is a way out. */
static void test_children_killed_under_the_raised_limit(void **state)
{
    (void)state;
    static const enum verdict_class classes[] = {VERDICT_STARTUP_DEMAND, VERDICT_PEAK_DEMAND};
    struct verdict again = raised(VERDICT_INCONCLUSIVE, 0, 1024);
    again.limit_bytes = 1024 * MIB;
    again.child_kills = 1282;
    for (size_t i = 0; i < 2; i++) {
        struct recommendation advice = advise(classes[i], 1, 512, &again);
        assert_int_equal(advice.action, ADVISE_RAISE_LIMIT);
        assert_true(advice.memory_bytes > 1024 * MIB);
        assert_non_null(strstr(advice.reason, "No limit that holds"));
        assert_non_null(strstr(advice.reason, "1282 of its child processes were"));
    }
}

/* Too few requests to call it level, and yet the need that they showed is one. */
static void test_a_short_look_under_the_raised_limit(void **state)
{
    (void)state;
    struct verdict brief = raised(VERDICT_INCONCLUSIVE, 0, 700);
    brief.limit_bytes = 1024 * MIB;
    brief.drift_bytes = (struct estimate){MIB, 1, 2 * MIB};
    brief.looks_level = true;
    struct recommendation advice = advise(VERDICT_PEAK_DEMAND, 3, 512, &brief);
    assert_int_equal(advice.action, ADVISE_RAISE_LIMIT);
    assert_true(fabs(advice.memory_bytes - 840 * MIB) < 1);
    brief.looks_level = false; /* it grows there */
    assert_int_equal(advise(VERDICT_PEAK_DEMAND, 3, 512, &brief).action, ADVISE_INVESTIGATE);
}

/* Only children were killed: a limit under which none is, and memory is level, is their cure. */
static void test_children_held_by_the_raised_limit(void **state)
{
    (void)state;
    struct verdict trigger = {.class = VERDICT_INCONCLUSIVE,
                              .child_kills = 4,
                              .peak_bytes = 512 * MIB,
                              .would_settle = "More."};
    struct verdict held = raised(VERDICT_STABLE, 0, 606), verdict;
    held.limit_bytes = 1024 * MIB;
    verdict_combine(&trigger, &held, PREDICTION_UNDECIDED, &verdict);
    assert_int_equal(verdict.class, VERDICT_PEAK_DEMAND);
    struct recommendation advice;
    recommend(&verdict, &held, 512 * MIB, NULL, &advice);
    assert_int_equal(advice.action, ADVISE_RAISE_LIMIT);
    assert_true(fabs(advice.memory_bytes - 727.2 * MIB) < 1);
    held.class = VERDICT_INCONCLUSIVE;
    held.child_kills = 3;
    verdict_combine(&trigger, &held, PREDICTION_UNDECIDED, &verdict);
    assert_int_equal(verdict.class, VERDICT_INCONCLUSIVE);
    assert_non_null(strstr(verdict.summary, "killed 3 of its child processes"));
    assert_non_null(strstr(verdict.would_settle, "more than 1.0 GiB"));
}

/* The container's limit has no part in it: neither a size of it nor a forecast for one. */
static void test_a_leak_up_to_the_runtimes_limit(void **state)
{
    (void)state;
    struct verdict verdict = {
        .class = VERDICT_LEAK, .peak_bytes = 100 * MIB, .runtime_limit = true};
    struct recommendation advice;
    recommend(&verdict, NULL, 512 * MIB, NULL, &advice);
    assert_int_equal(advice.action, ADVISE_FIX_LEAK);
    assert_true(isnan(advice.memory_bytes));
    assert_null(strstr(advice.reason, "next kill"));
    assert_non_null(strstr(advice.reason, "larger limit of the container changes nothing"));
}

static void test_others(void **state)
{
    (void)state;
    assert_int_equal(advise(VERDICT_NOT_MEMORY, 0, 100, NULL).action, ADVISE_KEEP_LIMIT);
    struct recommendation advice = advise(VERDICT_INCONCLUSIVE, 1, 512, NULL);
    assert_int_equal(advice.action, ADVISE_INVESTIGATE);
    assert_true(isnan(advice.memory_bytes));
    assert_non_null(strstr(advice.reason, "More cycles."));
}

static void test_unknown_limit(void **state)
{
    (void)state;
    struct verdict trigger = {.class = VERDICT_STABLE, .peak_bytes = NAN};
    struct recommendation advice;
    recommend(&trigger, NULL, NAN, NULL, &advice);
    assert_int_equal(advice.action, ADVISE_KEEP_LIMIT);
    assert_true(isnan(advice.memory_bytes));
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(recommendation_action_name(ADVISE_FIX_LEAK), "fix-leak");
    assert_string_equal(recommendation_action_name(ADVISE_RAISE_LIMIT), "raise-limit");
    assert_string_equal(recommendation_action_name(ADVISE_KEEP_LIMIT), "keep-limit");
    assert_string_equal(recommendation_action_name(ADVISE_INVESTIGATE), "investigate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_leak_gets_no_size),
        cmocka_unit_test(test_size_after_a_demand),
        cmocka_unit_test(test_raise_refutes_a_leak),
        cmocka_unit_test(test_survivors),
        cmocka_unit_test(test_killed_under_both_limits),
        cmocka_unit_test(test_children_killed_under_the_raised_limit),
        cmocka_unit_test(test_children_held_by_the_raised_limit),
        cmocka_unit_test(test_a_short_look_under_the_raised_limit),
        cmocka_unit_test(test_a_leak_up_to_the_runtimes_limit),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_unknown_limit),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
