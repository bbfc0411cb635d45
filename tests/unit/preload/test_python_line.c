/* SPDX-License-Identifier: Apache-2.0 */
/* The tables that CPython 3.9.18, 3.10.13 and 3.11.7 made of one function, and the lines that
 * their own dis.findlinestarts() and code.co_lines() find in them:
 *
 *   1  def f(a):
 *   2      x = [a,
 *   3           a + 1]
 *   4
 *   5      try:
 *   6          y = {"k": x,
 *   7               **{}}
 *   8      finally:
 *   9          pass
 *  10      for _ in x: z = (
 *  11          y)
 *  12      return (x,
 *  13
 *  14              z)
 */
#include "preload/python.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct heap_map *map; /* the recorder's, which these tests do not write to */

/* From here on, up to the next, the instructions are of that line; 0: of none. */
struct begin {
    int offset, line;
};

static const unsigned char table_39[] = {0, 1, 2, 1, 6, 255, 4, 3,   2, 1, 6, 1, 2, 255,
                                         6, 3, 4, 1, 8, 1,   2, 255, 4, 2, 2, 2, 2, 254};
static const unsigned char table_310[] = {2, 1, 6, 1, 4, 255, 2, 3,   6, 1, 2, 1, 6, 255,
                                          4, 3, 8, 1, 2, 1,   4, 255, 2, 2, 2, 2, 4, 254};
static const unsigned char table_311[] = {
    128, 0,   216, 9,   10,  216, 9,  10,  136, 81,  137, 21, 240, 3,   1,  9,   16,
    128, 65,  240, 6,   4,   5,   13, 216, 13,  16,  144, 33, 240, 0,   1,  13,  19,
    216, 15,  17,  240, 3,   1,   13, 19,  136, 1,   240, 6,  0,   9,   13, 248, 136,
    4,   136, 4,   136, 4,   136, 4,  216, 13,  14,  240, 0,  1,   5,   11, 240, 0,
    1,   5,   11,  136, 1,   216, 8,  9,   240, 3,   0,   17, 18,  144, 1,  224, 12,
    13,  224, 12,  13,  240, 5,   2,  12,  15,  240, 0,   2,  5,   15};

static const struct begin lines_39[] = {{0, 2},   {2, 3},   {8, 2},   {12, 5},  {14, 6},
                                        {20, 7},  {22, 6},  {28, 9},  {32, 10}, {40, 11},
                                        {42, 10}, {46, 12}, {48, 14}, {50, 12}, {54, -1}};
static const struct begin lines_311[] = {
    {0, 1},  {2, 2},  {4, 3},   {12, 2},  {16, 5},  {18, 6},  {24, 7},  {26, 6},  {30, 9},
    {32, 0}, {34, 9}, {42, 10}, {50, 11}, {52, 10}, {56, 12}, {58, 14}, {60, 12}, {64, -1}};

static void check(enum python_lines format, const unsigned char *data, size_t bytes,
                  const struct begin *begins)
{
    const struct python_table table = {.data = data, .bytes = bytes, .first_line = 1};
    for (; begins->line >= 0; begins++) {
        for (int offset = begins->offset; offset < begins[1].offset; offset += 2)
            assert_int_equal(python_line_find(format, &table, offset), begins->line);
    }
    assert_int_equal(python_line_find(format, &table, -2), 1); /* it has not begun */
}

static void test_every_instruction(void **state)
{
    (void)state;
    check(PYTHON_LINES_39, table_39, sizeof(table_39), lines_39);
    check(PYTHON_LINES_310, table_310, sizeof(table_310), lines_39); /* the same instructions */
    check(PYTHON_LINES_311, table_311, sizeof(table_311), lines_311);
}

static void test_beyond_the_end(void **state)
{
    const struct python_table of_310 = {table_310, sizeof(table_310), 1};
    const struct python_table of_311 = {table_311, sizeof(table_311), 1};
    const struct python_table empty = {table_311, 0, 7};
    (void)state;
    assert_int_equal(python_line_find(PYTHON_LINES_310, &of_310, 54), 0);
    assert_int_equal(python_line_find(PYTHON_LINES_311, &of_311, 64), 0);
    assert_int_equal(python_line_find(PYTHON_LINES_311, &of_311, INT64_MAX), 0);
    assert_int_equal(python_line_find(PYTHON_LINES_310, &empty, 0), 0);
    assert_int_equal(python_line_find(PYTHON_LINES_311, &empty, 0), 0);
    assert_int_equal(python_line_find(PYTHON_LINES_39, &empty, 0), 7);
}

/* A number of more than one byte, and of both signs: 0xf0 and on is the long form, of 1 unit. */
static void test_long_numbers(void **state)
{
    static const unsigned char far[] = {0xf0, 0x40 | 40, 0x40 | 63, 3, 0, 1, 1, /* +8180 * 2 / 2 */
                                        0xe8, 0x40 | 41, 0x40 | 63, 3,          /* as much back */
                                        0xf8};                                  /* none */
    const struct python_table table = {far, sizeof(far), 100};
    int further = (40 | 63 << 6 | 3 << 12) >> 1;
    (void)state;
    assert_int_equal(python_line_find(PYTHON_LINES_311, &table, 0), 100 + further);
    assert_int_equal(python_line_find(PYTHON_LINES_311, &table, 2), 100);
    assert_int_equal(python_line_find(PYTHON_LINES_311, &table, 4), 0);
}

/* Whatever stands there, it ends, reads nothing outside, and gives a line that a frame can hold. */
static void test_any_bytes(void **state)
{
    uint64_t random = 12345;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        unsigned char *bytes = malloc(24); /* of its own: a sanitizer sees what lies beyond */
        assert_non_null(bytes);
        for (int i = 0; i < 24; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
            bytes[i] = (unsigned char)(random >> 56);
        }
        const struct python_table table = {bytes, (size_t)(round % 25), (int)(random >> 40)};
        for (int64_t offset = 0; offset < 64; offset += 7) {
            for (unsigned format = PYTHON_LINES_39; format <= PYTHON_LINES_311; format++) {
                int line = python_line_find((enum python_lines)format, &table, offset);
                assert_true(line >= 0 && line <= 0xffffff);
            }
        }
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_instruction),
        cmocka_unit_test(test_beyond_the_end),
        cmocka_unit_test(test_long_numbers),
        cmocka_unit_test(test_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
