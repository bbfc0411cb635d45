/* SPDX-License-Identifier: Apache-2.0 */
/* The lifetimes of the result object: one process each, from its start to its end, with the proof.
 */
#include "report/result.h"

#include "base/cleanup.h"
#include "report/samples.h"
#include "report/text.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* The columns of LIFETIME_SQL. */
enum column {
    COLUMN_ID,
    COLUMN_INDEX,
    COLUMN_REPLICA,
    COLUMN_PID,
    COLUMN_CGROUP,
    COLUMN_STARTED,
    COLUMN_BACKOFF,
    COLUMN_READY,
    COLUMN_ENDED,
    COLUMN_WAIT_CODE,
    COLUMN_WAIT_STATUS,
    COLUMN_PLATFORM_KILL,
    COLUMN_CAUSE,
    COLUMN_LEVEL,
    COLUMN_KERNEL_PEAK,
    COLUMN_COMMITTED_AFTER_MS,
    COLUMN_PER_REQUEST,
    COLUMN_PER_SECOND,
    COLUMN_LOW,
    COLUMN_HIGH,
    COLUMN_ARM_ENDED,
    COLUMN_END,      /* NULL: no end was recorded */
    COLUMN_COUNTERS, /* pairs of start and end, in the order of COUNTERS */
};

#define LIFETIME_SQL                                                                               \
    "SELECT l.id, l.idx, l.replica, l.pid, l.cgroup, l.started_ns, l.backoff_ns, l.ready_ns,"      \
    " e.ended_ns, e.wait_code, e.wait_status, e.platform_kill, e.cause, e.level, e.peak_bytes,"    \
    " (e.committed_ns - e.ended_ns) / 1e6,"                                                        \
    " g.bytes_per_request, g.bytes_per_s, g.low, g.high, a.ended_ns, e.lifetime_id,"               \
    " e.oom_kill_start, e.oom_kill_end, e.oom_start, e.oom_end,"                                   \
    " e.oom_group_kill_start, e.oom_group_kill_end, e.limit_hits_start, e.limit_hits_end,"         \
    " e.ancestor_oom_start, e.ancestor_oom_end"                                                    \
    " FROM lifetime l JOIN arm a ON a.id = l.arm_id"                                               \
    " LEFT JOIN lifetime_end e ON e.lifetime_id = l.id"                                            \
    " LEFT JOIN growth g ON g.lifetime_id = l.id WHERE l.arm_id = ?1 ORDER BY l.id"

static const char *const COUNTERS[] = {"oom_kill", "oom", "oom_group_kill", "limit hits",
                                       "oom of the run's parent cgroups"};

static int no_memory(struct error *err)
{
    return error_errno(err, ENOMEM, "making the result");
}

static void add_proof(json_t *proof, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_proof(json_t *proof, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    AUTO_BUFFER clean = {0}; /* a cut may have split a character */
    text_append_clean(&clean, text);
    json_array_append_new(proof, json_string(buffer_text(&clean)));
}

static void add_counter_proof(json_t *proof, const struct rows *rows)
{
    AUTO_FREE char *cgroup = row_text(rows, COLUMN_CGROUP);
    for (size_t i = 0; i < sizeof(COUNTERS) / sizeof(COUNTERS[0]); i++) {
        int start = COLUMN_COUNTERS + 2 * (int)i;
        if (row_is_null(rows, start) || row_is_null(rows, start + 1))
            continue;
        long long from = row_integer(rows, start);
        long long to = row_integer(rows, start + 1);
        if (i > 0 && from == to)
            continue; /* only that the kill counter stood still is telling */
        if (from == to)
            add_proof(proof, "kernel counter %s of %s stayed at %lld", COUNTERS[i], cgroup, from);
        else
            add_proof(proof, "kernel counter %s of %s: %lld -> %lld", COUNTERS[i], cgroup, from,
                      to);
    }
}

/* The same as numbers: [start, end] each, null where the kernel has no such counter. */
static json_t *counters_json(const struct rows *rows)
{
    static const char *const keys[] = {"oom_kill", "oom", "oom_group_kill", "limit_hits",
                                       "ancestor_oom"};
    bool failed = false;
    json_t *counters = json_object();
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        int start = COLUMN_COUNTERS + 2 * (int)i;
        bool known = !row_is_null(rows, start) && !row_is_null(rows, start + 1);
        result_set(counters, keys[i],
                   known ? json_pack("[o, o]", row_json_integer(rows, start),
                                     row_json_integer(rows, start + 1))
                         : json_null(),
                   &failed);
    }
    return counters;
}

