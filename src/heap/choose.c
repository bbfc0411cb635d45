/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/choose.h"

#include "base/cleanup.h"
#include "heap/recording.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int query_failed(struct error *err)
{
    return error_set(err, EIO, "the run's evidence cannot be read");
}

static const char LIFETIMES[] =
    "SELECT l.id, a.scenario || '/' || a.name, a.name, l.idx,"
    " (SELECT ended_ns FROM lifetime_end e WHERE e.lifetime_id = l.id),"
    " EXISTS (SELECT 1 FROM lifetime_end e WHERE e.lifetime_id = l.id AND e.cause LIKE 'oom-%')"
    " FROM lifetime l JOIN arm a ON a.id = l.arm_id ORDER BY l.id";

/* What the profile is about is anonymous memory and shared mappings, which the kernel counts among
 * the files.
 *
 * Killed for memory, or a child process of it (?2 says when), the container held most at that
 * moment: the kernel's own peak without files
 * and the kernel's part, or the largest sample. What files and the kernel had is told by that
 * sample: the last one may be from after the kill, when nothing or half of it is left, or from long
 * before it.
 *
 * Otherwise the last sample tells that was taken while the process lived and nobody was ending it:
 * one taken while it was being stopped, or after its end, says what was left of it. Of a stop,
 * RevisionDeactivating is written just before SIGTERM is sent; of a failed probe, the last
 * ProbeFailed is. That holds, too, where it was killed for memory while it was being stopped: the
 * profile is of the moment before. Without either there is only the moment in which the end was
 * noticed: then it is the larger of the last two samples, since one may have met the address space
 * half taken down. */
static const char MEMORY[] =
    "WITH life AS (SELECT l.id, l.arm_id, e.ended_ns, e.peak_bytes,"
    "  ?2 IS NOT NULL OR ifnull(e.cause, '') LIKE 'oom-%' AS killed,"
    "  (SELECT max(v.at_ns) FROM event v WHERE v.arm_id = l.arm_id"
    "   AND v.at_ns BETWEEN l.started_ns AND e.ended_ns"
    "   AND ((v.reason = 'RevisionDeactivating' AND e.platform_kill <> 'none'"
    "     AND instr(l.replica, v.revision) = 1)"
    "    OR (v.reason = 'ProbeFailed' AND e.platform_kill IN ('liveness', 'startup')))) AS stop_ns"
    "  FROM lifetime l LEFT JOIN lifetime_end e ON e.lifetime_id = l.id WHERE l.id = ?1),"
    " held AS (SELECT at_ns, pids, anon_bytes + ifnull(shmem_bytes, 0) AS bytes,"
    "  ifnull(file_bytes, 0) - ifnull(shmem_bytes, 0) + ifnull(kernel_bytes, 0) AS other"
    "  FROM sample WHERE lifetime_id = ?1 AND anon_bytes IS NOT NULL"
    "   AND at_ns <= ifnull(?2, at_ns)),"
    " most AS (SELECT bytes, other FROM held ORDER BY bytes DESC LIMIT 1)"
    " SELECT CASE WHEN l.killed AND (?2 IS NOT NULL OR l.stop_ns IS NULL)"
    " THEN (SELECT bytes FROM most)"
    " WHEN l.stop_ns IS NOT NULL THEN"
    "  (SELECT bytes FROM held WHERE at_ns <= l.stop_ns ORDER BY at_ns DESC LIMIT 1)"
    " ELSE (SELECT max(bytes) FROM (SELECT bytes FROM held"
    "  WHERE at_ns <= ifnull(l.ended_ns, at_ns) AND bytes > 0 AND ifnull(pids, 1) > 0"
    "  ORDER BY at_ns DESC LIMIT 2)) END,"
    " CASE WHEN l.killed AND (?2 IS NOT NULL OR l.stop_ns IS NULL)"
    " THEN l.peak_bytes - ifnull((SELECT other FROM most), 0) END"
    " FROM life l";

void heap_profile_path(const char *directory, int64_t lifetime_id, bool at_kill,
                       char path[static PATH_MAX])
{
    snprintf(path, PATH_MAX, at_kill ? "%s/" HEAP_KILL_FILE_FORMAT : "%s/" HEAP_FILE_FORMAT,
             directory, (unsigned)lifetime_id);
}

static bool has_profile(const char *directory, int64_t lifetime_id, bool at_kill)
{
    char path[PATH_MAX];
    heap_profile_path(directory, lifetime_id, at_kill, path);
    return access(path, R_OK) == 0;
}

static double column_real(sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) == SQLITE_NULL ? NAN
                                                           : sqlite3_column_double(row, column);
}

