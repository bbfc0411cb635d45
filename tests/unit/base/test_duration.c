/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/duration.h"

#include <math.h>
#include <string.h>

static void assert_duration(const char *text, int64_t expected_ns)
{
    struct error err = {0};
    int64_t ns = -1;
    if (duration_parse(text, &ns, &err) != 0)
        fail_msg("'%s': %s", text, err.text);
    if (ns != expected_ns)
        fail_msg("'%s' is %lld ns, not %lld", text, (long long)ns, (long long)expected_ns);
}

static void assert_refused(const char *text)
{
    struct error err = {0};
    int64_t ns = 4711;
    if (duration_parse(text, &ns, &err) == 0)
        fail_msg("'%s' was taken as %lld ns", text, (long long)ns);
    assert_int_equal(err.kind, ERROR_USAGE);
    assert_int_equal(ns, 4711);
    assert_non_null(strstr(err.text, text));
}

static void test_units(void **state)
{
    (void)state;
    assert_duration("0", 0);
    assert_duration("0s", 0);
    assert_duration("10", 10 * NS_PER_S);
    assert_duration("1ns", 1);
    assert_duration("10us", 10 * NS_PER_US);
    assert_duration("200ms", 200 * NS_PER_MS);
    assert_duration("1.5s", 1500 * NS_PER_MS);
    assert_duration(".5s", 500 * NS_PER_MS);
    assert_duration("5m", 300 * NS_PER_S);
    assert_duration("5min", 300 * NS_PER_S);
    assert_duration("2h", 7200 * NS_PER_S);
    assert_duration("1d", 86400 * NS_PER_S);
}

static void test_sums(void **state)
{
    (void)state;
    assert_duration("1h30m", 5400 * NS_PER_S);
    assert_duration("1m30s", 90 * NS_PER_S);
    assert_duration("1s500ms", 1500 * NS_PER_MS);
    assert_duration("0s5ms", 5 * NS_PER_MS);
    assert_duration("36600d", INT64_C(36600) * 86400 * NS_PER_S);
}

static void test_not_a_duration(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",     " ",  "s",    ".",   "-1s", "+1s", "1 s",   "1s ",  "0x10", "inf",    "nan",
        "1sec", "1M", "1h30", "0s5", "0h0", "1S",  "1e400", "five", "1/s",  "1.5.5s", "m5",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_refused(texts[i]);
}

static void test_more_than_a_century(void **state)
{
    (void)state;
    assert_refused("36601d");
    assert_refused("36600d1s");
    assert_refused("1e30");
}

static void assert_rate(const char *text, double expected)
{
    struct error err = {0};
    double per_s = -1;
    if (rate_parse(text, &per_s, &err) != 0)
        fail_msg("'%s': %s", text, err.text);
    assert_true(fabs(per_s - expected) <= expected * 1e-12);
}

static void test_rates(void **state)
{
    (void)state;
    assert_rate("50/s", 50);
    assert_rate("50", 50);
    assert_rate("0.5", 0.5);
    assert_rate("3000/m", 50);
    assert_rate("3000/min", 50);
    assert_rate("10/h", 10.0 / 3600);
    assert_rate("1/ms", 1000);
}

static void test_not_a_rate(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",       "0",   "0/s",   "-1/s",  "/s",       "50/",      "50/ s", "50/x",
        "50/s/s", "50s", "inf/s", "nan/s", "1e-320/d", "1e308/ms", "0x5/s", "5/1s",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct error err = {0};
        double per_s = 4711;
        if (rate_parse(texts[i], &per_s, &err) == 0)
            fail_msg("'%s' was taken as %g/s", texts[i], per_s);
        assert_int_equal(err.kind, ERROR_USAGE);
        assert_true(per_s == 4711);
    }
}

static void test_format(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {0, "0 us"},
        {5 * NS_PER_US, "5 us"},
        {999 * NS_PER_US, "999 us"},
        {NS_PER_MS - 1, "1.00 ms"},
        {1520 * NS_PER_US, "1.52 ms"},
        {10 * NS_PER_MS - 1, "10 ms"},
        {340 * NS_PER_MS, "340 ms"},
        {NS_PER_S - 1, "1.00 s"},
        {1520 * NS_PER_MS, "1.52 s"},
        {59990 * NS_PER_MS, "59.99 s"},
        {60 * NS_PER_S - 1, "1 min 0 s"},
        {125 * NS_PER_S, "2 min 5 s"},
        {125900 * NS_PER_MS, "2 min 6 s"},
        {3600 * NS_PER_S - 1, "1 h 0 min"},
        {3840 * NS_PER_S, "1 h 4 min"},
        {7199 * NS_PER_S, "2 h 0 min"},
        {INT64_C(36600) * 86400 * NS_PER_S, "878400 h 0 min"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[DURATION_TEXT_MAX];
        assert_string_equal(duration_format(cases[i].ns, text), cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_units),          cmocka_unit_test(test_sums),
        cmocka_unit_test(test_not_a_duration), cmocka_unit_test(test_more_than_a_century),
        cmocka_unit_test(test_rates),          cmocka_unit_test(test_not_a_rate),
        cmocka_unit_test(test_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
