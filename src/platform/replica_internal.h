/* SPDX-License-Identifier: Apache-2.0 */
/* A replica from the inside, shared by replica.c (its lifetimes), replica_stop.c (their end by us),
 * replica_probes.c (its health) and replica_heap.c (its heap profile). */
#pragma once

#include "heap/program.h"
#include "heap/recording.h"
#include "platform/backoff.h"
#include "platform/console.h"
#include "platform/events.h"
#include "platform/facts.h"
#include "platform/replica.h"

struct replica {
    struct platform_core *core;
    const struct revision_template *template;
    struct event_subject subject;
    struct replica_listener listener;
    char *name;
    enum replica_state state;
    bool stopping, stopped_told, restarting;
    enum platform_kill stop_reason;
    bool was_ready, is_ready;
    unsigned lifetimes;
    struct console_log log;
    struct backoff backoff;
    int64_t backoff_ns; /* waited before the current lifetime */
    uv_timer_t timer;   /* back-off, then the stop's grace, then the console's deadline */

    /* The current lifetime. */
    uint32_t id;
    struct sandbox *sandbox;
    struct console *console;
    struct heap_recording *heap;   /* NULL: no profile */
    uv_timer_t heap_timer;         /* while there is one */
    struct heap_programs programs; /* that its processes ran, in any lifetime */
    struct probe *startup, *readiness, *liveness;
    char probe_failure[160]; /* what was told last, and of how many like it */
    unsigned probe_count, probe_count_told;
    int64_t probe_told_ns;
    unsigned startup_failures, readiness_failures, liveness_failures;
    unsigned readiness_successes; /* in a row, while it is not ready */
    int64_t grace_end_ns;         /* of a stop: then SIGKILL */
    enum { TERM_UNSENT, TERM_QUEUED, TERM_SENT } term;
    unsigned term_blocked; /* looks in a row at which it was blocked */
    int64_t started_ns, ready_ns;
    struct life_facts facts;
    bool has_end, console_ended;
    bool killer_awaited; /* the end was put off once, for a user-space killer's log */
    struct observation end;
    int64_t committed_ns;
};

/* Events are part of the record, but a failed insert must not stop a restart: the store remembers
 * its first error and the lab ends with it. */
#define EVENT(replica, type, reason, json, ...)                                                    \
    do {                                                                                           \
        struct error event_error;                                                                  \
        event_add(&(replica)->subject, type, reason, json, &event_error, __VA_ARGS__);             \
    } while (0)

/* Of the running container's cgroup; borrowed. */
int replica_memory_fd(const struct replica *replica);

/* Begin a lifetime; a container that cannot be started is told as `failed`. */
void replica_start_lifetime(struct replica *replica);
/* It is stopped: tell so, once. */
void replica_tell_stopped(struct replica *replica);

/* End the running container for `reason`: SIGTERM, the grace period, then SIGKILL to everything in
 * it. */
void replica_end_container(struct replica *replica, enum platform_kill reason);

/* Make the template's probes. */
int replica_probes_new(struct replica *replica, struct error *err);
/* Begin to probe a container that has just been started; without any probe it is ready at once. */
void replica_probes_start(struct replica *replica);
void replica_probes_stop(struct replica *replica);
void replica_probes_free(struct replica *replica);

/* The container is set up and held: make the map of its profile, where one is wanted. Without a map
 * it runs all the same, and the listener is told. */
void replica_heap_start(struct replica *replica);
/* Keep the profile and end the recording, once: nothing runs in the container any more, or it is
 * about to be told to stop, and a tidy program would give back what was held until now. */
void replica_heap_save(struct replica *replica, enum heap_ending ending);
/* Without keeping it. */
void replica_heap_drop(struct replica *replica);
