/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/verdict.h"

#include <math.h>
#include <string.h>

#define KIB 1024.0

static const struct estimate UNKNOWN = {NAN, NAN, NAN};

/* Growth per request of `kib`, known to within `half`. */
static struct verdict arm(enum verdict_class class, double kib, double half)
{
    struct verdict verdict = {
        .class = class,
        .level = LEVEL_INFERRED,
        .per_request = {kib * KIB, (kib - half) * KIB, (kib + half) * KIB},
        .per_second = UNKNOWN,
        .drift_bytes = {1000 * kib * KIB, 1000 * (kib - half) * KIB, 1000 * (kib + half) * KIB}};
    strcpy(verdict.summary, "before");
    if (class == VERDICT_INCONCLUSIVE)
        strcpy(verdict.would_settle, "more");
    return verdict;
}

static void assert_stays(const struct verdict *good, struct verdict verdict)
{
    enum verdict_class before = verdict.class;
    verdict_against_good(good, &verdict);
    assert_int_equal(verdict.class, before);
    assert_string_equal(verdict.summary, "before");
}

static void test_small_growth_against_none(void **state)
{
    (void)state;
    static const enum verdict_class left[] = {VERDICT_INCONCLUSIVE, VERDICT_STABLE};
    for (size_t i = 0; i < 2; i++) {
        struct verdict good = arm(VERDICT_STABLE, 0.1, 0.4), verdict = arm(left[i], 10, 1);
        verdict_against_good(&good, &verdict);
        assert_int_equal(verdict.class, VERDICT_LEAK);
        assert_int_equal(verdict.driver, DRIVER_REQUESTS);
        assert_int_equal(verdict.level, LEVEL_CORRELATED);
        assert_true(verdict.confidence > 0.5 && verdict.confidence < 1);
        assert_string_equal(verdict.would_settle, "");
        assert_non_null(strstr(verdict.summary, "10.0 KiB per request (95 % 9.0 KiB to 11.0 KiB)"));
    }
}

/* sqrt(0.4^2 + 1^2) = 1.08: the difference of 9.9 KiB is known to within that (MOVER). */
static void test_the_difference_is_told(void **state)
{
    (void)state;
    struct verdict good = arm(VERDICT_STABLE, 0.1, 0.4), verdict = arm(VERDICT_INCONCLUSIVE, 10, 1);
    verdict_against_good(&good, &verdict);
    assert_non_null(
        strstr(verdict.summary, "the difference, 9.9 KiB per request (95 % 8.8 KiB to 11.0 KiB)"));
}

static void test_growth_that_the_good_arm_has_too(void **state)
{
    (void)state;
    struct verdict alike = arm(VERDICT_STABLE, 9, 1.5), wide = arm(VERDICT_STABLE, 1, 12);
    struct verdict much = arm(VERDICT_BOUNDED_CACHE, 7, 0.5);
    assert_stays(&alike, arm(VERDICT_INCONCLUSIVE, 10, 1)); /* the interval holds 0 */
    assert_stays(&wide, arm(VERDICT_INCONCLUSIVE, 10, 1));
    assert_stays(&much, arm(VERDICT_INCONCLUSIVE, 10, 1)); /* less than a third of it */
}

static void test_no_known_good_arm(void **state)
{
    (void)state;
    struct verdict killed = arm(VERDICT_STABLE, 0, 0.5), leak = arm(VERDICT_LEAK, 0, 0.5);
    struct verdict unknown = arm(VERDICT_STABLE, 0, 0.5), open = arm(VERDICT_INCONCLUSIVE, 0, 0.5);
    killed.kills = 1;
    unknown.per_request = UNKNOWN;
    assert_stays(NULL, arm(VERDICT_INCONCLUSIVE, 10, 1));
    assert_stays(&killed, arm(VERDICT_INCONCLUSIVE, 10, 1));
    assert_stays(&leak, arm(VERDICT_INCONCLUSIVE, 10, 1));
    assert_stays(&open, arm(VERDICT_INCONCLUSIVE, 10, 1));
    assert_stays(&unknown, arm(VERDICT_INCONCLUSIVE, 10, 1));
}

/* A kill, a cache that levelled off, and growth that may be none have better judges. */
static void test_other_verdicts_stand(void **state)
{
    (void)state;
    struct verdict good = arm(VERDICT_STABLE, 0, 0.5), killed = arm(VERDICT_INCONCLUSIVE, 10, 1);
    struct verdict flat = arm(VERDICT_STABLE, 10, 1);
    killed.kills = 2;
    flat.drift_bytes.low = -1;
    assert_stays(&good, killed);
    assert_stays(&good, flat);
    assert_stays(&good, arm(VERDICT_BOUNDED_CACHE, 10, 1));
    assert_stays(&good, arm(VERDICT_PEAK_DEMAND, 10, 1));
    assert_stays(&good, arm(VERDICT_LEAK, 10, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_growth_against_none),
        cmocka_unit_test(test_the_difference_is_told),
        cmocka_unit_test(test_growth_that_the_good_arm_has_too),
        cmocka_unit_test(test_no_known_good_arm),
        cmocka_unit_test(test_other_verdicts_stand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
