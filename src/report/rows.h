/* SPDX-License-Identifier: Apache-2.0 */
/* Reading rows of the evidence file. Text comes out clean (text.h), NULL stays distinguishable. */
#pragma once

#include "base/error.h"
#include "store/store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct rows {
    sqlite3_stmt *statement;
};
#define AUTO_ROWS __attribute__((cleanup(rows_done))) struct rows

static inline void rows_done(struct rows *rows)
{
    sqlite3_finalize(rows->statement);
    rows->statement = NULL;
}

/* Start a query whose ?1 is `key` (ignored when the query has none). */
int rows_query(struct rows *rows, struct store *store, const char *sql, int64_t key,
               struct error *err);
/* 1: a row is there; 0: no more; negative: an error. */
int rows_next(struct rows *rows, struct error *err);

bool row_is_null(const struct rows *rows, int column);
int64_t row_integer(const struct rows *rows, int column); /* 0 where NULL */
double row_real(const struct rows *rows, int column);     /* NAN where NULL */
/* Clean text in newly allocated memory ("" where NULL); NULL on failed allocation. */
char *row_text(const struct rows *rows, int column);

/* As JSON values: new references; JSON null where the column is NULL, C NULL on failed allocation.
 */
json_t *row_json_integer(const struct rows *rows, int column);
json_t *row_json_real(const struct rows *rows, int column);
json_t *row_json_boolean(const struct rows *rows, int column);
json_t *row_json_text(const struct rows *rows, int column);
/* A column that holds a JSON array of strings; anything else gives an empty one. */
json_t *row_json_strings(const struct rows *rows, int column);
/* A column that holds a JSON object, null otherwise. */
json_t *row_json_object(const struct rows *rows, int column);
