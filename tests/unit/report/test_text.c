/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "report/text.h"

#include <math.h>

#define R "\xEF\xBF\xBD"

static void assert_clean(const char *text, const char *expected)
{
    struct buffer out = {0};
    text_append_clean(&out, text);
    assert_string_equal(buffer_text(&out), expected);
    buffer_done(&out);
}

static void test_clean_keeps_text(void **state)
{
    (void)state;
    assert_clean("", "");
    assert_clean("a\tb\nc", "a\tb\nc");
    assert_clean("caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80",
                 "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80");
}

static void test_clean_replaces_controls(void **state)
{
    (void)state;
    assert_clean("\033[31mred\a\r\x7f", R "[31mred" R R R);
    assert_clean("\001\002\016\020", R R R R);          /* the document's own marks */
    assert_clean("\xC2\x9B", R);                        /* C1: a terminal's CSI */
    assert_clean("\xE2\x80\xAEx\xE2\x81\xA6", R "x" R); /* bidirectional override, isolate */
}

static void test_clean_replaces_bad_utf8(void **state)
{
    (void)state;
    assert_clean("a\xFFz", "a" R "z");
    assert_clean("\xC0\xAF", R R);             /* overlong slash */
    assert_clean("\xE0\x80\xAF", R R R);       /* overlong in three */
    assert_clean("\xED\xA0\x80", R R R);       /* surrogate */
    assert_clean("\xF4\x90\x80\x80", R R R R); /* above U+10FFFF */
    assert_clean("\xE2\x82", R R);             /* cut */
    assert_clean("\xE2\x82x", R R "x");
}

static void test_figures(void **state)
{
    (void)state;
    char text[FIGURE_TEXT_MAX];
    assert_string_equal(figure_bytes(536870912, text), "512.0 MiB");
    assert_string_equal(figure_bytes((double)NAN, text), "not measured");
    assert_string_equal(figure_growth(1048576, text), "+1.0 MiB");
    assert_string_equal(figure_growth(-1048576, text), "-1.0 MiB");
    assert_string_equal(figure_limit(536870912, text), "512Mi");
    assert_string_equal(figure_limit((double)NAN, text), "not measured");
    assert_string_equal(figure_cores(0.25, text), "0.25");
    assert_string_equal(figure_cores((double)NAN, text), "no limit");
    assert_string_equal(figure_number(3.0, 1, text), "3");
    assert_string_equal(figure_number(3.25, 1, text), "3.2");
    assert_string_equal(figure_number(100, 0, text), "100");
    assert_string_equal(figure_number(-0.001, 1, text), "0");
    assert_string_equal(figure_seconds(1.5, text), "1.50 s");
    assert_string_equal(figure_seconds((double)INFINITY, text), "not measured");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean_keeps_text),
        cmocka_unit_test(test_clean_replaces_controls),
        cmocka_unit_test(test_clean_replaces_bad_utf8),
        cmocka_unit_test(test_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
