/* SPDX-License-Identifier: Apache-2.0 */
/* Azure's rows as facts, whatever they were printed as. */
#include "gather.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_facts(const char *text, const char *facts)
{
    AUTO_GATHERED gathered;
    gather(text, &gathered);
    assert_int_equal(gathered.result, 0);
    assert_string_equal(buffer_text(&gathered.facts), facts);
}

static void test_stream_row(void **state)
{
    (void)state;
    assert_facts(
        "{\"TimeStamp\": \"2026-06-22 02:24:38.8359375 +0000 UTC\", \"Type\": \"Warning\", "
        "\"ContainerAppName\": \"a\", \"RevisionName\": \"a--1\", \"ReplicaName\": \"a--1-x-y\", "
        "\"Msg\": \"Container 'c' was terminated with exit code '137' and reason "
        "'ProcessExited'\", \"Reason\": \"ContainerTerminated\", \"Count\": 2}\r\n",
        "end a/a--1-x-y/c at=2026-06-22T02:24:38.835937Z code=137 reason=ProcessExited x2 "
        "text=Container 'c' was terminated with exit code '137' and reason 'ProcessExited'\n");
}

static void test_rows_without_reason_column(void **state)
{
    (void)state;
    assert_facts(
        "[{\"Log_s\": \"Started container 'c'\", \"TimeGenerated\": "
        "\"2026-06-20T04:21:13.3789733Z\", \"RevisionName_s\": \"a--1\"},"
        "{\"Log_s\": \"Created container 'c'\", \"TimeGenerated\": \"2026-06-20T04:21:13Z\"}]",
        "start //c at=2026-06-20T04:21:13.378973Z x1 text=Started container 'c'\n");
}

static void test_metrics_leave_missing_points_out(void **state)
{
    (void)state;
    assert_facts(
        "{\"interval\": \"PT1M\", \"namespace\": \"Microsoft.App/containerapps\", \"value\": [{"
        "\"id\": \"/x/containerapps/app1/providers/y\", \"name\": {\"value\": "
        "\"WorkingSetBytes\"}, \"timeseries\": [{\"data\": [{\"timeStamp\": "
        "\"2026-06-20T04:00:00Z\"}, {\"timeStamp\": \"2026-06-20T04:01:00Z\", \"average\": 5.0}"
        "]}]}]}",
        "sample app1// at=2026-06-20T04:01:00.000000Z working_set_bytes=5\n");
}

static void test_never_ran(void **state)
{
    (void)state;
    AUTO_GATHERED gathered;
    gather_file("azure/system-logs-normal-start.ndjson", &gathered);
    assert_int_equal(gathered.result, 0);
    assert_int_equal(gathered.count[FACT_IMAGE_FAILURE], 4);
    assert_int_equal(gathered.count[FACT_END], 0);
    assert_int_equal(gathered.count[FACT_CONTAINER], 1);
}

static void test_report(void **state)
{
    (void)state;
    AUTO_GATHERED gathered;
    gather_file("azure/hard-oom-report.txt", &gathered);
    assert_int_equal(gathered.result, 0);
    assert_int_equal(gathered.count[FACT_END], 9);    /* rows, of seven kills */
    assert_int_equal(gathered.count[FACT_START], 14); /* told in two sections */
    assert_int_equal(gathered.count[FACT_LIMIT], 1);
    assert_non_null(strstr(buffer_text(&gathered.facts), "limit ca-oom-hard// 536870912"));
    assert_non_null(strstr(buffer_text(&gathered.facts),
                           "console ca-oom-hard/ca-oom-hard--18xosgl-75cb985f8f-fckdq/ "
                           "at=2026-06-20T04:21:13.567177Z"));
}

static void test_page_cache(void **state)
{
    (void)state;
    AUTO_GATHERED gathered;
    gather_file("azure/cgroup-v1-page-cache.json", &gathered);
    assert_int_equal(gathered.result, 0);
    const char *facts = buffer_text(&gathered.facts);
    assert_non_null(strstr(facts, " working_set_bytes=74948608\n")); /* 775598080 - 700649472 */
    assert_non_null(strstr(facts, " anon_bytes=18632704\n"));
    assert_non_null(strstr(facts, " 1073741824"));
}

static void test_table_counts_characters(void **state)
{
    (void)state;
    assert_facts("TimeGenerated         Log_s                    Reason_s\n"
                 "--------------------  -----------------------  ----------------\n"
                 "2026-06-20T04:21:13Z  Started container '\xC3\xA4\xC3\xA4'   ContainerStarted\n",
                 "start //ää at=2026-06-20T04:21:13.000000Z reason=ContainerStarted x1 "
                 "text=Started container '\xC3\xA4\xC3\xA4'\n");
}

static void test_csv_with_quotes(void **state)
{
    (void)state;
    assert_facts("TimeGenerated,Reason_s,Log_s\n"
                 "2026-06-20T04:21:13Z,ProbeFailed,\"Probe of StartUp failed, \"\"no\"\"\nmore\"\n",
                 "probe // at=2026-06-20T04:21:13.000000Z reason=ProbeFailed x1 "
                 "text=Probe of StartUp failed, \"no\"\nmore\n");
}

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } times[] = {
        {"2026-06-20T04:10:51.2104727Z", INT64_C(1781928651210472700)},
        {"2026-06-20 04:10:51.2104727 +0000 UTC", INT64_C(1781928651210472700)},
        {"2026-06-20T06:10:51+02:00", INT64_C(1781928651000000000)},
        {"2026-06-20T04:10:51", INT64_C(1781928651000000000)},
        {"2026-06-20T04:10:51Zz", FACT_TIME_UNKNOWN},
        {"2026-13-20T04:10:51Z", FACT_TIME_UNKNOWN},
        {"2026-06-20", FACT_TIME_UNKNOWN},
        {"", FACT_TIME_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        assert_true(fact_time(times[i].text) == times[i].ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_row),
        cmocka_unit_test(test_rows_without_reason_column),
        cmocka_unit_test(test_metrics_leave_missing_points_out),
        cmocka_unit_test(test_never_ran),
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_page_cache),
        cmocka_unit_test(test_table_counts_characters),
        cmocka_unit_test(test_csv_with_quotes),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
