/* SPDX-License-Identifier: Apache-2.0 */
#include "base/redact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_names(void **state)
{
    (void)state;
    static const char *const secret[] = {"PASSWORD",
                                         "DB_PASSWORD",
                                         "PGPASSWORD",
                                         "db-passwd",
                                         "MY_TOKEN",
                                         "githubToken",
                                         "API_KEY",
                                         "x-api-key",
                                         "ApiKey",
                                         "AWS_SECRET_ACCESS_KEY",
                                         "accountKey",
                                         "AZURE_CLIENT_SECRET",
                                         "Authorization",
                                         "Cookie",
                                         "Set-Cookie",
                                         "DB_PWD",
                                         "CONNECTION_STRING",
                                         "private.key",
                                         "--password"};
    static const char *const open[] = {"PWD",    "OLDPWD",           "PATH",        "MODE",
                                       "KEY",    "TOKENS",           "MAX_TOKENS",  "MONKEY",
                                       "AUTHOR", "DB_PASSWORD_FILE", "SECRET_NAME", "",
                                       "Accept", "keyboard",         "CACHE_KEY"};
    for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) {
        if (!redact_is_secret_name(secret[i], strlen(secret[i])))
            fail_msg("'%s' is a secret's name", secret[i]);
    }
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        if (redact_is_secret_name(open[i], strlen(open[i])))
            fail_msg("'%s' is no secret's name", open[i]);
    }
}

static const struct {
    const char *text, *expected; /* NULL: as it is */
} BY_NAME[] = {
    {"A=1 DB_PASSWORD=hunter2 B=2", "A=1 DB_PASSWORD=[redacted] B=2"},
    {"oomlab run --env 'DB_PASSWORD=hun ter2' -- x",
     "oomlab run --env 'DB_PASSWORD=[redacted]' -- x"},
    {"svc --password hunter2 --port 80", "svc --password [redacted] --port 80"},
    {"svc --password=hunter2", "svc --password=[redacted]"},
    {"[\"svc\", \"--password\", \"hunter2\", \"x\"]",
     "[\"svc\", \"--password\", \"[redacted]\", \"x\"]"},
    {"[\"DB_PASSWORD=hun ter2\", \"A=1\"]", "[\"DB_PASSWORD=[redacted]\", \"A=1\"]"},
    {"{\"API_KEY\": \"a\\\"b c\", \"MODE\": \"x\"}",
     "{\"API_KEY\": \"[redacted]\", \"MODE\": \"x\"}"},
    {"{\"t\":\"{\\\"API_KEY\\\":\\\"abc\\\"}\"}",
     "{\"t\":\"{\\\"API_KEY\\\":\\\"[redacted]\\\"}\"}"},
    {"GET /x Authorization: Basic dXNlcjpwdw==", "GET /x Authorization: [redacted]"},
    {"{\"headers\":[\"Authorization: Bearer abc def\"]}",
     "{\"headers\":[\"Authorization: [redacted]\"]}"},
    {"sent Bearer abcdef to it", "sent Bearer [redacted] to it"},
    {"postgres://app:s3cr:et@db/x?y=1", "postgres://app:[redacted]@db/x?y=1"},
    {"http://host:8080/a@b", NULL},
    {"env API_TOKEN: old-one -> new-one, memory: 1 -> 2",
     "env API_TOKEN: [redacted], memory: 1 -> 2"},
    {"env API_TOKEN: (unset) -> new-one, memory: 1 -> 2",
     "env API_TOKEN: (unset) -> [redacted], memory: 1 -> 2"},
    {"env API_TOKEN: old-one -> (unset)", "env API_TOKEN: [redacted] -> (unset)"},
    {"env MODE: (unset) -> healthy", NULL},
    {"/p?code=0123456789abcdef&x=1&sig=abc%2Fdef%2Bghijklmn%3D HTTP/1.1",
     "/p?code=[redacted]&x=1&sig=[redacted] HTTP/1.1"},
    {"GET /p?X-Amz-Signature=abc&Key=0123456789abcdefg",
     "GET /p?X-Amz-Signature=[redacted]&Key=[redacted]"},
    {"/status?code=500&key=name", NULL},
    {"audit: sig=11 code=0123456789abcdef", NULL}, /* no query */
    {"https://h/x?api_key=abc&mode=y", "https://h/x?api_key=[redacted]&mode=y"},
    {"LICENSE_KEY=abcd-efgh-1234-5678 MYKEY: 0123456789abcdef0",
     "LICENSE_KEY=[redacted] MYKEY: [redacted]"},
    {"SORT_KEY=name PRIMARY_KEY=customer_number cacheKey=0123456789abcdef", NULL},
    {"oom_kill 0 -> 1, exit code 137", NULL},
    {"env MODE: leak -> healthy", NULL},
    {"v8::internal::Token::Value", NULL}, /* names of C++ */
    {"Secret::Key::find(Password::Hash)", NULL},
    {"DB_PASSWORD=", NULL},
    {"DB_PASSWORD", NULL},
    {"--password", NULL},
    {"", NULL},
};

