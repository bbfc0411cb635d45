/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text, *shown, *kept;
} ESCAPED[] = {
    {"cache_put", "cache_put", "cache_put"},
    {"gemacht_é関", "gemacht_é関", "gemacht_é関"},
    {"a\033[2Jb", "a\\x1b[2Jb", "a\033[2Jb"},
    {"a\nb\tc", "a\\x0ab\\x09c", "a\nb\tc"},
    {"a\x9b"
     "31m",
     "a\\x9b31m", "a\\x9b31m"}, /* a C1 control as a byte: no UTF-8 */
    {"a\xC2\x9B"
     "31m",
     "a\\xc2\\x9b31m",
     "a\xC2\x9B"
     "31m"}, /* and as a character */
    {"a\xE2\x80\xAEz", "a\\xe2\\x80\\xaez", "a\xE2\x80\xAEz"},
    {"\xff\xfe", "\\xff\\xfe", "\\xff\\xfe"},
    {"\\xff", "\\x5cxff", "\\x5cxff"}, /* is another name than the byte's */
    {"C:\\new", "C:\\new", "C:\\new"},
    {"cut\xE2\x80", "cut\\xe2\\x80", "cut\\xe2\\x80"},
};

static void test_escape(void **state)
{
    char out[UTF8_ESCAPED_MAX(32)];
    (void)state;
    for (size_t i = 0; i < sizeof(ESCAPED) / sizeof(ESCAPED[0]); i++) {
        utf8_escape(ESCAPED[i].text, true, out, sizeof(out));
        assert_string_equal(out, ESCAPED[i].shown);
        utf8_escape(ESCAPED[i].text, false, out, sizeof(out));
        assert_string_equal(out, ESCAPED[i].kept);
    }
}

/* What was shown, with or without controls, is again what it was. */
static void test_unescape(void **state)
{
    char out[UTF8_ESCAPED_MAX(32)];
    (void)state;
    for (size_t i = 0; i < sizeof(ESCAPED) / sizeof(ESCAPED[0]); i++) {
        for (int controls = 0; controls < 2; controls++) {
            utf8_escape(ESCAPED[i].text, controls, out, sizeof(out));
            utf8_unescape(out);
            assert_string_equal(out, ESCAPED[i].text);
        }
    }
    strcpy(out, "a\\x0\\x00\\xg1\\x"); /* not what it writes: left as it is */
    utf8_unescape(out);
    assert_string_equal(out, "a\\x0\\x00\\xg1\\x");
}

static void test_cut_between_characters(void **state)
{
    char out[8];
    (void)state;
    utf8_escape("abcdef\xC3\xA9", true, out, sizeof(out));
    assert_string_equal(out, "abcdef");
    utf8_escape("abcde\xC3\xA9", true, out, sizeof(out));
    assert_string_equal(out, "abcde\xC3\xA9");
    utf8_escape("abcd\033", true, out, sizeof(out));
    assert_string_equal(out, "abcd");
    utf8_escape("abc\033", true, out, sizeof(out));
    assert_string_equal(out, "abc\\x1b");
    utf8_escape("abc", true, out, 1);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_unescape),
        cmocka_unit_test(test_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
