/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "base/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

static void assert_usage(int r, const struct error *err, const char *part)
{
    assert_true(r < 0);
    assert_int_equal(err->kind, ERROR_USAGE);
    if (!strstr(err->text, part))
        fail_msg("'%s' does not contain '%s'", err->text, part);
}

static void run_sql(const char *directory, const char *sql)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/evidence.db", directory);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_create_has_every_metric(void **state)
{
    struct store *store = fixture_create(*state);
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        char sql[160];
        snprintf(
            sql, sizeof(sql),
            "SELECT count(*) FROM pragma_table_info('sample') WHERE name='%s' AND type='INTEGER'",
            metric_name(metric));
        assert_int_equal(query_integer(store, sql), 1);
    }
    assert_int_equal(query_integer(store, "SELECT count(*) FROM pragma_table_info('sample')"),
                     METRIC_COUNT + 2);
    assert_int_equal(query_integer(store, "PRAGMA application_id"), STORE_APPLICATION_ID);
    assert_int_equal(query_integer(store, "PRAGMA user_version"), STORE_SCHEMA_VERSION);
}

static void test_create_twice_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture_create(fixture);
    struct error err = {0};
    assert_int_equal(insert_gate(store, "g", 1, &err), 0);
    struct store *second = NULL;
    assert_int_equal(store_create(fixture->directory, &second, &err), -EEXIST);
    assert_null(second);
    assert_int_equal(query_integer(store, "SELECT count(*) FROM gate"), 1);
}

static void test_create_without_directory(void **state)
{
    (void)state;
    struct error err = {0};
    struct store *store = NULL;
    assert_true(store_create("/nonexistent/oomlab", &store, &err) < 0);
    assert_null(store);
    assert_non_null(strstr(err.text, "/nonexistent/oomlab"));
}

static void test_values_round_trip(void **state)
{
    struct store *store = fixture_create(*state);
    struct error err = {0};
    int64_t rowid = 0;
    const struct store_value row[] = {STORE_INT("arm_id", INT64_MIN),
                                      STORE_STR("class", "l'\"eak; DROP TABLE gate"),
                                      STORE_DBL("confidence", 0.1 + 0.2),
                                      STORE_STR("driver", NULL),
                                      STORE_STR("level", "Measured"),
                                      STORE_STR("because", "[]"),
                                      STORE_STR("summary", "caf\xC3\xA9"),
                                      STORE_NIL("would_settle"),
                                      STORE_END};
    assert_int_equal(store_insert(store, "verdict", row, &rowid, &err), 0);
    assert_int_equal(rowid, 1);
    sqlite3_stmt *statement = NULL;
    assert_int_equal(store_prepare(store, "SELECT * FROM verdict", &statement, &err), 0);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_true(sqlite3_column_int64(statement, 0) == INT64_MIN);
    assert_string_equal((const char *)sqlite3_column_text(statement, 1),
                        "l'\"eak; DROP TABLE gate");
    assert_true(sqlite3_column_double(statement, 2) == 0.1 + 0.2);
    assert_int_equal(sqlite3_column_type(statement, 3), SQLITE_NULL);
    assert_string_equal((const char *)sqlite3_column_text(statement, 6), "caf\xC3\xA9");
    assert_int_equal(sqlite3_column_type(statement, 11), SQLITE_NULL);
    sqlite3_finalize(statement);
}

static void test_update_by_text_and_integer(void **state)
{
    struct store *store = fixture_create(*state);
    struct error err = {0};
    assert_int_equal(insert_gate(store, "a", 0, &err), 0);
    assert_int_equal(insert_gate(store, "b", 0, &err), 0);
    assert_int_equal(store_update(store, "gate", &(struct store_value)STORE_STR("id", "b"),
                                  (struct store_value[]){STORE_INT("pass", 1), STORE_END}, &err),
                     0);
    assert_int_equal(query_integer(store, "SELECT pass FROM gate WHERE id='a'"), 0);
    assert_int_equal(query_integer(store, "SELECT pass FROM gate WHERE id='b'"), 1);
    assert_int_equal(store_update(store, "gate", &(struct store_value)STORE_INT("pass", 1),
                                  (struct store_value[]){STORE_STR("hypothesis", "h"), STORE_END},
                                  &err),
                     0);
    assert_int_equal(query_integer(store, "SELECT count(*) FROM gate WHERE hypothesis='h'"), 1);
}