static int add_kernel_log_proof(struct store *store, int64_t lifetime_id, json_t *proof,
                                struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store,
                       "SELECT text FROM kernel_log WHERE lifetime_id = ?1"
                       " AND kind IN ('summary', 'killed', 'group') ORDER BY id LIMIT 6",
                       lifetime_id, err);
    while (r >= 0 && (r = rows_next(&rows, err)) == 1) {
        AUTO_FREE char *text = row_text(&rows, 0);
        add_proof(proof, "kernel log: %s", text ? text : "");
    }
    return r;
}

static int add_killer_proof(struct store *store, int64_t lifetime_id, json_t *proof,
                            struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store,
                       "SELECT killer, source, text FROM killer_log WHERE lifetime_id = ?1"
                       " ORDER BY id LIMIT 4",
                       lifetime_id, err);
    while (r >= 0 && (r = rows_next(&rows, err)) == 1) {
        AUTO_FREE char *killer = row_text(&rows, 0);
        AUTO_FREE char *source = row_text(&rows, 1);
        AUTO_FREE char *text = row_text(&rows, 2);
        add_proof(proof, "%s, %s: %s", killer ? killer : "", source ? source : "",
                  text ? text : "");
    }
    return r;
}

static bool by_signal(const struct rows *rows)
{
    int64_t code = row_integer(rows, COLUMN_WAIT_CODE);
    return code == CLD_KILLED || code == CLD_DUMPED;
}

/* What somebody else recorded about this end, with file and line. */
static int add_recorded_proof(struct store *store, const struct rows *rows, json_t *proof,
                              struct error *err)
{
    AUTO_ROWS recorded = {0};
    int r = rows_query(&recorded, store,
                       "SELECT e.statement, s.name, f.line FROM evidence e JOIN fact f"
                       " ON f.id = CAST(e.source_row AS INTEGER)"
                       " JOIN source s ON s.id = f.source_id"
                       " WHERE e.source_table = 'fact' AND e.lifetime_id = ?1"
                       " ORDER BY e.rowid LIMIT 8",
                       row_integer(rows, COLUMN_ID), err);
    while (r >= 0 && (r = rows_next(&recorded, err)) == 1) {
        AUTO_FREE char *statement = row_text(&recorded, 0);
        AUTO_FREE char *name = row_text(&recorded, 1);
        add_proof(proof, "%s:%lld: %s", name ? name : "", (long long)row_integer(&recorded, 2),
                  statement ? statement : "");
    }
    return r;
}

static void add_wait_proof(json_t *proof, const struct rows *rows)
{
    int status = (int)row_integer(rows, COLUMN_WAIT_STATUS);
    const char *name = sigabbrev_np(status);
    AUTO_FREE char *platform_kill = row_text(rows, COLUMN_PLATFORM_KILL);
    if (by_signal(rows))
        add_proof(proof, "wait status: killed by signal %d (SIG%s)", status, name ? name : "?");
    else
        add_proof(proof, "wait status: exited with code %d", status);
    if (platform_kill && *platform_kill && strcmp(platform_kill, "none") != 0)
        add_proof(proof, "oomlab itself had sent a signal before: %s", platform_kill);
}

/* How long after the kernel's own stamp the first kill of this lifetime was noticed. */
static int detected_after(struct store *store, int64_t lifetime_id, json_t **ret, struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store,
                       "SELECT (noticed_ns - kernel_ns) / 1e6 FROM kill WHERE lifetime_id = ?1"
                       " ORDER BY id LIMIT 1",
                       lifetime_id, err);
    if (r == 0)
        r = rows_next(&rows, err);
    *ret = r == 1 ? row_json_real(&rows, 0) : json_null();
    return r < 0 ? r : 0;
}

