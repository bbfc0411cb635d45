/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "report/report.h"
#include "report/wrap.h"

static char *summary_of(struct fixture *fixture, enum run_kind kind)
{
    struct error err = {0};
    json_t *result = NULL;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_int_equal(report_result(fixture_run(fixture, kind), &result, &err), 0);
    assert_int_equal(report_print_summary(result, out, &err), 0);
    fclose(out);
    json_decref(result);
    return text;
}

static size_t longest_line(const char *text)
{
    size_t longest = 0;
    size_t columns = 0;
    for (; *text; text++) {
        columns = *text == '\n' ? 0 : columns + (((unsigned char)*text & 0xC0) != 0x80);
        longest = columns > longest ? columns : longest;
    }
    return longest;
}

static void test_lab(void **state)
{
    char *text = summary_of(*state, RUN_LAB);
    assert_contains(text,
                    "ARM      LIMIT   CPU  KILLS  RESTARTS  DONE  FAILED  HEALTH     VERDICT\n");
    assert_contains(text, "raise      1Gi  0.25      2         1   253      10  Unhealthy  leak\n");
    assert_contains(text, "PASS  leak/raise-only-delays\n");
    assert_contains(text, "kernel-proven-kills: 2 of 2 kills, after 126 requests");
    assert_contains(text, "holds    leak/raise, if it is leak: 110.2 to 140.9 requests until");
    assert_contains(text,
                    "refuted  leak/raise, if it is startup-demand: not killed; observed: killed");
    assert_contains(text, "leak/trigger, process 1: oom_kill 0 -> 1, exit code 137 at 2026-");
    assert_contains(text, "VERDICT: memory leak (confidence 98 %, Strongly Suggested)\n");
    assert_contains(text, "WHAT TO DO: Fix the leak\n");
    free(text);
}

static void test_failures_without_a_kill_and_open_predictions_are_told(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    struct store *store = fixture_run(fixture, RUN_LAB);
    sqlite3_stmt *change = NULL;
    static const char *const changes[] = {
        "UPDATE request SET status = 503 WHERE seq < 3 AND arm_id ="
        " (SELECT id FROM arm WHERE name = 'patch' LIMIT 1)",
        "UPDATE request SET status = 0, error = 'too many in flight' WHERE seq IN (4, 5) AND"
        " arm_id = (SELECT id FROM arm WHERE name = 'patch' LIMIT 1)",
        "UPDATE prediction SET holds = NULL",
        "UPDATE arm SET stop_reason = 'Not settled within the budget: too few kills.'"
        " WHERE name = 'trigger'",
        "UPDATE lifetime_end SET wait_status = NULL, wait_code = NULL",
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        assert_int_equal(store_prepare(store, changes[i], &change, &err), 0);
        assert_int_equal(sqlite3_step(change), SQLITE_DONE);
        sqlite3_finalize(change);
    }
    json_t *result = NULL;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_int_equal(report_result(store, &result, &err), 0);
    assert_int_equal(report_print_summary(result, out, &err), 0);
    fclose(out);
    json_decref(result);
    assert_contains(text, "patch: requests failed: HTTP 503 (3)\n");
    assert_contains(text, "patch: the load generator gave up on 2 requests (too many in flight)\n");
    assert_lacks(text, "trigger: requests failed");
    assert_contains(text, "  trigger: Not settled within the budget: too few kills.\n");
    assert_contains(text, "not decided  leak/raise");
    assert_lacks(text, "holds    ");
    assert_lacks(text, "nan");
    free(text);
}

static void test_failed_gate_says_which_check(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    struct store *store = fixture_run(fixture, RUN_LAB);
    const struct store_value failed[] = {STORE_INT("pass", 0), STORE_END};
    store_update(store, "gate", &(struct store_value)STORE_STR("id", "leak/patch-cures"), failed,
                 &err);
    store_update(store, "gate_check", &(struct store_value)STORE_STR("gate_id", "leak/patch-cures"),
                 failed, &err);
    json_t *result = NULL;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_int_equal(report_result(store, &result, &err), 0);
    assert_int_equal(report_print_summary(result, out, &err), 0);
    fclose(out);
    assert_contains(text, "FAIL  leak/patch-cures\n");
    assert_contains(text, "! kernel-proven-kills: 0 kills (must be: 0)\n");
    json_decref(result);
    free(text);
}

static void test_never_wider_than_100(void **state)
{
    struct fixture *fixture = *state;
    for (enum run_kind kind = 0; kind < RUN_KINDS; kind++) {
        char *text = summary_of(fixture, kind);
        assert_in_range(longest_line(text), 20, 100);
        assert_lacks(text, "\033");
        assert_lacks(text, "(null)");
        free(text);
        fixture_clear(fixture);
    }
}

static void test_interrupted(void **state)
{
    char *text = summary_of(*state, RUN_INTERRUPTED);
    assert_contains(text, "This run was interrupted");
    assert_contains(text, "VERDICT: not settled by this evidence\n");
    free(text);
}

static void assert_wrapped(size_t indent, const char *text, const char *expected)
{
    char *written = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&written, &length);
    wrap_print(out, indent, "%s", text);
    fclose(out);
    assert_string_equal(written, expected);
    free(written);
}

static void test_wrap(void **state)
{
    (void)state;
    char word[151];
    char expected[200];
    assert_wrapped(2, "", "");
    assert_wrapped(2, "a b\nc", "  a b c\n");
    memset(word, 'x', 150);
    word[150] = '\0';
    snprintf(expected, sizeof(expected), "%.100s\n%.50s\n", word, word);
    assert_wrapped(0, word, expected);
    memset(word, 'y', 99);
    memcpy(word + 99, " zz", 4);
    snprintf(expected, sizeof(expected), "%.99s\nzz\n", word);
    assert_wrapped(0, word, expected);
    memcpy(word + 99, "\xC3\xA9 z", 5); /* 100 characters in 101 bytes still fit */
    snprintf(expected, sizeof(expected), "%.101s\nz\n", word);
    assert_wrapped(0, word, expected);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_lab),
        TEST(test_failures_without_a_kill_and_open_predictions_are_told),
        TEST(test_failed_gate_says_which_check),
        TEST(test_never_wider_than_100),
        TEST(test_interrupted),
        cmocka_unit_test(test_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
