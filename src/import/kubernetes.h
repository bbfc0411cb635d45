/* SPDX-License-Identifier: Apache-2.0 */
/* What the API's objects, whether JSON, YAML or the text of `kubectl describe`, say in facts. */
#pragma once

#include "import/facts.h"

/* An object of any kind: a Pod, an Event (of either API), a list of such; others are passed over. A
 * list may hold lists, to a small depth. */
int kubernetes_give_object(const json_t *object, uint64_t line, const struct fact_sink *sink,
                           struct error *err);
int kubernetes_give_pod(const json_t *pod, uint64_t line, const struct fact_sink *sink,
                        struct error *err);
int kubernetes_give_event_object(const json_t *event, uint64_t line, const struct fact_sink *sink,
                                 struct error *err);

/* Why a container waits ("CrashLoopBackOff", "ErrImagePull", ...), as facts. `reason` NULL is
 * nothing to say. */
int kubernetes_give_waiting(const struct fact_place *place, const char *reason, const char *message,
                            uint64_t line, const struct fact_sink *sink, struct error *err);

struct kubernetes_event {
    struct fact_place place;
    const char *reason, *message;
    int64_t at_ns;  /* the latest occurrence */
    uint64_t count; /* 0 unknown; the API server stops counting early */
    uint64_t line;
};
int kubernetes_give_event(const struct kubernetes_event *event, const struct fact_sink *sink,
                          struct error *err);
