/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/arm_rows.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

/* {"K": "V"} from "K=V" lines, as text; free() it. NULL on failed allocation. */
static char *env_json(char *const *env)
{
    json_t *object = json_object();
    for (size_t i = 0; env && env[i]; i++) {
        const char *equals = strchr(env[i], '=');
        if (!equals)
            continue;
        AUTO_FREE char *name = strndup(env[i], (size_t)(equals - env[i]));
        if (name)
            json_object_set_new(object, name, json_string(equals + 1));
    }
    char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(object);
    return text;
}

static char *list_json(char *const *list)
{
    json_t *array = json_array();
    for (size_t i = 0; list && list[i]; i++)
        json_array_append_new(array, json_string(list[i]));
    char *text = json_dumps(array, JSON_COMPACT);
    json_decref(array);
    return text;
}

static const char *reference_name(const struct scenario_plan *scenario, const struct arm_plan *arm)
{
    if (arm->reference < 0)
        return NULL;
    return arm_kind_name(scenario->arms[arm->reference].kind);
}

int arm_rows_started(struct store *store, const struct scenario_plan *scenario,
                     const struct arm_plan *arm, const struct revision_template *template,
                     const struct traffic_plan *traffic, int64_t *ret_arm_id, struct error *err)
{
    AUTO_FREE char *sequence = traffic_plan_text(traffic);
    AUTO_FREE char *command = list_json(arm->command);
    AUTO_FREE char *env = env_json(arm->env);
    AUTO_FREE char *differs_in = list_json(arm->differs_in);
    AUTO_FREE char *revision = revision_name(template);
    if (!sequence || !command || !env || !differs_in || !revision)
        return error_errno(err, ENOMEM, "recording the arm");

    char sha256[SHA256_TEXT_MAX];
    sha256_hex(sequence, strlen(sequence), sha256);
    const struct store_value cpu = arm->cpu_cores > 0
                                       ? (struct store_value)STORE_DBL("cpu_cores", arm->cpu_cores)
                                       : (struct store_value)STORE_NIL("cpu_cores");
    const struct store_value stop = arm->kill_stop > 0
                                        ? (struct store_value)STORE_INT("kill_stop", arm->kill_stop)
                                        : (struct store_value)STORE_NIL("kill_stop");
    const struct store_value values[] = {
        STORE_STR("scenario", scenario->name),
        STORE_STR("name", arm_kind_name(arm->kind)),
        STORE_STR("reference", reference_name(scenario, arm)),
        STORE_STR("differs_in", differs_in),
        STORE_STR("purpose", arm_kind_purpose(arm->kind)),
        STORE_STR("app", scenario->app),
        STORE_STR("revision", revision),
        STORE_STR("command", command),
        STORE_STR("env", env),
        STORE_INT("memory_limit_bytes", arm->memory_bytes),
        cpu,
        stop,
        STORE_INT("requests_planned", traffic_plan_requests(traffic)),
        STORE_STR("sequence_sha256", sha256),
        STORE_INT("started_ns", clock_monotonic_ns()),
        STORE_END,
    };
    return store_insert(store, "arm", values, ret_arm_id, err);
}

int arm_rows_traffic_started(struct store *store, int64_t arm_id,
                             const struct traffic_plan *traffic, int64_t started_ns,
                             struct error *err)
{
    size_t count = 0;
    const struct traffic_phase_span *spans = traffic_plan_phases(traffic, &count);
    for (size_t i = 0; i < count; i++) {
        const struct store_value values[] = {
            STORE_INT("arm_id", arm_id),
            STORE_STR("kind", traffic_phase_name(spans[i].phase)),
            STORE_INT("cycle", spans[i].cycle),
            STORE_INT("started_ns", started_ns + spans[i].start_ns),
            STORE_INT("ended_ns", started_ns + spans[i].end_ns),
            STORE_END,
        };
        int r = store_insert(store, "phase", values, NULL, err);
        if (r < 0)
            return r;
    }
    const struct store_value key = STORE_INT("id", arm_id);
    const struct store_value values[] = {STORE_INT("traffic_started_ns", started_ns), STORE_END};
    return store_update(store, "arm", &key, values, err);
}

