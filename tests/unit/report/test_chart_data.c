/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "report/chart.h"

#include <math.h>

static void test_thin_keeps_extremes_and_order(void **state)
{
    (void)state;
    struct chart_point points[10000];
    for (size_t i = 0; i < 10000; i++)
        points[i] = (struct chart_point){.t_s = (double)i / 1000, .bytes = 100};
    points[4321].bytes = 9000; /* one spike up and one down in ten seconds */
    points[7777].bytes = 1;
    points[9999].bytes = 55;
    size_t count = chart_thin(points, 10000, 10, 200);
    assert_in_range(count, 200, 800);
    bool high = false;
    bool low = false;
    for (size_t i = 0; i < count; i++) {
        high = high || (points[i].bytes == 9000 && points[i].t_s == 4.321);
        low = low || (points[i].bytes == 1 && points[i].t_s == 7.777);
        assert_true(i == 0 || points[i].t_s > points[i - 1].t_s);
    }
    assert_true(high && low);
    assert_true(points[0].t_s == 0 && points[count - 1].bytes == 55);
}

static void test_thin_leaves_few_points_alone(void **state)
{
    (void)state;
    struct chart_point points[] = {{0, 1}, {1, 5}, {2, 3}};
    assert_int_equal(chart_thin(points, 3, 2, 800), 3);
    assert_true(points[1].bytes == 5);
    assert_int_equal(chart_thin(points, 0, 2, 800), 0);
}

static void test_steps_are_round(void **state)
{
    (void)state;
    assert_true(fabs(chart_step(10, 10) - 1) < 1e-12);
    assert_true(fabs(chart_step(11, 10) - 2) < 1e-12);
    assert_true(fabs(chart_step(0.21, 10) - 0.025) < 1e-12);
    assert_true(fabs(chart_step(4200, 10) - 500) < 1e-9);
    assert_true(chart_step_bytes(584.0 * 1024 * 1024, 6) == 128.0 * 1024 * 1024);
    assert_true(chart_step_bytes(1, 6) == 1024);
}

static void test_load_arm(void **state)
{
    struct store *store = fixture_run(*state, RUN_LAB);
    struct error err = {0};
    struct chart_arm arm = {0};
    assert_int_equal(chart_arm_load(store, 6, &arm, &err), 0);
    assert_string_equal(arm.title, "leak/trigger");
    assert_true(arm.limit_bytes == 512.0 * 1024 * 1024);
    assert_int_equal(arm.lifetime_count, 3);
    double completed = 0;
    double failed = 0;
    for (size_t i = 0; i < arm.bin_count; i++) {
        completed += arm.bins[i].completed;
        failed += arm.bins[i].failed;
    }
    assert_true(completed == 187 && failed == 40); /* counted by the simulation */
    for (size_t i = 0; i < 3; i++) {
        const struct chart_lifetime *lifetime = &arm.lifetimes[i];
        assert_true(lifetime->oom_killed && lifetime->ended && lifetime->count > 10);
        assert_true(lifetime->start_s < lifetime->ready_s &&
                    lifetime->ready_s < lifetime->killed_s);
        assert_true(lifetime->killed_s <= lifetime->end_s && lifetime->end_s <= arm.duration_s);
    }
    assert_true(arm.lifetimes[2].backoff_s == 0.5);
    assert_string_equal(arm.phases[0].kind, "idle");
    assert_string_equal(arm.phases[1].kind, "cycle");
    chart_arm_done(&arm);
    assert_true(chart_arm_load(store, 99, &arm, &err) < 0);
}

static void test_open_arm_ends_with_its_last_sample(void **state)
{
    struct store *store = fixture_run(*state, RUN_INTERRUPTED);
    struct error err = {0};
    struct chart_arm arm = {0};
    assert_int_equal(chart_arm_load(store, 2, &arm, &err), 0);
    assert_int_equal(arm.lifetime_count, 1);
    assert_false(arm.lifetimes[0].ended);
    assert_true(arm.duration_s > 3 && arm.duration_s < 6);
    assert_true(arm.lifetimes[0].end_s == arm.duration_s);
    struct buffer svg = {0};
    chart_draw_arm(&arm, 1, "a <description>", &svg);
    chart_draw_overview(&arm, 1, 2, "d", &svg);
    assert_false(svg.failed);
    assert_contains(buffer_text(&svg), "a &lt;description&gt;");
    assert_lacks(buffer_text(&svg), "nan");
    buffer_done(&svg);
    chart_arm_done(&arm);
}

/* 1 kHz for 12 s: the drawing stays small. */
static void test_dense_samples_are_thinned(void **state)
{
    struct store *store = fixture_run(*state, RUN_DENSE);
    struct error err = {0};
    struct chart_arm arm = {0};
    assert_int_equal(chart_arm_load(store, 1, &arm, &err), 0);
    assert_true(arm.lifetimes[0].count > 2000);
    struct buffer svg = {0};
    chart_draw_arm(&arm, 1, "d", &svg);
    assert_in_range(svg.length, 1000, 120000);
    buffer_done(&svg);
    chart_arm_done(&arm);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thin_keeps_extremes_and_order),
        cmocka_unit_test(test_thin_leaves_few_points_alone),
        cmocka_unit_test(test_steps_are_round),
        TEST(test_load_arm),
        TEST(test_open_arm_ends_with_its_last_sample),
        TEST(test_dense_samples_are_thinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
