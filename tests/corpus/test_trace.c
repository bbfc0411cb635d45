/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trace.h"
#include "view.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "oomlab-trace 1\ncase a\narm trigger limit 1048576\n"
#define LIFETIME                                                                                   \
    "lifetime 1 ready 100 uptime 4000 requests 3 cause oom-container-limit level Observed"         \
    " peak 1048576 exit 137 platform none children 2\n"
#define SPANS   "span idle 0 -50 1000\nspan cycle 1 1000 4500\n"
#define SAMPLES "samples 3\n50 0 10 4 2 1 0 -\n950 1 5 6 - 0 0 3\n1000 2 -1 -2 1 1 1 1\n"

static void assert_refused(const char *text, const char *why)
{
    struct trace trace;
    struct error err = {0};
    if (trace_parse(text, &trace, &err) >= 0)
        fail_msg("taken: %s", text);
    if (!strstr(err.text, why))
        fail_msg("'%s' does not say '%s'", err.text, why);
    trace_done(&trace);
}

static void parse(const char *text, struct trace *ret)
{
    struct error err = {0};
    if (trace_parse(text, ret, &err) < 0)
        fail_msg("%s", err.text);
}

static void test_fields(void **state)
{
    (void)state;
    struct trace trace;
    parse(HEAD LIFETIME SPANS SAMPLES "end\n", &trace);
    assert_string_equal(trace.id, "a");
    assert_int_equal(trace.count, 1);
    assert_null(trace_find_arm(&trace, "raise"));
    const struct arm_series *arm = &trace_find_arm(&trace, "trigger")->series;
    assert_true(arm->limit_bytes == 1048576);
    assert_int_equal(arm->count, 1);
    const struct lifetime_series *lifetime = arm->lifetimes;
    assert_true(lifetime->ready_s == 0.1 && lifetime->uptime_s == 4);
    assert_int_equal(lifetime->cause, CAUSE_OOM_CONTAINER_LIMIT);
    assert_int_equal(lifetime->level, LEVEL_OBSERVED);
    assert_int_equal(lifetime->exit_code, 137);
    assert_int_equal(lifetime->child_kills, 2);
    assert_int_equal(lifetime->span_count, 2);
    assert_int_equal(lifetime->spans[1].kind, SPAN_CYCLE);
    assert_true(lifetime->spans[0].start_s == -0.05 && lifetime->spans[1].end_s == 4.5);
    trace_done(&trace);
}

/* The differences add up, and go on after an absent value from the last one that was there. */
static void test_differences(void **state)
{
    (void)state;
    struct trace trace;
    parse(HEAD LIFETIME SPANS SAMPLES "end\n", &trace);
    const struct point *points = trace.arms[0].lifetimes[0].points;
    assert_int_equal(trace.arms[0].lifetimes[0].count, 3);
    assert_true(points[2].t_s == 2.0 && points[2].requests == 3);
    assert_true(points[2].working_set == 14 * 4096.0 && points[2].anon == 8 * 4096.0);
    assert_true(isnan(points[1].file) && points[2].file == 3 * 4096.0);
    assert_true(isnan(points[0].kernel) && points[2].kernel == 4 * 4096.0);
    trace_done(&trace);
}

