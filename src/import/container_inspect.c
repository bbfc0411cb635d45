/* SPDX-License-Identifier: Apache-2.0 */
/* `docker inspect` and `podman inspect`: one object a container, with the state of its last
 * lifetime. OOMKilled is what the engine noticed: with Docker a kill of any process since the
 * start, and Podman has been seen to leave it false for kills that the kernel log proves. */
#include "import/formats.h"

#include "base/cleanup.h"

#include <math.h>
#include <string.h>

bool import_container_inspect_matches(const struct head *head, const struct import_options *options)
{
    (void)options;
    char first = head_first(head);
    return (first == '[' || first == '{') && head_has(head, "\"State\"") &&
           head_has(head, "\"OOMKilled\"");
}

/* Docker writes 0001-01-01 for "never". */
static int64_t time_at(const json_t *object, const char *path)
{
    const char *text = json_text_at(object, path);
    return text && strncmp(text, "0001-", 5) != 0 ? fact_time(text) : FACT_TIME_UNKNOWN;
}

static const char *filled(const char *text)
{
    return text && *text ? text : NULL;
}

static const char *label_of(const json_t *object, const char *name)
{
    const json_t *labels = json_at(object, "Config.Labels");
    return filled(json_string_value(json_object_get(labels, name)));
}

/* Under a kubelet (cri-dockerd, CRI-O's podman view) the labels have the pod's names. */
static struct fact_place place_of(const json_t *object)
{
    const char *name = filled(json_text_at(object, "Name"));
    struct fact_place place = {.container_id = filled(json_text_at(object, "Id"))};
    place.replica = label_of(object, "io.kubernetes.pod.name");
    if (place.replica) {
        place.app = label_of(object, "io.kubernetes.pod.namespace");
        place.container = label_of(object, "io.kubernetes.container.name");
        place.pod_uid = label_of(object, "io.kubernetes.pod.uid");
    } else {
        place.replica = name && name[0] == '/' ? name + 1 : name;
    }
    return place;
}

struct state {
    const json_t *object;
    struct fact_place place;
    uint64_t line;
    bool running, oom_killed;
    int64_t started_ns, finished_ns;
    int exit_code;
    const char *fault;
};

static void read_state(const json_t *object, uint64_t line, const struct fact_sink *sink,
                       struct state *ret)
{
    *ret = (struct state){
        .object = object,
        .place = place_of(object),
        .line = line,
        /* A container that Docker restarts counts as running while it waits. */
        .running = json_is_true(json_at(object, "State.Running")) &&
                   !json_is_true(json_at(object, "State.Restarting")),
        .oom_killed = json_is_true(json_at(object, "State.OOMKilled")),
        .started_ns = time_at(object, "State.StartedAt"),
        .finished_ns = time_at(object, "State.FinishedAt"),
        .exit_code = fact_exit_code(json_number_at(object, "State.ExitCode"), line, sink),
        .fault = filled(json_text_at(object, "State.Error")),
    };
}

static void begin(struct fact *fact, enum fact_kind kind, const struct state *state)
{
    fact_init(fact, kind, ORIGIN_DOCKER, state->line);
    fact->place = state->place;
}

static int give_setting(const struct state *state, const struct fact_sink *sink, struct error *err)
{
    struct fact fact;
    begin(&fact, FACT_CONTAINER, state);
    fact.at_ns = time_at(state->object, "Created");
    int r = fact_give(sink, &fact, err);
    begin(&fact, FACT_LIMIT, state);
    fact.value = json_number_at(state->object, "HostConfig.Memory");
    if (r >= 0 && fact.value >= 0) /* 0: none */
        r = fact_give(sink, &fact, err);
    begin(&fact, FACT_RESTART_COUNT, state);
    fact.value = json_number_at(state->object, "RestartCount");
    if (r >= 0 && !isnan(fact.value))
        r = fact_give(sink, &fact, err);
    return r;
}

/* It runs: the exit code is 0 and means nothing, but FinishedAt is still the end of the lifetime
 * before, and OOMKilled is about this one. */
static int give_running(const struct state *state, const struct fact_sink *sink, struct error *err)
{
    struct fact fact;
    int r = 0;
    if (state->finished_ns != FACT_TIME_UNKNOWN) {
        begin(&fact, FACT_END, state);
        fact.at_ns = state->finished_ns;
        r = fact_give(sink, &fact, err);
    }
    begin(&fact, FACT_RUNNING, state);
    fact.started_ns = state->started_ns;
    if (r >= 0)
        r = fact_give(sink, &fact, err);
    if (r >= 0 && state->oom_killed) {
        begin(&fact, FACT_OOM_KILL, state);
        fact.reason = "OOMKilled";
        r = fact_give(sink, &fact, err);
    }
    return r;
}

/* FinishedAt comes from a coarser clock than StartedAt and can be a little before it, though both
 * are about the same lifetime: when it started is then not known well enough to say. */
static int64_t start_of_ended(const struct state *state)
{
    bool both = state->started_ns != FACT_TIME_UNKNOWN && state->finished_ns != FACT_TIME_UNKNOWN;
    return both && state->started_ns >= state->finished_ns ? FACT_TIME_UNKNOWN : state->started_ns;
}

static int give_ended(const struct state *state, const struct fact_sink *sink, struct error *err)
{
    struct fact fact;
    if (state->finished_ns == FACT_TIME_UNKNOWN && state->started_ns == FACT_TIME_UNKNOWN &&
        !state->fault)
        return 0; /* created, never started */
    bool never = state->fault && state->started_ns == FACT_TIME_UNKNOWN;
    begin(&fact, never ? FACT_IMAGE_FAILURE : FACT_END, state);
    fact.at_ns = state->finished_ns;
    fact.started_ns = start_of_ended(state);
    fact.exit_code = state->exit_code;
    fact.oom_killed = state->oom_killed;
    fact.reason = never ? "ContainerCreateFailure" : state->oom_killed ? "OOMKilled" : NULL;
    fact.text = state->fault;
    int r = fact_give(sink, &fact, err);
    if (r < 0 || !json_is_true(json_at(state->object, "State.Restarting")))
        return r;
    begin(&fact, FACT_BACKOFF, state);
    return fact_give(sink, &fact, err);
}

static int give_health(const struct state *state, const struct fact_sink *sink, struct error *err)
{
    const char *health = filled(json_text_at(state->object, "State.Health.Status"));
    struct fact fact;
    if (!health || strcmp(health, "none") == 0)
        return 0;
    begin(&fact, FACT_STATE, state);
    fact.reason = health;
    return fact_give(sink, &fact, err);
}

static int give_container(const json_t *object, uint64_t line, const struct fact_sink *sink,
                          struct error *err)
{
    struct state state;
    if (!json_is_object(json_object_get(object, "State"))) {
        fact_warn(sink, line, "an object without \"State\" was passed over: no container");
        return 0;
    }
    read_state(object, line, sink, &state);
    int r = give_setting(&state, sink, err);
    if (r >= 0)
        r = state.running ? give_running(&state, sink, err) : give_ended(&state, sink, err);
    return r < 0 ? r : give_health(&state, sink, err);
}

static void cleanup_json(json_t **json)
{
    json_decref(*json);
}

int import_container_inspect_read(struct input *input, const struct fact_sink *sink,
                                  struct error *err)
{
    for (;;) {
        CLEANUP(cleanup_json) json_t *object = NULL;
        uint64_t line;
        int r = input_json(input, &object, &line, err);
        if (r <= 0)
            return r;
        r = give_container(object, line, sink, err);
        if (r < 0)
            return r;
    }
}
