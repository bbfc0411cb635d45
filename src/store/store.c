/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, closing and the rare rows; the frequent ones are writer.c's business. */
#include "base/cleanup.h"
#include "store/blocks.h"
#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Another process that reads may hold the file for a moment. */
#define BUSY_TIMEOUT_MS 5000

/* What the log grows to between two checkpoints of the writer, and some more. */
#define LOG_BYTES (8 << 20)

int store_sqlite_error(struct store *store, const char *doing, struct error *err)
{
    int code = sqlite3_extended_errcode(store->db);
    int system = sqlite3_system_errno(store->db);
    /* The log's index is made before SQLite looks at the space: there it is an error of reading. */
    bool full = (code & 0xff) == SQLITE_FULL || ((code & 0xff) == SQLITE_IOERR && system == ENOSPC);
    if (full)
        return error_set(err, ENOSPC,
                         "%s in '%s': no space left on the device; free some, or choose another "
                         "place with --output",
                         doing, store->path);
    switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
        return error_set(err, EINVAL, "%s in '%s': %s", doing, store->path,
                         sqlite3_errmsg(store->db));
    case SQLITE_BUSY:
        return error_set(err, EBUSY, "%s in '%s': another process holds the file", doing,
                         store->path);
    case SQLITE_NOMEM:
        return error_errno(err, ENOMEM, "%s in '%s'", doing, store->path);
    case SQLITE_IOERR:
        return error_errno(err, system ? system : EIO, "%s in '%s': %s", doing, store->path,
                           sqlite3_errmsg(store->db));
    default:
        return error_set(err, EIO, "%s in '%s': %s", doing, store->path, sqlite3_errmsg(store->db));
    }
}

int store_exec(struct store *store, const char *sql, struct error *err)
{
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return store_sqlite_error(store, "executing a statement", err);
    return 0;
}

static int store_new(const char *directory, struct store **ret, struct error *err)
{
    struct store *store = calloc(1, sizeof(*store));
    if (store)
        store->wal_fd = -1;
    if (!store || !(store->redactor = redactor_new()) ||
        asprintf(&store->path, "%s/" STORE_FILE, directory) < 0) {
        redactor_free(store ? store->redactor : NULL);
        free(store);
        return error_errno(err, ENOMEM, "opening the evidence in '%s'", directory);
    }
    *ret = store;
    return 0;
}

static int connect(struct store *store, int flags, struct error *err)
{
    /* FULLMUTEX: callers step their own statements (store_prepare()) while the writer works. */
    int r = sqlite3_open_v2(store->path, &store->db, flags | SQLITE_OPEN_FULLMUTEX, NULL);
    if (!store->db)
        return error_errno(err, ENOMEM, "opening '%s'", store->path);
    if (r != SQLITE_OK)
        return store_sqlite_error(store, "opening the evidence", err);
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
    return 0;
}

static int count_wal_pages(void *context, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    struct store *store = context;
    atomic_store_explicit(&store->wal_pages, pages, memory_order_relaxed);
    return SQLITE_OK;
}

/* Write the log's blocks once, as zeros, which SQLite takes for an empty log. Later commits
 * overwrite them in place, so that making one durable needs no change of the file system's own
 * records, which other programs' writes can hold up for long. Best effort: without room it stays
 * short. */
static void fill_log(int fd)
{
    static const char zeros[1 << 16];
    struct stat status;
    if (fstat(fd, &status) < 0 || status.st_size > 0)
        return;
    for (off_t at = 0; at < LOG_BYTES; at += (off_t)sizeof(zeros)) {
        if (pwrite(fd, zeros, sizeof(zeros), at) == (ssize_t)sizeof(zeros))
            continue;
        if (ftruncate(fd, 0) < 0)
            return;
        break;
    }
    /* Not an error here: a commit that must be durable syncs again, and reports. */
    fsync(fd);
}

static int enter_wal(struct store *store, struct error *err)
{
    int r = store_exec(store,
                       "PRAGMA journal_mode = WAL;"
                       "PRAGMA synchronous = NORMAL;"
                       /* A sample may arrive before the row of its lifetime: keeping evidence goes
                        * before keeping references. */
                       "PRAGMA foreign_keys = OFF;"
                       "SELECT count(*) FROM run", /* makes the log's file */
                       err);
    if (r < 0)
        return r;
    /* Checkpoints are the writer's business, so this hook replaces SQLite's automatic ones. */
    sqlite3_wal_hook(store->db, count_wal_pages, store);
    AUTO_FREE char *wal = NULL;
    if (asprintf(&wal, "%s-wal", store->path) < 0)
        return error_errno(err, ENOMEM, "opening '%s'", store->path);
    store->wal_fd = open(wal, O_RDWR | O_CLOEXEC);
    if (store->wal_fd < 0)
        return error_errno(err, errno, "opening '%s'", wal);
    fill_log(store->wal_fd);
    return 0;
}

