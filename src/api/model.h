/* SPDX-License-Identifier: Apache-2.0 */
/* What serve holds in memory, shared by the files of this folder: apps, their revisions and the
 * replicas that run. state.db has the same, durable. */
#pragma once

#include "api/feed.h"
#include "api/serve.h"
#include "api/state.h"
#include "api/template.h"
#include "platform/platform.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define APP_NAME_MAX      32 /* as Azure's */
#define REVISION_NAME_MAX 100

struct app;
struct app_revision;
struct exec;
struct run_tickets;
struct stream;

struct app_replica {
    struct app_replica *next;
    struct app_revision *revision;
    struct replica *replica; /* NULL: it could not be made */
    struct app_template *template;
    char name[192];
    int64_t created_ns; /* realtime */
    bool stopping, stopped;
    unsigned oom_kills;
    bool has_end; /* of the last lifetime that ended */
    int end_exit_code;
    enum end_cause end_cause;
    enum evidence_level end_level;
    int64_t end_ns; /* monotonic */
    /* The latest sample. */
    bool has_sample;
    uint32_t sample_lifetime;
    int64_t sample_at_ns, cpu_ns;
    double nano_cores;
    uint64_t metrics[METRIC_COUNT];
    uint64_t metrics_present;
    uint64_t sample_number;          /* feed.h */
    uint64_t requests;               /* since they were told */
    unsigned lives_told;             /* with the count of restarts */
    uint64_t feed_key, feed_version; /* feed.h */
};

struct app_revision {
    struct app_revision *next; /* newest first */
    struct app *app;
    char name[REVISION_NAME_MAX];
    json_t *template;
    bool active, provisioned, announced;
    char *failure;           /* why its container could not be started, or is not ready; NULL */
    bool late;               /* the failure is that it was not ready in time */
    int64_t progress_end_ns; /* monotonic: by then it is to be ready; 0: nobody waits */
    int64_t created_ns;      /* realtime */
    unsigned replicas_made;
    unsigned pending;  /* replicas that are still to be made */
    unsigned restarts; /* of all its replicas in this session */
    struct app_replica *replicas;
};

struct app {
    struct app *next;
    struct serve *serve;
    int64_t id;
    char *name, *group;
    json_t *resource;        /* the ARM resource without what is computed on reading */
    unsigned revision_count; /* made so far: the next suffix */
    struct app_revision *revisions;
    struct ingress *ingress;         /* NULL: none */
    bool deleting;                   /* gone from state.db already */
    unsigned changes;                /* of the resource, in this session */
    uint64_t feed_key, feed_version; /* feed.h */
};

enum operation_status { OPERATION_RUNNING, OPERATION_SUCCEEDED, OPERATION_FAILED };

/* A long-running operation; finished ones are kept for a while. */
struct operation {
    struct operation *next;
    char id[40];
    enum operation_status status;
    int64_t started_ns, ended_ns; /* realtime */
    int64_t app_id;
    char revision[REVISION_NAME_MAX]; /* whose outcome it waits for; "": the app's deletion */
    json_t *group;                    /* owned: the one whose deletion it is; NULL: an app's */
    char *target;                     /* path of the resource */
    char *failure;
};

struct serve {
    const struct serve_options *options;
    struct state *state;
    struct store *store;
    struct platform *platform;
    uv_loop_t *loop;
    char session[64];
    int64_t realtime_offset_ns; /* realtime - monotonic, at this session's start */
    int64_t event_cursor, sample_cursor;
    int64_t counts_ns; /* monotonic: when replicas and restarts were counted last */
    struct app *apps;
    struct operation *operations;
    struct image_cache *images;
    struct image_job *image_jobs; /* images that are being unpacked */
    bool cleaning, clean_again;   /* unused ones are being removed */
    struct exec *execs;           /* commands of clients in containers */
    struct listener_set *listeners;
    struct feed feed;
    struct stream *streams;      /* stream.h */
    struct run_tickets *tickets; /* resource_run.c */
    char token[65];
    uint16_t tcp_port;
    bool socket_is_managers; /* systemd made it */
    bool stopping;
    uv_timer_t tick;     /* every second: metrics, retention */
    uv_timer_t progress; /* when the next revision is to be ready: progress.c */
    uv_timer_t later;    /* at once: what must not be done inside a callback */
    uv_idle_t starting;  /* replicas that are pending, one in each turn of the loop */
    uint64_t requests_served;
    char directory[4096]; /* of the session */
};

/* --- model.c: lookup and durable changes ---------------------------------------------------- */

/* Load apps and revisions; nothing runs yet. */
int model_load(struct serve *serve, struct error *err);
void model_free(struct serve *serve);

