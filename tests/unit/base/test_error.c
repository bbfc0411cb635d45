/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"

#include <errno.h>
#include <string.h>

static void test_set(void **state)
{
    (void)state;
    struct error err = {.kind = ERROR_USAGE, .text = "something older"};
    assert_int_equal(error_set(&err, EBUSY, "cgroup '%s' is in use", "oomlab-1"), -EBUSY);
    assert_int_equal(err.code, -EBUSY);
    assert_int_equal(err.kind, ERROR_FAILED);
    assert_string_equal(err.text, "cgroup 'oomlab-1' is in use");
}

static void test_errno_text(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(error_errno(&err, ENOENT, "opening '%s'", "x"), -ENOENT);
    assert_string_equal(err.text, "opening 'x': No such file or directory");
    assert_int_equal(error_errno(&err, 9999, "odd"), -9999);
    assert_string_equal(err.text, "odd: unknown error");
}

static void test_kinds(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(error_usage(&err, "no option '%s'", "--x"), -EINVAL);
    assert_int_equal(err.kind, ERROR_USAGE);
    assert_int_equal(error_unavailable(&err, "no memory controller"), -ENOTSUP);
    assert_int_equal(err.kind, ERROR_UNAVAILABLE);
    assert_int_equal(error_wrap(&err, "starting"), -ENOTSUP);
    assert_int_equal(err.kind, ERROR_UNAVAILABLE);
    assert_string_equal(err.text, "starting: no memory controller");
}

static void test_chain(void **state)
{
    (void)state;
    struct error err = {0};
    error_errno(&err, EACCES, "opening 'memory.max'");
    error_wrap(&err, "limiting '%s'", "web");
    assert_int_equal(error_wrap(&err, "starting %d of %d", 1, 3), -EACCES);
    assert_string_equal(err.text,
                        "starting 1 of 3: limiting 'web': opening 'memory.max': Permission denied");
}

static void test_too_long_a_text_is_cut(void **state)
{
    (void)state;
    char words[2 * ERROR_TEXT_BYTES];
    memset(words, 'x', sizeof(words) - 1);
    words[sizeof(words) - 1] = '\0';
    struct {
        struct error err;
        char guard;
    } area = {.guard = 'G'};
    assert_int_equal(error_errno(&area.err, EIO, "%s", words), -EIO);
    assert_int_equal(strlen(area.err.text), ERROR_TEXT_BYTES - 1);
    assert_int_equal(area.guard, 'G');

    /* The outer context stays; what no longer fits is the inner end. */
    assert_int_equal(error_wrap(&area.err, "outer"), -EIO);
    assert_int_equal(strlen(area.err.text), ERROR_TEXT_BYTES - 1);
    assert_memory_equal(area.err.text, "outer: xxx", 10);
    assert_int_equal(error_wrap(&area.err, "%s", words), -EIO);
    assert_int_equal(strlen(area.err.text), ERROR_TEXT_BYTES - 1);
    assert_int_equal(area.guard, 'G');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_errno_text),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_too_long_a_text_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
