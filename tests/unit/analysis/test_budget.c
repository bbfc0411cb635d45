/* SPDX-License-Identifier: Apache-2.0 */
/* An estimate against a budget: the interval decides, not the estimate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/budget.h"

#include <math.h>

static enum budget_outcome judge(double value, double low, double high)
{
    return budget_judge(&(struct estimate){value, low, high}, 100);
}

static void test_the_interval_decides(void **state)
{
    (void)state;
    assert_int_equal(judge(50, 10, 99), BUDGET_PASS);
    assert_int_equal(judge(50, 10, 100), BUDGET_PASS); /* the budget itself is allowed */
    assert_int_equal(judge(50, 10, 101), BUDGET_INCONCLUSIVE);
    assert_int_equal(judge(150, 100, 200), BUDGET_INCONCLUSIVE);
    assert_int_equal(judge(150, 101, 200), BUDGET_FAIL);
    assert_int_equal(judge(-5, -10, -1), BUDGET_PASS);
    assert_int_equal(judge(150, 101, INFINITY), BUDGET_FAIL);
}

static void test_what_was_not_estimated_settles_nothing(void **state)
{
    (void)state;
    assert_int_equal(judge(NAN, NAN, NAN), BUDGET_INCONCLUSIVE);
    assert_int_equal(judge(50, NAN, 60), BUDGET_INCONCLUSIVE);
    assert_int_equal(judge(50, 40, NAN), BUDGET_INCONCLUSIVE);
}

static void test_growth_needs_a_verdict_that_knows_of_it(void **state)
{
    (void)state;
    struct verdict verdict = {.class = VERDICT_LEAK, .per_request = {150, 101, 200}};
    assert_int_equal(budget_judge_growth(&verdict, BUDGET_PER_REQUEST, 100), BUDGET_FAIL);
    verdict.class = VERDICT_STABLE;
    assert_int_equal(budget_judge_growth(&verdict, BUDGET_PER_REQUEST, 100), BUDGET_INCONCLUSIVE);
    assert_int_equal(budget_judge_growth(&verdict, BUDGET_PER_REQUEST, 200), BUDGET_PASS);
    verdict.class = VERDICT_INCONCLUSIVE;
    assert_int_equal(budget_judge_growth(&verdict, BUDGET_PER_REQUEST, 100), BUDGET_FAIL);
    verdict.looks_level = true; /* flat, and too little of it */
    assert_int_equal(budget_judge_growth(&verdict, BUDGET_PER_REQUEST, 100), BUDGET_INCONCLUSIVE);
    assert_false(growth_budget_is_asked(NULL));
    assert_false(growth_budget_is_asked(&(struct growth_budget){{NAN, NAN}}));
    assert_true(growth_budget_is_asked(&(struct growth_budget){{NAN, 1}}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_interval_decides),
        cmocka_unit_test(test_growth_needs_a_verdict_that_knows_of_it),
        cmocka_unit_test(test_what_was_not_estimated_settles_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
