/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

static void test_empty(void **state)
{
    (void)state;
    AUTO_BUFFER buffer = {0};
    assert_string_equal(buffer_text(&buffer), "");
    AUTO_FREE char *text = buffer_steal(&buffer);
    assert_string_equal(text, "");
}

static void test_appends(void **state)
{
    (void)state;
    AUTO_BUFFER buffer = {0};
    assert_int_equal(buffer_puts(&buffer, "limit "), 0);
    assert_int_equal(buffer_printf(&buffer, "%d%s", 512, "Mi"), 0);
    assert_int_equal(buffer_append(&buffer, NULL, 0), 0);
    assert_int_equal(buffer_append(&buffer, "\0z", 2), 0);
    assert_int_equal(buffer.length, 13);
    assert_memory_equal(buffer_text(&buffer), "limit 512Mi\0z", 14);
}

static void test_grows(void **state)
{
    (void)state;
    AUTO_BUFFER buffer = {0};
    for (unsigned i = 0; i < 10000; i++)
        assert_int_equal(buffer_printf(&buffer, "%04u,", i), 0);
    assert_int_equal(buffer.length, 50000);
    assert_memory_equal(buffer_text(&buffer), "0000,0001,", 10);
    assert_string_equal(buffer_text(&buffer) + 49990, "9998,9999,");
}

static void test_exact_fit(void **state)
{
    (void)state;
    /* The terminator must fit at every length around the capacities. */
    for (size_t length = 120; length < 140; length++) {
        AUTO_BUFFER buffer = {0};
        char bytes[140];
        memset(bytes, 'a', sizeof(bytes));
        assert_int_equal(buffer_append(&buffer, bytes, length), 0);
        assert_true(buffer.capacity > length);
        assert_int_equal(strlen(buffer_text(&buffer)), length);
    }
}

static void test_steal(void **state)
{
    (void)state;
    AUTO_BUFFER buffer = {0};
    buffer_puts(&buffer, "kept");
    AUTO_FREE char *text = buffer_steal(&buffer);
    assert_string_equal(text, "kept");
    assert_null(buffer.data);
    assert_int_equal(buffer.length, 0);
    assert_int_equal(buffer_puts(&buffer, "new"), 0);
    assert_string_equal(buffer_text(&buffer), "new");
    assert_string_equal(text, "kept");
}

static void test_failure_is_remembered(void **state)
{
    (void)state;
    AUTO_BUFFER buffer = {0};
    buffer_puts(&buffer, "before");
    static volatile size_t impossible = SIZE_MAX - 3;
    assert_int_equal(buffer_append(&buffer, "x", impossible), -ENOMEM);
    assert_true(buffer.failed);
    assert_int_equal(buffer_puts(&buffer, "after"), -ENOMEM);
    assert_int_equal(buffer_printf(&buffer, "%d", 1), -ENOMEM);
    assert_string_equal(buffer_text(&buffer), "before");
    assert_null(buffer_steal(&buffer));
    impossible = PTRDIFF_MAX;
    AUTO_BUFFER other = {0};
    assert_int_equal(buffer_append(&other, "x", impossible), -ENOMEM);
    buffer_done(&other);
    assert_int_equal(buffer_puts(&other, "usable again"), 0);
}

static void test_escaped(void **state)
{
    (void)state;
    AUTO_BUFFER buffer = {0};
    assert_int_equal(buffer_put_escaped(&buffer, "a/b c&d=\xc3\xa9%", "/"), 0);
    assert_string_equal(buffer_text(&buffer), "a/b%20c%26d%3D%C3%A9%25");
    assert_int_equal(buffer_put_escaped(&buffer, "", ""), 0);
    assert_string_equal(buffer_text(&buffer), "a/b%20c%26d%3D%C3%A9%25");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escaped),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_exact_fit),
        cmocka_unit_test(test_steal),
        cmocka_unit_test(test_failure_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
