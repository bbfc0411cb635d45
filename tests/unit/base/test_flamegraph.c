/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/flamegraph.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

static char *drawn(const char *folded, const char *title, bool embedded)
{
    AUTO_BUFFER out = {0};
    flamegraph_draw(folded, title, embedded, &out);
    assert_false(out.failed);
    return buffer_steal(&out);
}

/* The width of the box whose tooltip begins so. */
static double width_of(const char *svg, const char *tooltip)
{
    char begin[128];
    snprintf(begin, sizeof(begin), "<title>%s", tooltip);
    const char *at = strstr(svg, begin);
    assert_non_null(at);
    at = strstr(at, " width=\"");
    assert_non_null(at);
    return strtod(at + 8, NULL);
}

static void test_widths_are_shares(void **state)
{
    (void)state;
    AUTO_FREE char *svg = drawn("main;a 3072\nmain;a;b 1024\nmain;c 4096\n", "t", false);
    double whole = width_of(svg, "all: 8.0 KiB, 100.0 %");
    assert_float_equal(width_of(svg, "main: 8.0 KiB"), whole, 0.1);
    assert_float_equal(width_of(svg, "a: 4.0 KiB, 50.0 %"), whole / 2, 0.1);
    assert_float_equal(width_of(svg, "b: 1.0 KiB, 12.5 %"), whole / 8, 0.1);
    assert_float_equal(width_of(svg, "c: 4.0 KiB"), whole / 2, 0.1);
}

static void test_what_is_no_stack_is_left_out(void **state)
{
    (void)state;
    AUTO_FREE char *svg =
        drawn("\nnothing\nminus -5\nbad nan\nhuge inf\nmain of all 10\nlast 10", "t", true);
    double whole = width_of(svg, "all: 20 B");
    assert_float_equal(width_of(svg, "main of all: 10 B"), whole / 2, 0.1);
    assert_null(strstr(svg, "minus"));
    assert_null(strstr(svg, "bad"));
    assert_null(strstr(svg, "huge"));
}

static void test_names_stay_text(void **state)
{
    (void)state;
    AUTO_FREE char *svg = drawn("<img src=x>&\"' 5\nbad\xff\x01\xc3(char const*) 5\n"
                                "\xc3\xa9t\xc3\xa9 5\n",
                                "a <title>", false);
    assert_null(strstr(svg, "<img"));
    assert_non_null(strstr(svg, "a &#60;title&#62;"));
    assert_non_null(strstr(svg, "<title>&#60;img src=x&#62;&#38;&#34;&#39;: 5 B"));
    assert_non_null(strstr(svg, "<title>bad??"
                                "?(char const*): 5 B"));
    assert_non_null(strstr(svg, "\xc3\xa9t\xc3\xa9"));
    for (const char *at = svg; *at;) {
        uint32_t point;
        size_t length = utf8_decode(at, &point);
        assert_true(length > 0);
        at += length;
    }
}

/* A name that does not fit is cut between characters. */
static void test_long_names_are_cut(void **state)
{
    (void)state;
    char folded[2048] = "";
    for (int i = 0; i < 500; i++)
        memcpy(folded + 2 * (size_t)i, "\xc3\xa9", 3);
    strcat(folded, " 5\n");
    AUTO_FREE char *svg = drawn(folded, "t", true);
    assert_non_null(strstr(svg, "\xc3\xa9..</text>"));
}

static void test_embedded_and_alone(void **state)
{
    (void)state;
    AUTO_FREE char *embedded = drawn("a 1\n", "Title", true);
    AUTO_FREE char *alone = drawn("a 1\n", "Title", false);
    assert_memory_equal(embedded, "<svg viewBox=", 13);
    assert_null(strstr(embedded, "xmlns"));
    assert_null(strstr(embedded, ">Title"));
    assert_non_null(strstr(alone, "<svg xmlns=\"http://www.w3.org/2000/svg\" "));
    assert_non_null(strstr(alone, ">Title, 1 B</text>"));
}

static void test_deep_and_empty(void **state)
{
    (void)state;
    AUTO_BUFFER folded = {0};
    for (int i = 0; i < 5000; i++)
        buffer_puts(&folded, "f;");
    buffer_puts(&folded, "g 7\n");
    AUTO_FREE char *deep = drawn(buffer_text(&folded), "t", true);
    AUTO_FREE char *empty = drawn("", "t", true);
    assert_null(strstr(deep, "<title>g"));
    assert_non_null(strstr(empty, "</svg>"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_widths_are_shares),
        cmocka_unit_test(test_what_is_no_stack_is_left_out),
        cmocka_unit_test(test_names_stay_text),
        cmocka_unit_test(test_long_names_are_cut),
        cmocka_unit_test(test_embedded_and_alone),
        cmocka_unit_test(test_deep_and_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