static void test_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(BY_NAME) / sizeof(BY_NAME[0]); i++) {
        AUTO_BUFFER out = {0};
        const char *expected = BY_NAME[i].expected;
        assert_int_equal(redactor_apply(NULL, BY_NAME[i].text, &out), expected != NULL);
        assert_string_equal(buffer_text(&out), expected ? expected : "");
        AUTO_BUFFER again = {0};
        if (expected && redactor_apply(NULL, expected, &again)) /* stays what it is */
            assert_string_equal(buffer_text(&again), expected);
    }
}

/* Known by their form, wherever they stand. They are made up. */
#define ALNUM_36 "0123456789abcdefghijABCDEFGHIJ012345"
#define WEB_TOKEN                                                                                  \
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
static const struct {
    const char *text, *expected;
} BY_FORM[] = {
    {"GITHUB=ghp_" ALNUM_36 ".", "GITHUB=[redacted]."},
    {"(github_pat_11ABCDEFG0abcdefghijkl_mn)", "([redacted])"},
    {"slack xoxb-123456789012-abcdef says", "slack [redacted] says"},
    {"aws AKIAIOSFODNN7EXAMPLE, ASIAIOSFODNN7EXAMPLE", "aws [redacted], [redacted]"},
    {"{\"jwt\":\"" WEB_TOKEN "\"}", "{\"jwt\":\"[redacted]\"}"},
    {"-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabcd\n-----END RSA PRIVATE KEY-----\nand on",
     "[redacted]\nand on"},
    {"-----BEGIN PRIVATE KEY-----\nMIIE", "[redacted]"},
    {"-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----", NULL},
    {"ghp_short, xghp_" ALNUM_36, NULL}, /* too short, and within a word */
    {"AKIA is a prefix, eyJ.eyJ.x is none, SG.x", NULL},
    {"sk-learn 1.2, npm_config_cache=/x, pypi-server", NULL},
    {"a-----b ---- -----BEGIN", NULL},
};

static void test_by_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(BY_FORM) / sizeof(BY_FORM[0]); i++) {
        AUTO_BUFFER out = {0};
        const char *expected = BY_FORM[i].expected;
        assert_int_equal(redactor_apply(NULL, BY_FORM[i].text, &out), expected != NULL);
        assert_string_equal(buffer_text(&out), expected ? expected : "");
    }
}

/* As a console gets it: however a token is cut, none of it is let through. */
static void test_a_token_in_pieces_is_masked(void **state)
{
    (void)state;
    static const char *const tokens[] = {("ghp_" ALNUM_36), "xoxb-123456789012-abcdef", WEB_TOKEN};
    for (size_t t = 0; t < sizeof(tokens) / sizeof(tokens[0]); t++) {
        char whole[256];
        snprintf(whole, sizeof(whole), "it is %s\n", tokens[t]);
        for (size_t cut = 1; cut < strlen(whole); cut++) {
            char first[256], rest[256];
            snprintf(first, sizeof(first), "%.*s", (int)cut, whole);
            size_t held = redactor_mask(NULL, first, cut, true);
            snprintf(rest, sizeof(rest), "%s%s", first + cut - held, whole + cut);
            first[cut - held] = '\0';
            assert_int_equal(redactor_mask(NULL, rest, strlen(rest), true), 0);
            char shown[512];
            snprintf(shown, sizeof(shown), "%s%s", first, rest);
            assert_int_equal(strlen(shown), strlen(whole));
            assert_int_equal(strspn(shown + strlen("it is "), "*"), strlen(tokens[t]));
        }
        /* The last of all, without the end of a line. */
        whole[strlen(whole) - 1] = '\0';
        assert_int_equal(redactor_mask(NULL, whole, strlen(whole), true), strlen(tokens[t]));
        assert_int_equal(redactor_mask(NULL, whole, strlen(whole), false), 0);
        assert_int_equal(strspn(whole + strlen("it is "), "*"), strlen(tokens[t]));
    }
}