struct app *app_find(struct serve *serve, const char *group, const char *name);
struct app *app_find_id(struct serve *serve, int64_t id);
struct app *app_find_name(struct serve *serve, const char *name);
struct app_revision *revision_find(struct app *app, const char *name);
/* The newest active revision, or NULL. */
struct app_revision *revision_latest(struct app *app);
struct app_replica *replica_find(struct app_revision *revision, const char *name);
json_t *app_properties(const struct app *app);
json_t *app_configuration(const struct app *app);
bool app_is_single(const struct app *app);

int app_insert(struct serve *serve, const char *group, const char *name, json_t *resource,
               struct app **ret, struct error *err);
/* Take one out of the list and free it: it could not be recorded. NULL is fine. */
void app_forget(struct app *app);
int app_save(struct app *app, struct error *err);
int app_delete(struct app *app, struct error *err);
void app_free(struct app *app); /* no longer in the list */
int revision_insert(struct app *app, const char *suffix, json_t *template,
                    struct app_revision **ret, struct error *err);
/* Take a new one back: it could not be recorded. NULL is fine. */
void revision_forget(struct app *app, struct app_revision *revision);
int revision_save(struct app_revision *revision, struct error *err);

/* --- controller.c: what runs ---------------------------------------------------------------- */

/* Append a lifecycle event about an app (and its revision). */
void app_event(struct app *app, const char *revision, const char *type, const char *reason,
               const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Start what an active revision lacks: the first replica at once, the others one in each turn of
 * the loop, so that requests are answered in between. Limits of memory and of replicas hold: usage
 * error. */
int revision_start(struct app_revision *revision, struct error *err);
/* Would this template fit beside all that runs? */
int controller_admit(struct serve *serve, json_t *template, struct error *err);
/* It cannot be started (any further): keep why, end the operation that waits for it. */
void revision_fail(struct app_revision *revision, const char *why);
void revision_stop(struct app_revision *revision);
void revision_restart(struct app_revision *revision);
void app_stop(struct app *app);
/* True when no container is left. */
bool serve_is_idle(const struct serve *serve);
/* Do soon, outside of callbacks: remove what has stopped, finish deletions. */
void controller_later(struct serve *serve);
void controller_reap(struct serve *serve);
/* In single mode, where the latest revision is there: the others go. */
void app_settle(struct app *app);

struct app_states {
    const char *health, *provisioning, *running;
    unsigned ready, replicas;
};
void app_revision_states(const struct app_revision *revision, struct app_states *ret);
/* Per cent of the requests that go to it: what the traffic says, also when it is not active and
 * they are lost. */
unsigned revision_weight(const struct app_revision *revision);

/* --- progress.c: what comes of a new revision ------------------------------------------------- */

/* ARM's word for the app's state: of its newest revision's start. Kept in the state; borrowed. */
const char *app_provisioning(const struct app *app);
/* Its operation ends, and with it the app's InProgress. */
void revision_conclude(struct app_revision *revision, const char *failure);
/* The same, but what the app was already told to be stays, and nobody waits any more until the
 * revision is ready: it has crashed, or it is being stopped. */
void revision_conclude_early(struct app_revision *revision, const char *failure);
/* It has been started: unless it once was ready, it is to be so within the progress deadline. */
void progress_await(struct app_revision *revision);

/* --- images.c: unpacked images --------------------------------------------------------------- */

/* Needs options and the loop. */
int images_open(struct serve *serve, struct error *err);
/* 0: the revision's image is there, or it needs none. 1: it is being unpacked; revision_start() is
 * called again when it is, or the revision's failure is set. */
int images_prepare(struct app_revision *revision, struct error *err);
/* Remove the images that no revision has, in the background. */
void images_sweep(struct serve *serve);
/* Give up what is being unpacked, soon. */
void images_cancel(struct serve *serve);

/* --- operations.c --------------------------------------------------------------------------- */

struct operation *operation_new(struct serve *serve, const struct app *app, const char *revision,
                                const char *target);
/* That of a group which is going, with its apps. Takes the reference to the resource over. */
struct operation *operation_new_group(struct serve *serve, json_t *group, const char *target);
struct operation *operation_find(struct serve *serve, const char *id);
/* The one under way that deletes the app, or the group of that name (any case); NULL: none. */
struct operation *operation_deleting_app(struct serve *serve, const struct app *app);
struct operation *operation_deleting_group(struct serve *serve, const char *group);
/* The revision has been provisioned (failure NULL), or the app is gone. */
void operations_finish(struct serve *serve, int64_t app_id, const char *revision,
                       const char *failure);
/* Groups are gone when the last of their apps is. */
void operations_finish_groups(struct serve *serve);
void operations_trim(struct serve *serve, bool all);

/* --- pump.c: from this session's evidence to state.db ---------------------------------------- */

/* Copy new events and samples; the latest sample stays in the replicas. */
int pump_run(struct serve *serve, struct error *err);
/* Copy what an earlier session left uncopied when it was killed. */
int pump_recover(struct serve *serve, const char *directory, struct error *err);
int pump_trim(struct serve *serve, struct error *err);
