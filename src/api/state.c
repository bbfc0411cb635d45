/* SPDX-License-Identifier: Apache-2.0 */
#include "api/state.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* The evidence is attached, and another connection writes it: its batches take milliseconds. */
#define BUSY_TIMEOUT_MS 5000

#define STATE_VERSION        1
#define STATE_APPLICATION_ID 0x4F4F4D53 /* "OOMS" */
#define STRINGIFY_(x)        #x
#define STRINGIFY(x)         STRINGIFY_(x)

struct state {
    sqlite3 *db;
    char *path;
};

static const char SCHEMA[] =
    "BEGIN;"
    /* kind: group, environment; key: its ARM path in lower case */
    "CREATE TABLE resource (kind TEXT NOT NULL, key TEXT NOT NULL, json TEXT NOT NULL,"
    " PRIMARY KEY (kind, key)) STRICT;"
    "CREATE TABLE app (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
    " json TEXT NOT NULL, revisions INTEGER NOT NULL) STRICT;"
    "CREATE TABLE revision (name TEXT PRIMARY KEY, app_id INTEGER NOT NULL, template TEXT NOT NULL,"
    " active INTEGER NOT NULL, created_ns INTEGER NOT NULL, provisioned INTEGER NOT NULL,"
    " failure TEXT) STRICT;"
    /* A start of serve. Cursors: how far its evidence has been copied. */
    "CREATE TABLE session (id TEXT PRIMARY KEY, started_ns INTEGER NOT NULL,"
    " realtime_offset_ns INTEGER NOT NULL, event_cursor INTEGER NOT NULL,"
    " sample_cursor INTEGER NOT NULL) STRICT;"
    "CREATE TABLE event (id INTEGER PRIMARY KEY AUTOINCREMENT, app_id INTEGER NOT NULL,"
    " at_ns INTEGER NOT NULL, type TEXT NOT NULL, app TEXT, revision TEXT, replica TEXT,"
    " msg TEXT NOT NULL, reason TEXT NOT NULL, source TEXT NOT NULL, count INTEGER NOT NULL,"
    " oomlab TEXT) STRICT;"
    "CREATE INDEX event_by_app ON event (app_id, id);"
    /* One row a minute: sum / count is the average. */
    "CREATE TABLE metric (app_id INTEGER NOT NULL, name TEXT NOT NULL, minute INTEGER NOT NULL,"
    " revision TEXT NOT NULL, replica TEXT NOT NULL, count INTEGER NOT NULL, sum REAL NOT NULL,"
    " min REAL NOT NULL, max REAL NOT NULL,"
    " PRIMARY KEY (app_id, name, minute, revision, replica)) STRICT, WITHOUT ROWID;"
    "PRAGMA application_id = " STRINGIFY(STATE_APPLICATION_ID) ";"
                                                               "PRAGMA user_version = " STRINGIFY(
                                                                   STATE_VERSION) ";"
                                                                                  "COMMIT;";

static int sqlite_error(struct state *state, const char *doing, struct error *err)
{
    int code = sqlite3_errcode(state->db);
    return error_set(err,
                     code == SQLITE_FULL         ? ENOSPC
                     : code == SQLITE_CONSTRAINT ? EEXIST
                                                 : EIO,
                     "%s in '%s': %s", doing, state->path, sqlite3_errmsg(state->db));
}