int arm_rows_apply_outcome(struct store_batch *batch, const void *record, void *context,
                           bool *durable, struct error *err)
{
    (void)context;
    const struct traffic_outcome *o = record;
    *durable = false;
    const struct store_value sent = o->sent_ns != 0
                                        ? (struct store_value)STORE_INT("sent_ns", o->sent_ns)
                                        : (struct store_value)STORE_NIL("sent_ns");
    const struct store_value values[] = {
        STORE_INT("arm_id", o->arm_id),
        STORE_INT("seq", o->seq),
        STORE_INT("cycle", o->cycle),
        STORE_INT("due_ns", o->due_ns),
        sent,
        STORE_INT("done_ns", o->done_ns),
        STORE_INT("status", o->status),
        STORE_STR("error", o->error[0] != '\0' ? o->error : NULL),
        STORE_END,
    };
    return store_batch_insert(batch, "request", values, NULL, err);
}

static int run_sql(struct store *store, const char *sql, int64_t arm_id, int64_t at_ns,
                   struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int r = store_prepare(store, sql, &statement, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(statement, 1, arm_id);
    sqlite3_bind_int64(statement, 2, at_ns);
    int step = sqlite3_step(statement);
    if (step == SQLITE_FULL)
        r = error_set(err, ENOSPC,
                      "closing the arm's record: no space left on the device; free some, or choose "
                      "another place with --output");
    else if (step != SQLITE_DONE)
        r = error_set(err, EIO, "closing the arm's record: %s", sqlite3_errstr(step));
    sqlite3_finalize(statement);
    return r;
}

/* One replica: a response came from the lifetime that had been started last by then. */
int arm_rows_answered_by(struct store *store, int64_t arm_id, int64_t now_ns, struct error *err)
{
    return run_sql(store,
                   "UPDATE request SET lifetime_id = (SELECT max(id) FROM lifetime l"
                   " WHERE l.arm_id = ?1 AND l.started_ns <= request.done_ns)"
                   " WHERE arm_id = ?1 AND status > 0 AND done_ns <= ?2 AND lifetime_id IS NULL",
                   arm_id, now_ns, err);
}

static int find_last_cycle(struct store *store, int64_t arm_id, unsigned *ret, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int r =
        store_prepare(store, "SELECT max(cycle) FROM request WHERE arm_id = ?1", &statement, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(statement, 1, arm_id);
    *ret = sqlite3_step(statement) == SQLITE_ROW ? (unsigned)sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return 0;
}

int arm_rows_shorten(struct store *store, int64_t arm_id, struct traffic_spec spec,
                     int64_t started_ns, struct error *err)
{
    unsigned cycles = 0;
    int r = find_last_cycle(store, arm_id, &cycles, err);
    if (r < 0 || cycles >= spec.cycles)
        return r;
    spec.cycles = cycles > 0 ? cycles : 1;
    struct traffic_plan *sent = NULL;
    r = traffic_plan_new(&spec, &sent, err);
    if (r < 0)
        return r;
    const struct store_value key = STORE_INT("id", arm_id);
    const struct store_value values[] = {STORE_INT("requests_planned", traffic_plan_requests(sent)),
                                         STORE_END};
    r = run_sql(store, "DELETE FROM phase WHERE arm_id = ?1 AND ?2 > 0", arm_id, started_ns, err);
    if (r == 0)
        r = arm_rows_traffic_started(store, arm_id, sent, started_ns, err);
    if (r == 0)
        r = store_update(store, "arm", &key, values, err);
    traffic_plan_free(sent);
    return r;
}

int arm_rows_ended(struct store *store, int64_t arm_id, const char *because,
                   const char *stop_reason, const struct revision_states *states, struct error *err)
{
    int64_t now = clock_monotonic_ns();
    const struct store_value key = STORE_INT("id", arm_id);
    const struct store_value values[] = {
        STORE_INT("ended_ns", now),
        STORE_STR("ended_because", because),
        STORE_STR("stop_reason", stop_reason),
        STORE_STR("health_state", states->health),
        STORE_STR("provisioning_state", states->provisioning),
        STORE_STR("running_state", states->running),
        STORE_END,
    };
    int r = store_update(store, "arm", &key, values, err);
    if (r == 0)
        r = run_sql(store, "DELETE FROM phase WHERE arm_id = ?1 AND started_ns >= ?2", arm_id, now,
                    err);
    if (r == 0)
        r = run_sql(store, "UPDATE phase SET ended_ns = ?2 WHERE arm_id = ?1 AND ended_ns > ?2",
                    arm_id, now, err);
    if (r == 0)
        r = arm_rows_answered_by(store, arm_id, now, err);
    return r;
}
