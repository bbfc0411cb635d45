/* SPDX-License-Identifier: Apache-2.0 */
/* The rows are walked in order of time. An end that follows an end without a start between them is
 * the same end told again (Azure tells a kill as ContainerTerminated and as ProcessExited, seconds
 * apart, and repeats rows), where starts are recorded at all; where they are not, two ends are one
 * when one of them is an echo or they carry the same time. */
#include "import/lives_walk.h"

#include "base/cleanup.h"
#include "base/duration.h"
#include "import/collect.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ROWS_MAX 100000 /* looked at for one container; samples and console lines are not */
#define ECHO_NS  (30 * NS_PER_S)

static void walk_done(struct walk *walk)
{
    free(walk->rows);
}

void lives_done(struct lives *lives)
{
    free(lives->items);
    free(lives->kills);
    *lives = (struct lives){0};
}

static int64_t time_or_unknown(sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) == SQLITE_NULL ? FACT_TIME_UNKNOWN
                                                           : sqlite3_column_int64(row, column);
}

static int integer_or(sqlite3_stmt *row, int column, int fallback)
{
    return sqlite3_column_type(row, column) == SQLITE_NULL ? fallback
                                                           : sqlite3_column_int(row, column);
}

static int find_name(const char *text, const char *(*name)(int), int count)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(text, name(i)) == 0)
            return i;
    }
    return 0;
}

static const char *kind_name(int kind)
{
    return fact_kind_name((enum fact_kind)kind);
}

static const char *origin_name(int origin)
{
    return fact_origin_name((enum fact_origin)origin);
}

