/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/table.h"

#include <string.h>

static void cleanup_table(struct table **table)
{
    table_free(*table);
}

/* What table_print() writes; the caller frees it. */
static char *printed(const struct table *table)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    table_print(table, out);
    fclose(out);
    return text;
}

static void test_alignment(void **state)
{
    (void)state;
    CLEANUP(cleanup_table)
    struct table *table = table_new((const char *const[]){"arm", ">kills", "verdict", NULL});
    assert_non_null(table);
    assert_int_equal(table_add(table, (const char *const[]){"trigger", "3", "leak"}), 0);
    assert_int_equal(table_add(table, (const char *const[]){"raise", "12345678", "leak"}), 0);
    AUTO_FREE char *text = printed(table);
    assert_string_equal(text, "arm         kills  verdict\n"
                              "trigger         3  leak\n"
                              "raise    12345678  leak\n");
}

static void test_widths_count_characters(void **state)
{
    (void)state;
    CLEANUP(cleanup_table)
    struct table *table = table_new((const char *const[]){"name", "x", NULL});
    assert_int_equal(table_add(table, (const char *const[]){"Größe", "1"}), 0);
    assert_int_equal(table_add(table, (const char *const[]){"width", "2"}), 0);
    AUTO_FREE char *text = printed(table);
    assert_string_equal(text, "name   x\n"
                              "Größe  1\n"
                              "width  2\n");
}

static void test_right_aligned_last_column(void **state)
{
    (void)state;
    CLEANUP(cleanup_table)
    struct table *table = table_new((const char *const[]){"what", ">bytes", NULL});
    assert_int_equal(table_add(table, (const char *const[]){"anon", "1"}), 0);
    assert_int_equal(table_add(table, (const char *const[]){"file", NULL}), 0);
    AUTO_FREE char *text = printed(table);
    assert_string_equal(text, "what  bytes\n"
                              "anon      1\n"
                              "file       \n");
}

static void test_headings_alone(void **state)
{
    (void)state;
    CLEANUP(cleanup_table) struct table *table = table_new((const char *const[]){"a", "b", NULL});
    AUTO_FREE char *text = printed(table);
    assert_string_equal(text, "a  b\n");
    table_free(NULL);
}

static void test_texts_are_copied(void **state)
{
    (void)state;
    CLEANUP(cleanup_table) struct table *table = table_new((const char *const[]){"a", NULL});
    char cell[] = "first";
    assert_int_equal(table_add(table, (const char *const[]){cell}), 0);
    memcpy(cell, "other", sizeof(cell));
    AUTO_FREE char *text = printed(table);
    assert_string_equal(text, "a\nfirst\n");
}

static void test_many_rows(void **state)
{
    (void)state;
    CLEANUP(cleanup_table) struct table *table = table_new((const char *const[]){">n", NULL});
    for (int i = 0; i < 1000; i++) {
        char cell[16];
        snprintf(cell, sizeof(cell), "%d", i);
        assert_int_equal(table_add(table, (const char *const[]){cell}), 0);
    }
    AUTO_FREE char *text = printed(table);
    assert_int_equal(strlen(text), 1001 * 4);
    assert_string_equal(text + (size_t)1000 * 4, "999\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_widths_count_characters),
        cmocka_unit_test(test_right_aligned_last_column),
        cmocka_unit_test(test_headings_alone),
        cmocka_unit_test(test_texts_are_copied),
        cmocka_unit_test(test_many_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