static void test_same_columns_prepare_once(void **state)
{
    struct store *store = fixture_create(*state);
    struct error err = {0};
    for (int i = 0; i < 100; i++) {
        char id[16];
        snprintf(id, sizeof(id), "g%d", i);
        assert_int_equal(insert_gate(store, id, i & 1, &err), 0);
    }
    assert_int_equal(store->cached, 1);
    assert_int_equal(query_integer(store, "SELECT sum(pass) FROM gate"), 50);
}

static void test_faults_are_named(void **state)
{
    struct store *store = fixture_create(*state);
    struct error err = {0};
    assert_int_equal(insert_gate(store, "g", 1, &err), 0);
    assert_int_equal(insert_gate(store, "g", 1, &err), -EINVAL);
    assert_non_null(strstr(err.text, "gate"));
    assert_non_null(strstr(err.text, "UNIQUE"));
    const struct store_value wrong[] = {STORE_STR("pass", "yes"), STORE_END};
    assert_int_equal(
        store_update(store, "gate", &(struct store_value)STORE_STR("id", "g"), wrong, &err),
        -EINVAL); /* STRICT: no text in an integer column */
    const struct store_value injected[] = {STORE_INT("pass\" = 0; --", 1), STORE_END};
    assert_int_equal(store_insert(store, "gate", injected, NULL, &err), -EINVAL);
    assert_true(store_insert(store, "no_such_table", wrong, NULL, &err) < 0);
    assert_non_null(strstr(err.text, "no_such_table"));
    /* and the store still works */
    assert_int_equal(insert_gate(store, "h", 1, &err), 0);
}

static void test_open_reads_only(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    assert_int_equal(insert_gate(fixture_create(fixture), "g", 1, &err), 0);
    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(store_open(fixture->directory, &fixture->store, &err), 0);
    assert_int_equal(query_integer(fixture->store, "SELECT count(*) FROM gate"), 1);
    assert_true(insert_gate(fixture->store, "h", 1, &err) < 0);
    assert_int_equal(store_writer_start(fixture->store, &err), -EROFS);
}

static void test_open_while_it_is_written(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    struct store *writing = fixture_create(fixture);
    assert_int_equal(insert_gate(writing, "g", 1, &err), 0);
    struct store *reading = NULL;
    assert_int_equal(store_open(fixture->directory, &reading, &err), 0);
    assert_int_equal(query_integer(reading, "SELECT count(*) FROM gate"), 1);
    assert_int_equal(insert_gate(writing, "h", 1, &err), 0);
    assert_int_equal(query_integer(reading, "SELECT count(*) FROM gate"), 2);
    store_close(reading);
    assert_int_equal(insert_gate(writing, "i", 1, &err), 0);
}

static void test_open_refuses_what_is_no_evidence(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    struct store *store = NULL;
    assert_usage(store_open(fixture->directory, &store, &err), &err, "does not exist");
    char path[128];
    snprintf(path, sizeof(path), "%s/evidence.db", fixture->directory);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is no database\n", file);
    fclose(file);
    assert_usage(store_open(fixture->directory, &store, &err), &err, "not an evidence file");
    unlink(path);
    run_sql(fixture->directory, "CREATE TABLE t (x)");
    assert_usage(store_open(fixture->directory, &store, &err), &err, "another program");
    assert_null(store);
}

static void test_open_refuses_newer_format(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    store_close(fixture_create(fixture));
    fixture->store = NULL;
    run_sql(fixture->directory, "PRAGMA user_version = 99");
    struct store *store = NULL;
    assert_usage(store_open(fixture->directory, &store, &err), &err, "update oomlab");
    run_sql(fixture->directory, "PRAGMA user_version = 0");
    assert_usage(store_open(fixture->directory, &store, &err), &err, "format number");
}

