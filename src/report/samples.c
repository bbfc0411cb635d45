/* SPDX-License-Identifier: Apache-2.0 */
#include "report/samples.h"

static const char BLOCKS[] =
    "SELECT first_ns, last_ns, after_ns, known, begin_ns, begin_bytes, low_ns, low_bytes, high_ns,"
    " high_bytes, end_ns, end_bytes, full_ns, full_anon, full_shmem, full_file, full_kernel"
    " FROM sample_block WHERE lifetime_id = ?1 ORDER BY first_ns";
static const char SAMPLES[] =
    "SELECT at_ns, working_set_bytes, anon_bytes, shmem_bytes, file_bytes, kernel_bytes"
    " FROM sample WHERE lifetime_id = ?1 AND at_ns > ?2 AND at_ns < ?3 ORDER BY at_ns";

struct walk {
    struct store *store;
    int64_t lifetime_id, resolution_ns;
    int64_t done_ns; /* up to then everything was given */
    samples_take take;
    void *context;
};

static void add_mark(struct sample_part *part, const struct rows *rows, int column)
{
    int64_t at_ns = row_integer(rows, column);
    if (part->mark_count > 0 && part->marks[part->mark_count - 1].at_ns == at_ns)
        return;
    part->marks[part->mark_count++] =
        (struct sample_mark){.at_ns = at_ns, .bytes = row_integer(rows, column + 1)};
}

static void read_kinds(struct sample_part *part, const struct rows *rows, int column)
{
    part->has_kinds = !row_is_null(rows, column);
    part->anon = row_real(rows, column);
    part->shmem = row_real(rows, column + 1);
    part->file = row_real(rows, column + 2);
    part->kernel = row_real(rows, column + 3);
}

static int give_block(const struct walk *walk, const struct rows *rows, struct error *err)
{
    struct sample_part part = {.known = (size_t)row_integer(rows, 3),
                               .kinds_ns = row_integer(rows, 12)};
    bool low_first = row_integer(rows, 6) <= row_integer(rows, 8);
    for (int i = 0; part.known > 0 && i < SAMPLE_MARKS; i++) {
        static const int order[2][SAMPLE_MARKS] = {{4, 8, 6, 10}, {4, 6, 8, 10}};
        add_mark(&part, rows, order[low_first][i]);
    }
    read_kinds(&part, rows, 13);
    return walk->take(walk->context, &part, err);
}

static int give_sample(const struct walk *walk, const struct rows *rows, struct error *err)
{
    struct sample_part part = {.kinds_ns = row_integer(rows, 0)};
    if (!row_is_null(rows, 1)) {
        part.known = 1;
        add_mark(&part, rows, 0);
    }
    read_kinds(&part, rows, 2);
    return walk->take(walk->context, &part, err);
}

/* The samples between what was given and `before_ns`, one by one. */
static int give_samples(const struct walk *walk, int64_t before_ns, struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, walk->store, SAMPLES, walk->lifetime_id, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(rows.statement, 2, walk->done_ns);
    sqlite3_bind_int64(rows.statement, 3, before_ns);
    while (r >= 0 && (r = rows_next(&rows, err)) == 1)
        r = give_sample(walk, &rows, err);
    return r;
}

static int walk_block(struct walk *walk, const struct rows *rows, struct error *err)
{
    int64_t first_ns = row_integer(rows, 0), last_ns = row_integer(rows, 1);
    bool follows = !row_is_null(rows, 2) && row_integer(rows, 2) == walk->done_ns;
    if (last_ns - first_ns > walk->resolution_ns)
        return 0;
    int r = follows ? 0 : give_samples(walk, first_ns, err);
    if (r >= 0)
        r = give_block(walk, rows, err);
    walk->done_ns = last_ns;
    return r;
}

int samples_walk(struct store *store, int64_t lifetime_id, int64_t resolution_ns, samples_take take,
                 void *context, struct error *err)
{
    struct walk walk = {
        .store = store,
        .lifetime_id = lifetime_id,
        .resolution_ns = resolution_ns,
        .done_ns = INT64_MIN,
        .take = take,
        .context = context,
    };
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store, BLOCKS, lifetime_id, err);
    while (r >= 0 && (r = rows_next(&rows, err)) == 1)
        r = walk_block(&walk, &rows, err);
    return r < 0 ? r : give_samples(&walk, INT64_MAX, err);
}
