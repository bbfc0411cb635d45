/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "lab/live_view.h"

#include <math.h>
#include <string.h>

#define MIB 1048576.0

/* Half way to its limit, and killed at a quarter of the time. */
static void fill(struct live_scenario *scenario)
{
    *scenario = (struct live_scenario){
        .name = "leak",
        .arms = {{ARM_TRIGGER, LIVE_DONE, 3}, {ARM_RAISE, LIVE_CURRENT, 1}, {ARM_PATCH, 0, 0}},
        .arm_count = 3,
        .phase = "cycle 2 of 5",
        .due = 40,
        .planned = 100,
        .limit_bytes = 64 * MIB,
        .working_set_bytes = 32 * MIB,
        .growth = {.kind = LIVE_PER_REQUEST, .bytes = MIB, .until_limit = 32},
        .trace = {.extent_s = 100},
    };
    scenario->current = &scenario->arms[1];
    for (unsigned i = 0; i < 50; i++)
        live_trace_add(&scenario->trace, i, i < 25 ? 64 * MIB : 32 * MIB, 0);
    live_trace_add(&scenario->trace, 25, 0, 1);
}

static bool render(const struct live_scenario *scenario, struct live_screen screen,
                   struct buffer *out)
{
    const struct live_view view = {
        .scenarios = scenario, .count = 1, .elapsed_s = 25, .remaining_s = 75};
    return live_render(&view, &screen, out);
}

/* Columns of the widest line, colours left out; `ret_rows` how many lines. */
static unsigned measure(const char *text, unsigned *ret_rows)
{
    unsigned widest = 0;
    unsigned columns = 0;
    *ret_rows = 1;
    for (; *text; text++) {
        if (*text == '\033') {
            text += strcspn(text, "m");
            continue;
        }
        *ret_rows += *text == '\n';
        columns = *text == '\n' ? 0 : columns + (((unsigned char)*text & 0xC0) != 0x80);
        widest = columns > widest ? columns : widest;
    }
    return widest;
}

static void test_every_part_is_there(void **state)
{
    (void)state;
    struct live_scenario scenario;
    AUTO_BUFFER out = {0};
    fill(&scenario);
    assert_true(render(&scenario, (struct live_screen){100, 30, false, false}, &out));
    const char *text = buffer_text(&out);
    assert_non_null(strstr(text, " #######"));
    assert_non_null(strstr(text, " 25 %  0:25, at most 1:15 left\n"));
    assert_non_null(strstr(text, "+ trigger x3  > raise x1  - patch"));
    assert_non_null(strstr(text, "leak/raise  cycle 2 of 5, 40/100 requests"));
    assert_non_null(strstr(text, "32.0 MiB, 50 % of the limit  +1.0 MiB per request, at the limit "
                                 "in about 32 requests"));
    assert_null(strchr(text, '\033'));
    for (const char *c = text; *c; c++)
        assert_true((unsigned char)*c < 0x80);
    /* The limit's line has one kill, at a quarter; the lowest bars end in the middle. */
    const char *limit = strstr(text, "     64Mi ----");
    assert_non_null(limit);
    size_t kill = strcspn(limit + 10, "x");
    assert_in_range(kill, 89 / 4 - 1, 89 / 4 + 1);
    const char *lowest = strstr(text, "        0 ");
    assert_in_range(strspn(lowest + 10, "#"), 89 / 2 - 1, 89 / 2 + 1);
    assert_string_equal(lowest + 10 + strlen(lowest + 10), "");
}

static void test_it_fits_every_terminal(void **state)
{
    (void)state;
    struct live_scenario scenario;
    fill(&scenario);
    for (unsigned columns = 1; columns < 400; columns += 7) {
        for (unsigned rows = 1; rows < 60; rows++) {
            AUTO_BUFFER out = {0};
            unsigned used;
            if (!render(&scenario, (struct live_screen){columns, rows, true, true}, &out))
                continue;
            assert_in_range(measure(buffer_text(&out), &used), 1, columns - 1);
            assert_in_range(used, 1, rows - 1);
        }
    }
}

static void test_words_become_fewer_where_the_line_is_short(void **state)
{
    (void)state;
    static const struct {
        unsigned columns;
        const char *progress, *status, *memory;
    } cases[] = {
        {120, "at most 1:15 left\n", "40/100 requests\n",
         "          1000.5 MiB, 50 % of the limit  +639.3 KiB per request, at the limit in about "
         "1500 "
         "requests\n"},
        {80, "at most 1:15 left\n", "40/100 requests\n",
         "          1000.5 MiB, 50 %  +639.3 KiB/request, full in about 1500 requests\n"},
        {60, "at most 1:15 left\n", "40/100 requests\n",
         "          1000.5 MiB, 50 %  +639.3 KiB/request\n"},
        {40, "0:25, 1:15 left\n", "cycle 2 of 5, 40/100\n",
         " 1000.5 MiB, 50 %  +639.3 KiB/request\n"},
    };
    struct live_scenario scenario;
    fill(&scenario);
    scenario.limit_bytes = 2001 * MIB;
    scenario.working_set_bytes = 1000.5 * MIB;
    scenario.growth.bytes = 639.3 * 1024;
    scenario.growth.until_limit = 1500;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO_BUFFER out = {0};
        assert_true(
            render(&scenario, (struct live_screen){cases[i].columns, 30, false, false}, &out));
        assert_non_null(strstr(buffer_text(&out), cases[i].progress));
        assert_non_null(strstr(buffer_text(&out), cases[i].status));
        assert_non_null(strstr(buffer_text(&out), cases[i].memory));
        assert_true(strspn(buffer_text(&out) + 1, "#.") >= 10);
    }
}

static void test_what_does_not_fit_goes_the_graph_first(void **state)
{
    (void)state;
    static const struct {
        unsigned rows;
        bool shown, arms, graph;
    } cases[] = {{4, false, false, false},
                 {5, true, true, false},
                 {7, true, true, false},
                 {8, true, true, true}};
    struct live_scenario scenario;
    fill(&scenario);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO_BUFFER out = {0};
        bool shown = render(&scenario, (struct live_screen){80, cases[i].rows, false, true}, &out);
        assert_int_equal(shown, cases[i].shown);
        assert_int_equal(strstr(buffer_text(&out), "trigger") != NULL, cases[i].arms);
        assert_int_equal(strstr(buffer_text(&out), "64Mi ") != NULL, cases[i].graph);
    }
    AUTO_BUFFER narrow = {0};
    assert_false(render(&scenario, (struct live_screen){39, 30, false, true}, &narrow));
}

static void test_a_trace_beyond_its_time_keeps_its_peaks(void **state)
{
    (void)state;
    struct live_trace trace = {.extent_s = 10};
    live_trace_add(&trace, -1, 5, 0);
    live_trace_add(&trace, 9.99, 7, 2);
    live_trace_add(&trace, 35, 3, 0);
    assert_true(trace.extent_s == 40);
    assert_true(trace.peak_bytes[0] == 5);
    assert_true(trace.peak_bytes[LIVE_BINS / 4 - 1] == 7);
    assert_int_equal(trace.kills[LIVE_BINS / 4 - 1], 2);
    assert_true(trace.peak_bytes[LIVE_BINS * 35 / 40] == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_part_is_there),
        cmocka_unit_test(test_it_fits_every_terminal),
        cmocka_unit_test(test_words_become_fewer_where_the_line_is_short),
        cmocka_unit_test(test_what_does_not_fit_goes_the_graph_first),
        cmocka_unit_test(test_a_trace_beyond_its_time_keeps_its_peaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
