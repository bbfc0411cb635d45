/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/words.h"

#include <string.h>

/* `expected` ends with NULL. */
static void assert_words(const char *text, const char *const *expected)
{
    struct error err = {0};
    char **words = NULL;
    size_t i = 0;
    if (words_split(text, &words, &err) != 0)
        fail_msg("'%s': %s", text, err.text);
    for (; words[i] && expected[i]; i++)
        assert_string_equal(words[i], expected[i]);
    assert_null(words[i]);
    assert_null(expected[i]);
    words_free(words);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void assert_refused(const char *text)
{
    struct error err = {0};
    char **words = (char **)4711;
    assert_true(words_split(text, &words, &err) < 0);
    assert_int_equal(err.kind, ERROR_USAGE);
    assert_ptr_equal(words, (char **)4711);
}

static void test_blanks_separate(void **state)
{
    (void)state;
    assert_words("", WORDS(NULL));
    assert_words(" \t\r\n", WORDS(NULL));
    assert_words("ls", WORDS("ls"));
    assert_words("ls -l /", WORDS("ls", "-l", "/"));
    assert_words("  ls \t -l\n", WORDS("ls", "-l"));
    assert_words("a b c d e f g", WORDS("a", "b", "c", "d", "e", "f", "g"));
}

static void test_quotes(void **state)
{
    (void)state;
    assert_words("sh -c 'echo  \"$A\"; exit'", WORDS("sh", "-c", "echo  \"$A\"; exit"));
    assert_words("\"a b\"c'd e'f", WORDS("a bcd ef"));
    assert_words("'' \"\" x", WORDS("", "", "x"));
    assert_words("\"it's\"", WORDS("it's"));
    assert_words("$HOME *", WORDS("$HOME", "*"));
}

/* As in Python's shlex.split(), which az's users know. */
static void test_backslashes(void **state)
{
    (void)state;
    assert_words("a\\ b", WORDS("a b"));
    assert_words("\\'a\\'", WORDS("'a'"));
    assert_words("\"a\\\"b\\\\c\\d\"", WORDS("a\"b\\c\\d"));
    assert_words("'a\\b'", WORDS("a\\b"));
    assert_words("\\\\", WORDS("\\"));
}

static void test_what_is_not_closed(void **state)
{
    (void)state;
    assert_refused("'");
    assert_refused("a 'b");
    assert_refused("a \"b");
    assert_refused("\"a\\\"");
    assert_refused("a \\");
    assert_refused("\"\\");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blanks_separate),
        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_backslashes),
        cmocka_unit_test(test_what_is_not_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