static int64_t pragma(struct state *state, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;
    if (sqlite3_prepare_v2(state->db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static int prepare_file(struct state *state, struct error *err)
{
    static const char settings[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;";
    int64_t tables = pragma(state, "SELECT count(*) FROM sqlite_schema");
    if (tables < 0)
        return error_usage(err, "'%s' is no state of oomlab serve, or it is damaged", state->path);
    if (tables > 0 && (pragma(state, "PRAGMA application_id") != STATE_APPLICATION_ID ||
                       pragma(state, "PRAGMA user_version") != STATE_VERSION))
        return error_usage(err,
                           "'%s' is the state of another version of oomlab; name another "
                           "directory with --state",
                           state->path);
    if (sqlite3_exec(state->db, settings, NULL, NULL, NULL) != SQLITE_OK ||
        (tables == 0 && sqlite3_exec(state->db, SCHEMA, NULL, NULL, NULL) != SQLITE_OK))
        return sqlite_error(state, "preparing the state", err);
    return 0;
}

int state_open(const char *directory, struct state **ret, struct error *err)
{
    struct state *state = calloc(1, sizeof(*state));
    if (!state || asprintf(&state->path, "%s/state.db", directory) < 0) {
        free(state);
        return error_errno(err, ENOMEM, "opening the state in '%s'", directory);
    }
    int r = 0;
    mode_t mask = umask(0077);
    if (sqlite3_open_v2(state->path, &state->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                        NULL) != SQLITE_OK)
        r = state->db ? sqlite_error(state, "opening the state", err)
                      : error_errno(err, ENOMEM, "opening '%s'", state->path);
    if (r == 0)
        sqlite3_busy_timeout(state->db, BUSY_TIMEOUT_MS);
    if (r == 0)
        r = prepare_file(state, err);
    umask(mask);
    if (r < 0) {
        state_close(state);
        return r;
    }
    *ret = state;
    return 0;
}

void state_close(struct state *state)
{
    if (!state)
        return;
    sqlite3_close_v2(state->db);
    free(state->path);
    free(state);
}

static int bind(sqlite3_stmt *statement, const char *types, va_list arguments)
{
    int r = SQLITE_OK;
    for (int i = 0; r == SQLITE_OK && types[i]; i++) {
        if (types[i] == 's')
            r = sqlite3_bind_text(statement, i + 1, va_arg(arguments, const char *), -1,
                                  SQLITE_TRANSIENT);
        else if (types[i] == 'd')
            r = sqlite3_bind_double(statement, i + 1, va_arg(arguments, double));
        else
            r = sqlite3_bind_int64(statement, i + 1, va_arg(arguments, int64_t));
    }
    return r;
}

static int query(struct state *state, sqlite3_stmt **ret, struct error *err, const char *sql,
                 const char *types, va_list arguments)
{
    sqlite3_stmt *statement = NULL;
    int r = sqlite3_prepare_v2(state->db, sql, -1, &statement, NULL);
    if (r == SQLITE_OK)
        r = bind(statement, types, arguments);
    if (r != SQLITE_OK) {
        sqlite3_finalize(statement);
        return sqlite_error(state, "preparing a statement", err);
    }
    *ret = statement;
    return 0;
}

int state_query(struct state *state, sqlite3_stmt **ret, struct error *err, const char *sql,
                const char *types, ...)
{
    va_list arguments;
    va_start(arguments, types);
    int r = query(state, ret, err, sql, types, arguments);
    va_end(arguments);
    return r;
}

bool state_step(struct state *state, sqlite3_stmt *statement, struct error *err)
{
    int r = sqlite3_step(statement);
    if (r != SQLITE_ROW && r != SQLITE_DONE)
        sqlite_error(state, "reading or writing", err);
    return r == SQLITE_ROW;
}

int state_run(struct state *state, struct error *err, const char *sql, const char *types, ...)
{
    sqlite3_stmt *statement = NULL;
    va_list arguments;
    va_start(arguments, types);
    int r = query(state, &statement, err, sql, types, arguments);
    va_end(arguments);
    if (r < 0)
        return r;
    int step = SQLITE_ROW;
    while (step == SQLITE_ROW)
        step = sqlite3_step(statement);
    if (step != SQLITE_DONE)
        r = sqlite_error(state, "writing", err);
    sqlite3_finalize(statement);
    return r;
}

void state_set_durable(struct state *state, bool durable)
{
    struct error ignored;
    state_run(state, &ignored,
              durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", "");
}

/* Not IMMEDIATE: that locks the attached evidence for writing too, and its writer is at work most
 * of the time. The state's own file has no other connection. */
int state_begin(struct state *state, struct error *err)
{
    return state_run(state, err, "BEGIN", "");
}

int state_commit(struct state *state, struct error *err)
{
    return state_run(state, err, "COMMIT", "");
}

void state_rollback(struct state *state)
{
    struct error ignored;
    if (!sqlite3_get_autocommit(state->db))
        state_run(state, &ignored, "ROLLBACK", "");
}

int64_t state_last_id(struct state *state)
{
    return sqlite3_last_insert_rowid(state->db);
}
