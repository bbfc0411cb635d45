/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/series.h"

#include "base/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

struct statement {
    sqlite3_stmt *handle;
};

static void statement_done(const struct statement *statement)
{
    sqlite3_finalize(statement->handle);
}

#define AUTO_STATEMENT __attribute__((cleanup(statement_done))) struct statement

static int prepare(struct store *store, const char *sql, int64_t key, struct statement *ret,
                   struct error *err)
{
    int r = store_prepare(store, sql, &ret->handle, err);
    if (r == 0)
        sqlite3_bind_int64(ret->handle, 1, key);
    return r;
}

static double real_or_nan(sqlite3_stmt *row, int column)
{
    if (sqlite3_column_type(row, column) == SQLITE_NULL)
        return NAN;
    return sqlite3_column_double(row, column);
}

static void copy_text(sqlite3_stmt *row, int column, char *text, size_t size)
{
    const char *value = (const char *)sqlite3_column_text(row, column);
    size_t length = value ? strnlen(value, size - 1) : 0;
    memcpy(text, value ? value : "", length);
    text[length] = '\0';
}

/* Make room for one more element; the array grows by doubling at powers of two. */
static void *grow(void *array, size_t count, size_t element)
{
    if (count != 0 && (count & (count - 1)) != 0)
        return array;
    return realloc(array, (count ? count * 2 : 1) * element);
}

/* --- requests, as ascending times since the lifetime's start ---------------------------------- */

/* This lifetime completed one. */
#define SQL_COMPLETED                                                                              \
    "SELECT done_ns FROM request WHERE lifetime_id = ?1 AND status BETWEEN 1 AND 499"              \
    " ORDER BY done_ns"
/* Its arm sent one, and was done with one (answered or given up): nobody answers for those that a
 * kill cut off, so that they belong to no lifetime. */
#define SQL_SENT                                                                                   \
    "SELECT sent_ns FROM request WHERE arm_id = (SELECT arm_id FROM lifetime WHERE id = ?1)"       \
    " AND sent_ns IS NOT NULL ORDER BY sent_ns"
#define SQL_DONE                                                                                   \
    "SELECT done_ns FROM request WHERE arm_id = (SELECT arm_id FROM lifetime WHERE id = ?1)"       \
    " AND sent_ns IS NOT NULL AND done_ns IS NOT NULL ORDER BY done_ns"

struct times {
    double *values;
    size_t count, passed; /* of them up to the time asked for last */
};

static void times_done(const struct times *times)
{
    free(times->values);
}

static double times_passed(struct times *times, double t)
{
    while (times->passed < times->count && times->values[times->passed] <= t)
        times->passed++;
    return (double)times->passed;
}

static int load_times(struct store *store, const char *sql, int64_t lifetime_id, int64_t started_ns,
                      struct times *ret, struct error *err)
{
    AUTO_STATEMENT statement = {0};
    int r = prepare(store, sql, lifetime_id, &statement, err);
    if (r < 0)
        return r;
    while (sqlite3_step(statement.handle) == SQLITE_ROW) {
        double *grown = grow(ret->values, ret->count, sizeof(*ret->values));
        if (!grown)
            return error_errno(err, ENOMEM, "reading the requests");
        ret->values = grown;
        ret->values[ret->count++] =
            (double)(sqlite3_column_int64(statement.handle, 0) - started_ns) * 1e-9;
    }
    return 0;
}

/* A lifetime's requests, as its samples are set against them. */
struct requests {
    struct times completed, sent, done;
};

static void requests_done(const struct requests *requests)
{
    times_done(&requests->completed);
    times_done(&requests->sent);
    times_done(&requests->done);
}

static struct point read_point(sqlite3_stmt *row, int64_t started_ns, struct requests *requests)
{
    double t = (double)(sqlite3_column_int64(row, 0) - started_ns) * 1e-9;
    return (struct point){
        .t_s = t,
        .requests = times_passed(&requests->completed, t),
        .in_flight = times_passed(&requests->sent, t) - times_passed(&requests->done, t),
        .working_set = real_or_nan(row, 1),
        .anon = real_or_nan(row, 2),
        .file = real_or_nan(row, 3),
        .inactive_file = real_or_nan(row, 4),
        .shmem = real_or_nan(row, 5),
        .kernel = real_or_nan(row, 6),
    };
}

