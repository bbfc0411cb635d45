/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of CPython 3.11 as they lie in memory, by Include/internal/pycore_frame.h and
 * Include/cpython/code.h of 3.11.2, whole ones and half ones. */
#include "preload/python.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct heap_map *map;

static char code_type, text_type, bytes_type;
static const struct python_types types = {&code_type, &text_type, &bytes_type};

struct object {
    int64_t references;
    const void *type;
    int64_t size;
};
struct text {
    struct object head;
    int64_t hash;
    uint32_t state;
    void *wstr;
    char data[16];
};
struct bytes {
    struct object head;
    int64_t hash;
    unsigned char data[16];
};
struct code {
    struct object head;
    void *consts, *names, *exceptions;
    int flags;
    short warmup, entry_size;
    int arguments, positional, keyword, stack_size;
    int first_line;
    int counts[5];
    void *locals, *kinds;
    struct text *file, *name, *qualname;
    struct bytes *lines;
    void *weak, *bytes, *array;
    int first_traceable;
    void *extra;
    uint16_t instructions[8];
};
struct frame {
    void *function, *globals, *builtins, *locals;
    struct code *code;
    void *object;
    struct frame *previous;
    uint16_t *position;
    int stack_top;
    bool is_entry;
    char owner;
};

static struct text file, name, qualname;
static struct bytes lines;
static struct code code;
static struct frame frame;
static const struct python_layout *layout;

static void fill_text(struct text *text, const char *content)
{
    *text = (struct text){.head = {1, &text_type, (int64_t)strlen(content)},
                          .state = 1U << 2 | 1U << 5 | 1U << 6}; /* of one byte, compact, ASCII */
    memcpy(text->data, content, strlen(content));
}

static int set_up(void **state)
{
    uint32_t hex;
    (void)state;
    map = aligned_alloc(4096, sizeof(*map));
    assert_non_null(map);
    memset(map, 0, sizeof(*map));
    layout = python_layout_find("3.11.2 (main, Apr 28 2025, 14:11:48) [GCC 12.2.0]", &hex);
    assert_non_null(layout);
    fill_text(&file, "/app.py");
    fill_text(&name, "put");
    fill_text(&qualname, "Cache.put");
    /* Two units of line 42, one of line 44. */
    lines = (struct bytes){.head = {1, &bytes_type, 5}, .data = {0x81, 0, 0xe0, 0, 0}};
    code = (struct code){.head = {1, &code_type, 3},
                         .first_line = 42,
                         .file = &file,
                         .name = &name,
                         .qualname = &qualname,
                         .lines = &lines};
    frame = (struct frame){.code = &code, .position = &code.instructions[2]};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(map);
    return 0;
}

static bool read_frame(uint64_t *ret)
{
    return python_frame_read(layout, &types, (uintptr_t)&frame, ret);
}

static void test_layout_of_this_test(void **state)
{
    (void)state;
    assert_int_equal(offsetof(struct frame, code), layout->frame_code);
    assert_int_equal(offsetof(struct frame, previous), layout->frame_previous);
    assert_int_equal(offsetof(struct frame, position), layout->frame_position);
    assert_int_equal(offsetof(struct frame, is_entry), layout->frame_is_entry);
    assert_int_equal(offsetof(struct frame, owner), layout->frame_owner);
    assert_int_equal(offsetof(struct code, first_line), layout->code_first_line);
    assert_int_equal(offsetof(struct code, file), layout->code_file);
    assert_int_equal(offsetof(struct code, qualname), layout->code_name);
    assert_int_equal(offsetof(struct code, lines), layout->code_lines);
    assert_int_equal(offsetof(struct code, first_traceable), layout->code_first_traceable);
    assert_int_equal(offsetof(struct code, instructions), layout->code_bytes);
    assert_int_equal(offsetof(struct text, data), layout->text_ascii);
}

static void test_whole_frame(void **state)
{
    uint64_t value;
    (void)state;
    assert_true(read_frame(&value));
    assert_int_equal(HEAP_FRAME_MODULE(value), HEAP_MODULE_PYTHON);
    const struct heap_code *found = &map->codes[HEAP_FRAME_CODE(value)];
    assert_string_equal(&map->texts[found->text], "/app.py");
    assert_string_equal(&map->texts[found->text + found->file_bytes + 1U], "Cache.put");
    assert_int_equal(HEAP_FRAME_LINE(value), 44);
    assert_true(read_frame(&value)); /* now known */
    assert_int_equal(HEAP_FRAME_LINE(value), 44);
    frame.position = &code.instructions[0];
    assert_true(read_frame(&value));
    assert_int_equal(HEAP_FRAME_LINE(value), 42);
}

static void test_frame_that_has_not_begun(void **state)
{
    uint64_t value;
    (void)state;
    code.first_traceable = 1;
    frame.position = &code.instructions[0];
    assert_false(read_frame(&value));
    frame.owner = 1; /* a generator's: it stands before its first instruction until it is asked */
    assert_true(read_frame(&value));
    frame.owner = 0;
    frame.position = &code.instructions[1];
    assert_true(read_frame(&value));
}

/* Pointers that are none, objects of another type or on their way out. */
static void test_what_is_no_frame(void **state)
{
    uint64_t value;
    (void)state;
    static void *const wrong[] = {NULL, (void *)8, (void *)0x7f0000001001, (void *)UINTPTR_MAX,
                                  &file};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        frame.code = wrong[i];
        assert_false(read_frame(&value));
    }
    frame.code = &code;
    code.head.references = 0;
    assert_false(read_frame(&value));
    code.head.references = 1;
    code.file = NULL;
    assert_false(read_frame(&value));
    code.file = &file;
    qualname.state &= ~(1U << 5);
    assert_false(read_frame(&value));
    fill_text(&qualname, "Cache.put");
    qualname.head.size = 1 << 20;
    assert_false(read_frame(&value));
    qualname.head.size = -1;
    assert_false(read_frame(&value));
    fill_text(&qualname, "x");
    code.lines = NULL; /* then without a line */
    assert_true(read_frame(&value));
    assert_int_equal(HEAP_FRAME_LINE(value), 0);
}

static void test_versions(void **state)
{
    static const struct {
        const char *text;
        unsigned minor; /* 0: not known */
        uint32_t hex;
    } cases[] = {
        {"3.9.18 (main, May  9 2026) \n[GCC 12.2.0]", 9, 0x03091200},
        {"3.10.13 (main, May  9 2026)", 10, 0x030a0d00},
        {"3.11.2+ (heads/3.11)", 11, 0x030b0200},
        {"3.12.1 (main)", 12, 0x030c0100},
        {"3.13.0 (main)", 13, 0x030d0000},
        {"3.13.0rc1 (main)", 0, 0x030d0000},
        {"3.13.1 experimental free-threading build (main)", 0, 0x030d0100},
        {"3.14.0 (main)", 0, 0x030e0000},
        {"3.8.18 (main)", 0, 0x03081200},
        {"2.7.18 (main)", 0, 0x02071200},
        {"3.11", 0, 0x030b0000},
        {"", 0, 0},
        {"x", 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t hex = 7;
        const struct python_layout *found = python_layout_find(cases[i].text, &hex);
        assert_int_equal(found ? found->minor : 0, cases[i].minor);
        assert_int_equal(hex, cases[i].hex);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_layout_of_this_test, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_whole_frame, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_frame_that_has_not_begun, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_frame, set_up, tear_down),
        cmocka_unit_test(test_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
