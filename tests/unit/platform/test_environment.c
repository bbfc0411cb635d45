/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/environment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The value of `name` in `env`, asserting that it stands there at most once. */
static const char *value_of(char *const *env, const char *name)
{
    const char *value = NULL;
    size_t length = strlen(name);
    for (size_t i = 0; env[i]; i++) {
        if (strncmp(env[i], name, length) == 0 && env[i][length] == '=') {
            assert_null(value);
            value = env[i] + length + 1;
        }
    }
    return value;
}

static void test_later_layers_replace_earlier_ones(void **state)
{
    (void)state;
    setenv("PORT", "1", 1);
    setenv("FROM_THE_CALLER", "kept", 1);
    setenv("MODE", "caller", 1);
    setenv("NOTIFY_SOCKET", "/run/notify", 1);
    setenv("LISTEN_FDS", "1", 1);
    char mode[] = "MODE=leak";
    char empty[] = "EMPTY=";
    char prefix[] = "MOD=other";
    char *own[] = {mode, empty, prefix, NULL};
    const struct revision_template template = {.app = "ca-app", .port = 8080, .env = own};

    char **env = environment_new(&template, "ca-app--trigger", "ca-app--trigger-1-x");
    assert_non_null(env);
    assert_string_equal(value_of(env, "PORT"), "8080");
    assert_string_equal(value_of(env, "CONTAINER_APP_PORT"), "8080");
    assert_string_equal(value_of(env, "CONTAINER_APP_NAME"), "ca-app");
    assert_string_equal(value_of(env, "CONTAINER_APP_REVISION"), "ca-app--trigger");
    assert_string_equal(value_of(env, "CONTAINER_APP_REPLICA_NAME"), "ca-app--trigger-1-x");
    assert_string_equal(value_of(env, "FROM_THE_CALLER"), "kept");
    assert_string_equal(value_of(env, "MODE"), "leak");
    assert_string_equal(value_of(env, "MOD"), "other");
    assert_string_equal(value_of(env, "EMPTY"), "");
    assert_null(value_of(env, "NOTIFY_SOCKET"));
    assert_null(value_of(env, "LISTEN_FDS"));
    environment_free(env);
}

static void test_another_root_gets_nothing_of_this_machine(void **state)
{
    (void)state;
    setenv("FROM_THE_CALLER", "kept", 1);
    setenv("PATH", "/only/here", 1);
    char mode[] = "MODE=leak";
    char *own[] = {mode, NULL};
    const struct revision_template template = {
        .app = "ca-app", .port = 8080, .env = own, .root = "/srv/root"};

    char **env = environment_new(&template, "ca-app--r", "ca-app--r-1");
    assert_non_null(env);
    assert_null(value_of(env, "FROM_THE_CALLER"));
    assert_string_equal(value_of(env, "PATH"),
                        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    assert_non_null(value_of(env, "HOME"));
    assert_string_equal(value_of(env, "PORT"), "8080");
    assert_string_equal(value_of(env, "MODE"), "leak");
    environment_free(env);
}

static void test_what_the_recorder_needs_stands_before_what_is_there(void **state)
{
    (void)state;
    setenv("LD_PRELOAD", "/lib/libother.so", 1);
    unsetenv("ASAN_OPTIONS");
    char options[] = "ASAN_OPTIONS=detect_leaks=0";
    char *own[] = {options, NULL};
    struct revision_template template = {.app = "ca-app", .port = 8080, .env = own};
    template.heap.library = "/lib/liboomlab-heap.so";

    char **env = environment_new(&template, "ca-app--r", "ca-app--r-1");
    assert_non_null(env);
    assert_string_equal(value_of(env, "LD_PRELOAD"), "/lib/liboomlab-heap.so:/lib/libother.so");
    assert_string_equal(value_of(env, "ASAN_OPTIONS"), "verify_asan_link_order=0:detect_leaks=0");
    environment_free(env);

    template.env = NULL;
    env = environment_new(&template, "ca-app--r", "ca-app--r-1");
    assert_non_null(env);
    assert_string_equal(value_of(env, "ASAN_OPTIONS"), "verify_asan_link_order=0");
    environment_free(env);

    template.heap.library = NULL;
    env = environment_new(&template, "ca-app--r", "ca-app--r-1");
    assert_non_null(env);
    assert_null(value_of(env, "ASAN_OPTIONS"));
    environment_free(env);
    unsetenv("LD_PRELOAD");
}

static void test_template_may_replace_the_port(void **state)
{
    (void)state;
    char port[] = "PORT=9";
    char *own[] = {port, NULL};
    const struct revision_template template = {.app = "a", .port = 8080, .env = own};
    char **env = environment_new(&template, "a--b", "a--b-c");
    assert_non_null(env);
    assert_string_equal(value_of(env, "PORT"), "9");
    environment_free(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_later_layers_replace_earlier_ones),
        cmocka_unit_test(test_another_root_gets_nothing_of_this_machine),
        cmocka_unit_test(test_what_the_recorder_needs_stands_before_what_is_there),
        cmocka_unit_test(test_template_may_replace_the_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
