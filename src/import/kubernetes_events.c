/* SPDX-License-Identifier: Apache-2.0 */
/* Events: what the kubelet and the controllers did. They are no record of ends: they are
 * aggregated, counting stops early, and they vanish after an hour. The kubelet's OOM events are the
 * exception: they carry the kernel's line. */
#include "import/kubernetes.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 254

enum event_fact {
    EVENT_BACKOFF,
    EVENT_PROBE,
    EVENT_STOP,
    EVENT_OOM,
    EVENT_SYSTEM_OOM,
    EVENT_FAILED,
    EVENT_STARTED,
};

static const struct {
    const char *reason;
    enum event_fact fact;
} REASONS[] = {
    {"BackOff", EVENT_BACKOFF},
    {"Unhealthy", EVENT_PROBE},
    {"ProbeWarning", EVENT_PROBE},
    {"Killing", EVENT_STOP},
    {"Preempting", EVENT_STOP},
    {"Preempted", EVENT_STOP},
    {"Evicted", EVENT_STOP},
    {"TaintManagerEviction", EVENT_STOP},
    {"ExceededGracePeriod", EVENT_STOP},
    {"OOMKilling", EVENT_OOM}, /* node-problem-detector */
    {"SystemOOM", EVENT_SYSTEM_OOM},
    {"Failed", EVENT_FAILED},
    {"FailedCreatePodContainer", EVENT_FAILED},
    {"ErrImageNeverPull", EVENT_FAILED},
    {"InspectFailed", EVENT_FAILED},
    {"Started", EVENT_STARTED},
};

static enum fact_kind kind_of(enum event_fact event, const char *message)
{
    switch (event) {
    case EVENT_BACKOFF:
        return message && strstr(message, "pulling image") ? FACT_IMAGE_FAILURE : FACT_BACKOFF;
    case EVENT_PROBE:
        return FACT_PROBE_FAILURE;
    case EVENT_STOP:
        return FACT_STOP;
    case EVENT_OOM:
    case EVENT_SYSTEM_OOM:
        return FACT_OOM_KILL;
    case EVENT_FAILED:
        return FACT_IMAGE_FAILURE;
    case EVENT_STARTED:
        return FACT_START;
    }
    return FACT_STATE;
}

/* The kubelet's words for a host-wide kill: "System OOM encountered, victim process: hog, pid: 12".
 */
static bool parse_system_oom(const char *message, struct kmsg_oom *ret)
{
    static const char before[] = "victim process: ";
    const char *name = strstr(message, before);
    const char *pid = strstr(message, ", pid: ");
    if (!name || !pid || pid < name + strlen(before))
        return false;
    name += strlen(before);
    *ret = (struct kmsg_oom){.kind = KMSG_OOM_KILLED,
                             .scope = KMSG_SCOPE_GLOBAL,
                             .anon_rss_kib = -1,
                             .file_rss_kib = -1,
                             .shmem_rss_kib = -1,
                             .total_vm_kib = -1,
                             .pgtables_kib = -1};
    size_t length = (size_t)(pid - name);
    length = length < KMSG_COMM_MAX ? length : KMSG_COMM_MAX - 1;
    memcpy(ret->comm, name, length);
    long number = strtol(pid + strlen(", pid: "), NULL, 10);
    ret->pid = number > 0 && number <= INT32_MAX ? (pid_t)number : 0;
    return true;
}

int kubernetes_give_event(const struct kubernetes_event *event, const struct fact_sink *sink,
                          struct error *err)
{
    size_t i = 0, known = sizeof(REASONS) / sizeof(*REASONS);
    while (i < known && (!event->reason || strcmp(event->reason, REASONS[i].reason) != 0))
        i++;
    if (i == known)
        return 0;
    if (REASONS[i].fact == EVENT_STARTED && event->at_ns == FACT_TIME_UNKNOWN)
        return 0;
    struct kmsg_oom oom;
    struct fact fact;
    fact_init(&fact, kind_of(REASONS[i].fact, event->message), ORIGIN_KUBERNETES, event->line);
    fact.place = event->place;
    fact.at_ns = event->at_ns;
    fact.reason = event->reason;
    fact.text = event->message;
    fact.count = event->count;
    if (event->message && REASONS[i].fact == EVENT_OOM &&
        kmsg_parse_oom(event->message, &oom) != KMSG_NOT_OOM)
        fact.oom = &oom;
    if (event->message && REASONS[i].fact == EVENT_SYSTEM_OOM &&
        parse_system_oom(event->message, &oom))
        fact.oom = &oom;
    return fact_give(sink, &fact, err);
}

/* "spec.containers{hog}" */
static const char *container_of(const char *field_path, char name[static NAME_MAX_BYTES])
{
    const char *open = field_path ? strchr(field_path, '{') : NULL;
    const char *close = open ? strchr(open, '}') : NULL;
    if (!close || close == open + 1 || close - open > NAME_MAX_BYTES)
        return NULL;
    memcpy(name, open + 1, (size_t)(close - open - 1));
    name[close - open - 1] = '\0';
    return name;
}

static const char *first_text(const json_t *object, const char *const *paths)
{
    for (; *paths; paths++) {
        const char *text = json_text_at(object, *paths);
        if (text)
            return text;
    }
    return NULL;
}

/* core/v1 and events.k8s.io/v1 spell the same things differently. */
static uint64_t count_of(const json_t *event)
{
    static const char *const paths[] = {"series.count", "count", "deprecatedCount"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        double count = json_number_at(event, paths[i]);
        if (count > 0 && count < 1e9)
            return (uint64_t)count;
    }
    return 0;
}

int kubernetes_give_event_object(const json_t *object, uint64_t line, const struct fact_sink *sink,
                                 struct error *err)
{
    static const char *const times[] = {"series.lastObservedTime",
                                        "lastTimestamp",
                                        "deprecatedLastTimestamp",
                                        "eventTime",
                                        "firstTimestamp",
                                        "metadata.creationTimestamp",
                                        NULL};
    static const char *const messages[] = {"message", "note", NULL};
    const json_t *about = json_object_get(object, "involvedObject");
    char container[NAME_MAX_BYTES];
    if (!about)
        about = json_object_get(object, "regarding");
    struct kubernetes_event event = {
        .reason = json_text_at(object, "reason"),
        .message = first_text(object, messages),
        .at_ns = fact_time(first_text(object, times)),
        .count = count_of(object),
        .line = line,
    };
    const char *kind = json_text_at(about, "kind");
    bool pod = kind && strcmp(kind, "Pod") == 0;
    bool node = kind && strcmp(kind, "Node") == 0;
    if (!pod && !node)
        return 0;
    if (pod) {
        event.place.app = json_text_at(about, "namespace");
        event.place.replica = json_text_at(about, "name");
        event.place.pod_uid = json_text_at(about, "uid");
        event.place.container = container_of(json_text_at(about, "fieldPath"), container);
    }
    return kubernetes_give_event(&event, sink, err);
}
