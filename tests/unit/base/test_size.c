/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/size.h"

#include <string.h>

static void assert_size(const char *text, uint64_t expected)
{
    struct error err = {0};
    uint64_t bytes = 0;
    if (size_parse(text, &bytes, &err) != 0)
        fail_msg("'%s': %s", text, err.text);
    if (bytes != expected)
        fail_msg("'%s' is %llu, not %llu", text, (unsigned long long)bytes,
                 (unsigned long long)expected);
}

static void assert_refused(const char *text)
{
    struct error err = {0};
    uint64_t bytes = 4711;
    if (size_parse(text, &bytes, &err) == 0)
        fail_msg("'%s' was taken as %llu", text, (unsigned long long)bytes);
    assert_int_equal(err.kind, ERROR_USAGE);
    assert_int_equal(bytes, 4711);
    assert_non_null(strstr(err.text, text));
}

static void test_units(void **state)
{
    (void)state;
    assert_size("0", 0);
    assert_size("512", 512);
    assert_size("512B", 512);
    assert_size("64Ki", 64 * KIB);
    assert_size("512Mi", 512 * MIB);
    assert_size("512MiB", 512 * MIB);
    assert_size("2Gi", 2 * GIB);
    assert_size("1Ti", 1024 * GIB);
    assert_size("1Pi", GIB * 1024 * 1024);
    assert_size("100k", 100000);
    assert_size("100K", 100000);
    assert_size("100KB", 100000);
    assert_size("500M", 500000000);
    assert_size("1G", 1000000000);
    assert_size("1T", UINT64_C(1000000000000));
    assert_size("1PB", UINT64_C(1000000000000000));
}

static void test_fractions_round_to_the_nearest_byte(void **state)
{
    (void)state;
    assert_size("0.5Gi", 512 * MIB);
    assert_size(".5Gi", 512 * MIB);
    assert_size("1.5G", 1500000000);
    assert_size("1e9", 1000000000);
    assert_size("1.5e3k", 1500000);
    assert_size("0.1k", 100);
    assert_size("0.3Mi", 314573); /* 314572.8 */
    assert_size("1.4", 1);
    assert_size("1.6", 2);
}

static void test_large_sizes_are_exact(void **state)
{
    (void)state;
    assert_size("9007199254740993", UINT64_C(9007199254740993)); /* 2^53 + 1 */
    assert_size("9223372036854775807", INT64_MAX);
    assert_size("8191Pi", UINT64_C(8191) << 50);
}

static void test_too_large(void **state)
{
    (void)state;
    assert_refused("9223372036854775808");
    assert_refused("8192Pi");
    assert_refused("1e400");
    assert_refused("99999999999999999999999999999999999999999");
}

static void test_not_a_size(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",     " ",     "Mi",  ".",     "-1",   "+1",    " 1",     "1 ",    "1 Mi",
        "0x10", "0X10",  "inf", "nan",   "1mi",  "1Mib",  "1Gi2Mi", "1024m", "1..",
        "1e",   "1,5Gi", "1E",  "1Mi\n", "five", "1KiBB", "1iB",    "1/2",   "\xc2\xbd",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_refused(texts[i]);
}

static void test_format(void **state)
{
    (void)state;
    char text[SIZE_TEXT_MAX];
    assert_string_equal(size_format(0, text), "0 B");
    assert_string_equal(size_format(1023, text), "1023 B");
    assert_string_equal(size_format(1024, text), "1.0 KiB");
    assert_string_equal(size_format(512 * MIB, text), "512.0 MiB");
    assert_string_equal(size_format(600 * MIB + 300 * KIB, text), "600.3 MiB");
    /* Just under the next unit: never "1024.0 MiB". */
    assert_string_equal(size_format(GIB - 1, text), "1.0 GiB");
    assert_string_equal(size_format(GIB - MIB, text), "1023.0 MiB");
    assert_string_equal(size_format(UINT64_MAX, text), "16.0 EiB");
}

static void test_quantity_is_exact(void **state)
{
    (void)state;
    char text[SIZE_TEXT_MAX];
    assert_string_equal(size_format_quantity(0, text), "0");
    assert_string_equal(size_format_quantity(1000, text), "1000");
    assert_string_equal(size_format_quantity(512 * MIB, text), "512Mi");
    assert_string_equal(size_format_quantity(GIB, text), "1Gi");
    assert_string_equal(size_format_quantity(GIB + KIB, text), "1048577Ki");
    assert_string_equal(size_format_quantity(INT64_MAX, text), "9223372036854775807");
    for (unsigned shift = 0; shift < 63; shift++)
        assert_size(size_format_quantity(UINT64_C(1) << shift, text), UINT64_C(1) << shift);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_fractions_round_to_the_nearest_byte),
        cmocka_unit_test(test_large_sizes_are_exact),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_not_a_size),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_quantity_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
