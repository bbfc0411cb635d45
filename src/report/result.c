/* SPDX-License-Identifier: Apache-2.0 */
/* The contract object, from the evidence file alone. */
#include "report/result.h"

#include "base/clock.h"
#include "report/report.h"

#include <errno.h>
#include <string.h>

void result_set(json_t *object, const char *key, json_t *value, bool *failed)
{
    if (!value || json_object_set_new(object, key, value) < 0)
        *failed = true;
}

static int no_memory(struct error *err)
{
    return error_errno(err, ENOMEM, "making the result");
}

int run_clock_read(struct store *store, struct run_clock *ret, struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store, "SELECT started_at_ns, monotonic_zero_ns FROM run", 0, err);
    if (r == 0)
        r = rows_next(&rows, err);
    if (r == 0)
        return error_usage(err,
                           "the evidence file holds no run; oomlab was stopped before it began");
    if (r < 0)
        return r;
    *ret =
        (struct run_clock){.started_ns = row_integer(&rows, 0), .zero_ns = row_integer(&rows, 1)};
    return 0;
}

json_t *run_clock_json(const struct run_clock *clock, int64_t monotonic_ns)
{
    char text[TIMESTAMP_TEXT_MAX];
    return json_string(timestamp_format(clock->started_ns + (monotonic_ns - clock->zero_ns), text));
}

static json_t *host_json(const struct rows *rows, int column)
{
    bool failed = false;
    json_t *host = json_object();
    result_set(host, "kernel", row_json_text(rows, column), &failed);
    result_set(host, "cgroup_version", row_json_integer(rows, column + 1), &failed);
    result_set(host, "cpus", row_json_integer(rows, column + 2), &failed);
    result_set(host, "memory_bytes", row_json_integer(rows, column + 3), &failed);
    return host;
}

static json_t *duration_json(const struct rows *rows, int ended, const struct run_clock *clock)
{
    if (row_is_null(rows, ended))
        return json_null();
    return json_real((double)(row_integer(rows, ended) - clock->zero_ns) / 1e9);
}