static int open_created(struct store *store, const char *directory, struct error *err)
{
    int r = store_create_file(directory, store->path, err);
    if (r == 0)
        r = connect(store, SQLITE_OPEN_READWRITE, err);
    if (r == 0)
        r = enter_wal(store, err);
    if (r == 0)
        r = blocks_new(store, err);
    store->writable = r == 0;
    return r;
}

int store_create(const char *directory, struct store **ret, struct error *err)
{
    struct store *store = NULL;
    int r = store_new(directory, &store, err);
    if (!store)
        return r;
    r = open_created(store, directory, err);
    if (r < 0) {
        store_close(store);
        return r;
    }
    *ret = store;
    return 0;
}

static int pragma_integer(struct store *store, const char *sql, int64_t *ret, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int r = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_step(statement);
    if (r == SQLITE_ROW)
        *ret = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    if ((r & 0xff) == SQLITE_NOTADB || (r & 0xff) == SQLITE_CORRUPT)
        return error_usage(err,
                           "'%s' is not an evidence file of oomlab (or it is damaged); give the "
                           "directory of a run",
                           store->path);
    return r == SQLITE_ROW ? 0 : store_sqlite_error(store, "opening the evidence", err);
}

static int check_format(struct store *store, struct error *err)
{
    int64_t application = 0;
    int64_t version = 0;
    int r = pragma_integer(store, "PRAGMA application_id", &application, err);
    if (r == 0)
        r = pragma_integer(store, "PRAGMA user_version", &version, err);
    if (r < 0)
        return r;
    if (application != STORE_APPLICATION_ID)
        return error_usage(err,
                           "'%s' is a database of another program, not an evidence file of oomlab; "
                           "give the directory of a run",
                           store->path);
    if (version > STORE_SCHEMA_VERSION)
        return error_usage(err,
                           "'%s' was written by a newer oomlab (format %lld; this one reads up to "
                           "%d); update oomlab",
                           store->path, (long long)version, STORE_SCHEMA_VERSION);
    if (version < 1)
        return error_usage(err, "'%s' has no format number; it is not complete", store->path);
    return 0;
}

/* A run that was killed leaves its write-ahead log. Take it over into the file, so that reading
 * needs no further files; not when somebody still writes (busy) or where we may not write. */
