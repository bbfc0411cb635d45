/* SPDX-License-Identifier: Apache-2.0 */
/* One SQLite file per run: the only place where evidence lives (schema.sql has the tables).
 *
 * Two ways in. Rare rows: store_insert() and store_update(), from any thread. Frequent rows: a ring
 * per producer, emptied by the writer thread, which commits one transaction per batch and at once
 * when a ring is urgent. All functions are thread-safe. */
#pragma once

#include "base/error.h"
#include "base/redact.h"
#include "base/ring.h"

#include <math.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#define STORE_FILE "evidence.db"

struct store;

/* Create DIRECTORY/evidence.db (-EEXIST when it is there), or open one that is (read-only). A file
 * that is no evidence file, or of a newer schema, is a usage error. */
int store_create(const char *directory, struct store **ret, struct error *err);
int store_open(const char *directory, struct store **ret, struct error *err);
/* The cheap question: whether an evidence file is there and begins as one. */
bool store_looks_sound(const char *directory);
void store_close(struct store *store);

/* What must not be written down; borrowed. Every text that goes into the file is looked through for
 * secrets (base/redact.h). Teach it before the writer is started. */
struct redactor *store_redactor(struct store *store);

/* A column and its value, for store_insert() and store_update(). Text is copied. */
enum store_type { STORE_NULL, STORE_INTEGER, STORE_REAL, STORE_TEXT };
struct store_value {
    const char *column; /* NULL ends the list */
    enum store_type type;
    int64_t integer;
    double real;
    const char *text; /* NULL is SQL NULL */
};
#define STORE_INT(name, v)                                                                         \
    {                                                                                              \
        .column = (name), .type = STORE_INTEGER, .integer = (int64_t)(v)                           \
    }
#define STORE_DBL(name, v)                                                                         \
    {                                                                                              \
        .column = (name), .type = STORE_REAL, .real = (v)                                          \
    }
#define STORE_STR(name, v)                                                                         \
    {                                                                                              \
        .column = (name), .type = STORE_TEXT, .text = (v)                                          \
    }
#define STORE_NIL(name)                                                                            \
    {                                                                                              \
        .column = (name), .type = STORE_NULL                                                       \
    }
/* NAN and the infinities stand for "unknown": NULL. */
static inline struct store_value store_real(const char *column, double value)
{
    if (!isfinite(value))
        return (struct store_value)STORE_NIL(column);
    return (struct store_value)STORE_DBL(column, value);
}
#define STORE_END                                                                                  \
    {                                                                                              \
        .column = NULL                                                                             \
    }

/* Insert one row; its rowid goes to `ret_rowid` (may be NULL). Commits (not durably). */
int store_insert(struct store *store, const char *table, const struct store_value *values,
                 int64_t *ret_rowid, struct error *err);
/* Update the rows in which `key_column` = `key` (key: an integer or a text value). */
int store_update(struct store *store, const char *table, const struct store_value *key,
                 const struct store_value *values, struct error *err);
/* Many rows at once: what is inserted and updated between these two is one transaction. For one
 * thread, without the writer. */
int store_begin(struct store *store, struct error *err);
int store_commit(struct store *store, struct error *err);
/* Make everything inserted so far durable (fsync). */
int store_flush(struct store *store, struct error *err);
/* The run is over: move everything into evidence.db itself, durably, so that its bytes stay as they
 * are and reading needs no other file. Further inserts work (each one durable, and slow). The
 * writer must be stopped and every prepared query finalized. -EBUSY when another process reads at
 * the moment: the content is complete then, but evidence.db-wal may stay beside it. Closing seals,
 * too. */
int store_seal(struct store *store, struct error *err);

/* Query: prepare with the store's lock held only during each step. The caller finalizes the
 * statement with sqlite3_finalize(), or by CLEANUP(store_statement_done). */
int store_prepare(struct store *store, const char *sql, sqlite3_stmt **ret, struct error *err);
static inline void store_statement_done(sqlite3_stmt **statement)
{
    sqlite3_finalize(*statement);
}

/* The writer thread. */
struct store_batch; /* an open transaction */
/* Turns one ring record into rows. Called in the writer thread within a transaction. May set
 * *durable: then the batch is committed with fsync, and `on_durable` is called after it. */
typedef int (*store_apply)(struct store_batch *batch, const void *record, void *context,
                           bool *durable, struct error *err);
/* Called in the writer thread after the durable commit, once for each record that asked for it,
 * with the monotonic time of the commit. */
typedef void (*store_durable)(const void *record, int64_t committed_ns, void *context);

struct store_source {
    struct ring *ring;
    int urgent_fd; /* eventfd: commit at once when it fires; -1: only periodically (100 ms) */
    store_apply apply;
    store_durable on_durable; /* may be NULL */
    void *context;
};
/* Sources may be added and removed while the writer runs; removal drains the ring first (its
 * producer must have stopped, and it may not be called from the callbacks). Rings are always
 * drained, so that a slow or full disk never makes a producer drop records; what could not be
 * written is an error. */
int store_writer_start(struct store *store, struct error *err);
int store_writer_add(struct store *store, const struct store_source *source, struct error *err);
int store_writer_remove(struct store *store, struct ring *ring, struct error *err);
/* Drain all rings, commit durably, stop the thread. The first write error, if any, is returned. */
int store_writer_stop(struct store *store, struct error *err);
/* True from the first error in the writer on: rows are missing, and on_durable may never be called
 * for them, so the run should end. Cheap; from any thread while the writer runs; false without one.
 */
bool store_failed(struct store *store);
/* As store_insert(), within the batch. */
int store_batch_insert(struct store_batch *batch, const char *table,
                       const struct store_value *values, int64_t *ret_rowid, struct error *err);
int store_batch_update(struct store_batch *batch, const char *table, const struct store_value *key,
                       const struct store_value *values, struct error *err);
