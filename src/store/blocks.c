/* SPDX-License-Identifier: Apache-2.0 */
#include "store/blocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Lifetimes whose blocks are under way: their ids differ in these low bits, as they are given out
 * in order. Of two that do not, the later one takes the place. */
#define OPEN_MAX 1024

static const char INSERT[] =
    "INSERT INTO sample_block SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
    " ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22 WHERE ?5 ="
    " (SELECT count(*) FROM sample WHERE lifetime_id = ?1 AND at_ns BETWEEN ?2 AND ?3)";
static const char OVERTAKEN[] = "DELETE FROM sample_block WHERE lifetime_id = ?1 AND last_ns >= ?2";

/* The columns that matter here. */
enum field {
    FIELD_LIFETIME,
    FIELD_AT,
    FIELD_WORKING_SET,
    FIELD_ANON,
    FIELD_SHMEM,
    FIELD_FILE,
    FIELD_KERNEL,
    FIELDS
};
static const char *const COLUMNS[FIELDS] = {"lifetime_id", "at_ns",       "working_set_bytes",
                                            "anon_bytes",  "shmem_bytes", "file_bytes",
                                            "kernel_bytes"};

struct sample {
    int64_t rowid;
    bool has[FIELDS];
    int64_t value[FIELDS]; /* 0 where absent */
};

struct open_block {
    int64_t lifetime_id;
    bool follows; /* the block of `after_ns`, at once */
    int64_t after_ns, first_ns, last_ns;
    unsigned samples, known, by_kind;
    struct sample begin, low, high, end; /* of those with a working set */
    struct sample full;                  /* of those with anonymous memory */
};

struct blocks {
    struct open_block open[OPEN_MAX];
    sqlite3_stmt *insert, *overtaken;
};

static void forget_all(void *context)
{
    struct blocks *blocks = context;
    memset(blocks->open, 0, sizeof(blocks->open));
}

int blocks_new(struct store *store, struct error *err)
{
    struct blocks *blocks = calloc(1, sizeof(*blocks));
    if (!blocks)
        return error_errno(err, ENOMEM, "opening '%s'", store->path);
    store->blocks = blocks;
    if (sqlite3_prepare_v3(store->db, INSERT, -1, SQLITE_PREPARE_PERSISTENT, &blocks->insert,
                           NULL) != SQLITE_OK ||
        sqlite3_prepare_v3(store->db, OVERTAKEN, -1, SQLITE_PREPARE_PERSISTENT, &blocks->overtaken,
                           NULL) != SQLITE_OK)
        return store_sqlite_error(store, "preparing a statement", err);
    sqlite3_rollback_hook(store->db, forget_all, blocks);
    return 0;
}

void blocks_free(struct blocks *blocks)
{
    if (!blocks)
        return;
    sqlite3_finalize(blocks->insert);
    sqlite3_finalize(blocks->overtaken);
    free(blocks);
}

static struct sample read_sample(const struct store_value *values, int64_t rowid)
{
    struct sample sample = {.rowid = rowid};
    for (const struct store_value *value = values; value->column; value++) {
        for (size_t i = 0; value->type == STORE_INTEGER && i < FIELDS; i++) {
            if (value->column[0] != COLUMNS[i][0] || strcmp(value->column, COLUMNS[i]) != 0)
                continue;
            sample.has[i] = true;
            sample.value[i] = value->integer;
        }
    }
    return sample;
}

/* As a chart by kind stacks them (report/chart_kinds.c): the file cache without what is shared. */
static int64_t total_by_kind(const struct sample *sample)
{
    const int64_t *value = sample->value;
    int64_t cache = value[FIELD_FILE] - value[FIELD_SHMEM];
    return value[FIELD_ANON] + value[FIELD_SHMEM] + (cache > 0 ? cache : 0) + value[FIELD_KERNEL];
}

static void take_sample(struct open_block *block, const struct sample *sample)
{
    int64_t at_ns = sample->value[FIELD_AT], bytes = sample->value[FIELD_WORKING_SET];
    if (block->samples++ == 0)
        block->first_ns = at_ns;
    block->last_ns = at_ns;
    if (sample->has[FIELD_WORKING_SET]) {
        if (block->known++ == 0)
            block->begin = block->low = block->high = *sample;
        if (bytes < block->low.value[FIELD_WORKING_SET])
            block->low = *sample;
        if (bytes > block->high.value[FIELD_WORKING_SET])
            block->high = *sample;
        block->end = *sample;
    }
    if (sample->has[FIELD_ANON] &&
        (block->by_kind++ == 0 || total_by_kind(sample) > total_by_kind(&block->full)))
        block->full = *sample;
}

