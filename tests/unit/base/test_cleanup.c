/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int open_null(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void test_close_at_scope_end(void **state)
{
    (void)state;
    int seen;
    {
        AUTO_CLOSE int fd = open_null();
        seen = fd;
        assert_true(is_open(seen));
    }
    assert_false(is_open(seen));
}

static void test_stolen_descriptor_stays_open(void **state)
{
    (void)state;
    int kept;
    {
        AUTO_CLOSE int fd = open_null();
        kept = steal_fd(&fd);
        assert_int_equal(fd, -1);
    }
    assert_true(is_open(kept));
    close_fd(&kept);
    assert_int_equal(kept, -1);
    close_fd(&kept);
}

static void test_stolen_pointer_survives(void **state)
{
    (void)state;
    char *kept;
    {
        AUTO_FREE char *text = strdup("text");
        kept = steal_ptr(&text);
        assert_null(text);
    }
    assert_string_equal(kept, "text");
    free(kept);
}

static void test_nothing_to_clean(void **state)
{
    (void)state;
    AUTO_FREE char *text = NULL;
    AUTO_CLOSE int fd = -1;
    AUTO_FCLOSE FILE *file = NULL;
    assert_null(text);
    assert_null(file);
    assert_int_equal(fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_close_at_scope_end),
        cmocka_unit_test(test_stolen_descriptor_stays_open),
        cmocka_unit_test(test_stolen_pointer_survives),
        cmocka_unit_test(test_nothing_to_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