static int result_run(struct store *store, const struct run_clock *clock, json_t **ret,
                      struct error *err)
{
    AUTO_ROWS rows = {0};
    int r =
        rows_query(&rows, store,
                   "SELECT id, lab, started_at_ns, ended_ns, tool_version, kernel,"
                   " cgroup_version, cpus, memory_bytes, command, seed, sample_rate_hz, backoff,"
                   " backoff_scale, kernel_log, dropped_observations, exit_status,"
                   " ended_ns IS NULL OR EXISTS"
                   " (SELECT 1 FROM arm WHERE ended_because = 'interrupted'),"
                   " ifnull(json_extract(lab_json, '$.side_by_side'), 0) FROM run",
                   0, err);
    if (r == 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    bool failed = false;
    json_t *run = json_object();
    result_set(run, "id", row_json_text(&rows, 0), &failed);
    result_set(run, "lab", row_json_text(&rows, 1), &failed);
    result_set(run, "started_at", run_clock_json(clock, clock->zero_ns), &failed);
    result_set(run, "duration_s", duration_json(&rows, 3, clock), &failed);
    result_set(run, "interrupted", row_json_boolean(&rows, 17), &failed);
    result_set(run, "side_by_side", row_json_boolean(&rows, 18), &failed);
    result_set(run, "tool_version", row_json_text(&rows, 4), &failed);
    result_set(run, "host", host_json(&rows, 5), &failed);
    result_set(run, "command", row_json_text(&rows, 9), &failed);
    result_set(run, "seed", row_json_integer(&rows, 10), &failed);
    result_set(run, "sample_rate_hz", row_json_real(&rows, 11), &failed);
    result_set(run, "backoff", row_json_text(&rows, 12), &failed);
    result_set(run, "backoff_scale", row_json_real(&rows, 13), &failed);
    result_set(run, "kernel_log", row_json_boolean(&rows, 14), &failed);
    result_set(run, "dropped_observations", row_json_integer(&rows, 15), &failed);
    result_set(run, "exit_status", row_json_integer(&rows, 16), &failed);
    *ret = run;
    return failed ? no_memory(err) : 0;
}

static json_t *verdict_missing(int64_t arm_id)
{
    return json_pack("{s:s, s:f, s:n, s:s, s:[], s:s, s:s}", "class", "inconclusive", "confidence",
                     0.0, "driver", "level", "Not Proven", "because", "summary",
                     arm_id ? "This arm was not judged: the run ended before its analysis."
                            : "The run was not judged: it ended before its analysis.",
                     "would_settle", "A complete run.");
}

static json_t *verdict_row(const struct rows *rows)
{
    bool failed = false;
    json_t *verdict = json_object();
    result_set(verdict, "class", row_json_text(rows, 0), &failed);
    result_set(verdict, "confidence", row_json_real(rows, 1), &failed);
    result_set(verdict, "driver", row_json_text(rows, 2), &failed);
    result_set(verdict, "level", row_json_text(rows, 3), &failed);
    result_set(verdict, "because", row_json_strings(rows, 4), &failed);
    result_set(verdict, "summary", row_json_text(rows, 5), &failed);
    result_set(verdict, "would_settle", row_json_text(rows, 6), &failed);
    json_t *growth = json_object();
    result_set(growth, "bytes_per_request", row_json_real(rows, 7), &failed);
    result_set(growth, "bytes_per_second", row_json_real(rows, 8), &failed);
    result_set(growth, "ci95", json_pack("[o, o]", row_json_real(rows, 9), row_json_real(rows, 10)),
               &failed);
    result_set(verdict, "growth", growth, &failed);
    if (!failed)
        return verdict;
    json_decref(verdict);
    return NULL;
}

int result_verdict(struct store *store, int64_t arm_id, json_t **ret, struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store,
                       "SELECT class, confidence, driver, level, because, summary, would_settle,"
                       " growth_bytes_per_request, growth_bytes_per_s, growth_low, growth_high"
                       " FROM verdict WHERE coalesce(arm_id, 0) = ?1 ORDER BY rowid DESC LIMIT 1",
                       arm_id, err);
    if (r == 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    *ret = r == 1 ? verdict_row(&rows) : verdict_missing(arm_id);
    if (!*ret)
        return no_memory(err);
    r = result_add_kinds(store, arm_id, *ret, err);
    if (r >= 0 && arm_id != 0)
        r = result_add_caveats(store, arm_id, *ret, err);
    return r < 0 ? r : result_add_leading_stack(store, arm_id, *ret, err);
}

static int result_predictions(struct store *store, const struct run_clock *clock, json_t **ret,
                              struct error *err)
{
    (void)clock;
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store,
                       "SELECT p.made_at_ns, p.sha256, p.for_arm, p.hypothesis, p.metric, p.low,"
                       " p.high, p.observed, p.holds, p.scenario, p.id, p.text,"
                       " (a.started_ns - p.made_ns) / 1e9"
                       " FROM prediction p LEFT JOIN arm a ON a.id = p.arm_id ORDER BY p.id",
                       0, err);
    bool failed = false;
    *ret = json_array();
    while (r >= 0 && (r = rows_next(&rows, err)) == 1) {
        char made_at[TIMESTAMP_TEXT_MAX];
        json_t *item = json_object();
        result_set(item, "made_at", json_string(timestamp_format(row_integer(&rows, 0), made_at)),
                   &failed);
        result_set(item, "sha256", row_json_text(&rows, 1), &failed);
        result_set(item, "scenario", row_json_text(&rows, 9), &failed);
        result_set(item, "for_arm", row_json_text(&rows, 2), &failed);
        result_set(item, "hypothesis", row_json_text(&rows, 3), &failed);
        result_set(item, "metric", row_json_text(&rows, 4), &failed);
        result_set(item, "low", row_json_real(&rows, 5), &failed);
        result_set(item, "high", row_json_real(&rows, 6), &failed);
        result_set(item, "observed", row_json_real(&rows, 7), &failed);
        result_set(item, "holds", row_json_boolean(&rows, 8), &failed);
        result_set(item, "row", row_json_integer(&rows, 10), &failed);
        result_set(item, "text", row_json_text(&rows, 11), &failed);
        result_set(item, "made_before_arm_s", row_json_real(&rows, 12), &failed);
        json_array_append_new(*ret, item);
    }
    return r < 0 ? r : failed ? no_memory(err) : 0;
}

