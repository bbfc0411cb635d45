/* SPDX-License-Identifier: Apache-2.0 */
/* A replica: one container that is started, probed, watched and restarted, lifetime after lifetime,
 * the way kubelet does it. Everything here runs in the control loop's thread. */
#pragma once

#include "analysis/attribution.h"
#include "base/error.h"
#include "observe/observer.h"
#include "platform/probe.h"
#include "platform/recorder.h"
#include "platform/template.h"
#include "sandbox/enter.h"
#include "sandbox/sandbox.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* What all replicas share; borrowed, outlives them. */
struct platform_core {
    uv_loop_t loop;
    struct store *store;
    struct sandbox_root *root;
    struct observer *observer;
    struct recorder *recorder;
    struct prober *prober;
    const char *directory; /* console logs go here */
    uint32_t last_lifetime_id;
};

/* A lifetime as its listener sees it. */
struct lifetime_report {
    uint32_t id;
    unsigned index;                         /* 1.. within the replica */
    int64_t started_ns, ready_ns, ended_ns; /* monotonic; ready_ns 0: never ready */
    int exit_code;                          /* 128 + signal for a signal */
    struct death death;
    int64_t next_start_ns; /* how long the back-off will last */
};

/* How the owner learns what happens; called in the loop's thread. */
struct replica_listener {
    void *context;
    void (*ready)(void *context, const struct lifetime_report *lifetime);
    /* A lifetime is over and recorded. False: no further start, the owner is about to stop it. */
    bool (*ended)(void *context, const struct lifetime_report *lifetime);
    /* The container could not be made or its command not executed; the replica stays down. */
    void (*failed)(void *context, const struct error *err);
    /* replica_stop() is complete: nothing runs and the last end is recorded. */
    void (*stopped)(void *context);
    /* A lifetime runs, or has run, without the heap profile that the template asks for; or,
     * `partly`, one of its child processes does. */
    void (*unprofiled)(void *context, bool partly, const struct error *err);
};

enum replica_state {
    REPLICA_NEW,
    REPLICA_RUNNING,
    REPLICA_ENDING, /* the end is recorded; the console is being read to its end */
    REPLICA_BACKOFF,
    REPLICA_STOPPED,
};

struct replica;

/* `name` is copied; the rest is borrowed. It does not start yet. */
int replica_new(struct platform_core *core, const struct revision_template *template,
                const char *revision, const char *name, int64_t arm_id,
                const struct replica_listener *listener, struct replica **ret, struct error *err);
/* The first start. Failures go to the listener. */
void replica_start(struct replica *replica);
/* SIGTERM, the grace period, then SIGKILL to the whole cgroup; `stopped` follows. */
void replica_stop(struct replica *replica, enum platform_kill reason);
/* End the running container (as replica_stop() does) and start the next one at once; a back-off is
 * cut short and its series begins anew. Nothing while it is being stopped. */
void replica_restart(struct replica *replica);
/* While it is being stopped: do not wait for the grace period to pass. */
void replica_hurry(struct replica *replica);
/* Kill and remove the container without waiting for its record: the store has failed, and no end
 * will ever be told. `stopped` is called before this returns. */
void replica_abandon(struct replica *replica);
/* The replica must be stopped. The memory goes once the loop has closed the handles. */
void replica_free(struct replica *replica);

/* An observation of the current lifetime, after its commit. */
void replica_observe(struct replica *replica, const struct observation *observation,
                     int64_t committed_ns);

/* The kernel killed a process of the current lifetime for memory; nothing of it is stored yet. Its
 * heap profile, if there is one, keeps what is held now. */
void replica_notice_kill(struct replica *replica, int64_t at_ns);

/* Stamp the heap profile of the current lifetime, if there is one; `cycle` as for
 * heap_recording_stamp(). The listener is told when what the main process runs cannot be
 * profiled. */
void replica_stamp_heap(struct replica *replica, unsigned cycle);

/* A way into the container that runs now. -ESRCH: none does. */
int replica_open_entrance(const struct replica *replica, struct entrance **ret, struct error *err);

/* What its probes were last told to have failed with in this lifetime, in the system log's words;
 * "" for nothing. Borrowed. */
const char *replica_probe_failure(const struct replica *replica);
/* The ports on which its processes listen: writes at most `max` and returns how many. */
unsigned replica_listening_ports(const struct replica *replica, uint16_t *ret_ports, unsigned max);

const char *replica_name(const struct replica *replica);
uint32_t replica_lifetime_id(const struct replica *replica); /* 0: none is alive */
enum replica_state replica_state(const struct replica *replica);
bool replica_is_ready(const struct replica *replica);
bool replica_was_ready(const struct replica *replica);
unsigned replica_lifetimes(const struct replica *replica); /* started so far */