static int load_samples(struct store *store, int64_t lifetime_id, int64_t started_ns,
                        struct requests *requests, struct lifetime_series *lifetime,
                        struct error *err)
{
    AUTO_STATEMENT statement = {0};
    int r = prepare(store,
                    "SELECT at_ns, working_set_bytes, anon_bytes, file_bytes, inactive_file_bytes,"
                    " shmem_bytes, kernel_bytes FROM sample WHERE lifetime_id = ?1 ORDER BY at_ns",
                    lifetime_id, &statement, err);
    if (r < 0)
        return r;
    AUTO_FREE struct point *points = NULL;
    size_t count = 0;
    while (sqlite3_step(statement.handle) == SQLITE_ROW) {
        struct point *grown = grow(points, count, sizeof(*points));
        if (!grown)
            return error_errno(err, ENOMEM, "reading the samples");
        points = grown;
        points[count++] = read_point(statement.handle, started_ns, requests);
    }
    lifetime->points = steal_ptr(&points);
    lifetime->count = count;
    return 0;
}

static int load_points(struct store *store, const struct arm_data *data, int64_t lifetime_id,
                       int64_t started_ns, struct lifetime_series *lifetime, struct error *err)
{
    __attribute__((cleanup(requests_done))) struct requests requests = {0};
    int r = load_times(store, SQL_COMPLETED, lifetime_id, started_ns, &requests.completed, err);
    lifetime->requests_completed = (double)requests.completed.count;
    if (r < 0 || data->outline)
        return r;
    r = load_times(store, SQL_SENT, lifetime_id, started_ns, &requests.sent, err);
    if (r == 0)
        r = load_times(store, SQL_DONE, lifetime_id, started_ns, &requests.done, err);
    return r < 0 ? r : load_samples(store, lifetime_id, started_ns, &requests, lifetime, err);
}

/* --- phases as one lifetime saw them --------------------------------------------------------- */

static int load_spans(struct store *store, int64_t arm_id, int64_t started_ns,
                      struct lifetime_series *lifetime, struct error *err)
{
    AUTO_STATEMENT statement = {0};
    int r = prepare(store,
                    "SELECT kind, cycle, started_ns, ended_ns FROM phase WHERE arm_id = ?1"
                    " ORDER BY started_ns",
                    arm_id, &statement, err);
    if (r < 0)
        return r;
    AUTO_FREE struct span *spans = NULL;
    size_t count = 0;
    while (sqlite3_step(statement.handle) == SQLITE_ROW) {
        sqlite3_stmt *row = statement.handle;
        const char *kind = (const char *)sqlite3_column_text(row, 0);
        struct span span = {
            .kind = SPAN_COOLDOWN,
            .cycle = (unsigned)sqlite3_column_int(row, 1),
            .start_s = (double)(sqlite3_column_int64(row, 2) - started_ns) * 1e-9,
            .end_s = (double)(sqlite3_column_int64(row, 3) - started_ns) * 1e-9,
        };
        if (strcmp(kind, "idle") == 0)
            span.kind = SPAN_IDLE;
        else if (strcmp(kind, "cycle") == 0)
            span.kind = SPAN_CYCLE;
        else if (strcmp(kind, "gap") == 0)
            span.kind = SPAN_GAP;
        if (span.end_s <= 0 || span.start_s >= lifetime->uptime_s)
            continue;
        struct span *grown = grow(spans, count, sizeof(*spans));
        if (!grown)
            return error_errno(err, ENOMEM, "reading the phases");
        spans = grown;
        spans[count++] = span;
    }
    lifetime->spans = steal_ptr(&spans);
    lifetime->span_count = count;
    return 0;
}

/* --- lifetimes ------------------------------------------------------------------------------- */

static enum evidence_level parse_level(const char *text)
{
    for (int i = 0; text && i < LEVEL_COUNT; i++) {
        if (strcmp(text, level_name((enum evidence_level)i)) == 0)
            return (enum evidence_level)i;
    }
    return LEVEL_NOT_PROVEN;
}

