/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "image/made.h"

#include <stdio.h>

static void test_many(void **state)
{
    struct image_made made = {0};
    char name[32];
    (void)state;
    assert_false(image_made_has(&made, 1, "x"));
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "file-%u", i);
        assert_int_equal(image_made_add(&made, i % 7, name), 0);
        assert_int_equal(image_made_add(&made, i % 7, name), 0);
    }
    assert_int_equal(made.count, 20000);
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "file-%u", i);
        assert_true(image_made_has(&made, i % 7, name));
        assert_false(image_made_has(&made, i % 7 + 7, name));
    }
    assert_false(image_made_has(&made, 0, "file-20000"));
    image_made_done(&made);
    assert_false(image_made_has(&made, 0, "file-0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
