/* SPDX-License-Identifier: Apache-2.0 */
#include "import/curve_clock.h"

#include <math.h>

/* With more steps than this share of its rows a table is in no order of time at all. */
#define ORDERED_SHARE 0.05

/* Rows in whose order the time does not go back. */
struct stretch {
    int64_t first, last; /* facts */
    int64_t from_ns, to_ns;
    size_t count;
};

/* One table about one place, row by row. */
struct walk {
    int64_t source_id, place_id;
    struct stretch now, before, longest;
    size_t rows, backward;
    struct clock_steps steps;
    int64_t step_ns; /* from the stretch before to this one */
    uint64_t step_line;
};

/* A stretch is over: did it go back into the one before? */
static void close_stretch(struct walk *walk)
{
    const struct stretch *now = &walk->now, *before = &walk->before;
    bool overlaps = before->count > 0 && now->to_ns >= before->from_ns;
    if (overlaps) {
        double step = (double)walk->step_ns * 1e-9;
        walk->steps.count++;
        if (step > walk->steps.largest_s) {
            walk->steps.largest_s = step;
            walk->steps.line = walk->step_line;
        }
    }
    if (now->count > walk->longest.count)
        walk->longest = *now;
    walk->before = *now;
    walk->now = (struct stretch){0};
}

static void close_table(struct walk *walk, struct steadies *ret)
{
    if (walk->rows == 0)
        return;
    close_stretch(walk);
    bool ordered = (double)walk->backward <= ORDERED_SHARE * (double)walk->rows;
    if (!ordered || walk->steps.count == 0 || ret->count == STEADY_MAX)
        return;
    ret->items[ret->count++] =
        (struct steady){walk->source_id, walk->place_id, walk->longest.first, walk->longest.last};
    ret->steps.count += walk->steps.count;
    ret->steps.left_out += walk->rows - walk->longest.count;
    if (walk->steps.largest_s > ret->steps.largest_s) {
        ret->steps.largest_s = walk->steps.largest_s;
        ret->steps.line = walk->steps.line;
    }
}

static void take_row(struct walk *walk, int64_t id, int64_t at_ns, uint64_t line)
{
    struct stretch *now = &walk->now;
    if (now->count > 0 && at_ns < now->to_ns) {
        walk->backward++;
        walk->step_ns = now->to_ns - at_ns;
        walk->step_line = line;
        close_stretch(walk);
    }
    if (now->count == 0)
        *now = (struct stretch){.first = id, .from_ns = at_ns};
    now->last = id;
    now->to_ns = at_ns;
    now->count++;
    walk->rows++;
}

int steadies_load(struct store *store, int64_t arm_id, struct steadies *ret, struct error *err)
{
    sqlite3_stmt *row = NULL;
    struct walk walk = {0};
    *ret = (struct steadies){0};
    int r = store_prepare(store,
                          "SELECT f.source_id, f.place_id, f.id, f.at_ns, f.line FROM place p"
                          " JOIN fact f ON f.place_id = p.id WHERE p.arm_id = ?1"
                          " AND f.kind = 'sample' AND f.origin = 'csv' AND f.at_ns IS NOT NULL"
                          " ORDER BY f.source_id, f.place_id, f.id",
                          &row, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(row, 1, arm_id);
    while (sqlite3_step(row) == SQLITE_ROW) {
        int64_t source_id = sqlite3_column_int64(row, 0), place_id = sqlite3_column_int64(row, 1);
        if (source_id != walk.source_id || place_id != walk.place_id) {
            close_table(&walk, ret);
            walk = (struct walk){.source_id = source_id, .place_id = place_id};
        }
        take_row(&walk, sqlite3_column_int64(row, 2), sqlite3_column_int64(row, 3),
                 (uint64_t)sqlite3_column_int64(row, 4));
    }
    close_table(&walk, ret);
    sqlite3_finalize(row);
    return 0;
}

bool steadies_take(const struct steadies *steadies, int64_t source_id, int64_t place_id,
                   int64_t fact_id)
{
    for (size_t i = 0; i < steadies->count; i++) {
        const struct steady *steady = &steadies->items[i];
        if (steady->source_id == source_id && steady->place_id == place_id)
            return fact_id >= steady->first && fact_id <= steady->last;
    }
    return true;
}
