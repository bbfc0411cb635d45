/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of times and bytes: any CSV, and sysstat's. */
#include "gather.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define AT(value) "at=2026-06-15T04:10:51.000000Z working_set_bytes=" value "\n"

static void check_with(const char *time, const char *bytes, double limit, const char *text,
                       const char *facts)
{
    const struct import_options options = {time, bytes, limit};
    AUTO_GATHERED got;
    gather_with("input", text, strlen(text), &options, &got);
    if (got.result != 0)
        fail_msg("%s: %s", got.format ? got.format : "no format", got.err.text);
    assert_string_equal(buffer_text(&got.facts), facts);
}

static void check(const char *text, const char *facts)
{
    check_with(NULL, NULL, (double)NAN, text, facts);
}

static void check_error(const char *time, const char *bytes, const char *text, const char *want)
{
    const struct import_options options = {time, bytes, (double)NAN};
    AUTO_GATHERED got;
    gather_with("input", text, strlen(text), &options, &got);
    assert_true(got.result < 0);
    assert_int_equal(got.err.kind, ERROR_USAGE);
    if (strcmp(got.err.text, want) != 0)
        fail_msg("'%s'", got.err.text);
}

static void test_times(void **state)
{
    (void)state;
    static const char *const times[] = {
        "2026-06-15T04:10:51Z", "2026-06-15 04:10:51",    "2026-06-15T13:10:51+09:00",
        "1781496651",           "1781496651000",          "1781496651000000",
        "1781496651.0",         "\"2026-06-15 04:10:51\""};
    for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
        AUTO_BUFFER text = {0};
        buffer_printf(&text, "time,memory_bytes\n%s,5\n", times[i]);
        check(buffer_text(&text), "sample // " AT("5"));
    }
}

static void test_columns(void **state)
{
    (void)state;
    check("host;Timestamp;Used (MiB)\nh1;2026-06-15T04:10:51Z;1.5\n", "sample /h1/ " AT("1572864"));
    check("namespace,pod,container,time,rss_kb\nn,p,c,2026-06-15T04:10:51Z,2\n",
          "sample n/p/c at=2026-06-15T04:10:51.000000Z anon_bytes=2048\n");
    check("time\tvalue\r\n2026-06-15T04:10:51Z\t512Mi\r\n", "sample // " AT("536870912"));
    check_with("when", "how much", 1024, "x,when,\"how much\"\n1,2026-06-15T04:10:51Z,7\n",
               "sample // " AT("7") "limit // 1024\n");
    check_with("2", "1", (double)NAN, "9,2026-06-15T04:10:51Z\n8,2026-06-15T04:10:51Z\n",
               "sample // " AT("9") "sample // " AT("8"));
}

/* RFC 4180: separators, quotes and line ends within quotes. */
static void test_quoting(void **state)
{
    (void)state;
    check("\"a \"\"b\"\", c\",time,bytes\n\"x,\ny\",2026-06-15T04:10:51Z,\"3\"\n",
          "sample // " AT("3"));
}

/* Missing is missing, not zero. */
static void test_missing(void **state)
{
    (void)state;
    check("time,bytes\n2026-06-15T04:10:51Z,\n2026-06-15T04:10:51Z,NaN\n\n,5\n"
          "2026-06-15T04:10:51Z\n2026-06-15T04:10:51Z,4",
          "sample // " AT("4"));
}

static void test_errors(void **state)
{
    (void)state;
    check_error(NULL, NULL, "time,bytes\n2026-06-15T04:10:51Z,5\nyesterday,6\n",
                "input:3:1: 'yesterday' is no time (RFC 3339, YYYY-MM-DD HH:MM:SS or an epoch)");
    check_error(NULL, NULL, "time,bytes\n2026-06-15T04:10:51Z,lots\n",
                "input:2:22: 'lots' is no amount of bytes");
    check_error(NULL, NULL, "time,bytes\n5,6\n",
                "input:2:1: '5' is no time: to seconds since a start of their own add that start's "
                "epoch");
    check_error("t", "b", "time,bytes\n1,2\n",
                "input:1:1: there is no column 't'; name one of the first line, or its number");
    check_error(NULL, NULL, "time,bytes\n2026-06-15T04:10:51Z,\"5\n",
                "input:2:22: the quote that begins here has no end");
}

static void test_sysstat(void **state)
{
    (void)state;
    static const char *const paths[] = {"csv/sar-r.txt", "csv/sadf-d.csv"};
    for (size_t i = 0; i < 2; i++) {
        AUTO_GATHERED got;
        gather_file(paths[i], &got);
        assert_int_equal(got.result, 0);
        assert_string_equal(buffer_text(&got.facts),
                            "sample /vm/ at=2026-11-22T14:55:05.000000Z usage_bytes=684109824\n"
                            "sample /vm/ at=2026-11-22T14:55:06.000000Z usage_bytes=630358016\n"
                            "sample /vm/ at=2026-11-22T14:55:07.000000Z usage_bytes=542031872\n"
                            "sample /vm/ at=2026-11-22T14:55:08.000000Z usage_bytes=485662720\n");
    }
}

#define SAR "Linux 6.1.0 (h) \t11/22/2026 \t_x86_64_\t(2 CPU)\n\n"

static void test_sar(void **state)
{
    (void)state;
    check(SAR "11:59:58 PM kbmemfree kbmemused\n11:59:59 PM 1 2\n12:00:09 AM 1 3\nAverage: 1 2\n\n"
              "12:00:10 AM CPU %user\n12:00:11 AM all 1\n",
          "sample /h/ at=2026-11-22T23:59:59.000000Z usage_bytes=2048\n"
          "sample /h/ at=2026-11-23T00:00:09.000000Z usage_bytes=3072\n");
    check_error(NULL, NULL, SAR "10:00:00 kbmemfree kbmemused\n10:00:01 1 much\n",
                "input:4:12: 'much' is no amount of KiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),   cmocka_unit_test(test_columns),
        cmocka_unit_test(test_quoting), cmocka_unit_test(test_missing),
        cmocka_unit_test(test_errors),  cmocka_unit_test(test_sysstat),
        cmocka_unit_test(test_sar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
