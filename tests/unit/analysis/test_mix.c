/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/mix.h"
#include "analysis/verdict_parts.h"

#include <math.h>
#include <string.h>

#define MIB    1048576.0
#define END_S  60
#define POINTS ((size_t)20 * END_S)
#define PACE   10.0

static struct point points[POINTS];
static struct span spans[] = {{SPAN_IDLE, 0, 0, 10},     {SPAN_CYCLE, 1, 10, 20},
                              {SPAN_GAP, 1, 20, 25},     {SPAN_CYCLE, 2, 25, 35},
                              {SPAN_GAP, 2, 35, 40},     {SPAN_CYCLE, 3, 40, 50},
                              {SPAN_COOLDOWN, 0, 50, 60}};

static bool in_cycle(double t)
{
    return (t >= 10 && t < 20) || (t >= 25 && t < 35) || (t >= 40 && t < 50);
}

static double noise(size_t i)
{
    return (double)((i * 2654435761U) % 1000) / 1000 * 16384; /* up to four pages */
}

/* Three cycles of ten requests a second between idle phases. */
static struct arm_series grown(struct lifetime_series *lifetime, double per_second,
                               double per_request)
{
    double requests = 0;
    for (size_t i = 0; i < POINTS; i++) {
        double t = (double)i / 20;
        requests += in_cycle(t) ? PACE / 20 : 0;
        points[i] = (struct point){.t_s = t,
                                   .requests = floor(requests),
                                   .in_flight = in_cycle(t) ? 1 : 0,
                                   .working_set = 20 * MIB + per_second * t +
                                                  per_request * floor(requests) + noise(i),
                                   .anon = NAN,
                                   .file = NAN,
                                   .inactive_file = NAN,
                                   .shmem = NAN,
                                   .kernel = NAN};
    }
    *lifetime = (struct lifetime_series){.index = 1,
                                         .points = points,
                                         .count = POINTS,
                                         .spans = spans,
                                         .span_count = sizeof(spans) / sizeof(spans[0]),
                                         .ready_s = 0,
                                         .uptime_s = END_S,
                                         .requests_completed = requests,
                                         .cause = CAUSE_RUNNING,
                                         .level = LEVEL_OBSERVED,
                                         .peak_bytes = NAN};
    return (struct arm_series){.limit_bytes = 256 * MIB, .lifetimes = lifetime, .count = 1};
}

static bool mixed(double per_second, double per_request, struct mix *ret)
{
    struct lifetime_series lifetime;
    struct arm_series arm = grown(&lifetime, per_second, per_request);
    struct view view;
    assert_int_equal(view_init(&view, &arm), 0);
    bool found = mix_of(&view, ret);
    view_done(&view);
    return found;
}

static void assert_near(const struct estimate *found, double truth)
{
    if (fabs(found->value - truth) > 0.05 * truth)
        fail_msg("%g is not within 5 %% of %g", found->value, truth);
    assert_true(found->low <= found->value && found->value <= found->high);
}

static void test_both_parts_are_told_apart(void **state)
{
    (void)state;
    static const double parts[][2] = {{1, 0.2}, {0.5, 0.2}, {2, 0.1}, {0.4, 0.3}};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct mix mix;
        assert_true(mixed(parts[i][0] * MIB, parts[i][1] * MIB, &mix));
        assert_near(&mix.per_second, parts[i][0] * MIB);
        assert_near(&mix.per_request, parts[i][1] * MIB);
    }
}

static void test_one_driver_is_no_mixture(void **state)
{
    (void)state;
    struct mix mix;
    assert_false(mixed(0, 0.2 * MIB, &mix));
    assert_false(mixed(1 * MIB, 0, &mix));
    assert_false(mixed(0, 0, &mix));
    assert_false(mixed(0.1 * MIB, 0.3 * MIB, &mix)); /* 3 % of it: not worth a word */
}

static const char *growth_words_of(const struct arm_series *arm)
{
    static char text[VERDICT_TEXT_MAX];
    struct view view;
    text[0] = '\0';
    assert_int_equal(view_init(&view, arm), 0);
    verdict_say_growth(text, &view);
    view_done(&view);
    return text;
}

static void test_the_sentence(void **state)
{
    (void)state;
    struct lifetime_series lifetime;
    struct arm_series arm = grown(&lifetime, 1 * MIB, 0.2 * MIB);
    const char *text = growth_words_of(&arm);
    assert_non_null(strstr(text, " (two drivers: 1.0 MiB per second whether or not requests run"));
    assert_non_null(strstr(text, " KiB for each request besides)"));
    assert_null(strstr(text, "in the last third"));
    arm = grown(&lifetime, 0, 0.4 * MIB);
    text = growth_words_of(&arm);
    assert_null(strstr(text, "two drivers"));
    assert_null(strstr(text, "in the last third"));
}

/* Each request keeps more, or less, than the one before. */
static void test_curvature(void **state)
{
    (void)state;
    struct lifetime_series lifetime;
    struct arm_series arm = grown(&lifetime, 0, 0);
    for (size_t i = 0; i < POINTS; i++)
        points[i].working_set += 0.002 * MIB * points[i].requests * points[i].requests;
    assert_non_null(strstr(growth_words_of(&arm), ", speeding up (5"));
    arm = grown(&lifetime, 0, 0);
    for (size_t i = 0; i < POINTS; i++)
        points[i].working_set += 4 * MIB * sqrt(points[i].requests);
    assert_non_null(strstr(growth_words_of(&arm), ", slowing down (1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_parts_are_told_apart),
        cmocka_unit_test(test_one_driver_is_no_mixture),
        cmocka_unit_test(test_the_sentence),
        cmocka_unit_test(test_curvature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
