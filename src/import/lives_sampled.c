/* SPDX-License-Identifier: Apache-2.0 */
/* Sampled metrics among a container's rows: that there was an end, not when. */
#include "import/lives_walk.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* More ends than these are told by the counter alone, not one by one. */
#define ENDS_SAMPLED_MAX 1000

double lives_count_on(struct walk *walk, const struct row *row)
{
    struct lives *lives = walk->lives;
    if (row->value < walk->count_last) {
        walk->count_before += walk->count_last;
        lives->anew_ns = row->at_ns;
        lives->anew_fact = row->id;
        lives->anew_count = walk->count_before;
    }
    walk->count_last = row->value;
    return walk->count_before + row->value;
}

static size_t count_ends(const struct lives *lives)
{
    size_t ends = 0;
    for (size_t i = 0; i < lives->count; i++)
        ends += lives->items[i].ended;
    return ends;
}

/* Does a record say that the lifetime went on after `at_ns`: that it ended later, or runs? */
static bool goes_on(const struct walk *walk, const struct life *life, int64_t at_ns)
{
    for (size_t i = 0; i < walk->count && life->start_ns != FACT_TIME_UNKNOWN; i++) {
        const struct row *row = &walk->rows[i];
        bool later = row->kind == FACT_RUNNING || (row->kind == FACT_END && row->at_ns > at_ns);
        if (later && lives_near(row->started_ns, life->start_ns, SAME_NS))
            return true;
    }
    return false;
}

/* An end of which nothing is known yet but that it was: what runs now began behind it, unless that
 * is what ended. */
static int add_unseen_end(struct walk *walk, const struct row *row, bool of_running)
{
    struct life *life = lives_last(walk);
    if (life && !life->ended && of_running && !goes_on(walk, life, row->at_ns)) {
        life->ended = true;
        life->gone_ns = row->at_ns;
        return 0;
    }
    bool behind = life && !life->ended;
    life = lives_add(walk);
    if (!life)
        return -ENOMEM;
    life->ended = true;
    life->gone_ns = row->at_ns;
    if (behind) {
        struct life unseen = *life;
        life[0] = life[-1];
        life[-1] = unseen;
    }
    return 0;
}

/* A start since the counter was first seen, and within the scrape before it rose: that is the
 * restart that was counted. */
static bool is_counted_start(const struct walk *walk, const struct life *life, int64_t at_ns)
{
    return life && life->start_ns != FACT_TIME_UNKNOWN && life->start_ns > walk->restarts_seen_ns &&
           lives_near(life->start_ns, at_ns, SCRAPE_NS);
}

static struct life *last_ended(const struct walk *walk)
{
    for (size_t i = walk->lives->count; i-- > 0;) {
        if (walk->lives->items[i].ended)
            return &walk->lives->items[i];
    }
    return NULL;
}

static bool is_untold(const struct life *life)
{
    return life && !life->reason[0] && life->exit_code == FACT_CODE_UNKNOWN;
}

/* What the counter rose by since it was first seen, and no other row told. */
int lives_walk_count(struct walk *walk, const struct row *row)
{
    if (row->origin != ORIGIN_PROMETHEUS)
        return 0;
    if (isnan(walk->restarts_seen)) {
        walk->restarts_seen = row->value;
        walk->restarts_seen_ns = row->at_ns;
        walk->ends_before = count_ends(walk->lives);
        return 0;
    }
    double rise = fmin(walk->count_before + row->value - walk->restarts_seen, ENDS_SAMPLED_MAX);
    size_t known = count_ends(walk->lives) - walk->ends_before;
    for (; (double)known < rise; known++) {
        const struct life *last = lives_last(walk);
        bool of_running = !last || last->start_ns == FACT_TIME_UNKNOWN ||
                          (known == 0 && !is_counted_start(walk, last, row->at_ns));
        if (add_unseen_end(walk, row, of_running) < 0)
            return -ENOMEM;
    }
    walk->reason_wanted = is_untold(last_ended(walk));
    return 0;
}

/* The gauge goes on for as long as nothing else ends, and lags behind a start that another exporter
 * shows first: it is about a new end only with its first sample, with another reason, and once
 * after the count rose. */
int lives_walk_last_reason(struct walk *walk, const struct row *row)
{
    bool first = !walk->last_told, other = !first && strcmp(walk->last_told->reason, row->reason);
    walk->last_told = row;
    if (!first && !other && !walk->reason_wanted)
        return 0;
    walk->reason_wanted = false;
    struct life *life = last_ended(walk);
    if (life && !is_untold(life) && first)
        return 0; /* told by a better source */
    if (!is_untold(life) && add_unseen_end(walk, row, other || walk->restarts_seen == 0) < 0)
        return -ENOMEM;
    life = last_ended(walk);
    if (!life)
        return 0;
    if (life->fact_count == 0)
        life->origin = row->origin;
    lives_tell_end(life, row);
    if (strcmp(row->reason, "Completed") == 0)
        life->exit_code = 0;
    return 0;
}

int lives_walk_rest(struct walk *walk, int64_t arm_id, struct error *err)
{
    const struct life *last = lives_last(walk);
    sqlite3_stmt *row = NULL;
    if (!last || !last->ended || last->end_ns != FACT_TIME_UNKNOWN ||
        last->gone_ns == FACT_TIME_UNKNOWN)
        return 0;
    int r = store_prepare(walk->store,
                          "SELECT 1 FROM place p JOIN fact f ON f.place_id = p.id"
                          " WHERE p.arm_id = ?1 AND f.kind = 'sample' AND f.at_ns > ?2 LIMIT 1",
                          &row, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(row, 1, arm_id);
    sqlite3_bind_int64(row, 2, last->gone_ns + SCRAPE_NS);
    bool runs = sqlite3_step(row) == SQLITE_ROW;
    sqlite3_finalize(row);
    return runs && !lives_add(walk) ? error_errno(err, ENOMEM, "reading the restarts") : 0;
}