static void take_row(sqlite3_stmt *row, struct heap_view *view)
{
    view->missing_lifetime = 0;
    view->lifetime_id = sqlite3_column_int64(row, 0);
    snprintf(view->arm, sizeof(view->arm), "%s", (const char *)sqlite3_column_text(row, 1));
    view->lifetime = (unsigned)sqlite3_column_int(row, 3);
    view->at_ns = sqlite3_column_int64(row, 4);
    view->main_killed = sqlite3_column_int(row, 5) != 0;
}

int heap_read_memory(struct store *store, struct heap_view *view, struct error *err)
{
    CLEANUP(store_statement_done) sqlite3_stmt *row = NULL;
    int r = store_prepare(store, MEMORY, &row, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(row, 1, view->lifetime_id);
    if (view->at_kill)
        sqlite3_bind_int64(row, 2, view->at_ns);
    if (sqlite3_step(row) != SQLITE_ROW)
        return query_failed(err);
    view->memory_bytes = fmax(column_real(row, 0), column_real(row, 1));
    if (!(view->memory_bytes > 0))
        view->memory_bytes = NAN; /* a figure of nothing is none */
    return 0;
}

struct search {
    const struct heap_choice *choice;
    const char *directory;
    char arm[160]; /* the first that fits: a later arm does not count */
    bool found, killed;
    unsigned profiles;
};

static bool is_asked_for(const struct heap_choice *choice, sqlite3_stmt *row)
{
    const char *full = (const char *)sqlite3_column_text(row, 1);
    const char *name = (const char *)sqlite3_column_text(row, 2);
    return !choice->arm || strcmp(choice->arm, full) == 0 || strcmp(choice->arm, name) == 0;
}

/* The lifetime ended with a kill for memory, or a child process of it was killed so. */
static bool had_kill(const struct search *search, sqlite3_stmt *row)
{
    return sqlite3_column_int(row, 5) != 0 ||
           has_profile(search->directory, sqlite3_column_int64(row, 0), true);
}

static void consider(struct search *search, sqlite3_stmt *row, struct heap_view *view)
{
    const struct heap_choice *choice = search->choice;
    const char *full = (const char *)sqlite3_column_text(row, 1);
    if (!is_asked_for(choice, row))
        return;
    if (search->arm[0] == '\0')
        snprintf(search->arm, sizeof(search->arm), "%s", full);
    if (strcmp(search->arm, full) != 0 ||
        (choice->lifetime != 0 && (unsigned)sqlite3_column_int(row, 3) != choice->lifetime))
        return;
    if (choice->at == HEAP_AT_KILL &&
        !has_profile(search->directory, sqlite3_column_int64(row, 0), true))
        return;
    bool killed = had_kill(search, row);
    if (search->killed && !killed)
        return;
    search->killed = killed;
    search->found = true;
    take_row(row, view);
}

/* A lifetime that would be taken after what was found so far, had it a profile. */
static void note_missing(const struct search *search, sqlite3_stmt *row, struct heap_view *view)
{
    bool killed = had_kill(search, row);
    if (search->found && search->choice->lifetime == 0 && (killed || !search->killed) &&
        strcmp(search->arm, (const char *)sqlite3_column_text(row, 1)) == 0)
        view->missing_lifetime = (unsigned)sqlite3_column_int(row, 3);
}

/* Why the arm, or without a name any, has no profile, as the run said itself; false: it did not. */
static bool find_reason(struct store *store, const char *arm, char *reason, size_t size)
{
    CLEANUP(store_statement_done) sqlite3_stmt *row = NULL;
    struct error ignored;
    if (store_prepare(store,
                      "SELECT e.msg FROM event e LEFT JOIN arm a ON a.id = e.arm_id"
                      " WHERE e.reason = '" HEAP_UNPROFILED_EVENT "'"
                      " AND (?1 IS NULL OR ?1 IN (a.name, a.scenario || '/' || a.name))"
                      " ORDER BY e.id LIMIT 1",
                      &row, &ignored) < 0)
        return false;
    sqlite3_bind_text(row, 1, arm, -1, SQLITE_STATIC);
    if (sqlite3_step(row) != SQLITE_ROW)
        return false;
    snprintf(reason, size, "%s", (const char *)sqlite3_column_text(row, 0));
    return true;
}

/* What the arm says about its profile. */
static const char ARM[] =
    "SELECT (SELECT group_concat(msg, '; and ') FROM (SELECT msg FROM event e WHERE e.arm_id = a.id"
    "  AND e.reason = '" HEAP_UNPROFILED_EVENT "' ORDER BY e.id)),"
    " CASE WHEN json_valid(a.env) THEN json_extract(a.env, '$.PYTHONMALLOC') LIKE 'malloc%' END,"
    " (SELECT max(n) FROM (SELECT count(*) AS n FROM request r WHERE r.arm_id = a.id"
    "  GROUP BY r.cycle))"
    " FROM arm a WHERE a.id = (SELECT arm_id FROM lifetime WHERE id = ?1)";

static int read_arm(struct store *store, struct heap_view *view, struct error *err)
{
    CLEANUP(store_statement_done) sqlite3_stmt *row = NULL;
    int r = store_prepare(store, ARM, &row, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(row, 1, view->lifetime_id);
    if (sqlite3_step(row) != SQLITE_ROW)
        return query_failed(err);
    const char *reason = (const char *)sqlite3_column_text(row, 0);
    snprintf(view->unprofiled, sizeof(view->unprofiled), "%s", reason ? reason : "");
    view->python_malloc = sqlite3_column_int(row, 1) != 0;
    view->requests_per_cycle = column_real(row, 2);
    return 0;
}

/* Whether a query about the run says yes; what cannot be asked is no. */
static bool is_so(struct store *store, const char *sql, const char *name)
{
    CLEANUP(store_statement_done) sqlite3_stmt *row = NULL;
    struct error ignored;
    if (store_prepare(store, sql, &row, &ignored) < 0)
        return false;
    if (name)
        sqlite3_bind_text(row, 1, name, -1, SQLITE_STATIC);
    return sqlite3_step(row) == SQLITE_ROW && sqlite3_column_int(row, 0) != 0;
}

/* The plan knows, also of a run whose oomlab was killed. */
static bool was_asked_for(struct store *store)
{
    return is_so(store, "SELECT json_extract(lab_json, '$.heap') FROM run", NULL);
}

static int no_such_arm(struct store *store, const char *name, struct error *err)
{
    static const char RAN[] =
        "SELECT EXISTS (SELECT 1 FROM arm WHERE ?1 IN (name, scenario || '/' || name))";
    static const char PLANNED[] =
        "SELECT EXISTS (SELECT 1 FROM run, json_each(lab_json, '$.scenarios') s,"
        " json_each(s.value, '$.arms') a WHERE ?1 IN (json_extract(a.value, '$.name'),"
        " json_extract(s.value, '$.name') || '/' || json_extract(a.value, '$.name')))";
    char reason[1024];
    if (find_reason(store, name, reason, sizeof(reason)))
        return error_usage(err, "the arm '%s' has no heap profile: %s", name, reason);
    if (is_so(store, RAN, name))
        return error_usage(err,
                           "the arm '%s' has no heap profile: oomlab ended before it was kept, or "
                           "its file was removed",
                           name);
    if (is_so(store, PLANNED, name))
        return error_usage(err, "the arm '%s' has no heap profile: it was planned, but did not run",
                           name);
    return error_usage(err, "no profile of an arm '%s'; the names are as in 'oomlab show'", name);
}

static int nothing_found(struct store *store, const struct search *search, struct error *err)
{
    const struct heap_choice *choice = search->choice;
    char reason[1024];
    if (search->profiles == 0 && !was_asked_for(store))
        return error_usage(err, "the run has no heap profile; record one with 'oomlab run --heap'");
    if (choice->arm && search->arm[0] == '\0')
        return no_such_arm(store, choice->arm, err);
    if (search->profiles == 0 && find_reason(store, NULL, reason, sizeof(reason)))
        return error_usage(err, "the run has no heap profile: %s", reason);
    if (search->profiles == 0)
        return error_usage(err,
                           "the run has no heap profile; it was recorded with --heap, but "
                           "oomlab ended before a profile was kept, or its files were removed");
    if (choice->at == HEAP_AT_KILL)
        return error_usage(err,
                           "%s: no child process was killed for memory in a container that went "
                           "on%s; --at end shows what was held at the end",
                           search->arm, choice->lifetime ? " in that lifetime" : "");
    return error_usage(err, "%s has no profile of lifetime %u", search->arm, choice->lifetime);
}

int heap_choose(struct store *store, const char *directory, const struct heap_choice *choice,
                struct heap_view *view, struct error *err)
{
    CLEANUP(store_statement_done) sqlite3_stmt *row = NULL;
    struct search search = {.choice = choice, .directory = directory};
    int r = store_prepare(store, LIFETIMES, &row, err);
    if (r < 0)
        return r;
    while ((r = sqlite3_step(row)) == SQLITE_ROW) {
        if (!has_profile(directory, sqlite3_column_int64(row, 0), false)) {
            note_missing(&search, row, view);
            continue;
        }
        search.profiles++;
        consider(&search, row, view);
    }
    if (r != SQLITE_DONE)
        return query_failed(err);
    if (!search.found)
        return nothing_found(store, &search, err);
    view->other_moment = has_profile(directory, view->lifetime_id, true);
    return read_arm(store, view, err);
}

int64_t heap_requests_until(struct store *store, int64_t lifetime_id, int64_t at_ns,
                            struct error *err)
{
    CLEANUP(store_statement_done) sqlite3_stmt *row = NULL;
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
