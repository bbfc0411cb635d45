/* SPDX-License-Identifier: Apache-2.0 */
#include "report/rows.h"

#include "base/cleanup.h"
#include "report/text.h"

#include <errno.h>
#include <math.h>

int rows_query(struct rows *rows, struct store *store, const char *sql, int64_t key,
               struct error *err)
{
    int r = store_prepare(store, sql, &rows->statement, err);
    if (r == 0 && sqlite3_bind_parameter_count(rows->statement) > 0)
        sqlite3_bind_int64(rows->statement, 1, key);
    return r;
}

int rows_next(struct rows *rows, struct error *err)
{
    int r = sqlite3_step(rows->statement);
    if (r == SQLITE_ROW)
        return 1;
    if (r == SQLITE_DONE)
        return 0;
    return error_set(err, EIO, "reading the evidence: %s",
                     sqlite3_errmsg(sqlite3_db_handle(rows->statement)));
}

bool row_is_null(const struct rows *rows, int column)
{
    return sqlite3_column_type(rows->statement, column) == SQLITE_NULL;
}

int64_t row_integer(const struct rows *rows, int column)
{
    return sqlite3_column_int64(rows->statement, column);
}

double row_real(const struct rows *rows, int column)
{
    return row_is_null(rows, column) ? (double)NAN : sqlite3_column_double(rows->statement, column);
}

char *row_text(const struct rows *rows, int column)
{
    const unsigned char *raw = sqlite3_column_text(rows->statement, column);
    AUTO_BUFFER clean = {0};
    text_append_clean(&clean, raw ? (const char *)raw : "");
    return buffer_steal(&clean);
}

json_t *row_json_integer(const struct rows *rows, int column)
{
    return row_is_null(rows, column) ? json_null() : json_integer(row_integer(rows, column));
}

json_t *row_json_real(const struct rows *rows, int column)
{
    double value = row_real(rows, column);
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *row_json_boolean(const struct rows *rows, int column)
{
    return row_is_null(rows, column) ? json_null() : json_boolean(row_integer(rows, column) != 0);
}

json_t *row_json_text(const struct rows *rows, int column)
{
    if (row_is_null(rows, column))
        return json_null();
    AUTO_FREE char *text = row_text(rows, column);
    return text ? json_string(text) : NULL;
}

static json_t *parse(const struct rows *rows, int column)
{
    AUTO_FREE char *text = row_text(rows, column);
    return text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

/* Escapes in JSON (\u001b) can bring in again what row_text() had taken out. */
static json_t *clean_string(const json_t *value)
{
    AUTO_BUFFER clean = {0};
    text_append_clean(&clean, json_string_value(value));
    return clean.failed ? NULL : json_string(buffer_text(&clean));
}

json_t *row_json_strings(const struct rows *rows, int column)
{
    json_t *parsed = parse(rows, column);
    json_t *strings = json_array();
    size_t index;
    json_t *value;
    json_array_foreach(parsed, index, value)
    {
        if (json_is_string(value))
            json_array_append_new(strings, clean_string(value));
    }
    json_decref(parsed);
    return strings;
}

json_t *row_json_object(const struct rows *rows, int column)
{
    json_t *parsed = parse(rows, column);
    if (json_is_object(parsed))
        return parsed;
    json_decref(parsed);
    return json_null();
}
