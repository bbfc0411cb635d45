/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lab/plan_nearest.h"
#include "lab/plan_value.h"

#include <string.h>

static void check_split(const char *text, const char *const *words)
{
    struct error err = {0};
    char **split = NULL;
    assert_int_equal(command_split(text, &split, &err), 0);
    size_t i = 0;
    for (; words[i]; i++) {
        assert_non_null(split[i]);
        assert_string_equal(split[i], words[i]);
    }
    assert_null(split[i]);
    strv_free(split);
}

static void test_command_split(void **state)
{
    (void)state;
    check_split("", (const char *[]){NULL});
    check_split("  \t\n", (const char *[]){NULL});
    check_split("a b\tc\n", (const char *[]){"a", "b", "c", NULL});
    check_split("a 'b c' \"d e\"", (const char *[]){"a", "b c", "d e", NULL});
    check_split("a'b'c", (const char *[]){"abc", NULL});
    check_split("''", (const char *[]){"", NULL});
    check_split("a\\ b 'c\\d' \"e\\\"f\"", (const char *[]){"a b", "c\\d", "e\"f", NULL});
    check_split("$HOME `x` *", (const char *[]){"$HOME", "`x`", "*", NULL});
    check_split("end\\", (const char *[]){"end\\", NULL});
    struct error err = {0};
    char **split = NULL;
    assert_true(command_split("a \"b", &split, &err) < 0);
    assert_string_equal(err.text, "the quote \" is not closed in: a \"b");
}

static void test_probe(void **state)
{
    (void)state;
    struct error err = {0};
    struct probe_spec probe = {.period_ns = 7, .failure_threshold = 3};
    assert_int_equal(probe_parse("http:/a,b?c=d", &probe, &err), 0);
    assert_string_equal(probe.path, "/a,b?c=d");
    assert_int_equal(probe.period_ns, 7);
    assert_int_equal(probe_parse("tcp failures=9 delay=0s", &probe, &err), 0);
    assert_int_equal(probe.kind, READY_TCP);
    assert_int_equal(probe.failure_threshold, 9);
    static const char *const wrong[] = {"",         "udp",           "http:",          "http:x",
                                        "http://x", "tcp period=0s", "tcp failures=0", "tcp x=1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (probe_parse(wrong[i], &probe, &err) == 0)
            fail_msg("taken: '%s'", wrong[i]);
        assert_int_equal(err.kind, ERROR_USAGE);
        assert_int_equal(probe.failure_threshold, 9);
    }
}

static void test_backoff(void **state)
{
    (void)state;
    struct error err = {0};
    struct backoff_spec spec = {0};
    assert_int_equal(backoff_parse("kubernetes", &spec, &err), 0);
    assert_int_equal(spec.first_ns, INT64_C(10000000000));
    assert_int_equal(spec.max_ns, INT64_C(300000000000));
    assert_int_equal(spec.reset_ns, INT64_C(600000000000));
    assert_int_equal(backoff_parse("fast", &spec, &err), 0);
    assert_int_equal(spec.first_ns * 20, INT64_C(10000000000));
    assert_int_equal(spec.max_ns * 20, INT64_C(300000000000));
    assert_int_equal(backoff_parse(" 200ms , 2s", &spec, &err), 0);
    assert_int_equal(spec.first_ns, 200000000);
    assert_int_equal(spec.max_ns, INT64_C(2000000000));
    static const char *const wrong[] = {
        "",    "slow",     "1s",    "1s,",
        ",1s", "1s,2s,3s", "2s,1s", "1sssssssssssssssssssssssssssssssssssssssssssssssss,2s"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (backoff_parse(wrong[i], &spec, &err) == 0)
            fail_msg("taken: '%s'", wrong[i]);
        assert_int_equal(spec.first_ns, 200000000);
    }
}

static void test_cpu(void **state)
{
    (void)state;
    struct error err = {0};
    double cores = 0;
    assert_int_equal(cpu_parse("250m", &cores, &err), 0);
    assert_true(cores > 0.2499 && cores < 0.2501);
    assert_int_equal(cpu_parse(".5", &cores, &err), 0);
    assert_true(cores > 0.4999 && cores < 0.5001);
    static const char *const wrong[] = {"",    "0",     "0.001", "-1", "x",   "1x",
                                        "0x1", "1e999", "nan",   "m",  "1 m", "inf"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (cpu_parse(wrong[i], &cores, &err) == 0)
            fail_msg("taken: '%s'", wrong[i]);
    }
}

static void test_names(void **state)
{
    (void)state;
    char name[NAME_MAX_CHARS + 1];
    struct error err = {0};
    name_make("./My Server_2.py", name);
    assert_string_equal(name, "my-server-2-py");
    name_make("---", name);
    assert_string_equal(name, "service");
    name_make("\xc3\xa4", name);
    assert_string_equal(name, "service");
    name_make("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbb", name);
    assert_int_equal(strlen(name), 39);
    assert_int_equal(name_check(name, &err), 0);
    static const char *const wrong[] = {"", "-a", "a-", "A", "a/b", "a.b", "a b"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (name_check(wrong[i], &err) == 0)
            fail_msg("taken: '%s'", wrong[i]);
    }
}

static void check_nearest(const char *word, const char *expected)
{
    static const char *const candidates[] = {"memory",   "raise", "per-cycle", "patch-memory",
                                             "requests", "arms",  "env"};
    struct nearest nearest;
    nearest_init(&nearest, word);
    for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++)
        nearest_offer(&nearest, candidates[i]);
    if (!expected)
        assert_null(nearest.best);
    else if (!nearest.best || strcmp(nearest.best, expected) != 0)
        fail_msg("nearest to '%s' is '%s', not '%s'", word, nearest.best ? nearest.best : "none",
                 expected);
}

static void test_nearest(void **state)
{
    (void)state;
    check_nearest("memroy", "memory");
    check_nearest("mem", "memory");
    check_nearest("percycle", "per-cycle");
    check_nearest("patch_memory", "patch-memory");
    check_nearest("request", "requests");
    check_nearest("evn", "env");
    check_nearest("arm", "arms");
    check_nearest("zzzzzz", NULL);
    check_nearest("", NULL);
    check_nearest("a-very-long-word-that-is-longer-than-any-option-there-is", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_split), cmocka_unit_test(test_probe),
        cmocka_unit_test(test_backoff),       cmocka_unit_test(test_cpu),
        cmocka_unit_test(test_names),         cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