static void test_refused(void **state)
{
    (void)state;
    assert_refused("", "no trace of version 1");
    assert_refused("oomlab-trace 2\n", "no trace of version 1");
    assert_refused("oomlab-trace 1\ncase a\n", "cut off");
    assert_refused("oomlab-trace 1\nfrobnicate\nend\n", "line 2: unknown line");
    assert_refused("oomlab-trace 1\n" LIFETIME "end\n", "before the first arm");
    assert_refused(HEAD "arm b limit 0\nend\n", "no arm with its limit");
    assert_refused(HEAD SPANS "end\n", "no span");
    assert_refused(HEAD LIFETIME "span nap 1 0 10\nend\n", "unknown kind");
    assert_refused(HEAD LIFETIME "span idle 1 10 10\nend\n", "does not end after it began");
    assert_refused(HEAD LIFETIME "samples 2\n0 0 1 1 1 1 1 1\n", "after 1 of 2 samples");
    assert_refused(HEAD LIFETIME "samples 1\n0 0 1 1 1 1 1\nend\n", "eight differences");
    assert_refused(HEAD LIFETIME "samples 1\n0 0 1 1 1 1 1 1 1\nend\n", "eight differences");
    assert_refused(HEAD LIFETIME "samples 1\n0 0 1 1 x 1 1 1\nend\n", "eight differences");
    assert_refused(HEAD LIFETIME "samples 2\n9 0 1 1 1 1 1 1\n-1 0 1 1 1 1 1 1\nend\n",
                   "backwards");
    assert_refused(HEAD LIFETIME "samples 99999999999\nend\n", "number of samples");
    assert_refused(HEAD "lifetime 1 ready - uptime 5 requests 0 cause magic level Observed peak -"
                        " exit - platform none children 0\nend\n",
                   "unknown cause");
}

/* Ten seconds, a sample each 50 ms, a request each 100 ms, one lifetime of three killed. */
static void make_long(struct trace *ret)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    fputs(HEAD, file);
    for (int i = 1; i <= 3; i++) {
        fprintf(file,
                "lifetime %d ready 0 uptime 10000 requests 99 cause oom-container-limit level"
                " Observed peak - exit 137 platform none children 0\n"
                "span cycle 1 0 10000\nsamples 200\n",
                i);
        for (int k = 0; k < 200; k++)
            fprintf(file, "%d %d 1 1 0 0 0 0\n", k ? 50 : 0, k % 2);
    }
    fputs("end\n", file);
    fclose(file);
    parse(text, ret);
    free(text);
}

/* A scraper loses at most one sample a lifetime: the slot of a restart has one already. */
static void check_view(enum trace_view view, double scale, const struct arm_series *seen,
                       size_t samples)
{
    const struct lifetime_series *last = &seen->lifetimes[seen->count - 1];
    if (view == VIEW_EVERY_15_S || view == VIEW_EVERY_60_S || view == VIEW_MINUTE_NO_REQUESTS) {
        size_t all = view == VIEW_EVERY_15_S ? 240 : 60;
        assert_true(fabs(scale - 120) < 1e-9);
        assert_in_range(samples, all - 3, all);
        assert_true(fabs(last->uptime_s - 1200) < 1e-9);
    } else if (view == VIEW_HALF) {
        assert_int_equal(seen->count, 2);
        assert_int_equal(last->cause, CAUSE_RUNNING);
        assert_true(fabs(last->uptime_s - 5) < 1e-9 && last->count == 101);
        assert_true(last->requests_completed == 50 && last->spans[0].end_s <= 5);
    } else if (view == VIEW_ONE_LIFETIME) {
        assert_int_equal(seen->count, 1);
        assert_int_equal(last->index, 1);
    } else if (view == VIEW_GAPS) {
        assert_in_range(samples, 415, 425);
    } else {
        assert_int_equal(samples, 600);
    }
    bool blind = view == VIEW_NO_REQUESTS || view == VIEW_MINUTE_NO_REQUESTS;
    assert_int_equal(last->span_count, blind ? 0 : 1);
    assert_true((last->points[last->count - 1].requests > 0) != blind);
    assert_true((last->requests_completed > 0) != blind);
}

static void test_views(void **state)
{
    (void)state;
    struct trace trace;
    make_long(&trace);
    const struct arm_series *arm = &trace.arms[0].series;
    for (int i = 0; i < VIEW_COUNT; i++) {
        enum trace_view view = (enum trace_view)i;
        double scale = trace_view_scale(view, arm);
        struct arm_series seen;
        assert_int_equal(trace_view_apply(view, scale, arm, &seen), 0);
        size_t samples = 0;
        for (size_t k = 0; k < seen.count; k++)
            samples += seen.lifetimes[k].count;
        check_view(view, scale, &seen, samples);
        trace_view_done(&seen);
    }
    /* The trace itself is as it was. */
    assert_int_equal(arm->lifetimes[2].count, 200);
    trace_done(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