/* No end was recorded: it outlived its arm, or the recording stopped in the middle. */
static json_t *open_end(const struct rows *rows)
{
    bool outlived = !row_is_null(rows, COLUMN_ARM_ENDED);
    return json_pack("{s:s, s:s, s:n, s:n, s:n, s:n, s:[s]}", "cause",
                     outlived ? "running" : "unknown", "level",
                     outlived ? "Observed" : "Not Proven", "exit_code", "signal", "at",
                     "detected_after_ms", "proof",
                     outlived ? "no end was recorded while the arm ran"
                              : "the recording stopped before an end was seen");
}

static json_t *text_or(const struct rows *rows, int column, const char *fallback)
{
    return row_is_null(rows, column) ? json_string(fallback) : row_json_text(rows, column);
}

static json_t *moment_json(const struct run_clock *clock, const struct rows *rows, int column)
{
    return row_is_null(rows, column) ? json_null()
                                     : run_clock_json(clock, row_integer(rows, column));
}

static int end_json(struct store *store, const struct run_clock *clock, const struct rows *rows,
                    json_t **ret, struct error *err)
{
    if (row_is_null(rows, COLUMN_END)) {
        *ret = open_end(rows);
        return *ret ? 0 : no_memory(err);
    }
    bool failed = false;
    int64_t status = row_integer(rows, COLUMN_WAIT_STATUS);
    json_t *end = json_object();
    json_t *proof = json_array();
    json_t *detected = NULL;
    add_counter_proof(proof, rows);
    int r = add_kernel_log_proof(store, row_integer(rows, COLUMN_ID), proof, err);
    if (r >= 0)
        r = add_killer_proof(store, row_integer(rows, COLUMN_ID), proof, err);
    if (row_is_null(rows, COLUMN_PID) && r >= 0)
        r = add_recorded_proof(store, rows, proof, err);
    else
        add_wait_proof(proof, rows);
    if (r >= 0)
        r = detected_after(store, row_integer(rows, COLUMN_ID), &detected, err);
    result_set(end, "cause", text_or(rows, COLUMN_CAUSE, "unknown"), &failed);
    result_set(end, "level", text_or(rows, COLUMN_LEVEL, "Not Proven"), &failed);
    /* As every container platform prints it: 128 + the signal. */
    result_set(end, "exit_code",
               row_is_null(rows, COLUMN_WAIT_CODE)
                   ? json_null()
                   : json_integer(by_signal(rows) ? 128 + status : status),
               &failed);
    result_set(end, "signal", by_signal(rows) ? json_integer(status) : json_null(), &failed);
    result_set(end, "at", moment_json(clock, rows, COLUMN_ENDED), &failed);
    result_set(end, "detected_after_ms", detected ? detected : json_null(), &failed);
    result_set(end, "committed_after_ms", row_json_real(rows, COLUMN_COMMITTED_AFTER_MS), &failed);
    result_set(end, "platform_kill", row_json_text(rows, COLUMN_PLATFORM_KILL), &failed);
    result_set(end, "counters", counters_json(rows), &failed);
    result_set(end, "proof", proof, &failed);
    *ret = end;
    return r < 0 ? r : failed ? no_memory(err) : 0;
}

struct working_set {
    bool known;
    int64_t first, peak, last;
};

static int take_part(void *context, const struct sample_part *part, struct error *err)
{
    struct working_set *set = context;
    (void)err;
    for (size_t i = 0; i < part->mark_count; i++) {
        int64_t bytes = part->marks[i].bytes;
        if (!set->known)
            *set = (struct working_set){true, bytes, bytes, bytes};
        set->last = bytes;
        set->peak = bytes > set->peak ? bytes : set->peak;
    }
    return 0;
}

static int working_set_json(struct store *store, int64_t lifetime_id, json_t *lifetime,
                            struct error *err)
{
    struct working_set found = {0};
    int r = samples_walk(store, lifetime_id, INT64_MAX, take_part, &found, err);
    if (r < 0)
        return r;
    bool failed = false;
    json_t *set = json_object();
    result_set(set, "first_bytes", found.known ? json_integer(found.first) : json_null(), &failed);
    result_set(set, "peak_bytes", found.known ? json_integer(found.peak) : json_null(), &failed);
    result_set(set, "last_bytes", found.known ? json_integer(found.last) : json_null(), &failed);
    result_set(lifetime, "working_set", set, &failed);
    return failed ? no_memory(err) : 0;
}