static void test_by_value(void **state)
{
    (void)state;
    struct redactor *redactor = redactor_new();
    AUTO_BUFFER out = {0};
    assert_int_equal(redactor_learn(redactor, "DB_PASSWORD=correct horse", '='), 0);
    assert_int_equal(redactor_learn(redactor, "Authorization: Bearer abcdefgh", ':'), 0);
    assert_int_equal(redactor_learn(redactor, "MODE=healthy-mode", '='), 0);
    assert_int_equal(redactor_learn(redactor, "API_KEY=on", '='), 0); /* too short */
    assert_int_equal(redactor_learn(redactor, "PASSWORD", '='), 0);
    char *command[] = {"svc",        "--token", "argument-9", "--api-key=argument-8",
                       "--password", "-v",      NULL};
    assert_int_equal(redactor_learn_command(redactor, command), 0);
    AUTO_BUFFER said = {0};
    assert_true(redactor_apply(redactor, "argument-9 argument-8 svc -v", &said));
    assert_string_equal(buffer_text(&said), "[redacted] [redacted] svc -v");
    assert_true(redactor_apply(redactor, "on: correct horse, abcdefgh, healthy-mode", &out));
    assert_string_equal(buffer_text(&out), "on: [redacted], [redacted], healthy-mode");
    redactor_free(redactor);
    redactor_free(NULL);
}

static void test_by_what_a_text_told(void **state)
{
    (void)state;
    struct redactor *redactor = redactor_new();
    static const char body[] = "{\"user\": \"me\", \"password\": \"body-secret\"} trailing";
    static const char path[] = "/p?sig=0123456789abcdefg&mode=healthy";
    char *env[] = {"INHERITED_TOKEN=in-the-environment", "MODE=healthy-mode", NULL};
    AUTO_BUFFER out = {0};
    assert_int_equal(redactor_learn_text(redactor, body, strlen(body)), 0);
    assert_int_equal(redactor_learn_text(redactor, path, strlen(path)), 0);
    assert_int_equal(redactor_learn_text(redactor, "", 0), 0);
    assert_int_equal(redactor_learn_env(redactor, env), 0);
    assert_int_equal(redactor_learn_env(redactor, NULL), 0);
    assert_true(redactor_apply(
        redactor, "me body-secret 0123456789abcdefg in-the-environment healthy-mode", &out));
    assert_string_equal(buffer_text(&out), "me [redacted] [redacted] [redacted] healthy-mode");
    redactor_free(redactor);
}

static void test_mask_holds_back_a_beginning(void **state)
{
    (void)state;
    struct redactor *redactor = redactor_new();
    assert_int_equal(redactor_learn(redactor, "DB_PASSWORD=hunter2hunter2", '='), 0);
    char whole[] = "it is hunter2hunter2.";
    assert_int_equal(redactor_mask(redactor, whole, strlen(whole), true), 0);
    assert_string_equal(whole, "it is **************.");
    char begun[] = "it is hunter2hu";
    assert_int_equal(redactor_mask(redactor, begun, strlen(begun), true), 9);
    assert_string_equal(begun, "it is hunter2hu");
    char named[] = "TOKEN=abc\n";
    assert_int_equal(redactor_mask(NULL, named, strlen(named), true), 0);
    assert_string_equal(named, "TOKEN=***\n");
    redactor_free(redactor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_by_name),
        cmocka_unit_test(test_by_form),
        cmocka_unit_test(test_a_token_in_pieces_is_masked),
        cmocka_unit_test(test_by_value),
        cmocka_unit_test(test_by_what_a_text_told),
        cmocka_unit_test(test_mask_holds_back_a_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
