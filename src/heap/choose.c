/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/choose.h"

#include "base/cleanup.h"
#include "heap/recording.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void statement_cleanup(sqlite3_stmt **statement)
{
    sqlite3_finalize(*statement);
}

static int query_failed(struct error *err)
{
    return error_set(err, EIO, "the run's evidence cannot be read");
}

/* Killed for memory, the container held most at that moment: the kernel's own peak without files,
 * or the largest sample. The last sample may be from after the kill, when nothing is left, or from
 * long before it. Otherwise the last sample tells. */
static const char LIFETIMES[] =
    "SELECT l.id, a.scenario || '/' || a.name, a.name, l.idx, e.ended_ns,"
    " ifnull(e.cause, '') LIKE 'oom-%',"
    " CASE WHEN ifnull(e.cause, '') LIKE 'oom-%' THEN"
    "  (SELECT max(anon_bytes) FROM sample s WHERE s.lifetime_id = l.id)"
    " ELSE (SELECT anon_bytes FROM sample s WHERE s.lifetime_id = l.id AND anon_bytes IS NOT NULL"
    "  ORDER BY at_ns DESC LIMIT 1) END,"
    " CASE WHEN ifnull(e.cause, '') LIKE 'oom-%' THEN e.peak_bytes"
    " - ifnull((SELECT file_bytes FROM sample s WHERE s.lifetime_id = l.id"
    "  ORDER BY at_ns DESC LIMIT 1), 0) END,"
    " (SELECT max(n) FROM (SELECT count(*) AS n FROM request r WHERE r.arm_id = a.id"
    "  GROUP BY r.cycle))"
    " FROM lifetime l JOIN arm a ON a.id = l.arm_id"
    " LEFT JOIN lifetime_end e ON e.lifetime_id = l.id ORDER BY l.id";

static bool has_profile(const char *directory, int64_t lifetime_id)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/" HEAP_FILE_FORMAT, directory, (unsigned)lifetime_id);
    return access(path, R_OK) == 0;
}

static double column_real(sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) == SQLITE_NULL ? NAN
                                                           : sqlite3_column_double(row, column);
}

static void take_row(sqlite3_stmt *row, struct heap_view *view)
{
    view->lifetime_id = sqlite3_column_int64(row, 0);
    snprintf(view->arm, sizeof(view->arm), "%s", (const char *)sqlite3_column_text(row, 1));
    view->lifetime = (unsigned)sqlite3_column_int(row, 3);
    view->ended_ns = sqlite3_column_int64(row, 4);
    view->memory_bytes = fmax(column_real(row, 6), column_real(row, 7));
    view->requests_per_cycle = column_real(row, 8);
}

struct search {
    const struct heap_choice *choice;
    char arm[160]; /* the first that fits: a later arm does not count */
    bool found, killed;
    unsigned profiles;
};

static void consider(struct search *search, sqlite3_stmt *row, struct heap_view *view)
{
    const struct heap_choice *choice = search->choice;
    const char *full = (const char *)sqlite3_column_text(row, 1);
    const char *name = (const char *)sqlite3_column_text(row, 2);
    if (choice->arm && strcmp(choice->arm, full) != 0 && strcmp(choice->arm, name) != 0)
        return;
    if (search->arm[0] == '\0')
        snprintf(search->arm, sizeof(search->arm), "%s", full);
    if (strcmp(search->arm, full) != 0 ||
        (choice->lifetime != 0 && (unsigned)sqlite3_column_int(row, 3) != choice->lifetime))
        return;
    bool killed = sqlite3_column_int(row, 5) != 0;
    if (search->killed && !killed)
        return;
    search->killed = killed;
    search->found = true;
    take_row(row, view);
}

static int nothing_found(const struct search *search, struct error *err)
{
    const struct heap_choice *choice = search->choice;
    if (search->profiles == 0)
        return error_usage(err, "the run has no heap profile; record one with 'oomlab run --heap'");
    if (search->arm[0] == '\0')
        return error_usage(err, "no profile of an arm '%s'; the names are as in 'oomlab show'",
                           choice->arm);
    return error_usage(err, "%s has no profile of lifetime %u", search->arm, choice->lifetime);
}

int heap_choose(struct store *store, const char *directory, const struct heap_choice *choice,
                struct heap_view *view, struct error *err)
{
    CLEANUP(statement_cleanup) sqlite3_stmt *row = NULL;
    struct search search = {.choice = choice};
    int r = store_prepare(store, LIFETIMES, &row, err);
    if (r < 0)
        return r;
    while ((r = sqlite3_step(row)) == SQLITE_ROW) {
        if (!has_profile(directory, sqlite3_column_int64(row, 0)))
            continue;
        search.profiles++;
        consider(&search, row, view);
    }
    if (r != SQLITE_DONE)
        return query_failed(err);
    return search.found ? 0 : nothing_found(&search, err);
}

int64_t heap_requests_until(struct store *store, int64_t lifetime_id, int64_t at_ns,
                            struct error *err)
{
    CLEANUP(statement_cleanup) sqlite3_stmt *row = NULL;
    int r = store_prepare(store,
                          "SELECT count(*) FROM request WHERE lifetime_id = ?1 AND done_ns <= ?2"
                          " AND status BETWEEN 100 AND 499",
                          &row, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(row, 1, lifetime_id);
    sqlite3_bind_int64(row, 2, at_ns);
    return sqlite3_step(row) == SQLITE_ROW ? sqlite3_column_int64(row, 0) : query_failed(err);
}
