/* SPDX-License-Identifier: Apache-2.0 */
/* What the store's files share.
 *
 * One connection reads and writes, guarded by SQLite's own (recursive) connection mutex. It commits
 * without fsync (WAL, synchronous=NORMAL: never corrupt, at worst the last commits are missing
 * after a power cut); a durable commit is that commit followed by fdatasync() of the write-ahead
 * log through a descriptor of our own, outside of the mutex. That is what synchronous=FULL does,
 * except that nobody who only wants to insert a row waits for the disk. */
#pragma once

#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

#define STORE_APPLICATION_ID 0x4F4F4D4C /* "OOML" */
#define STORE_SCHEMA_VERSION 10

struct statement {
    char *sql; /* owned; the key */
    sqlite3_stmt *prepared;
};

struct writer;
struct blocks;

struct store {
    sqlite3 *db;
    char *path;              /* of the database; owned */
    bool writable;           /* made by store_create() */
    bool seal_tried;         /* then closing leaves the file's bytes alone */
    int wal_fd;              /* the write-ahead log, to make it durable; -1 where there is none */
    struct statement *cache; /* prepared inserts and updates; under the connection mutex */
    size_t cached, cache_capacity;
    _Atomic int wal_pages; /* since the last checkpoint */
    struct writer *writer; /* NULL: no thread */
    struct blocks *blocks; /* of samples; NULL where nothing is written */
    struct redactor *redactor;
};

static inline void store_lock(struct store *store)
{
    sqlite3_mutex_enter(sqlite3_db_mutex(store->db));
}

static inline void store_unlock(struct store *store)
{
    sqlite3_mutex_leave(sqlite3_db_mutex(store->db));
}

/* Run SQL without results. */
int store_exec(struct store *store, const char *sql, struct error *err);

/* Turn the connection's last error into `err`: what failed, on which file, what to do. */
int store_sqlite_error(struct store *store, const char *doing, struct error *err);

/* Set up a fresh, empty evidence file at `path`, or fail with -EEXIST; never half of one. */
int store_create_file(const char *directory, const char *path, struct error *err);

/* The statement cache; the connection mutex must be held. */
int statement_insert(struct store *store, const char *table, const struct store_value *values,
                     int64_t *ret_rowid, struct error *err);
int statement_update(struct store *store, const char *table, const struct store_value *key,
                     const struct store_value *values, struct error *err);
void statement_cache_done(struct store *store);
