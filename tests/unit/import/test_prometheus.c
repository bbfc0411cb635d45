/* SPDX-License-Identifier: Apache-2.0 */
/* Query results and the text exposition format. */
#include "gather.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define RESULT(series)                                                                             \
    "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[" series "]}}"
#define LABELS "\"namespace\":\"n\",\"pod\":\"p\",\"container\":\"c\""
#define UID    "3f7fb393-2e31-44c2-b8a5-4e57591ac6ee"
#define CID    "6d6705d956fa4d66d56009834f9bcd5b16f24c0e79bc17277e4e3db873a25025"

static void check(const char *text, const char *facts)
{
    AUTO_GATHERED got;
    gather(text, &got);
    if (got.result != 0)
        fail_msg("%s", got.err.text);
    assert_string_equal(buffer_text(&got.facts), facts);
}

static void check_error(const char *text, const char *want)
{
    AUTO_GATHERED got;
    gather(text, &got);
    assert_true(got.result < 0);
    if (!strstr(got.err.text, want))
        fail_msg("'%s' is not in '%s'", want, got.err.text);
}

static void test_samples(void **state)
{
    (void)state;
    check(RESULT("{\"metric\":{\"__name__\":\"container_memory_working_set_bytes\"," LABELS
                 ",\"id\":\"/kubepods/burstable/pod" UID "/" CID "\"},\"values\":[[1795347399.24,"
                 "\"8683520\"],[1795347414,\"8.7e+06\"],[1795347429,\"NaN\"]]}"),
          "sample n/p/c uid=3f7fb393 id=6d6705d9 cgroup=/kubepods/burstable/pod" UID "/" CID
          " at=2026-11-22T11:36:39.240000Z working_set_bytes=8683520\n"
          "sample n/p/c uid=3f7fb393 id=6d6705d9 cgroup=/kubepods/burstable/pod" UID "/" CID
          " at=2026-11-22T11:36:54.000000Z working_set_bytes=8700000\n");
}

/* A limit or a count is told when it changes, a reason with every scrape: which end it is about
 * follows from the others. */
static void test_what_changes(void **state)
{
    (void)state;
    check(RESULT("{\"metric\":{\"__name__\":\"container_spec_memory_limit_bytes\"," LABELS
                 "},\"values\":[[1795347400,\"67108864\"],[1795347415,\"67108864\"],[1795347430,"
                 "\"134217728\"]]},"
                 "{\"metric\":{\"__name__\":\"kube_pod_container_status_restarts_total\"," LABELS
                 "},\"values\":[[1795347400,\"3\"],[1795347415,\"3\"],[1795347430,\"4\"]]},"
                 "{\"metric\":{\"__name__\":\"kube_pod_container_status_last_terminated_reason\","
                 "\"reason\":\"OOMKilled\"," LABELS
                 "},\"values\":[[1795347400,\"1\"],[1795347415,\"1\"]]},"
                 "{\"metric\":{\"__name__\":\"kube_pod_container_status_last_terminated_reason\","
                 "\"reason\":\"Error\"," LABELS "},\"values\":[[1795347400,\"0\"]]},"
                 "{\"metric\":{\"__name__\":\"container_oom_events_total\"," LABELS
                 "},\"values\":[[1795347400,\"2\"]]}"),
          "limit n/p/c at=2026-11-22T11:36:40.000000Z 67108864\n"
          "limit n/p/c at=2026-11-22T11:37:10.000000Z 134217728\n"
          "restarts n/p/c at=2026-11-22T11:36:40.000000Z 3\n"
          "restarts n/p/c at=2026-11-22T11:37:10.000000Z 4\n"
          "last-reason n/p/c at=2026-11-22T11:36:40.000000Z oom_killed reason=OOMKilled\n"
          "last-reason n/p/c at=2026-11-22T11:36:55.000000Z oom_killed reason=OOMKilled\n"
          "sample n/p/c at=2026-11-22T11:36:40.000000Z oom_kill=2\n");
}

/* The pod's own cgroup would count its containers twice; 0 and 2^63 are no limits. */
static void test_what_is_left_out(void **state)
{
    (void)state;
    check(RESULT("{\"metric\":{\"__name__\":\"container_memory_working_set_bytes\",\"pod\":\"p\","
                 "\"id\":\"/kubepods/podx\"},\"values\":[[1795347400,\"1\"]]},"
                 "{\"metric\":{\"__name__\":\"container_memory_working_set_bytes\",\"pod\":\"p\","
                 "\"container\":\"POD\"},\"values\":[[1795347400,\"1\"]]},"
                 "{\"metric\":{\"__name__\":\"container_memory_rss\",\"id\":\"/\"},\"values\":[["
                 "1795347400,\"1\"]]},"
                 "{\"metric\":{\"__name__\":\"container_spec_memory_limit_bytes\"," LABELS
                 "},\"values\":[[1795347400,\"0\"],[1795347415,\"9223372036854771712\"]]},"
                 "{\"metric\":{\"__name__\":\"up\"," LABELS "},\"values\":[[1795347400,\"1\"]]}"),
          "");
}