/* A file of the format before the heap profiles is read like one that has none. */
static void test_open_completes_older_formats(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    store_close(fixture_create(fixture));
    fixture->store = NULL;
    run_sql(fixture->directory, "DROP TABLE heap_stack; DROP TABLE heap_profile;"
                                "DROP TABLE heap_names; DROP TABLE growth_kind; DROP TABLE caveat;"
                                "DROP TRIGGER sample_deleted; DROP TABLE sample_block;"
                                "ALTER TABLE arm DROP COLUMN stop_reason;"
                                "PRAGMA user_version = 2");
    assert_int_equal(store_open(fixture->directory, &fixture->store, &err), 0);
    assert_int_equal(query_integer(fixture->store, "SELECT count(sentence) FROM heap_profile"), 0);
    assert_int_equal(query_integer(fixture->store, "SELECT count(frames) FROM heap_stack"), 0);
    assert_int_equal(query_integer(fixture->store, "SELECT count(names) FROM heap_names"), 0);
    assert_int_equal(query_integer(fixture->store, "SELECT count(bytes) FROM growth_kind"), 0);
    assert_int_equal(query_integer(fixture->store, "SELECT count(text) FROM caveat"), 0);
    assert_int_equal(query_integer(fixture->store, "SELECT count(stop_reason) FROM arm"), 0);
    assert_int_equal(query_integer(fixture->store, "SELECT count(samples) FROM sample_block"), 0);
}

static bool exists(const struct fixture *fixture, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
    return access(path, F_OK) == 0;
}

static void test_seal_leaves_one_file(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    struct store *store = fixture_create(fixture);
    assert_int_equal(insert_gate(store, "g", 1, &err), 0);
    assert_true(exists(fixture, "evidence.db-wal"));
    assert_int_equal(store_flush(store, &err), 0);
    assert_int_equal(store_seal(store, &err), 0);
    assert_false(exists(fixture, "evidence.db-wal"));
    assert_false(exists(fixture, "evidence.db-shm"));
    assert_int_equal(store_flush(store, &err), 0);
    assert_int_equal(store_seal(store, &err), 0);
    assert_int_equal(insert_gate(store, "h", 1, &err), 0);
    assert_int_equal(query_integer(store, "SELECT count(*) FROM gate"), 2);
}

/* A process that is killed at any moment leaves a file that opens, with what it had committed. */
static void test_killed_writer_leaves_an_openable_file(void **state)
{
    struct fixture *fixture = *state;
    int pipe_fd[2];
    assert_int_equal(pipe(pipe_fd), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct error err = {0};
        struct store *store = NULL;
        if (store_create(fixture->directory, &store, &err) < 0)
            _exit(1);
        for (int i = 0;; i++) {
            char id[16];
            snprintf(id, sizeof(id), "g%d", i);
            if (insert_gate(store, id, 1, &err) < 0 || write(pipe_fd[1], "x", 1) != 1)
                _exit(1);
        }
    }
    char seen[64];
    ssize_t rows = 0;
    while (rows < 500) {
        ssize_t n = read(pipe_fd[0], seen, sizeof(seen));
        assert_true(n > 0);
        rows += n;
    }
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
    struct error err = {0};
    assert_true(exists(fixture, "evidence.db-wal"));
    assert_int_equal(store_open(fixture->directory, &fixture->store, &err), 0);
    assert_true(query_integer(fixture->store, "SELECT count(*) FROM gate") >= rows);
    assert_false(exists(fixture, "evidence.db-wal"));
    sqlite3_stmt *check = NULL;
    assert_int_equal(store_prepare(fixture->store, "PRAGMA integrity_check", &check, &err), 0);
    assert_int_equal(sqlite3_step(check), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(check, 0), "ok");
    sqlite3_finalize(check);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_create_has_every_metric),    TEST(test_create_twice_is_refused),
        TEST(test_create_without_directory),   TEST(test_values_round_trip),
        TEST(test_update_by_text_and_integer), TEST(test_same_columns_prepare_once),
        TEST(test_faults_are_named),           TEST(test_open_reads_only),
        TEST(test_open_while_it_is_written),   TEST(test_open_refuses_what_is_no_evidence),
        TEST(test_open_refuses_newer_format),  TEST(test_open_completes_older_formats),
        TEST(test_seal_leaves_one_file),       TEST(test_killed_writer_leaves_an_openable_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
