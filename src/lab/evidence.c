/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/evidence.h"

#include "base/buffer.h"
#include "base/size.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

struct source {
    const char *table;
    int64_t row;
};

static int add(struct store *store, struct arm_findings *arm, unsigned *next,
               enum evidence_level level, struct source source, struct error *err,
               const char *format, ...) __attribute__((format(printf, 7, 8)));

static int add(struct store *store, struct arm_findings *arm, unsigned *next,
               enum evidence_level level, struct source source, struct error *err,
               const char *format, ...)
{
    if (arm->evidence_count == EVIDENCE_PER_ARM_MAX)
        return 0;
    char statement[HEAP_SENTENCE_MAX + 256];
    char id[16];
    char row[24];
    va_list args;
    va_start(args, format);
    vsnprintf(statement, sizeof(statement), format, args);
    va_end(args);
    snprintf(id, sizeof(id), "E%u", *next);
    snprintf(row, sizeof(row), "%" PRId64, source.row);
    const struct store_value values[] = {
        STORE_STR("id", id),
        STORE_STR("level", level_name(level)),
        STORE_STR("statement", statement),
        STORE_INT("arm_id", arm->data.arm_id),
        STORE_STR("source_table", source.table),
        STORE_STR("source_row", row),
        STORE_END,
    };
    int r = store_insert(store, "evidence", values, NULL, err);
    if (r == 0)
        arm->evidence[arm->evidence_count++] = (*next)++;
    return r;
}

/* --- one lifetime's end ---------------------------------------------------------------------- */

struct end_row {
    int64_t oom_kill_start, oom_kill_end;
    bool has_oom_kill;
    int wait_code, wait_status;
    char cause[40], level[24];
};

