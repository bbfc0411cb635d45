/* SPDX-License-Identifier: Apache-2.0 */
/* When requests ran: the bisection against looking at every phase. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/busy.h"
#include "base/random.h"

#define SPANS 40

static bool look_at_all(const struct lifetime_series *lifetime, double t_s)
{
    for (size_t i = 0; i < lifetime->span_count; i++) {
        const struct span *span = &lifetime->spans[i];
        if (span->kind == SPAN_CYCLE && t_s >= span->start_s && t_s < span->end_s)
            return true;
    }
    return false;
}

/* Phases in any order, overlapping, empty, even ending before they begin. */
static void test_as_looking_at_all(void **state)
{
    (void)state;
    struct random random = {1};
    unsigned inside = 0, outside = 0;
    for (size_t round = 0; round < 2000; round++) {
        struct span spans[SPANS];
        size_t count = 1 + random_below(&random, SPANS);
        for (size_t i = 0; i < count; i++) {
            double start = (double)random_below(&random, 200) - 20;
            spans[i] = (struct span){random_below(&random, 3) ? SPAN_GAP : SPAN_CYCLE, 1, start,
                                     start + (double)random_below(&random, 12) - 1};
        }
        struct lifetime_series lifetime = {.spans = spans, .span_count = count};
        struct busy busy;
        assert_int_equal(busy_init(&busy, &lifetime), 0);
        for (int i = -50; i < 400; i++) {
            double t = i / 2.0;
            bool expected = look_at_all(&lifetime, t);
            assert_int_equal(busy_at(&busy, t), expected);
            inside += expected;
            outside += !expected;
        }
        busy_done(&busy);
    }
    assert_true(inside > 10000 && outside > 10000);
}

static void test_without_phases_always(void **state)
{
    (void)state;
    struct span pause = {SPAN_GAP, 1, 0, 10};
    struct lifetime_series unknown = {0}, idle = {.spans = &pause, .span_count = 1};
    struct busy busy;
    assert_int_equal(busy_init(&busy, &unknown), 0);
    assert_true(busy_at(&busy, 5));
    busy_done(&busy);
    assert_int_equal(busy_init(&busy, &idle), 0);
    assert_false(busy_at(&busy, 5));
    busy_done(&busy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_looking_at_all),
        cmocka_unit_test(test_without_phases_always),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
