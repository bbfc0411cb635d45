/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/oomlab-test-state-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"state.db", "state.db-wal", "state.db-shm"};
    char path[128];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        unlink(path);
    }
    return rmdir(directory);
}

static int64_t count(struct state *state, const char *sql)
{
    struct error err = {0};
    sqlite3_stmt *row = NULL;
    assert_int_equal(state_query(state, &row, &err, sql, ""), 0);
    assert_true(state_step(state, row, &err));
    int64_t value = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    return value;
}

static void test_what_is_written_is_there_again(void **unused)
{
    (void)unused;
    struct error err = {0};
    struct state *state = NULL;
    struct stat status;
    char path[128];
    assert_int_equal(state_open(directory, &state, &err), 0);
    assert_int_equal(state_run(state, &err, "INSERT INTO resource VALUES (?, ?, ?)", "sss", "group",
                               "it's", "{}"),
                     0);
    /* A second one of the same key is refused, and says where. */
    assert_true(state_run(state, &err, "INSERT INTO resource VALUES (?, ?, ?)", "sss", "group",
                          "it's", "{}") < 0);
    assert_non_null(strstr(err.text, "state.db"));
    state_close(state);

    assert_int_equal(state_open(directory, &state, &err), 0);
    assert_int_equal(count(state, "SELECT count(*) FROM resource WHERE key = 'it''s'"), 1);
    snprintf(path, sizeof(path), "%s/state.db", directory);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    state_close(state);
}

static void test_what_is_rolled_back_is_gone(void **unused)
{
    (void)unused;
    struct error err = {0};
    struct state *state = NULL;
    assert_int_equal(state_open(directory, &state, &err), 0);
    assert_int_equal(state_begin(state, &err), 0);
    assert_int_equal(state_run(state, &err, "DELETE FROM resource", ""), 0);
    state_rollback(state);
    state_rollback(state); /* nothing is open: nothing happens */
    assert_int_equal(count(state, "SELECT count(*) FROM resource"), 1);
    state_close(state);
}

static void test_a_foreign_file_is_refused(void **unused)
{
    (void)unused;
    struct error err = {0};
    struct state *state = NULL;
    assert_int_equal(state_open(directory, &state, &err), 0);
    assert_int_equal(state_run(state, &err, "PRAGMA user_version = 999", ""), 0);
    state_close(state);
    assert_true(state_open(directory, &state, &err) < 0);
    assert_int_equal(err.kind, ERROR_USAGE);
    assert_non_null(strstr(err.text, "another version"));

    char path[128];
    snprintf(path, sizeof(path), "%s/state.db", directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("this is no database, and long enough to be taken for one, if one does not look", file);
    fclose(file);
    assert_true(state_open(directory, &state, &err) < 0);
    assert_int_equal(err.kind, ERROR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_there_again),
        cmocka_unit_test(test_what_is_rolled_back_is_gone),
        cmocka_unit_test(test_a_foreign_file_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