static enum platform_kill parse_platform_kill(const char *text)
{
    for (int i = 0; text && i < PLATFORM_KILL_COUNT; i++) {
        if (strcmp(text, platform_kill_name((enum platform_kill)i)) == 0)
            return (enum platform_kill)i;
    }
    return PLATFORM_KILL_NONE;
}

/* OOM kills that did not end the main process. A group kill counts each of its victims and takes
 * the main process with it, so nothing can be said of children then. */
static unsigned child_kills_of(sqlite3_stmt *row, enum end_cause cause)
{
    int64_t kills = sqlite3_column_int64(row, 12) - sqlite3_column_int64(row, 11);
    int64_t group = sqlite3_column_int64(row, 14) - sqlite3_column_int64(row, 13);
    bool unknown =
        sqlite3_column_type(row, 11) == SQLITE_NULL || sqlite3_column_type(row, 12) == SQLITE_NULL;
    if (unknown || group > 0)
        return 0;
    kills -= cause_is_kernel_kill(cause);
    return kills > 0 ? (unsigned)kills : 0;
}

/* A process that we stopped because the arm was over outlived it. */
static bool outlived_the_arm(const char *platform_kill, enum end_cause cause)
{
    if (cause != CAUSE_KILLED_BY_PLATFORM && cause != CAUSE_EXITED && cause != CAUSE_SIGNALLED)
        return false;
    return platform_kill &&
           (strcmp(platform_kill, "stop") == 0 || strcmp(platform_kill, "deadline") == 0);
}

static int add_lifetime(struct store *store, struct arm_data *data, sqlite3_stmt *row,
                        struct error *err)
{
    struct lifetime_series *lifetimes =
        grow(data->lifetimes, data->count, sizeof(*data->lifetimes));
    if (lifetimes)
        data->lifetimes = lifetimes;
    struct gate_lifetime *gates =
        grow(data->gate_lifetimes, data->count, sizeof(*data->gate_lifetimes));
    if (gates)
        data->gate_lifetimes = gates;
    int64_t *ids = grow(data->lifetime_ids, data->count, sizeof(*data->lifetime_ids));
    if (ids)
        data->lifetime_ids = ids;
    if (!lifetimes || !gates || !ids)
        return error_errno(err, ENOMEM, "reading the lifetimes");

    int64_t started_ns = sqlite3_column_int64(row, 2);
    bool ready = sqlite3_column_type(row, 3) != SQLITE_NULL;
    double ready_s = (double)(sqlite3_column_int64(row, 3) - started_ns) * 1e-9;
    enum end_cause cause = sqlite3_column_type(row, 7) == SQLITE_NULL
                               ? CAUSE_RUNNING
                               : cause_parse((const char *)sqlite3_column_text(row, 7));
    if (outlived_the_arm((const char *)sqlite3_column_text(row, 9), cause))
        cause = CAUSE_RUNNING;

    struct lifetime_series *lifetime = &lifetimes[data->count];
    *lifetime = (struct lifetime_series){
        .index = (unsigned)sqlite3_column_int(row, 1),
        .ready_s = ready ? ready_s : NAN,
        .uptime_s = (double)(sqlite3_column_int64(row, 4) - started_ns) * 1e-9,
        .cause = cause,
        .level = parse_level((const char *)sqlite3_column_text(row, 8)),
        .peak_bytes = real_or_nan(row, 10),
        .has_exit_code = sqlite3_column_type(row, 5) != SQLITE_NULL,
        .exit_code =
            sqlite3_column_int(row, 6) + (sqlite3_column_int(row, 5) == CLD_EXITED ? 0 : 128),
        .platform_kill = parse_platform_kill((const char *)sqlite3_column_text(row, 9)),
        .child_kills = child_kills_of(row, cause),
    };
    ids[data->count] = sqlite3_column_int64(row, 0);
    data->count++;
    int r = load_points(store, data, ids[data->count - 1], started_ns, lifetime, err);
    if (r == 0)
        r = load_spans(store, data->arm_id, started_ns, lifetime, err);
    gates[data->count - 1] = (struct gate_lifetime){
        .cause = cause,
        .level = lifetime->level,
        .by_signal = sqlite3_column_int(row, 5) != CLD_EXITED,
        .code = sqlite3_column_int(row, 6),
        .ready = ready,
        .requests_completed = lifetime->requests_completed,
        .uptime_s = lifetime->uptime_s,
    };
    return r;
}

