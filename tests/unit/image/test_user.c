/* SPDX-License-Identifier: Apache-2.0 */
/* What Docker does with the same texts is the oracle: an image's USER. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "image/user.h"

#include <string.h>

static const char PASSWD[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "# a comment\n"
                             "broken\n"
                             "bad:x:many:1::/bad:\n"
                             "app:x:5:6:App,,,:/home/app:/bin/sh\n"
                             "homeless:x:7:8\n"
                             "42:x:9:10::/named-42:/bin/sh\n"
                             "last:x:11:12::/last:/bin/sh";
static const char GROUP[] = "root:x:0:\n"
                            "app:x:6:\n"
                            "one:x:20:other,app\n"
                            "two:x:21:app\n"
                            "three:x:22:apple,happ,xapp\n"
                            "bad:x:y:app\n"
                            "staff:x:50";

static struct image_user found(const char *user)
{
    struct image_user made;
    struct error err = {0};
    if (image_user_find(user, PASSWD, GROUP, &made, &err) < 0)
        fail_msg("'%s': %s", user, err.text);
    return made;
}

static void assert_user(const char *user, uid_t uid, gid_t gid, unsigned groups, const char *home)
{
    struct image_user made = found(user);
    assert_int_equal(made.uid, uid);
    assert_int_equal(made.gid, gid);
    assert_int_equal(made.group_count, groups);
    assert_string_equal(made.home, home);
}

static void test_found(void **state)
{
    (void)state;
    assert_user("", 0, 0, 0, "/root");
    assert_user("root", 0, 0, 0, "/root");
    assert_user("app", 5, 6, 2, "/home/app");
    assert_user("5", 5, 6, 2, "/home/app");
    assert_user("app:", 5, 6, 2, "/home/app");
    assert_user("app:staff", 5, 50, 0, "/home/app");
    assert_user("app:1000", 5, 1000, 0, "/home/app");
    assert_user("1000", 1000, 0, 0, "/");
    assert_user("1000:1001", 1000, 1001, 0, "/");
    assert_user(":staff", 0, 50, 0, "/root");
    assert_user("homeless", 7, 8, 0, "/");
    assert_user("42", 9, 10, 0, "/named-42");
    assert_user("last", 11, 12, 0, "/last");
    assert_user("4294967294", 4294967294U, 0, 0, "/");
    assert_int_equal(found("app").groups[0], 20);
    assert_int_equal(found("app").groups[1], 21);
}

static void test_missing(void **state)
{
    static const char *const users[] = {"nobody",     "ap",   "app:nobody",  "-1", "1x",
                                        "4294967295", "bad",  "99999999999", " ",  "+5",
                                        "app:bad",    "5:-1", "broken"};
    (void)state;
    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
        struct image_user made;
        struct error err = {0};
        if (image_user_find(users[i], PASSWD, GROUP, &made, &err) == 0)
            fail_msg("'%s' was found", users[i]);
        assert_int_equal(err.kind, ERROR_USAGE);
    }
}

static void test_without_files(void **state)
{
    struct image_user made;
    struct error err = {0};
    (void)state;
    assert_int_equal(image_user_find("", "", "", &made, &err), 0);
    assert_int_equal(made.uid, 0);
    assert_string_equal(made.home, "/");
    assert_int_equal(image_user_find("3:4", "", "", &made, &err), 0);
    assert_int_equal(made.gid, 4);
    assert_true(image_user_find("app", "", "", &made, &err) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_without_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
