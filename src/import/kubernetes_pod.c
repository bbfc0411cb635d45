/* SPDX-License-Identifier: Apache-2.0 */
/* A Pod object: the limits of its spec and what its status says of every container, init and
 * ephemeral ones included. The status knows the last end and, while it lasts, the present one; of
 * all earlier ends only the restart count is left. */
#include "import/kubernetes.h"

#include "base/duration.h"
#include "base/size.h"

#include <math.h>
#include <string.h>

#define STATUS_LISTS 3

static const char *const SPEC_LISTS[STATUS_LISTS] = {"containers", "initContainers",
                                                     "ephemeralContainers"};
static const char *const STATUS_LIST_NAMES[STATUS_LISTS] = {
    "containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"};

/* "containerd://c09b..." without the runtime's name. */
static const char *bare_id(const char *id)
{
    const char *slashes = id ? strstr(id, "://") : NULL;
    const char *bare = slashes ? slashes + 3 : id;
    return bare && *bare ? bare : NULL;
}

static int give_end(const struct fact_place *place, const json_t *terminated, uint64_t line,
                    const struct fact_sink *sink, struct error *err)
{
    struct fact fact;
    fact_init(&fact, FACT_END, ORIGIN_KUBERNETES, line);
    fact.place = *place;
    const char *id = bare_id(json_text_at(terminated, "containerID"));
    if (id)
        fact.place.container_id = id;
    fact.at_ns = fact_time(json_text_at(terminated, "finishedAt"));
    fact.started_ns = fact_time(json_text_at(terminated, "startedAt"));
    fact.exit_code = fact_exit_code(json_number_at(terminated, "exitCode"), line, sink);
    double signal = json_number_at(terminated, "signal");
    fact.signal = signal > 0 && signal < 65 ? (int)signal : 0;
    fact.reason = json_text_at(terminated, "reason");
    fact.text = json_text_at(terminated, "message");
    fact.oom_killed = fact.reason && strcmp(fact.reason, "OOMKilled") == 0;
    return fact_give(sink, &fact, err);
}

static bool same_end(const json_t *a, const json_t *b)
{
    const char *at = json_text_at(a, "finishedAt"), *bt = json_text_at(b, "finishedAt");
    const char *ai = json_text_at(a, "containerID"), *bi = json_text_at(b, "containerID");
    return at && bt && strcmp(at, bt) == 0 && ai && bi && strcmp(ai, bi) == 0;
}

static int give_ends(const struct fact_place *place, const json_t *status, uint64_t line,
                     const struct fact_sink *sink, struct error *err)
{
    const json_t *last = json_at(status, "lastState.terminated");
    const json_t *now = json_at(status, "state.terminated");
    int r = 0;
    if (json_is_object(last))
        r = give_end(place, last, line, sink, err);
    if (r >= 0 && json_is_object(now) && !same_end(last, now))
        r = give_end(place, now, line, sink, err);
    return r;
}

int kubernetes_give_waiting(const struct fact_place *place, const char *reason, const char *message,
                            uint64_t line, const struct fact_sink *sink, struct error *err)
{
    static const char *const failures[] = {"ErrImagePull",         "ImagePullBackOff",
                                           "InvalidImageName",     "ErrImageNeverPull",
                                           "ImageInspectError",    "RegistryUnavailable",
                                           "CreateContainerError", "CreateContainerConfigError",
                                           "RunContainerError",    "SignatureValidationFailed"};
    if (!reason || strcmp(reason, "ContainerCreating") == 0 ||
        strcmp(reason, "PodInitializing") == 0)
        return 0;
    enum fact_kind kind = strcmp(reason, "CrashLoopBackOff") == 0 ? FACT_BACKOFF : FACT_STATE;
    for (size_t i = 0; i < sizeof(failures) / sizeof(*failures); i++) {
        if (strcmp(reason, failures[i]) == 0)
            kind = FACT_IMAGE_FAILURE;
    }
    struct fact fact;
    fact_init(&fact, kind, ORIGIN_KUBERNETES, line);
    fact.place = *place;
    fact.reason = reason;
    fact.text = message;
    return fact_give(sink, &fact, err);
}

static int give_running(const struct fact_place *place, const json_t *status, uint64_t line,
                        const struct fact_sink *sink, struct error *err)
{
    const json_t *running = json_at(status, "state.running");
    if (!json_is_object(running))
        return 0;
    struct fact fact;
    fact_init(&fact, FACT_RUNNING, ORIGIN_KUBERNETES, line);
    fact.place = *place;
    fact.started_ns = fact_time(json_text_at(running, "startedAt"));
    return fact_give(sink, &fact, err);
}

static int give_restarts(const struct fact_place *place, const json_t *status, uint64_t line,
                         const struct fact_sink *sink, struct error *err)
{
    struct fact fact;
    fact_init(&fact, FACT_RESTART_COUNT, ORIGIN_KUBERNETES, line);
    fact.place = *place;
    fact.value = json_number_at(status, "restartCount");
    return isnan(fact.value) ? 0 : fact_give(sink, &fact, err);
}