static int add_row(struct walk *walk, sqlite3_stmt *from)
{
    struct row *grown = lives_grow(walk->rows, walk->count, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    walk->rows = grown;
    struct row *row = &walk->rows[walk->count++];
    *row = (struct row){
        .id = sqlite3_column_int64(from, 0),
        .kind = (enum fact_kind)find_name((const char *)sqlite3_column_text(from, 1), kind_name,
                                          FACT_COUNT),
        .origin = (enum fact_origin)find_name((const char *)sqlite3_column_text(from, 2),
                                              origin_name, ORIGIN_COUNT),
        .at_ns = time_or_unknown(from, 3),
        .boot_ns = time_or_unknown(from, 4),
        .started_ns = time_or_unknown(from, 5),
        .exit_code = integer_or(from, 6, FACT_CODE_UNKNOWN),
        .signal = integer_or(from, 7, 0),
        .oom_killed = sqlite3_column_int(from, 8) != 0,
        .count = (uint64_t)sqlite3_column_int64(from, 10),
        .value = sqlite3_column_double(from, 11),
        .oom_kind = integer_or(from, 12, -1),
        .scope = (enum kmsg_scope)integer_or(from, 13, KMSG_SCOPE_UNKNOWN),
        .bare = sqlite3_column_int(from, 14) != 0,
    };
    lives_copy(row->reason, sizeof(row->reason), (const char *)sqlite3_column_text(from, 9));
    return 0;
}

/* A row that says when its lifetime began is a start, too. */
static int add_implied_start(struct walk *walk, const struct row *row)
{
    struct row start = *row;
    if (row->started_ns == FACT_TIME_UNKNOWN || row->kind == FACT_START)
        return 0;
    struct row *grown = lives_grow(walk->rows, walk->count, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    walk->rows = grown;
    start.kind = FACT_START;
    start.at_ns = row->started_ns;
    walk->rows[walk->count++] = start;
    return 0;
}

static void note_row(struct walk *walk, const struct row *row)
{
    struct lives *lives = walk->lives;
    lives->origins |= 1U << row->origin;
    if (row->at_ns != FACT_TIME_UNKNOWN) {
        if (lives->first_ns == FACT_TIME_UNKNOWN || row->at_ns < lives->first_ns)
            lives->first_ns = row->at_ns;
        if (row->at_ns > lives->last_ns)
            lives->last_ns = row->at_ns;
    }
    walk->starts_recorded = walk->starts_recorded || row->kind == FACT_START ||
                            (row->kind == FACT_END && row->started_ns != FACT_TIME_UNKNOWN);
}

static int load_rows(struct walk *walk, int64_t arm_id, struct error *err)
{
    sqlite3_stmt *row = NULL;
    int r = store_prepare(walk->store,
                          "SELECT f.id, f.kind, f.origin, f.at_ns, f.boot_ns, f.started_ns,"
                          " f.exit_code, f.signal, f.oom_killed, f.reason, f.count, f.value,"
                          " f.oom_kind, f.oom_scope, f.text NOT LIKE '%and reason%' FROM place p "
                          "JOIN fact f ON f.place_id = p.id"
                          " WHERE p.arm_id = ?1"
                          " AND f.kind NOT IN ('sample', 'console', 'limit') LIMIT ?2",
                          &row, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(row, 1, arm_id);
    sqlite3_bind_int64(row, 2, ROWS_MAX);
    while (r == 0 && sqlite3_step(row) == SQLITE_ROW) {
        r = add_row(walk, row);
        if (r == 0) {
            struct row last = walk->rows[walk->count - 1];
            note_row(walk, &last);
            r = add_implied_start(walk, &last);
        }
    }
    sqlite3_finalize(row);
    walk->lives->truncated = walk->count >= ROWS_MAX;
    return r < 0 ? error_errno(err, ENOMEM, "telling the lifetimes apart") : 0;
}

/* At one moment: an end of what ran before, then what starts; rows without a time come last. */
static int order_of(enum fact_kind kind)
{
    static const int late = 4;
    if (kind == FACT_LAST_REASON) /* of a count's rise at the same sample, and so after it */
        return late;
    return kind == FACT_OOM_KILL || kind == FACT_KILLER_KILL ? 0
           : kind == FACT_END                                ? 1
           : kind == FACT_START                              ? 2
                                                             : 3;
}

static int compare(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_rows(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    bool a_known = a->at_ns != FACT_TIME_UNKNOWN, b_known = b->at_ns != FACT_TIME_UNKNOWN;
    if (a_known != b_known)
        return a_known ? -1 : 1;
    if (a->at_ns != b->at_ns)
        return compare(a->at_ns, b->at_ns);
    if (!a_known && a->boot_ns != b->boot_ns)
        return compare(a->boot_ns, b->boot_ns);
    if (order_of(a->kind) != order_of(b->kind))
        return order_of(a->kind) - order_of(b->kind);
    return compare(a->id, b->id);
}

struct life *lives_add(struct walk *walk)
{
    struct lives *lives = walk->lives;
    struct life *grown = lives_grow(lives->items, lives->count, sizeof(*grown));
    if (!grown)
        return NULL;
    lives->items = grown;
    struct life *life = &lives->items[lives->count++];
    *life = (struct life){.start_ns = FACT_TIME_UNKNOWN,
                          .end_ns = FACT_TIME_UNKNOWN,
                          .boot_ns = FACT_TIME_UNKNOWN,
                          .gone_ns = FACT_TIME_UNKNOWN,
                          .stop_ns = FACT_TIME_UNKNOWN,
                          .exit_code = FACT_CODE_UNKNOWN};
    return life;
}

struct life *lives_last(const struct walk *walk)
{
    return walk->lives->count ? &walk->lives->items[walk->lives->count - 1] : NULL;
}

static int walk_start(struct walk *walk, const struct row *row)
{
    struct life *life = lives_last(walk);
    bool known = life && life->started && lives_near(life->start_ns, row->at_ns, SAME_NS);
    if (known || (row->at_ns == FACT_TIME_UNKNOWN && life && life->started && !life->ended))
        return 0;
    if (life && life->started)
        life->ended = true; /* unseen: nothing starts while it runs */
    if (!life || life->started || life->ended)
        life = lives_add(walk);
    if (!life)
        return -ENOMEM;
    life->started = true;
    life->start_ns = row->at_ns;
    life->start_fact = row->id;
    return 0;
}

static bool is_echo(const struct life *life, const struct row *row)
{
    return row->origin == ORIGIN_AZURE && row->bare && row->exit_code == life->exit_code;
}

/* Is the row the end that was told already? */
static bool same_end(const struct walk *walk, const struct life *life, const struct row *row)
{
    if (!life->ended)
        return false;
    bool codes = life->exit_code == row->exit_code || life->exit_code == FACT_CODE_UNKNOWN ||
                 row->exit_code == FACT_CODE_UNKNOWN;
    if (!codes)
        return false;
    if (lives_near(life->end_ns, row->at_ns, SAME_NS) || row->at_ns == FACT_TIME_UNKNOWN)
        return true;
    if (walk->starts_recorded)
        return life->started && row->started_ns == FACT_TIME_UNKNOWN;
    return is_echo(life, row) && lives_near(life->end_ns, row->at_ns, ECHO_NS);
}

void lives_tell_end(struct life *life, const struct row *row)
{
    life->rows += row->count ? 1 : 0;
    if (life->fact_count < LIFE_FACTS_MAX)
        life->facts[life->fact_count++] = row->id;
    if (life->exit_code == FACT_CODE_UNKNOWN)
        life->exit_code = row->exit_code;
    if (life->signal == 0)
        life->signal = row->signal;
    life->oom_killed = life->oom_killed || row->oom_killed;
    if (!life->reason[0])
        lives_copy(life->reason, sizeof(life->reason), row->reason);
}

static int walk_end(struct walk *walk, const struct row *row)
{
    struct life *life = lives_last(walk);
    if (life && same_end(walk, life, row)) {
        lives_tell_end(life, row);
        return 0;
    }
    if (!life || life->ended)
        life = lives_add(walk);
    if (!life)
        return -ENOMEM;
    life->ended = true;
    life->end_ns = row->at_ns;
    life->origin = row->origin;
    lives_tell_end(life, row);
    return 0;
}

static void tell(struct told *told, const struct row *row)
{
    if (told->fact == 0) {
        told->fact = row->id;
        told->first_ns = row->at_ns;
        lives_copy(told->reason, sizeof(told->reason), row->reason);
    }
    if (row->at_ns != FACT_TIME_UNKNOWN)
        told->last_ns = row->at_ns;
    told->count++;
    told->times += row->count ? row->count : 1;
}

static void walk_stop(struct walk *walk, const struct row *row)
{
    struct life *life = lives_last(walk);
    tell(&walk->lives->stops, row);
    /* A row without a time (kubectl describe gives ages) comes after all that has one. */
    if (!life || (life->ended && row->at_ns != FACT_TIME_UNKNOWN))
        return;
    life->stopped = true;
    life->stop_ns = row->at_ns;
    life->stop_fact = row->id;
    lives_copy(life->stop_reason, sizeof(life->stop_reason), row->reason);
}

static void walk_restarts(struct walk *walk, const struct row *row)
{
    struct lives *lives = walk->lives;
    double value = row->origin == ORIGIN_PROMETHEUS ? lives_count_on(walk, row) : row->value;
    if (isnan(lives->restart_count) || value > lives->restart_count) {
        lives->restart_count = value;
        lives->restarts.fact = row->id;
        lives->restarts.last_ns = row->at_ns;
    }
}

static int walk_row(struct walk *walk, const struct row *row, struct error *err)
{
    struct lives *lives = walk->lives;
    switch (row->kind) {
    case FACT_START:
        return walk_start(walk, row) < 0 ? error_errno(err, ENOMEM, "reading lifetimes") : 0;
    case FACT_END:
        return walk_end(walk, row) < 0 ? error_errno(err, ENOMEM, "reading lifetimes") : 0;
    case FACT_OOM_KILL:
    case FACT_KILLER_KILL:
        return lives_walk_kill(walk, row, err);
    case FACT_STOP:
        walk_stop(walk, row);
        return 0;
    case FACT_RESTART_COUNT:
        walk_restarts(walk, row);
        return lives_walk_count(walk, row) < 0 ? error_errno(err, ENOMEM, "reading the restarts")
                                               : 0;
    case FACT_LAST_REASON:
        return lives_walk_last_reason(walk, row) < 0
                   ? error_errno(err, ENOMEM, "reading the reasons")
                   : 0;
    case FACT_PROBE_FAILURE:
        tell(&lives->probes, row);
        return 0;
    case FACT_BACKOFF:
        tell(&lives->backoffs, row);
        return 0;
    case FACT_IMAGE_FAILURE:
        tell(&lives->images, row);
        return 0;
    case FACT_RUNNING:
        tell(&lives->running, row);
        return 0;
    case FACT_STATE:
        tell(&lives->state, row);
        return 0;
    case FACT_CONTAINER:
    case FACT_SAMPLE:
    case FACT_LIMIT:
    case FACT_CONSOLE:
    case FACT_COUNT:
        return 0;
    }
    return 0;
}

int lives_load(struct store *store, int64_t arm_id, struct lives *ret, struct error *err)
{
    *ret = (struct lives){.restart_count = NAN,
                          .first_ns = FACT_TIME_UNKNOWN,
                          .last_ns = FACT_TIME_UNKNOWN,
                          .anew_ns = FACT_TIME_UNKNOWN};
    __attribute__((cleanup(walk_done))) struct walk walk = {
        .store = store, .lives = ret, .restarts_seen = NAN, .count_last = NAN};
    int r = load_rows(&walk, arm_id, err);
    if (r == 0 && walk.count > 0)
        qsort(walk.rows, walk.count, sizeof(*walk.rows), compare_rows);
    for (size_t i = 0; i < walk.count && r == 0; i++)
        r = walk_row(&walk, &walk.rows[i], err);
    /* What waits in back-off does not run. */
    struct life *last = lives_last(&walk);
    if (last && !last->ended && last->start_ns != FACT_TIME_UNKNOWN &&
        ret->backoffs.last_ns > last->start_ns && ret->backoffs.count > 0)
        last->ended = true;
    if (r == 0)
        r = lives_walk_rest(&walk, arm_id, err);
    if (r == 0 && lives_settle_kills(&walk) < 0)
        r = error_errno(err, ENOMEM, "telling the kills apart");
    return r;
}
