/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/duration.h"
#include "base/iso8601.h"

#include <errno.h>

/* 2026-11-22T13:00:00Z, by date(1). */
#define NOON_AND_ONE INT64_C(1795352400)

static void assert_time(const char *text, int64_t expected_ns, bool expected_zoned)
{
    int64_t ns = -1;
    bool zoned = !expected_zoned;
    if (iso8601_parse_time(text, &ns, &zoned) != 0)
        fail_msg("'%s' was refused", text);
    if (ns != expected_ns)
        fail_msg("'%s' is %lld ns, not %lld", text, (long long)ns, (long long)expected_ns);
    assert_int_equal(zoned, expected_zoned);
}

static void test_moments(void **state)
{
    (void)state;
    const int64_t ns = NOON_AND_ONE * NS_PER_S;
    assert_time("2026-11-22T13:00:00Z", ns, true);
    assert_time("2026-11-22t13:00:00z", ns, true);
    assert_time("2026-11-22T13:00Z", ns, true);
    assert_time("2026-11-22T13Z", ns, true);
    assert_time("2026-11-22T13:00:00", ns, false);
    assert_time("2026-11-22 13:00", ns, false);
    assert_time("2026-11-22", ns - INT64_C(46800) * NS_PER_S, false);
    assert_time("2026-11-22T14:00:00+01:00", ns, true);
    assert_time("2026-11-22T14:00:00 01:00", ns, true); /* a '+' that came decoded */
    assert_time("2026-11-22 14:00 +01:00", ns, true);
    assert_time("2026-11-22T05:00:00.000000-0800", ns, true);
    assert_time("2026-11-22T14:00+01", ns, true);
    assert_time("2026-11-22T18:45:00+05:45", ns, true);
    assert_time("2026-11-22T13:00:07.25Z", ns + 7 * NS_PER_S + NS_PER_S / 4, true);
    assert_time("2026-11-22T13:00:00.1234567899Z", ns + 123456789, true);
    assert_time("1970-01-01T00:00:00Z", 0, true);
    assert_time("2024-02-29", INT64_C(1709164800) * NS_PER_S, false);
}

static void test_no_moments(void **state)
{
    (void)state;
    static const char *const none[] = {
        "",
        "now",
        "2026",
        "2026-11",
        "2026-11-22T",
        "2026-11-22T13:00:00ZZ",
        "2026-11-22T24:00:00Z",
        "2026-11-22T13:60Z",
        "2026-11-22T13:00:60Z",
        "2026-11-22T13:00:00.Z",
        "2026-11-22T13:00:00+",
        "2026-11-22T13:00:00+1",
        "2026-11-22T13:00:00+15:00",
        "2026-11-22T13:00:00+01:",
        "2026-11-22Z",
        "2026-13-01",
        "2026-00-01",
        "2026-04-31",
        "2025-02-29",
        "26-11-22",
        "1969-12-31",
        "1970-01-01T00:00:00+01:00",
        "2200-01-01",
        "2199-12-31T23:59:59-14:00",
        "2026-11-22X13:00",
    };
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        int64_t ns = 4711;
        bool zoned = true;
        if (iso8601_parse_time(none[i], &ns, &zoned) != -EINVAL)
            fail_msg("'%s' was taken as %lld ns", none[i], (long long)ns);
        assert_int_equal(ns, 4711);
    }
}

static void assert_duration(const char *text, int64_t expected_s, const char *shown)
{
    int64_t ns = -1;
    char written[ISO8601_TEXT_MAX];
    if (iso8601_parse_duration(text, &ns) != 0)
        fail_msg("'%s' was refused", text);
    assert_int_equal(ns, expected_s * NS_PER_S);
    assert_string_equal(iso8601_format_duration(expected_s, written), shown);
}

static void test_durations(void **state)
{
    (void)state;
    assert_duration("PT1M", 60, "PT1M");
    assert_duration("pt1m", 60, "PT1M");
    assert_duration("PT60M", 3600, "PT1H");
    assert_duration("P1D", 86400, "P1D");
    assert_duration("PT24H", 86400, "P1D");
    assert_duration("P1DT2H30M", 95400, "P1DT2H30M");
    assert_duration("PT90S", 90, "PT1M30S");
    assert_duration("P0DT0H5M0S", 300, "PT5M");
    assert_duration("P1DT", 86400, "P1D");       /* az's of "1d" */
    assert_duration("PT30M1H", 5400, "PT1H30M"); /* az's of "1h30m" */
    int64_t ns = 0;
    assert_int_equal(iso8601_parse_duration("PT0.5S", &ns), 0);
    assert_int_equal(ns, NS_PER_S / 2);
}

static void test_no_durations(void **state)
{
    (void)state;
    static const char *const none[] = {
        "",
        "P",
        "PT",
        "1m",
        "PT1",
        "PT0M",
        "P1M",
        "P1H",
        "PT1D",
        "PT1.M",
        "PT1.5H",
        "PT1M1M",
        "PTM",
        "P-1D",
        "PT1Mx",
        "P1Y",
        "PT1MT1S",
        "T1M",
        "P99999999999999999999D",
        "P36601D",
    };
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        int64_t ns = 4711;
        if (iso8601_parse_duration(none[i], &ns) != -EINVAL)
            fail_msg("'%s' was taken as %lld ns", none[i], (long long)ns);
        assert_int_equal(ns, 4711);
    }
}

static void test_writing_moments(void **state)
{
    (void)state;
    char text[ISO8601_TEXT_MAX];
    assert_string_equal(iso8601_format_time(NOON_AND_ONE, text), "2026-11-22T13:00:00Z");
    assert_string_equal(iso8601_format_time(0, text), "1970-01-01T00:00:00Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moments),         cmocka_unit_test(test_no_moments),
        cmocka_unit_test(test_durations),       cmocka_unit_test(test_no_durations),
        cmocka_unit_test(test_writing_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
