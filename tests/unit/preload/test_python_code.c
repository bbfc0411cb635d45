/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/python.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct heap_map *map;

static int set_up(void **state)
{
    (void)state;
    map = aligned_alloc(4096, sizeof(*map));
    assert_non_null(map);
    memset(map, 0, sizeof(*map));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(map);
    return 0;
}

static struct python_text ascii(const char *text)
{
    return (struct python_text){(const unsigned char *)text, strlen(text), 1, true};
}

static uint32_t intern(const struct python_text *file, const struct python_text *name, int line)
{
    return python_code_intern(file, name, line);
}

static const char *file_of(uint32_t index)
{
    assert_int_equal(map->codes[index].state, HEAP_STATE_COMPLETE);
    return &map->texts[map->codes[index].text];
}

static const char *name_of(uint32_t index)
{
    return file_of(index) + map->codes[index].file_bytes + 1;
}

static void test_one_for_each_content(void **state)
{
    struct python_text file = ascii("/app/store.py"), name = ascii("Cache.put");
    char elsewhere[] = "/app/store.py";
    struct python_text same = ascii(elsewhere), other = ascii("/app/store.pY");
    (void)state;
    uint32_t index = intern(&file, &name, 42);
    assert_true(index > 0 && index < HEAP_CODES);
    assert_int_equal(intern(&same, &name, 42), index);
    assert_string_equal(file_of(index), "/app/store.py");
    assert_string_equal(name_of(index), "Cache.put");
    assert_int_equal(map->codes[index].first_line, 42);
    assert_int_not_equal(intern(&file, &name, 43), index);
    assert_int_not_equal(intern(&other, &name, 42), index);
    assert_int_not_equal(intern(&name, &file, 42), index);
    assert_int_equal(map->header.lost_codes, 0);
}

/* As CPython keeps them: Latin-1, UCS-2, UCS-4; a lone surrogate is no character. */
static void test_utf_8(void **state)
{
    static const unsigned char latin[] = {'c', 0xe9};
    static const uint16_t two[] = {0x95a2, 0x6570, 0xdc80, 'x'};
    static const uint32_t four[] = {0x1f40d, 'y', 0x110000};
    struct python_text file = {latin, 2, 1, false};
    struct python_text name = {(const unsigned char *)two, 4, 2, false};
    struct python_text snake = {(const unsigned char *)four, 3, 4, false};
    (void)state;
    uint32_t index = intern(&file, &name, 1);
    assert_string_equal(file_of(index), "c\xc3\xa9");
    assert_string_equal(name_of(index), "\xe9\x96\xa2\xe6\x95\xb0?x");
    index = intern(&file, &snake, 1);
    assert_string_equal(name_of(index), "\xf0\x9f\x90\x8dy?");
}

static void test_long_texts(void **state)
{
    char text[1001];
    uint16_t wide[500];
    (void)state;
    for (size_t i = 0; i < 1000; i++)
        text[i] = (char)('a' + i % 26);
    text[1000] = '\0';
    for (size_t i = 0; i < 500; i++)
        wide[i] = (uint16_t)(0x4e00 + i);
    struct python_text plain = ascii(text), broad = {(const unsigned char *)wide, 500, 2, false};
    uint32_t index = intern(&plain, &plain, 1);
    assert_int_equal(strlen(file_of(index)), HEAP_CODE_FILE_MAX);
    assert_string_equal(file_of(index), text + 1000 - HEAP_CODE_FILE_MAX); /* the end */
    assert_int_equal(strlen(name_of(index)), HEAP_CODE_NAME_MAX);
    assert_memory_equal(name_of(index), text, HEAP_CODE_NAME_MAX); /* the beginning */
    index = intern(&broad, &broad, 1);
    size_t whole = HEAP_CODE_FILE_MAX - HEAP_CODE_FILE_MAX % 3;
    assert_int_equal(strlen(file_of(index)), whole);
    assert_memory_equal(file_of(index) + whole - 3, "\xe4\xbf\xb3", 3);
    assert_int_equal(strlen(name_of(index)), HEAP_CODE_NAME_MAX - HEAP_CODE_NAME_MAX % 3);
}

/* What finds no room is lost and counted, and writes nowhere else. */
static void test_full(void **state)
{
    char text[256];
    unsigned lost = 0;
    (void)state;
    memset(text, 'f', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct python_text file = ascii(text), name = ascii("f");
    for (int line = 1; line <= 2 * (int)HEAP_CODES; line++)
        lost += intern(&file, &name, line) == 0;
    assert_true(lost >= HEAP_CODES / 2 && map->header.lost_codes > lost);
    assert_int_equal(map->codes[0].hash, 0);
    unsigned complete = 0;
    for (uint32_t i = 1; i < HEAP_CODES; i++) {
        if (map->codes[i].state != HEAP_STATE_COMPLETE)
            continue;
        assert_string_equal(file_of(i), text);
        assert_string_equal(name_of(i), "f");
        complete++;
    }
    assert_int_equal(complete, HEAP_TEXT_BYTES / (255 + 1 + 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_for_each_content, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_utf_8, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