/* `rowid`: its column, 0 for none. An unbound parameter is NULL. */
static void bind_mark(sqlite3_stmt *insert, int column, const struct sample *sample, bool rowid)
{
    sqlite3_bind_int64(insert, column, sample->value[FIELD_AT]);
    sqlite3_bind_int64(insert, column + 1, sample->value[FIELD_WORKING_SET]);
    if (rowid)
        sqlite3_bind_int64(insert, column + 2, sample->rowid);
}

static void bind_fullest(sqlite3_stmt *insert, const struct sample *sample)
{
    sqlite3_bind_int64(insert, 17, sample->value[FIELD_AT]);
    sqlite3_bind_int64(insert, 18, sample->rowid);
    for (int i = 0; i < 4; i++) {
        if (sample->has[FIELD_ANON + i])
            sqlite3_bind_int64(insert, 19 + i, sample->value[FIELD_ANON + i]);
    }
}

static void bind_block(sqlite3_stmt *insert, const struct open_block *block)
{
    sqlite3_bind_int64(insert, 1, block->lifetime_id);
    sqlite3_bind_int64(insert, 2, block->first_ns);
    sqlite3_bind_int64(insert, 3, block->last_ns);
    if (block->follows)
        sqlite3_bind_int64(insert, 4, block->after_ns);
    sqlite3_bind_int64(insert, 5, block->samples);
    sqlite3_bind_int64(insert, 6, block->known);
    if (block->known > 0) {
        bind_mark(insert, 7, &block->begin, false);
        bind_mark(insert, 9, &block->low, true);
        bind_mark(insert, 12, &block->high, true);
        bind_mark(insert, 15, &block->end, false);
    }
    if (block->by_kind > 0)
        bind_fullest(insert, &block->full);
}

static int run(struct store *store, sqlite3_stmt *statement, struct error *err)
{
    int r = 0;
    if (sqlite3_step(statement) != SQLITE_DONE)
        r = store_sqlite_error(store, "summing up samples", err);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return r;
}

/* The next block of a lifetime. `follows`: every sample before it is in the one that is there. */
static void begin_block(struct open_block *block, int64_t lifetime_id, bool follows)
{
    int64_t after_ns = block->last_ns;
    *block =
        (struct open_block){.lifetime_id = lifetime_id, .follows = follows, .after_ns = after_ns};
}

/* Not written where samples of that time are not in it: then somebody deleted some, or added some
 * out of order. */
static int close_block(struct store *store, struct open_block *block, struct error *err)
{
    int64_t lifetime_id = block->lifetime_id;
    bind_block(store->blocks->insert, block);
    int r = run(store, store->blocks->insert, err);
    begin_block(block, lifetime_id, r == 0 && sqlite3_changes(store->db) == 1);
    return r;
}

/* What was written of this lifetime after the sample's time does not hold it. */
static int begin_out_of_order(struct store *store, struct open_block *block, int64_t lifetime_id,
                              int64_t at_ns, struct error *err)
{
    sqlite3_stmt *overtaken = store->blocks->overtaken;
    begin_block(block, lifetime_id, false);
    sqlite3_bind_int64(overtaken, 1, lifetime_id);
    sqlite3_bind_int64(overtaken, 2, at_ns);
    return run(store, overtaken, err);
}

int blocks_note(struct store *store, const struct store_value *values, int64_t rowid,
                struct error *err)
{
    struct sample sample = read_sample(values, rowid);
    int64_t lifetime_id = sample.value[FIELD_LIFETIME], at_ns = sample.value[FIELD_AT];
    struct open_block *block = &store->blocks->open[(uint64_t)lifetime_id % OPEN_MAX];
    int r = 0;
    if (block->lifetime_id != lifetime_id || block->samples == 0 || at_ns < block->last_ns)
        r = begin_out_of_order(store, block, lifetime_id, at_ns, err);
    else if (block->samples >= BLOCK_SAMPLES && at_ns > block->last_ns)
        r = close_block(store, block, err);
    if (r < 0)
        *block = (struct open_block){0}; /* the sample may have been rolled back with it */
    else
        take_sample(block, &sample);
    return r;
}
