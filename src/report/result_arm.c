/* SPDX-License-Identifier: Apache-2.0 */
/* The arms of the result object. */
#include "report/result.h"

#include <errno.h>
#include <string.h>

static int no_memory(struct error *err)
{
    return error_errno(err, ENOMEM, "making the result");
}

static bool is_oom(const char *cause)
{
    return cause && (strcmp(cause, "oom-container-limit") == 0 ||
                     strcmp(cause, "oom-ancestor-limit") == 0 || strcmp(cause, "oom-host") == 0);
}

/* A kill is a lifetime that ended by it: one kill can be several rows and, with a group kill,
 * several processes. */
static json_int_t count_kills(const json_t *lifetimes)
{
    json_int_t kills = 0;
    size_t index;
    json_t *lifetime;
    json_array_foreach(lifetimes, index, lifetime)
    {
        json_t *end = json_object_get(lifetime, "end");
        kills += is_oom(json_string_value(json_object_get(end, "cause")));
    }
    return kills;
}

static int add_lifetimes(struct store *store, const struct run_clock *clock, int64_t arm_id,
                         json_t *arm, struct error *err)
{
    json_t *lifetimes = NULL;
    int r = result_lifetimes(store, clock, arm_id, &lifetimes, err);
    if (r < 0)
        return r;
    bool failed = false;
    AUTO_ROWS rows = {0};
    r = rows_query(
        &rows, store,
        /* logs of kills alone tell of no restart: a kill may have been a child's */
        "WITH told AS (SELECT f.origin IN ('kernel-log', 'killer-log') AS kills_only"
        " FROM fact f JOIN place p ON p.id = f.place_id WHERE p.arm_id = ?1),"
        /* a sampled count that falls began anew from 0, as for increase() */
        " counts AS (SELECT f.value, lag(f.value) OVER (ORDER BY f.at_ns, f.id) AS before"
        " FROM fact f JOIN place p ON p.id = f.place_id WHERE p.arm_id = ?1"
        " AND f.kind = 'restart-count' AND f.origin = 'prometheus')"
        " SELECT max((count(*) - count(DISTINCT replica))"
        " * NOT coalesce((SELECT min(kills_only) FROM told), 0),"
        /* a platform's own count knows restarts that no row tells of */
        " coalesce((SELECT CAST(max(f.value) AS INTEGER) FROM fact f JOIN place p"
        " ON p.id = f.place_id WHERE p.arm_id = ?1 AND f.kind = 'restart-count'), 0),"
        " coalesce((SELECT CAST(sum(value - CASE WHEN value >= before THEN before"
        " ELSE 0 END) AS INTEGER) FROM counts), 0))"
        " FROM lifetime WHERE arm_id = ?1",
        arm_id, err);
    if (r == 0)
        r = rows_next(&rows, err);
    result_set(arm, "oom_kills", json_integer(count_kills(lifetimes)), &failed);
    if (r == 1)
        result_set(arm, "restarts", row_json_integer(&rows, 0), &failed);
    result_set(arm, "lifetimes", lifetimes, &failed);
    return r < 0 ? r : failed ? no_memory(err) : 0;
}

static json_t *moment_json(const struct rows *rows, int column, const struct run_clock *clock)
{
    return row_is_null(rows, column) ? json_null()
                                     : run_clock_json(clock, row_integer(rows, column));
}

static json_t *arm_row(const struct rows *rows, const struct run_clock *clock)
{
    bool failed = false;
    json_t *arm = json_object();
    result_set(arm, "name", row_json_text(rows, 1), &failed);
    result_set(arm, "scenario", row_json_text(rows, 2), &failed);
    result_set(arm, "revision", row_json_text(rows, 3), &failed);
    result_set(arm, "differs_in", row_json_strings(rows, 4), &failed);
    result_set(arm, "reference", row_json_text(rows, 5), &failed);
    result_set(arm, "purpose", row_json_text(rows, 6), &failed);
    result_set(arm, "command", row_json_strings(rows, 7), &failed);
    result_set(arm, "memory_limit_bytes", row_json_integer(rows, 8), &failed);
    result_set(arm, "cpu_cores", row_json_real(rows, 9), &failed);
    result_set(arm, "started_at", moment_json(rows, 10, clock), &failed);
    result_set(arm, "ended_at", moment_json(rows, 11, clock), &failed);
    result_set(arm, "ended_because", row_json_text(rows, 12), &failed);
    result_set(arm, "stop_reason", row_json_text(rows, 16), &failed);
    result_set(arm, "health_state", row_json_text(rows, 13), &failed);
    result_set(arm, "provisioning_state", row_json_text(rows, 14), &failed);
    result_set(arm, "running_state", row_json_text(rows, 15), &failed);
    result_set(arm, "row", row_json_integer(rows, 0), &failed);
    if (!failed)
        return arm;
    json_decref(arm);
    return NULL;
}

static int complete_arm(struct store *store, const struct run_clock *clock, int64_t arm_id,
                        json_t *arm, struct error *err)
{
    json_t *verdict = NULL;
    json_t *requests = NULL;
    bool failed = false;
    int r = result_requests(store, arm_id, &requests, err);
    result_set(arm, "requests", requests, &failed);
    if (r == 0)
        r = result_verdict(store, arm_id, &verdict, err);
    if (r == 0)
        result_set(arm, "verdict", verdict, &failed);
    if (r == 0)
        r = add_lifetimes(store, clock, arm_id, arm, err);
    return r < 0 ? r : failed ? no_memory(err) : 0;
}

int result_arms(struct store *store, const struct run_clock *clock, json_t **ret, struct error *err)
{
    AUTO_ROWS rows = {0};
    *ret = json_array();
    int r = rows_query(
        &rows, store,
        "SELECT id, name, scenario, revision, differs_in, reference, purpose, command,"
        " memory_limit_bytes, cpu_cores, started_ns, ended_ns, ended_because,"
        " health_state, provisioning_state, running_state, stop_reason FROM arm ORDER BY id",
        0, err);
    while (r >= 0 && (r = rows_next(&rows, err)) == 1) {
        json_t *arm = arm_row(&rows, clock);
        if (json_array_append_new(*ret, arm) < 0)
            return no_memory(err);
        r = complete_arm(store, clock, row_integer(&rows, 0), arm, err);
    }
    return r < 0 ? r : 0;
}