static int completed_json(struct store *store, int64_t lifetime_id, json_t *lifetime,
                          struct error *err)
{
    AUTO_ROWS rows = {0};
    bool failed = false;
    int r = rows_query(&rows, store,
                       "SELECT count(*) FROM request WHERE arm_id ="
                       " (SELECT arm_id FROM lifetime WHERE id = ?1)"
                       " AND lifetime_id = ?1 AND status BETWEEN 1 AND 499",
                       lifetime_id, err);
    if (r == 0)
        r = rows_next(&rows, err);
    if (r == 1)
        result_set(lifetime, "requests_completed", row_json_integer(&rows, 0), &failed);
    return r < 0 ? r : failed ? no_memory(err) : 0;
}

static json_t *growth_json(const struct rows *rows)
{
    return json_pack("{s:o, s:o, s:[o, o]}", "bytes_per_request",
                     row_json_real(rows, COLUMN_PER_REQUEST), "bytes_per_second",
                     row_json_real(rows, COLUMN_PER_SECOND), "ci95",
                     row_json_real(rows, COLUMN_LOW), row_json_real(rows, COLUMN_HIGH));
}

static json_t *seconds_between(const struct rows *rows, int from, int to)
{
    if (row_is_null(rows, from) || row_is_null(rows, to))
        return json_null();
    return json_real((double)(row_integer(rows, to) - row_integer(rows, from)) / 1e9);
}

static int lifetime_json(struct store *store, const struct run_clock *clock,
                         const struct rows *rows, json_t *lifetime, struct error *err)
{
    bool failed = false;
    int64_t id = row_integer(rows, COLUMN_ID);
    bool ended = !row_is_null(rows, COLUMN_END);
    result_set(lifetime, "index", row_json_integer(rows, COLUMN_INDEX), &failed);
    result_set(lifetime, "started_at", moment_json(clock, rows, COLUMN_STARTED), &failed);
    result_set(lifetime, "ready_after_s", seconds_between(rows, COLUMN_STARTED, COLUMN_READY),
               &failed);
    result_set(lifetime, "uptime_s",
               seconds_between(rows, COLUMN_STARTED, ended ? COLUMN_ENDED : COLUMN_ARM_ENDED),
               &failed);
    int r = completed_json(store, id, lifetime, err);
    json_t *end = NULL;
    if (r == 0)
        r = end_json(store, clock, rows, &end, err);
    result_set(lifetime, "end", end ? end : json_null(), &failed);
    if (r == 0)
        r = working_set_json(store, id, lifetime, err);
    result_set(lifetime, "growth", growth_json(rows), &failed);
    result_set(lifetime, "kernel_peak_bytes", row_json_integer(rows, COLUMN_KERNEL_PEAK), &failed);
    result_set(lifetime, "backoff_s", json_real((double)row_integer(rows, COLUMN_BACKOFF) / 1e9),
               &failed);
    result_set(lifetime, "replica", row_json_text(rows, COLUMN_REPLICA), &failed);
    result_set(lifetime, "pid", row_json_integer(rows, COLUMN_PID), &failed);
    result_set(lifetime, "cgroup", row_json_text(rows, COLUMN_CGROUP), &failed);
    result_set(lifetime, "row", row_json_integer(rows, COLUMN_ID), &failed);
    return r < 0 ? r : failed ? no_memory(err) : 0;
}

int result_lifetimes(struct store *store, const struct run_clock *clock, int64_t arm_id,
                     json_t **ret, struct error *err)
{
    AUTO_ROWS rows = {0};
    json_t *lifetimes = json_array();
    int r = rows_query(&rows, store, LIFETIME_SQL, arm_id, err);
    while (r >= 0 && (r = rows_next(&rows, err)) == 1) {
        json_t *lifetime = json_object();
        json_array_append_new(lifetimes, lifetime);
        r = lifetime_json(store, clock, &rows, lifetime, err);
    }
    if (r < 0) {
        json_decref(lifetimes);
        return r;
    }
    *ret = lifetimes;
    return 0;
}