static void test_vector_and_expression(void **state)
{
    (void)state;
    check("{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{"
          "\"pod\":\"p\"},\"value\":[1795347400,\"5\"]}]}}",
          "sample /p/ at=2026-11-22T11:36:40.000000Z working_set_bytes=5\n");
}

static void test_large_answer(void **state)
{
    (void)state;
    AUTO_BUFFER text = {0};
    AUTO_GATHERED got;
    buffer_puts(&text, "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[");
    for (int series = 0; series < 60; series++) {
        buffer_printf(&text,
                      "%s{\"metric\":{\"__name__\":\"container_memory_rss\",\"pod\":\"p%d\"},"
                      "\"values\":[",
                      series ? "," : "", series);
        for (int i = 0; i < 5000; i++)
            buffer_printf(&text, "%s[%d,\"%d\"]", i ? "," : "", 1795347400 + 15 * i, i);
        buffer_puts(&text, "]}");
    }
    buffer_puts(&text, "]}}");
    assert_true(text.length > (size_t)5 << 20);
    gather(buffer_text(&text), &got);
    assert_int_equal(got.result, 0);
    assert_int_equal(got.count[FACT_SAMPLE], 300000);
}

static void test_refused_and_broken(void **state)
{
    (void)state;
    check_error("{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"parse error\"}",
                "input:1: Prometheus refused the query (bad_data): parse error");
    check_error(
        "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[\n{\"metric",
        "input:2:1: ");
    check_error("{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\"",
                "no list of results");
    AUTO_GATHERED odd;
    gather(RESULT("{\"metric\":[],\"values\":{\"a\":1}},7,null,{\"metric\":{},\"values\":[[],[1],"
                  "[\"x\",\"y\"],[1e300,\"1\"],[1795347400,\"1x\"]]}"),
           &odd);
    assert_int_equal(odd.result, 0);
    assert_string_equal(buffer_text(&odd.facts), "");
}

static void test_cadvisor_fixture(void **state)
{
    (void)state;
    AUTO_GATHERED got;
    gather_file("kubernetes/metrics-cadvisor-excerpt.txt", &got);
    assert_int_equal(got.result, 0);
    assert_int_equal(got.count[FACT_LIMIT], 2);
    assert_non_null(strstr(buffer_text(&got.facts),
                           "sample default/steady/hog uid=f315212c id=22511cd6 "
                           "cgroup=/k8stest/kubepods/burstable/"
                           "podf315212c-c34f-4107-bba2-2f364edf140b/"
                           "22511cd6fcfe9f925970a76c6f3416f9cecba0512343efd81aa21bee3939ea80 "
                           "at=2026-11-22T11:36:41.146000Z working_set_bytes=42426368\n"));
    assert_string_equal(buffer_text(&got.warnings), "");
}

static void test_text_format(void **state)
{
    (void)state;
    check("# HELP container_memory_rss Size \\n of \"RSS\"\n# TYPE container_memory_rss gauge\n"
          "container_memory_rss{namespace=\"n\",pod=\"a\\\"b\\\\c\\nd\",container=\"c\",} 1e6 "
          "1795347400000\n"
          "container_memory_rss{container=\"c\", pod = \"p\"} 2 1795347400.5 # {t=\"x\"} 1\n"
          "container_tasks_state{container=\"c\"} 3\n"
          "http_seconds_bucket{le=\"+Inf\"} 3\n# EOF\n",
          "sample n/a\"b\\c\nd/c at=2026-11-22T11:36:40.000000Z anon_bytes=1000000\n"
          "sample /p/c at=2026-11-22T11:36:40.500000Z anon_bytes=2\n");
}

static void test_text_without_times(void **state)
{
    (void)state;
    AUTO_GATHERED got;
    gather("# TYPE container_memory_rss gauge\ncontainer_memory_rss{container=\"c\"} 1\n", &got);
    assert_int_equal(got.result, 0);
    assert_string_equal(buffer_text(&got.facts), "sample //c anon_bytes=1\n");
    assert_non_null(strstr(buffer_text(&got.warnings), "no time stamps"));
}

/* One broken line costs that line, and is told with its column. */
static void test_text_broken(void **state)
{
    (void)state;
    AUTO_GATHERED got;
    gather("container_memory_rss{container=\"c\"} 1 1795347400000\n"
           "container_memory_rss{container=\"c} 1\ncontainer_memory_rss{=} 1\n"
           "container_memory_rss{container=\"c\"} x\ncontainer_memory_rss{container=\"c\"",
           &got);
    assert_int_equal(got.result, 0);
    assert_int_equal(got.count[FACT_SAMPLE], 1);
    assert_non_null(strstr(buffer_text(&got.warnings), "3: column 22: "));
    check_error("# HELP go_gc x\ngo_gc 1\n", "/metrics/cadvisor");
    check_error("# HELP x y\ncontainer_memory_rss{\n", "no line of this is a sample");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_what_changes),
        cmocka_unit_test(test_what_is_left_out),
        cmocka_unit_test(test_vector_and_expression),
        cmocka_unit_test(test_large_answer),
        cmocka_unit_test(test_refused_and_broken),
        cmocka_unit_test(test_cadvisor_fixture),
        cmocka_unit_test(test_text_format),
        cmocka_unit_test(test_text_without_times),
        cmocka_unit_test(test_text_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
