/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/run_id.h"

#include <string.h>

static void test_names_of_runs(void **state)
{
    (void)state;
    assert_true(run_id_is_valid("20261122-131502-memory-leak-oomkilled-4f1a"));
    assert_true(run_id_is_valid("20261122-131502-a"));
}

/* They become parts of paths. */
static void test_names_that_are_none(void **state)
{
    static const char *const names[] = {
        "",
        ".",
        "..",
        "20261122-131502-",
        "20261122-131502",
        "20261122-13150-ab",
        "2026112-131502-ab",
        "202611220-131502-ab",
        "20261122_131502-ab",
        "20261122-131502-a/b",
        "20261122-131502-..",
        "20261122-131502-A",
        "20261122-131502-a b",
        "../20261122-131502-ab",
    };
    char name[RUN_ID_MAX + 1] = "20261122-131502-";
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_false(run_id_is_valid(names[i]));
    memset(name + 16, 'a', RUN_ID_MAX - 16);
    assert_false(run_id_is_valid(name));
    name[RUN_ID_MAX - 1] = '\0';
    assert_true(run_id_is_valid(name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_runs),
        cmocka_unit_test(test_names_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
