/* SPDX-License-Identifier: Apache-2.0 */
/* Lines, searches and JSON values out of streams that nobody tidied up. */
#include "import/input.h"

#include "base/buffer.h"
#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct input *open_bytes(const void *data, size_t length)
{
    struct input *input = NULL;
    struct error err = {0};
    assert_int_equal(input_open_memory("mem", data, length, &input, &err), 0);
    return input;
}

#define OPEN(text) open_bytes((text), sizeof(text) - 1)

static void assert_line(struct input *input, const char *text, uint64_t number)
{
    struct line line;
    struct error err = {0};
    assert_int_equal(input_line(input, &line, &err), 1);
    assert_string_equal(line.text, text);
    assert_int_equal(line.number, number);
}

static void test_lines_of_every_kind(void **state)
{
    (void)state;
    struct line line;
    struct error err = {0};
    AUTO_INPUT *input = OPEN("\xEF\xBB\xBFone\r\n\n two\rthree \nlast");
    assert_line(input, "one", 1);
    assert_line(input, "", 2);
    input_unread_line(input);
    assert_line(input, "", 2);
    assert_line(input, " two\rthree ", 3);
    assert_line(input, "last", 4);
    assert_int_equal(input_line(input, &line, &err), 0);
    assert_int_equal(input_line(input, &line, &err), 0);
}

static void test_nul_bytes_stay_in_the_line(void **state)
{
    (void)state;
    struct line line;
    struct error err = {0};
    AUTO_INPUT *input = OPEN("a\0b\nc\n");
    assert_int_equal(input_line(input, &line, &err), 1);
    assert_int_equal(line.length, 3);
    assert_memory_equal(line.text, "a\0b", 4);
    assert_line(input, "c", 2);
}

static void test_long_line_is_cut_and_counted_once(void **state)
{
    (void)state;
    size_t length = 3 * INPUT_LINE_MAX + 77;
    AUTO_FREE char *text = malloc(length + 6);
    assert_non_null(text);
    memset(text, 'x', length);
    memcpy(text + length, "\nnext\n", 6);
    AUTO_INPUT *input = open_bytes(text, length + 6);
    struct line line;
    struct error err = {0};
    assert_int_equal(input_line(input, &line, &err), 1);
    assert_true(line.cut);
    assert_int_equal(line.length, INPUT_LINE_MAX);
    assert_line(input, "next", 2);
}

/* Needles at the edges of blocks, and the numbers of the lines between them. */
static void test_find_over_block_edges(void **state)
{
    (void)state;
    static const char *const needles[] = {"oom-kill", "Killed"};
    AUTO_BUFFER text = {0};
    for (unsigned i = 1; i <= 60000; i++) {
        if (i % 7919 == 0)
            buffer_printf(&text, "line %u oom-kill\n", i);
        else if (i % 20011 == 0)
            buffer_printf(&text, "line %u Killed process\r\n", i);
        else
            buffer_printf(&text, "line %u with nothing of interest in it, only words\n", i);
    }
    buffer_puts(&text, "line 60001 Killed");
    assert_true(text.length > (size_t)2 << 20);
    AUTO_INPUT *input = open_bytes(text.data, text.length);
    struct line line;
    struct error err = {0};
    unsigned found = 0;
    uint64_t last = 0;
    while (input_find(input, needles, 2, &line, &err) == 1) {
        assert_int_equal(strtoull(line.text + 5, NULL, 10), line.number);
        assert_true(line.number > last);
        last = line.number;
        found++;
    }
    assert_int_equal(found, 60000 / 7919 + 60000 / 20011 + 1);
    assert_int_equal(last, 60001);
}

static void test_json_values_one_by_one(void **state)
{
    (void)state;
    AUTO_INPUT *input =
        OPEN("[\r\n {\"a\": \"]}\\\"\"},\n [1, 2], \"x,y\", 3 ]\n{\"b\": 1}{\"c\": 2}\n");
    static const struct {
        const char *text;
        uint64_t line;
    } expected[] = {{"{\"a\":\"]}\\\"\"}", 2}, {"[1,2]", 3},    {"\"x,y\"", 3}, {"3", 3},
                    {"{\"b\":1}", 4},          {"{\"c\":2}", 4}};
    struct error err = {0};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        json_t *value = NULL;
        uint64_t line = 0;
        assert_int_equal(input_json(input, &value, &line, &err), 1);
        AUTO_FREE char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        assert_string_equal(text, expected[i].text);
        assert_int_equal(line, expected[i].line);
        json_decref(value);
    }
    json_t *value = NULL;
    assert_int_equal(input_json(input, &value, NULL, &err), 0);
}

static void test_json_faults_have_a_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } faults[] = {
        {"{\"a\": 1", "mem:1:1: the JSON value that begins here has no end"},
        {"[\n {\"a\": 1},\n", "the list has no end"},
        {"[\n {\"a\": nope}\n]", "mem:2:"},
    };
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        AUTO_INPUT *input = open_bytes(faults[i].text, strlen(faults[i].text));
        struct error err = {0};
        json_t *value = NULL;
        int r;
        while ((r = input_json(input, &value, NULL, &err)) == 1)
            json_decref(value);
        assert_true(r < 0);
        assert_int_equal(err.kind, ERROR_USAGE);
        assert_non_null(strstr(err.text, faults[i].message));
    }
}

static void test_json_value_too_large(void **state)
{
    (void)state;
    size_t length = INPUT_VALUE_MAX + 100;
    AUTO_FREE char *text = malloc(length);
    assert_non_null(text);
    memset(text, ' ', length);
    text[0] = '{';
    AUTO_INPUT *input = open_bytes(text, length);
    struct error err = {0};
    json_t *value = NULL;
    assert_true(input_json(input, &value, NULL, &err) < 0);
    assert_non_null(strstr(err.text, "larger than"));
}

static void test_utf16_says_what_to_do(void **state)
{
    (void)state;
    AUTO_INPUT *input = OPEN("\xFF\xFE{\0}\0");
    struct head head;
    struct error err = {0};
    assert_true(input_head(input, &head, &err) < 0);
    assert_non_null(strstr(err.text, "iconv"));
}

static void test_clean_text(void **state)
{
    (void)state;
    char text[16];
    assert_string_equal(input_clean("a\xC3\xA4\xFF\n\x7F", 6, text, sizeof(text)),
                        "a\xC3\xA4\xEF\xBF\xBD  ");
    assert_string_equal(input_clean("\xC3\xA4\xC3\xA4", 4, text, 4), "\xC3\xA4");
    assert_string_equal(input_clean("\xED\xA0\x80", 3, text, sizeof(text)), /* a surrogate */
                        "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_of_every_kind),
        cmocka_unit_test(test_nul_bytes_stay_in_the_line),
        cmocka_unit_test(test_long_line_is_cut_and_counted_once),
        cmocka_unit_test(test_find_over_block_edges),
        cmocka_unit_test(test_json_values_one_by_one),
        cmocka_unit_test(test_json_faults_have_a_place),
        cmocka_unit_test(test_json_value_too_large),
        cmocka_unit_test(test_utf16_says_what_to_do),
        cmocka_unit_test(test_clean_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
