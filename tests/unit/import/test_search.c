/* SPDX-License-Identifier: Apache-2.0 */
/* Every place of a word in texts of every length, against memmem(3). */
#include "import/search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH_MAX 80

static void test_every_place(void **state)
{
    (void)state;
    static const char *const words[] = {"i", "il", "ill", "oom-kill:", "seventeen letters"};
    for (size_t w = 0; w < sizeof(words) / sizeof(*words); w++) {
        size_t word = strlen(words[w]);
        for (size_t length = 0; length < LENGTH_MAX; length++) {
            /* Exactly as long, so that a sanitizer sees any byte too much. */
            char *text = malloc(length + 1);
            for (size_t at = 0; at + word <= length; at++) {
                memset(text, 'i', length);
                memset(text, 'l', length / 2);
                memcpy(text + at, words[w], word);
                char *exact = malloc(length ? length : 1);
                memcpy(exact, text, length);
                const char *found = search_bytes(exact, length, words[w], word);
                const char *want = memmem(exact, length, words[w], word);
                assert_ptr_equal(found, want);
                free(exact);
            }
            memset(text, 'x', length);
            assert_null(search_bytes(text, length, words[w], word));
            free(text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