/* The checks of all gates, each added to its gate (which come in the same order). */
static int add_checks(struct store *store, json_t *gates, struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store,
                       "SELECT gate_id, id, pass, observed, threshold, evidence FROM gate_check"
                       " ORDER BY rowid",
                       0, err);
    bool failed = false;
    while (r >= 0 && (r = rows_next(&rows, err)) == 1) {
        json_t *gate_id = row_json_text(&rows, 0);
        json_t *check = json_object();
        result_set(check, "id", row_json_text(&rows, 1), &failed);
        result_set(check, "pass", row_json_boolean(&rows, 2), &failed);
        result_set(check, "observed", row_json_text(&rows, 3), &failed);
        result_set(check, "threshold", row_json_text(&rows, 4), &failed);
        result_set(check, "evidence", row_json_strings(&rows, 5), &failed);
        size_t index;
        json_t *gate;
        json_array_foreach(gates, index, gate)
        {
            if (json_equal(json_object_get(gate, "id"), gate_id))
                json_array_append(json_object_get(gate, "checks"), check);
        }
        json_decref(check);
        json_decref(gate_id);
    }
    return r < 0 ? r : failed ? no_memory(err) : 0;
}

static int result_gates(struct store *store, const struct run_clock *clock, json_t **ret,
                        struct error *err)
{
    (void)clock;
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store,
                       "SELECT id, scenario, hypothesis, pass FROM gate ORDER BY rowid", 0, err);
    bool failed = false;
    *ret = json_array();
    while (r >= 0 && (r = rows_next(&rows, err)) == 1) {
        json_t *gate = json_object();
        result_set(gate, "id", row_json_text(&rows, 0), &failed);
        result_set(gate, "scenario", row_json_text(&rows, 1), &failed);
        result_set(gate, "hypothesis", row_json_text(&rows, 2), &failed);
        result_set(gate, "pass", row_json_boolean(&rows, 3), &failed);
        result_set(gate, "checks", json_array(), &failed);
        json_array_append_new(*ret, gate);
    }
    if (r < 0)
        return r;
    return failed ? no_memory(err) : add_checks(store, *ret, err);
}

static int result_evidence(struct store *store, const struct run_clock *clock, json_t **ret,
                           struct error *err)
{
    (void)clock;
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store,
                       "SELECT e.id, e.level, e.statement, a.scenario || '/' || a.name,"
                       " e.source_table, e.source_row, s.name, f.line FROM evidence e"
                       " LEFT JOIN arm a ON a.id = e.arm_id"
                       " LEFT JOIN fact f ON e.source_table = 'fact'"
                       " AND f.id = CAST(e.source_row AS INTEGER)"
                       " LEFT JOIN source s ON s.id = f.source_id"
                       " ORDER BY length(e.id), e.id",
                       0, err);
    bool failed = false;
    *ret = json_array();
    while (r >= 0 && (r = rows_next(&rows, err)) == 1) {
        json_t *item = json_object();
        json_t *source = json_object();
        result_set(item, "id", row_json_text(&rows, 0), &failed);
        result_set(item, "level", row_json_text(&rows, 1), &failed);
        result_set(item, "statement", row_json_text(&rows, 2), &failed);
        result_set(source, "arm", row_json_text(&rows, 3), &failed);
        result_set(source, "table", row_json_text(&rows, 4), &failed);
        result_set(source, "row", row_json_text(&rows, 5), &failed);
        if (!row_is_null(&rows, 6)) {
            result_set(source, "file", row_json_text(&rows, 6), &failed);
            result_set(source, "line", row_json_integer(&rows, 7), &failed);
        }
        result_set(item, "source", source, &failed);
        json_array_append_new(*ret, item);
    }
    return r < 0 ? r : failed ? no_memory(err) : 0;
}

static int result_run_verdict(struct store *store, const struct run_clock *clock, json_t **ret,
                              struct error *err)
{
    (void)clock;
    return result_verdict(store, 0, ret, err);
}

static int fill_result(struct store *store, json_t *result, struct error *err)
{
    static const struct {
        const char *key;
        int (*make)(struct store *store, const struct run_clock *clock, json_t **ret,
                    struct error *err);
    } parts[] = {
        {"run", result_run},
        {"verdict", result_run_verdict},
        {"arms", result_arms},
        {"predictions", result_predictions},
        {"gates", result_gates},
        {"evidence", result_evidence},
        {"recommendation", result_recommendation},
    };
    struct run_clock clock = {0};
    int r = run_clock_read(store, &clock, err);
    bool failed = r == 0 && json_object_set_new(result, "schema", json_string(REPORT_SCHEMA)) < 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && r == 0; i++) {
        json_t *part = NULL;
        r = parts[i].make(store, &clock, &part, err);
        result_set(result, parts[i].key, part, &failed);
    }
    return r < 0 ? r : failed ? no_memory(err) : 0;
}

int report_result(struct store *store, json_t **ret, struct error *err)
{
    json_t *result = json_object();
    int r = fill_result(store, result, err);
    if (r < 0) {
        json_decref(result);
        return r;
    }
    *ret = result;
    return 0;
}