static void absorb_wal(const struct store *store)
{
    AUTO_FREE char *wal = NULL;
    if (asprintf(&wal, "%s-wal", store->path) < 0 || access(wal, F_OK) < 0)
        return;
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(store->path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK)
        sqlite3_exec(db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    sqlite3_close(db);
}

/* What a file of an older format lacks, as empty tables and columns, so that readers need no second
 * way. */
static const struct {
    int64_t since; /* the format that has it */
    const char *sql;
} LATER[] = {
    {2, /* evidence that somebody else recorded */
     "CREATE TEMP TABLE source (id INTEGER, name TEXT, format TEXT);"
     "CREATE TEMP TABLE place (id INTEGER, arm_id INTEGER);"
     "CREATE TEMP TABLE fact (id INTEGER, source_id INTEGER, line INTEGER, place_id INTEGER,"
     " kind TEXT, origin TEXT, value REAL)"},
    {3, /* heap profiles */
     "CREATE TEMP TABLE heap_profile (lifetime_id INTEGER, rate_bytes INTEGER, samples INTEGER,"
     " dropped INTEGER, total_bytes REAL, memory_bytes REAL, stacks INTEGER, folded TEXT,"
     " leading_stack INTEGER, moment TEXT, leading_of TEXT, share REAL, level TEXT, sentence TEXT);"
     "CREATE TEMP TABLE heap_stack (id INTEGER, lifetime_id INTEGER, rank INTEGER, kind TEXT,"
     " bytes REAL, low_bytes REAL, high_bytes REAL, objects REAL, share REAL,"
     " bytes_per_request REAL, bytes_per_cycle REAL, function TEXT, file TEXT, line INTEGER,"
     " caller TEXT, frames TEXT)"},
    {4, /* forecasts and other people's sizes */
     "CREATE TEMP TABLE forecast (limit_bytes INTEGER, seconds REAL, seconds_low REAL,"
     " seconds_high REAL, requests REAL, requests_low REAL, requests_high REAL, left_s REAL,"
     " left_low_s REAL, left_high_s REAL);"
     "CREATE TEMP TABLE size_rule (name TEXT, memory_bytes INTEGER, formula TEXT)"},
    {5, /* growth by kind of memory */
     "CREATE TEMP TABLE growth_kind (arm_id INTEGER, kind TEXT, per TEXT, bytes REAL)"},
    {6, /* the stopping rule */
     "CREATE TEMP VIEW arm AS SELECT *, NULL AS stop_reason FROM main.arm"},
    {7, /* what the samples could not show */
     "CREATE TEMP TABLE caveat (arm_id INTEGER, kind TEXT, text TEXT)"},
    {8, /* what would take every sample to find out again: that is what is done */
     "CREATE TEMP TABLE arm_growth (arm_id INTEGER, driver TEXT, bytes_per_request REAL,"
     " request_low REAL, request_high REAL, bytes_per_s REAL, second_low REAL, second_high REAL,"
     " levels_off INTEGER);"
     "CREATE TEMP TABLE sample_block (lifetime_id INTEGER, first_ns INTEGER, last_ns INTEGER,"
     " after_ns INTEGER, samples INTEGER, known INTEGER, begin_ns INTEGER, begin_bytes INTEGER,"
     " low_ns INTEGER, low_bytes INTEGER, low_row INTEGER, high_ns INTEGER, high_bytes INTEGER,"
     " high_row INTEGER, end_ns INTEGER, end_bytes INTEGER, full_ns INTEGER, full_row INTEGER,"
     " full_anon INTEGER, full_shmem INTEGER, full_file INTEGER, full_kernel INTEGER)"},
    {9, /* the names of a heap profile's addresses */
     "CREATE TEMP TABLE heap_names (id INTEGER, build_id TEXT, path TEXT, bytes INTEGER,"
     " names TEXT)"},
    {10, /* the moment of a heap profile */
     "CREATE TEMP VIEW IF NOT EXISTS heap_profile AS SELECT *, 'end' AS moment"
     " FROM main.heap_profile"},
};

static int complete_old_format(struct store *store, struct error *err)
{
    int64_t version = 0;
    int r = pragma_integer(store, "PRAGMA user_version", &version, err);
    for (size_t i = 0; r == 0 && i < sizeof(LATER) / sizeof(LATER[0]); i++) {
        if (version < LATER[i].since)
            r = store_exec(store, LATER[i].sql, err);
    }
    return r;
}

static int open_existing(struct store *store, struct error *err)
{
    if (access(store->path, F_OK) < 0)
        return error_usage(err,
                           "'%s' does not exist; give the directory of a run (see 'oomlab list')",
                           store->path);
    int r = connect(store, SQLITE_OPEN_READONLY, err);
    if (r == 0)
        r = check_format(store, err);
    if (r < 0)
        return r;
    sqlite3_close(store->db);
    store->db = NULL;
    absorb_wal(store);
    r = connect(store, SQLITE_OPEN_READONLY, err);
    return r < 0 ? r : complete_old_format(store, err);
}

int store_open(const char *directory, struct store **ret, struct error *err)
{
    struct store *store = NULL;
    int r = store_new(directory, &store, err);
    if (!store)
        return r;
    r = open_existing(store, err);
    if (r < 0) {
        store_close(store);
        return r;
    }
    *ret = store;
    return 0;
}

bool store_looks_sound(const char *directory)
{
    static const char magic[] = "SQLite format 3"; /* its first 16 bytes */
    char path[PATH_MAX], found[sizeof(magic)];
    snprintf(path, sizeof(path), "%s/" STORE_FILE, directory);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return fd >= 0 && read(fd, found, sizeof(found)) == (ssize_t)sizeof(found) &&
           memcmp(found, magic, sizeof(magic)) == 0;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    struct error ignored = {0};
    if (store->writer)
        store_writer_stop(store, &ignored);
    if (store->writable && !store->seal_tried)
        store_seal(store, &ignored);
    statement_cache_done(store);
    blocks_free(store->blocks);
    sqlite3_close_v2(store->db);
    close_fd(&store->wal_fd);
    redactor_free(store->redactor);
    free(store->path);
    free(store);
}

int store_insert(struct store *store, const char *table, const struct store_value *values,
                 int64_t *ret_rowid, struct error *err)
{
    store_lock(store);
    int r = statement_insert(store, table, values, ret_rowid, err);
    store_unlock(store);
    return r;
}

int store_update(struct store *store, const char *table, const struct store_value *key,
                 const struct store_value *values, struct error *err)
{
    store_lock(store);
    int r = statement_update(store, table, key, values, err);
    store_unlock(store);
    return r;
}

int store_begin(struct store *store, struct error *err)
{
    return store_exec(store, "BEGIN IMMEDIATE", err);
}

int store_commit(struct store *store, struct error *err)
{
    return store_exec(store, "COMMIT", err);
}

int store_flush(struct store *store, struct error *err)
{
    /* Without a log (sealed, or opened to read) every commit was durable already. */
    if (store->wal_fd >= 0 && fdatasync(store->wal_fd) < 0)
        return error_errno(err, errno, "making the evidence in '%s' durable", store->path);
    return 0;
}

int store_seal(struct store *store, struct error *err)
{
    if (store->wal_fd < 0)
        return 0;
    store->seal_tried = true;
    store_lock(store);
    int r = store_exec(store,
                       "PRAGMA wal_checkpoint(TRUNCATE);"
                       "PRAGMA synchronous = FULL;"
                       "PRAGMA journal_mode = DELETE",
                       err);
    if (r == 0)
        close_fd(&store->wal_fd);
    store_unlock(store);
    return r;
}

int store_prepare(struct store *store, const char *sql, sqlite3_stmt **ret, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
        return store_sqlite_error(store, "asking for rows", err);
    *ret = statement;
    return 0;
}

struct redactor *store_redactor(struct store *store)
{
    return store->redactor;
}