static int load_end(struct store *store, int64_t lifetime_id, struct end_row *ret,
                    struct error *err)
{
    sqlite3_stmt *row = NULL;
    int r = store_prepare(store,
                          "SELECT oom_kill_start, oom_kill_end, wait_code, wait_status, cause,"
                          " level FROM lifetime_end WHERE lifetime_id = ?1",
                          &row, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(row, 1, lifetime_id);
    *ret = (struct end_row){0};
    if (sqlite3_step(row) == SQLITE_ROW) {
        ret->has_oom_kill = sqlite3_column_type(row, 1) != SQLITE_NULL;
        ret->oom_kill_start = sqlite3_column_int64(row, 0);
        ret->oom_kill_end = sqlite3_column_int64(row, 1);
        ret->wait_code = sqlite3_column_int(row, 2);
        ret->wait_status = sqlite3_column_int(row, 3);
        const char *cause = (const char *)sqlite3_column_text(row, 4);
        const char *level = (const char *)sqlite3_column_text(row, 5);
        snprintf(ret->cause, sizeof(ret->cause), "%s", cause ? cause : "unknown");
        snprintf(ret->level, sizeof(ret->level), "%s", level ? level : "Not Proven");
    }
    sqlite3_finalize(row);
    return 0;
}

static int add_end(struct store *store, struct arm_findings *arm, size_t index, unsigned *next,
                   struct error *err)
{
    const struct arm_data *data = &arm->data;
    const struct lifetime_series *lifetime = &data->lifetimes[index];
    const struct source source = {"lifetime_end", data->lifetime_ids[index]};
    struct end_row end;
    int r = load_end(store, source.row, &end, err);
    if (r < 0)
        return r;
    if (lifetime->cause == CAUSE_RUNNING)
        return add(store, arm, next, LEVEL_MEASURED, source, err,
                   "%s/%s lifetime %u was still running when the arm ended, after %.1f s and %.0f "
                   "completed requests; oom_kill of its cgroup stood at %" PRId64 ".",
                   data->scenario, data->name, lifetime->index, lifetime->uptime_s,
                   lifetime->requests_completed, end.oom_kill_end);
    bool exited = end.wait_code == CLD_EXITED;
    int code = exited ? end.wait_status : 128 + end.wait_status;
    if (end.has_oom_kill && end.oom_kill_end > end.oom_kill_start)
        return add(store, arm, next, lifetime->level, source, err,
                   "%s/%s lifetime %u: the kernel's oom_kill counter of its own cgroup went from "
                   "%" PRId64 " to %" PRId64 " and its main process ended by %s %d (exit code %d): "
                   "%s.",
                   data->scenario, data->name, lifetime->index, end.oom_kill_start,
                   end.oom_kill_end, exited ? "exit" : "signal", end.wait_status, code, end.cause);
    return add(store, arm, next, lifetime->level, source, err,
               "%s/%s lifetime %u ended by %s %d (exit code %d) without an OOM kill: %s.",
               data->scenario, data->name, lifetime->index, exited ? "exit" : "signal",
               end.wait_status, code, end.cause);
}

static int add_kernel_log(struct store *store, struct arm_findings *arm, size_t index,
                          unsigned *next, struct error *err)
{
    sqlite3_stmt *row = NULL;
    int r = store_prepare(store,
                          "SELECT id, oom_memcg, comm, pid FROM kernel_log WHERE lifetime_id = ?1"
                          " AND kind = 'summary' ORDER BY id LIMIT 1",
                          &row, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(row, 1, arm->data.lifetime_ids[index]);
    if (sqlite3_step(row) == SQLITE_ROW) {
        const struct source source = {"kernel_log", sqlite3_column_int64(row, 0)};
        const char *memcg = (const char *)sqlite3_column_text(row, 1);
        const char *comm = (const char *)sqlite3_column_text(row, 2);
        r = add(store, arm, next, LEVEL_OBSERVED, source, err,
                "%s/%s lifetime %u: the kernel log names the limit of %s and the victim %s (pid "
                "%lld).",
                arm->data.scenario, arm->data.name, arm->data.lifetimes[index].index,
                memcg ? memcg : "the host", comm ? comm : "unknown",
                (long long)sqlite3_column_int64(row, 3));
    }
    sqlite3_finalize(row);
    return r;
}

static int add_killer_log(struct store *store, struct arm_findings *arm, size_t index,
                          unsigned *next, struct error *err)
{
    sqlite3_stmt *row = NULL;
    int r = store_prepare(store,
                          "SELECT id, killer, source, text FROM killer_log WHERE lifetime_id = ?1"
                          " ORDER BY id LIMIT 1",
                          &row, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(row, 1, arm->data.lifetime_ids[index]);
    if (sqlite3_step(row) == SQLITE_ROW) {
        const struct source source = {"killer_log", sqlite3_column_int64(row, 0)};
        r = add(store, arm, next, LEVEL_OBSERVED, source, err,
                "%s/%s lifetime %u: %s left its own record (%s): %s.", arm->data.scenario,
                arm->data.name, arm->data.lifetimes[index].index,
                (const char *)sqlite3_column_text(row, 1),
                (const char *)sqlite3_column_text(row, 2),
                (const char *)sqlite3_column_text(row, 3));
    }
    sqlite3_finalize(row);
    return r;
}

/* --- growth ---------------------------------------------------------------------------------- */

static int add_growth(struct store *store, struct arm_findings *arm, size_t index, unsigned *next,
                      struct error *err)
{
    const struct lifetime_series *lifetime = &arm->data.lifetimes[index];
    struct growth growth;
    if (growth_of_lifetime(lifetime, &growth) < 0)
        return error_errno(err, ENOMEM, "estimating growth");
    const struct estimate *per_request = &growth.per_request;
    const struct estimate *interval = isnan(per_request->value) ? &growth.per_second : per_request;
    const struct store_value values[] = {
        STORE_INT("lifetime_id", arm->data.lifetime_ids[index]),
        STORE_INT("requests_completed", lifetime->requests_completed),
        store_real("bytes_per_request", per_request->value),
        store_real("bytes_per_s", growth.per_second.value),
        store_real("low", interval->low),
        store_real("high", interval->high),
        STORE_END,
    };
    int r = store_insert(store, "growth", values, NULL, err);
    if (r < 0 || isnan(per_request->value))
        return r;
    bool shown = per_request->low > 0 || per_request->high < 0;
    return add(store, arm, next, LEVEL_CORRELATED,
               (struct source){"growth", arm->data.lifetime_ids[index]}, err,
               "%s/%s lifetime %u: the retained floor of the working set %s %.1f KiB per "
               "completed request (95 %%: %.1f to %.1f KiB) over %.0f requests.",
               arm->data.scenario, arm->data.name, lifetime->index,
               shown ? "grew by" : "shows no growth that stands out of its scatter:",
               per_request->value / 1024, per_request->low / 1024, per_request->high / 1024,
               lifetime->requests_completed);
}

int evidence_of_arm(struct store *store, struct arm_findings *arm, unsigned *next,
                    struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < arm->data.count; i++) {
        r = add_end(store, arm, i, next, err);
        if (r == 0)
            r = add_kernel_log(store, arm, i, next, err);
        if (r == 0)
            r = add_killer_log(store, arm, i, next, err);
        if (r == 0)
            r = add_growth(store, arm, i, next, err);
    }
    if (r < 0)
        return r;
    return add(store, arm, next, LEVEL_MEASURED, (struct source){"arm", arm->data.arm_id}, err,
               "%s/%s completed %.0f of %.0f planned requests with %u restarts; its health was %s.",
               arm->data.scenario, arm->data.name, arm->data.requests_completed,
               arm->data.requests_planned, arm->data.restarts, arm->data.health_state);
}

int evidence_of_heap(struct store *store, struct arm_findings *arm, unsigned *next,
                     struct error *err)
{
    return add(store, arm, next, arm->leading.level,
               (struct source){"heap_stack", arm->leading.stack_id}, err,
               "%s/%s lifetime %u, heap profile: %s", arm->data.scenario, arm->data.name,
               arm->leading.lifetime, arm->leading.sentence);
}

char *evidence_ids_json(const struct arm_findings *arm)
{
    AUTO_BUFFER text = {0};
    buffer_puts(&text, "[");
    for (size_t i = 0; i < arm->evidence_count; i++)
        buffer_printf(&text, "%s\"E%u\"", i ? "," : "", arm->evidence[i]);
    buffer_puts(&text, "]");
    return buffer_steal(&text);
}
