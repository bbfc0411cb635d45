/* SPDX-License-Identifier: Apache-2.0 */
#include "base/duration.h"
#include "lab/plan_value.h"

#include <string.h>

/* Seconds read better than nanoseconds, and nobody computes with this object. */
static json_t *seconds(int64_t ns)
{
    return json_real((double)ns / 1e9);
}

/* Bodies and environments may hold bytes that are no UTF-8: JSON cannot carry those. */
static json_t *text_json(const char *text, size_t length)
{
    json_t *json = json_stringn(text, length);
    return json ? json : json_pack("{s:I}", "bytes_not_utf8", (json_int_t)length);
}

static json_t *texts_json(const char *const *texts)
{
    json_t *list = json_array();
    for (; texts && *texts; texts++)
        json_array_append_new(list, text_json(*texts, strlen(*texts)));
    return list;
}

static json_t *env_json(char *const *env)
{
    json_t *object = json_object();
    for (; *env; env++) {
        size_t length = strcspn(*env, "=");
        const char *value = *env + length + 1;
        json_object_setn_new(object, *env, length, text_json(value, strlen(value)));
    }
    return object;
}

static json_t *arm_json(const struct scenario_plan *scenario, const struct arm_plan *arm)
{
    const char *reference = NULL;
    if (arm->reference >= 0)
        reference = arm_kind_name(scenario->arms[arm->reference].kind);
    return json_pack("{s:s, s:s, s:s?, s:o, s:o, s:I, s:o, s:o, s:o}", "name",
                     arm_kind_name(arm->kind), "purpose", arm_kind_purpose(arm->kind), "reference",
                     reference, "command", texts_json((const char *const *)arm->command), "env",
                     env_json(arm->env), "memory_limit_bytes", (json_int_t)arm->memory_bytes,
                     "cpu_cores", arm->cpu_cores > 0 ? json_real(arm->cpu_cores) : json_null(),
                     "kill_stop", arm->kill_stop > 0 ? json_integer(arm->kill_stop) : json_null(),
                     "differs_in", texts_json((const char *const *)arm->differs_in));
}

static json_t *request_json(const struct traffic_request *request)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:f}", "method", request->method, "path",
                     text_json(request->path, strlen(request->path)), "headers",
                     texts_json(request->headers), "body",
                     request->body ? text_json(request->body, request->body_bytes) : json_null(),
                     "weight", request->weight);
}

static json_t *traffic_json(const struct traffic_spec *traffic)
{
    json_t *requests = json_array();
    for (size_t i = 0; i < traffic->request_count; i++)
        json_array_append_new(requests, request_json(&traffic->requests[i]));
    return json_pack("{s:i, s:i, s:f, s:s, s:o, s:o, s:o, s:o}", "cycles", (int)traffic->cycles,
                     "per_cycle", (int)traffic->per_cycle, "rate_per_s", traffic->rate_per_s,
                     "arrival", traffic->arrival == TRAFFIC_POISSON ? "poisson" : "uniform",
                     "idle_s", seconds(traffic->idle_ns), "gap_s", seconds(traffic->gap_ns),
                     "cooldown_s", seconds(traffic->cooldown_ns), "requests", requests);
}

static json_t *scenario_json(const struct scenario_plan *scenario)
{
    json_t *arms = json_array();
    for (size_t i = 0; i < scenario->arm_count; i++)
        json_array_append_new(arms, arm_json(scenario, &scenario->arms[i]));
    return json_pack("{s:s, s:s, s:s, s:b, s:o*, s:o, s:o}", "name", scenario->name, "app",
                     scenario->app, "expect", expectation_name(scenario->expect), "until_settled",
                     scenario->until_settled, "confidence",
                     scenario->until_settled ? json_real(scenario->confidence) : NULL, "traffic",
                     traffic_json(&scenario->traffic), "arms", arms);
}

static json_t *probe_json(const struct probe_spec *probe)
{
    static const char *const kinds[] = {
        [READY_NONE] = "none", [READY_TCP] = "tcp", [READY_HTTP] = "http"};
    if (probe->kind == READY_NONE)
        return json_null();
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:i}", "kind", kinds[probe->kind], "path",
        probe->kind == READY_HTTP ? text_json(probe->path, strlen(probe->path)) : json_null(),
        "period_s", seconds(probe->period_ns), "timeout_s", seconds(probe->timeout_ns), "delay_s",
        seconds(probe->initial_delay_ns), "failures", (int)probe->failure_threshold);
}

static json_t *backoff_json(const struct backoff_spec *backoff)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:f}", "name", backoff->name, "first_s",
                     seconds(backoff->first_ns), "max_s", seconds(backoff->max_ns), "reset_s",
                     seconds(backoff->reset_ns), "scale", backoff->scale);
}

json_t *plan_to_json(const struct plan *plan)
{
    json_t *scenarios = json_array();
    for (size_t i = 0; i < plan->scenario_count; i++)
        json_array_append_new(scenarios, scenario_json(&plan->scenarios[i]));
    return json_pack(
        "{s:s, s:o, s:o, s:b, s:b, s:b, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:I, s:I, s:o, "
        "s:o}",
        "name", plan->name, "question", text_json(plan->question, strlen(plan->question)), "port",
        plan->port > 0 ? json_integer(plan->port) : json_null(), "https", plan->https,
        "side_by_side", plan->side_by_side, "heap", plan->heap, "heap_rate_bytes",
        (json_int_t)plan->heap_rate_bytes, "ready", probe_json(&plan->readiness), "liveness",
        probe_json(&plan->liveness), "startup", probe_json(&plan->startup), "ready_deadline_s",
        seconds(plan->ready_deadline_ns), "deadline_s", seconds(plan->arm_deadline_ns), "backoff",
        backoff_json(&plan->backoff), "sample_rate_hz", plan->sample_rate_hz, "pids_max",
        (json_int_t)plan->pids_max, "seed", (json_int_t)plan->seed, "stop_grace_s",
        seconds(plan->stop_grace_ns), "scenarios", scenarios);
}
