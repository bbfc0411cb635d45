/* SPDX-License-Identifier: Apache-2.0 */
/* Inserts and updates through prepared statements, made once for each table and list of columns. */
#include "store/blocks.h"
#include "store/internal.h"

#include "base/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SQL_MAX 4096

/* A bounded text builder on the stack: the key of a cached statement costs no allocation. */
struct sql {
    char text[SQL_MAX];
    size_t length;
    bool bad; /* too long, or a name that is none */
};

static void sql_add(struct sql *sql, const char *text)
{
    size_t length = strlen(text);
    if (sql->length + length >= sizeof(sql->text)) {
        sql->bad = true;
        return;
    }
    memcpy(sql->text + sql->length, text, length + 1);
    sql->length += length;
}

/* Names come from code, never from input; this keeps it so. */
static void sql_add_name(struct sql *sql, const char *name)
{
    if (*name == '\0' || name[strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789")] != '\0')
        sql->bad = true;
    sql_add(sql, "\"");
    sql_add(sql, name);
    sql_add(sql, "\"");
}

static void sql_insert(struct sql *sql, const char *table, const struct store_value *values)
{
    sql_add(sql, "INSERT INTO ");
    sql_add_name(sql, table);
    sql_add(sql, " (");
    for (const struct store_value *value = values; value->column; value++) {
        sql_add(sql, value == values ? "" : ",");
        sql_add_name(sql, value->column);
    }
    sql_add(sql, ") VALUES (");
    for (const struct store_value *value = values; value->column; value++)
        sql_add(sql, value == values ? "?" : ",?");
    sql_add(sql, ")");
}

static void sql_update(struct sql *sql, const char *table, const struct store_value *key,
                       const struct store_value *values)
{
    sql_add(sql, "UPDATE ");
    sql_add_name(sql, table);
    sql_add(sql, " SET ");
    for (const struct store_value *value = values; value->column; value++) {
        sql_add(sql, value == values ? "" : ",");
        sql_add_name(sql, value->column);
        sql_add(sql, "=?");
    }
    sql_add(sql, " WHERE ");
    sql_add_name(sql, key->column);
    sql_add(sql, "=?");
}

static int cache_grow(struct store *store)
{
    if (store->cached < store->cache_capacity)
        return 0;
    size_t capacity = store->cache_capacity ? 2 * store->cache_capacity : 32;
    struct statement *cache = realloc(store->cache, capacity * sizeof(*cache));
    if (!cache)
        return -ENOMEM;
    store->cache = cache;
    store->cache_capacity = capacity;
    return 0;
}

static int cache_get(struct store *store, const struct sql *sql, sqlite3_stmt **ret,
                     struct error *err)
{
    if (sql->bad)
        return error_set(err, EINVAL, "malformed table or column name in: %.200s", sql->text);
    for (size_t i = 0; i < store->cached; i++) {
        if (strcmp(store->cache[i].sql, sql->text) == 0) {
            *ret = store->cache[i].prepared;
            return 0;
        }
    }
    char *copy = strdup(sql->text);
    if (!copy || cache_grow(store) < 0) {
        free(copy);
        return error_errno(err, ENOMEM, "preparing a statement");
    }
    sqlite3_stmt *prepared = NULL;
    if (sqlite3_prepare_v3(store->db, sql->text, -1, SQLITE_PREPARE_PERSISTENT, &prepared, NULL) !=
        SQLITE_OK) {
        free(copy);
        return store_sqlite_error(store, "preparing a statement", err);
    }
    store->cache[store->cached++] = (struct statement){.sql = copy, .prepared = prepared};
    *ret = prepared;
    return 0;
}

/* A text without a secret stays valid until the statement is reset, so it need not be copied. */
static int bind_text(const struct store *store, sqlite3_stmt *statement, int position,
                     const char *text)
{
    AUTO_BUFFER clean = {0};
    if (!text || !redactor_apply(store->redactor, text, &clean))
        return sqlite3_bind_text(statement, position, text, -1, SQLITE_STATIC);
    if (clean.failed)
        return SQLITE_NOMEM;
    return sqlite3_bind_text(statement, position, buffer_text(&clean), -1, SQLITE_TRANSIENT);
}

static int bind_value(const struct store *store, sqlite3_stmt *statement, int position,
                      const struct store_value *value)
{
    switch (value->type) {
    case STORE_INTEGER:
        return sqlite3_bind_int64(statement, position, value->integer);
    case STORE_REAL:
        return sqlite3_bind_double(statement, position, value->real);
    case STORE_TEXT:
        return bind_text(store, statement, position, value->text);
    case STORE_NULL:
        break;
    }
    return sqlite3_bind_null(statement, position);
}

static int run(struct store *store, sqlite3_stmt *statement, const struct store_value *values,
               const struct store_value *key, const char *table, struct error *err)
{
    int position = 1;
    int r = SQLITE_OK;
    for (const struct store_value *value = values; value->column && r == SQLITE_OK; value++)
        r = bind_value(store, statement, position++, value);
    if (key && r == SQLITE_OK)
        r = bind_value(store, statement, position, key);
    if (r == SQLITE_OK)
        r = sqlite3_step(statement);
    int result = 0;
    if (r != SQLITE_DONE) {
        result = store_sqlite_error(store, "writing a row", err);
        error_wrap(err, "table %s", table);
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return result;
}

int statement_insert(struct store *store, const char *table, const struct store_value *values,
                     int64_t *ret_rowid, struct error *err)
{
    struct sql sql = {.length = 0};
    sql_insert(&sql, table, values);
    sqlite3_stmt *statement = NULL;
    int r = cache_get(store, &sql, &statement, err);
    if (r == 0)
        r = run(store, statement, values, NULL, table, err);
    if (r < 0)
        return r;
    int64_t rowid = sqlite3_last_insert_rowid(store->db);
    if (ret_rowid)
        *ret_rowid = rowid;
    return strcmp(table, "sample") == 0 ? blocks_note(store, values, rowid, err) : 0;
}

int statement_update(struct store *store, const char *table, const struct store_value *key,
                     const struct store_value *values, struct error *err)
{
    struct sql sql = {.length = 0};
    sql_update(&sql, table, key, values);
    sqlite3_stmt *statement = NULL;
    int r = cache_get(store, &sql, &statement, err);
    return r < 0 ? r : run(store, statement, values, key, table, err);
}

void statement_cache_done(struct store *store)
{
    for (size_t i = 0; i < store->cached; i++) {
        sqlite3_finalize(store->cache[i].prepared);
        free(store->cache[i].sql);
    }
    free(store->cache);
    store->cache = NULL;
    store->cached = store->cache_capacity = 0;
}