/* `now_ns` 0: those that have ended. */
static int load_lifetimes(struct store *store, struct arm_data *data, int64_t now_ns,
                          struct error *err)
{
    AUTO_STATEMENT statement = {0};
    int r = prepare(
        store,
        "SELECT l.id, l.idx, l.started_ns, l.ready_ns, coalesce(e.ended_ns, ?2), e.wait_code,"
        " e.wait_status, e.cause, e.level, e.platform_kill, e.peak_bytes,"
        " e.oom_kill_start, e.oom_kill_end,"
        " e.oom_group_kill_start, e.oom_group_kill_end"
        " FROM lifetime l LEFT JOIN lifetime_end e ON e.lifetime_id = l.id"
        " WHERE l.arm_id = ?1 AND (?2 > 0 OR e.ended_ns IS NOT NULL) ORDER BY l.id",
        data->arm_id, &statement, err);
    if (r == 0)
        sqlite3_bind_int64(statement.handle, 2, now_ns);
    while (r == 0 && sqlite3_step(statement.handle) == SQLITE_ROW)
        r = add_lifetime(store, data, statement.handle, err);
    return r;
}

static int load_arm(struct store *store, struct arm_data *data, struct error *err)
{
    AUTO_STATEMENT statement = {0};
    int r = prepare(store,
                    "SELECT scenario, name, memory_limit_bytes, requests_planned, health_state,"
                    " (SELECT count(*) FROM request q WHERE q.arm_id = arm.id AND"
                    "   q.status BETWEEN 1 AND 499),"
                    " (SELECT count(*) FROM revision v WHERE v.arm_id = arm.id)"
                    " FROM arm WHERE id = ?1",
                    data->arm_id, &statement, err);
    if (r < 0)
        return r;
    if (sqlite3_step(statement.handle) != SQLITE_ROW)
        return error_set(err, ENOENT, "arm %lld is not in the evidence file",
                         (long long)data->arm_id);
    copy_text(statement.handle, 0, data->scenario, sizeof(data->scenario));
    copy_text(statement.handle, 1, data->name, sizeof(data->name));
    data->series.limit_bytes = sqlite3_column_double(statement.handle, 2);
    data->requests_planned = sqlite3_column_double(statement.handle, 3);
    copy_text(statement.handle, 4, data->health_state, sizeof(data->health_state));
    data->requests_completed = sqlite3_column_double(statement.handle, 5);
    data->revisions = (unsigned)sqlite3_column_int(statement.handle, 6);
    return 0;
}

static int load_data(struct store *store, int64_t now_ns, struct arm_data *ret, struct error *err)
{
    int r = load_arm(store, ret, err);
    if (r == 0)
        r = load_lifetimes(store, ret, now_ns, err);
    if (r < 0) {
        arm_data_done(ret);
        return r;
    }
    ret->series.lifetimes = ret->lifetimes;
    ret->series.count = ret->count;
    ret->restarts = ret->count > 0 ? (unsigned)ret->count - 1 : 0;
    return 0;
}

int arm_data_load(struct store *store, int64_t arm_id, struct arm_data *ret, struct error *err)
{
    *ret = (struct arm_data){.arm_id = arm_id};
    return load_data(store, 0, ret, err);
}

int arm_data_load_outline(struct store *store, int64_t arm_id, struct arm_data *ret,
                          struct error *err)
{
    *ret = (struct arm_data){.arm_id = arm_id, .outline = true};
    return load_data(store, 0, ret, err);
}

int arm_data_load_so_far(struct store *store, int64_t arm_id, int64_t now_ns, struct arm_data *ret,
                         struct error *err)
{
    *ret = (struct arm_data){.arm_id = arm_id};
    return load_data(store, now_ns, ret, err);
}

void arm_data_done(struct arm_data *data)
{
    for (size_t i = 0; i < data->count; i++) {
        free((void *)data->lifetimes[i].points);
        free((void *)data->lifetimes[i].spans);
    }
    free(data->lifetimes);
    free(data->gate_lifetimes);
    free(data->lifetime_ids);
    *data = (struct arm_data){0};
}
