/* SPDX-License-Identifier: Apache-2.0 */
/* Which files a name may mean, and why it could not be executed. */
#include "sandbox/command.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void assert_candidates(const char *name, const char *path, const char *const *expected)
{
    const char *const with_path[] = {"HOME=/", path, NULL};
    const char *const without[] = {"HOME=/", "XPATH=/x", NULL};
    struct command command;
    struct error err;
    assert_int_equal(command_init(name, path ? with_path : without, NULL, &command, &err), 0);
    size_t i = 0;
    for (; expected[i]; i++) {
        assert_non_null(command.candidates[i]);
        assert_string_equal(command.candidates[i], expected[i]);
    }
    assert_null(command.candidates[i]);
    command_done(&command);
}

static void test_candidates(void **state)
{
    (void)state;
    assert_candidates("ls", "PATH=/a:/b/c", (const char *const[]){"/a/ls", "/b/c/ls", NULL});
    assert_candidates("ls", NULL,
                      (const char *const[]){"/usr/local/bin/ls", "/usr/bin/ls", "/bin/ls", NULL});
    assert_candidates("ls", "PATH=", (const char *const[]){"./ls", NULL});
    assert_candidates("ls",
                      "PATH=:/a::", (const char *const[]){"./ls", "/a/ls", "./ls", "./ls", NULL});
    assert_candidates("./x", "PATH=/a", (const char *const[]){"./x", NULL});
    assert_candidates("/bin/x", "PATH=/a", (const char *const[]){"/bin/x", NULL});
}

static void test_empty(void **state)
{
    (void)state;
    const char *const env[] = {NULL};
    struct command command;
    struct error err;
    assert_int_equal(command_init("", env, NULL, &command, &err), -EINVAL);
    assert_int_equal(command_init(NULL, env, NULL, &command, &err), -EINVAL);
    assert_int_equal(err.kind, ERROR_USAGE);
}

static void test_errors(void **state)
{
    (void)state;
    const char *const env[] = {"PATH=/nowhere", NULL};
    struct command command;
    struct error err;
    assert_int_equal(command_init("absent", env, NULL, &command, &err), 0);
    assert_int_equal(command_error(&command, 0, ENOENT, &err), -ENOENT);
    assert_string_equal(err.text, "command not found: 'absent'; searched PATH=/nowhere");
    assert_int_equal(err.kind, ERROR_USAGE);
    assert_int_equal(command_error(&command, 0, EIO, &err), -EIO);
    assert_int_equal(err.kind, ERROR_FAILED);
    command_done(&command);

    /* Relative names are looked at where the child looked. */
    assert_int_equal(command_init("./usr", env, "/", &command, &err), 0);
    assert_int_equal(command_error(&command, 0, EACCES, &err), -EACCES);
    assert_non_null(strstr(err.text, "executing './usr': Permission denied. It is a directory"));
    command_done(&command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_candidates),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