static int give_status(const struct fact_place *pod, const json_t *status, uint64_t line,
                       const struct fact_sink *sink, struct error *err)
{
    struct fact_place place = *pod;
    place.container = json_text_at(status, "name");
    place.container_id = bare_id(json_text_at(status, "containerID"));
    if (!place.container)
        return 0;
    int r = give_ends(&place, status, line, sink, err);
    if (r >= 0)
        r = give_running(&place, status, line, sink, err);
    if (r >= 0)
        r = kubernetes_give_waiting(&place, json_text_at(status, "state.waiting.reason"),
                                    json_text_at(status, "state.waiting.message"), line, sink, err);
    return r < 0 ? r : give_restarts(&place, status, line, sink, err);
}

static const json_t *find_named(const json_t *list, const char *name)
{
    size_t i;
    const json_t *entry;
    json_array_foreach(list, i, entry)
    {
        const char *other = json_text_at(entry, "name");
        if (name && other && strcmp(name, other) == 0)
            return entry;
    }
    return NULL;
}

/* What is in force (the status has it since 1.33) before what was asked for; 0 where neither has
 * one. */
static int give_limit(const struct fact_place *pod, const json_t *container, const json_t *status,
                      uint64_t line, const struct fact_sink *sink, struct error *err)
{
    struct fact fact;
    struct error ignored = {0};
    uint64_t bytes;
    fact_init(&fact, FACT_LIMIT, ORIGIN_KUBERNETES, line);
    fact.place = *pod;
    fact.place.container = json_text_at(container, "name");
    fact.place.container_id = bare_id(json_text_at(status, "containerID"));
    const json_t *limit = json_at(status, "resources.limits.memory");
    if (!limit)
        limit = json_at(container, "resources.limits.memory");
    if (json_is_number(limit)) {
        fact.value = json_number_value(limit);
    } else if (json_is_string(limit)) {
        const char *text = json_string_value(limit);
        if (size_parse(text, &bytes, &ignored) < 0) {
            fact_warn(sink, line, "the memory limit '%s' is no size", text);
            return 0;
        }
        fact.value = (double)bytes;
    }
    return fact.value >= 0 && fact.place.container ? fact_give(sink, &fact, err) : 0;
}

static int give_container(const struct fact_place *pod, const json_t *container, int64_t created_ns,
                          uint64_t line, const struct fact_sink *sink, struct error *err)
{
    struct fact fact;
    fact_init(&fact, FACT_CONTAINER, ORIGIN_KUBERNETES, line);
    fact.place = *pod;
    fact.place.container = json_text_at(container, "name");
    fact.at_ns = created_ns;
    return fact.place.container ? fact_give(sink, &fact, err) : 0;
}

/* The pod was evicted (the node ran short of memory, say), or it is being deleted. */
static int give_pod_stop(const struct fact_place *place, const json_t *pod, uint64_t line,
                         const struct fact_sink *sink, struct error *err)
{
    struct fact fact;
    const char *reason = json_text_at(pod, "status.reason");
    const char *deleted = json_text_at(pod, "metadata.deletionTimestamp");
    if (!reason && !deleted)
        return 0;
    fact_init(&fact, FACT_STOP, ORIGIN_KUBERNETES, line);
    fact.place = *place;
    fact.reason = reason ? reason : "Deleted";
    fact.text = json_text_at(pod, "status.message");
    fact.at_ns = fact_time(deleted);
    /* The stamp is when the grace period will be over. */
    double grace_s = json_number_at(pod, "metadata.deletionGracePeriodSeconds");
    if (fact.at_ns != FACT_TIME_UNKNOWN && grace_s > 0 && grace_s < 1e9)
        fact.at_ns -= (int64_t)grace_s * NS_PER_S;
    return fact_give(sink, &fact, err);
}

static int give_list(const struct fact_place *place, const json_t *pod, int list, uint64_t line,
                     const struct fact_sink *sink, struct error *err)
{
    int64_t created_ns = fact_time(json_text_at(pod, "metadata.creationTimestamp"));
    const json_t *specs = json_object_get(json_object_get(pod, "spec"), SPEC_LISTS[list]);
    const json_t *statuses =
        json_object_get(json_object_get(pod, "status"), STATUS_LIST_NAMES[list]);
    size_t i;
    const json_t *entry;
    int r = 0;
    json_array_foreach(specs, i, entry)
    {
        const json_t *status = find_named(statuses, json_text_at(entry, "name"));
        r = give_container(place, entry, created_ns, line, sink, err);
        if (r >= 0)
            r = give_limit(place, entry, status, line, sink, err);
        if (r < 0)
            return r;
    }
    json_array_foreach(statuses, i, entry)
    {
        r = give_status(place, entry, line, sink, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int kubernetes_give_pod(const json_t *pod, uint64_t line, const struct fact_sink *sink,
                        struct error *err)
{
    struct fact_place place = {
        .app = json_text_at(pod, "metadata.namespace"),
        .replica = json_text_at(pod, "metadata.name"),
        .pod_uid = json_text_at(pod, "metadata.uid"),
    };
    if (!place.replica) {
        fact_warn(sink, line, "a pod without a name was passed over");
        return 0;
    }
    int r = 0;
    for (int list = 0; list < STATUS_LISTS && r >= 0; list++)
        r = give_list(&place, pod, list, line, sink, err);
    return r < 0 ? r : give_pod_stop(&place, pod, line, sink, err);
}
