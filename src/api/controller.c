/* SPDX-License-Identifier: Apache-2.0 */
/* Brings what runs in line with what is wanted: starts the replicas of active revisions, switches
 * over in single revision mode, stops and removes the rest. */
#include "api/exec.h"
#include "api/ingress.h"
#include "api/model.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/size.h"
#include "platform/events.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void app_event(struct app *app, const char *revision, const char *type, const char *reason,
               const char *format, ...)
{
    struct error ignored;
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    const struct event_subject subject = {
        .store = app->serve->store,
        .arm_id = app->id,
        .app = app->name,
        .revision = revision,
    };
    event_add(&subject, type, reason, NULL, &ignored, "%s", text);
}

/* --- states --------------------------------------------------------------------------------- */

static unsigned live_replicas(const struct app_revision *revision)
{
    unsigned count = 0;
    for (const struct app_replica *r = revision->replicas; r; r = r->next)
        count += !r->stopped;
    return count;
}

static unsigned ready_replicas(const struct app_revision *revision)
{
    unsigned count = 0;
    for (const struct app_replica *r = revision->replicas; r; r = r->next)
        count += !r->stopping && r->replica && replica_is_ready(r->replica);
    return count;
}

static bool has_crashed(const struct app_revision *revision)
{
    for (const struct app_replica *r = revision->replicas; r; r = r->next) {
        if (r->has_end)
            return true;
    }
    return revision->failure != NULL;
}

void app_revision_states(const struct app_revision *revision, struct app_states *ret)
{
    unsigned wanted = template_min_replicas(revision->template);
    bool crashed = has_crashed(revision);
    bool ever = revision->provisioned;
    *ret = (struct app_states){
        .replicas = live_replicas(revision),
        .ready = ready_replicas(revision),
    };
    ret->provisioning = ever               ? "Provisioned"
                        : crashed          ? "Failed"
                        : revision->active ? "Provisioning"
                                           : "Deprovisioned";
    if (!revision->active) {
        ret->health = "None";
        ret->running = "Stopped";
    } else if (revision->pending > 0 && !crashed) {
        ret->health = "None";
        ret->running = "Processing";
    } else if (ret->ready >= wanted) {
        ret->health = "Healthy";
        ret->running = ret->ready >= template_max_replicas(revision->template) ? "RunningAtMaxScale"
                                                                               : "Running";
    } else if (revision->failure && ret->replicas == 0) {
        ret->health = "Unhealthy";
        ret->running = "Failed"; /* nothing of it is there, whatever once was */
    } else {
        ret->health = crashed || ever ? "Unhealthy" : "None";
        ret->running = ever ? "Degraded" : crashed ? "Failed" : "Processing";
    }
}

/* In single mode the newest provisioned active revision gets everything. */
static const struct app_revision *single_target(const struct app *app)
{
    const struct app_revision *newest = NULL;
    for (const struct app_revision *r = app->revisions; r; r = r->next) {
        if (!r->active)
            continue;
        if (!newest)
            newest = r;
        if (r->provisioned)
            return r;
    }
    return newest;
}

unsigned revision_weight(const struct app_revision *revision)
{
    struct app *app = revision->app;
    const json_t *traffic =
        json_object_get(json_object_get(app_configuration(app), "ingress"), "traffic");
    if (app_is_single(app) || json_array_size(traffic) == 0)
        return single_target(app) == revision ? 100 : 0;
    json_int_t weight = 0;
    size_t i = 0;
    const json_t *item = NULL;
    json_array_foreach(traffic, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "revisionName"));
        bool latest = json_is_true(json_object_get(item, "latestRevision"));
        if (name ? strcasecmp(name, revision->name) == 0 : latest && single_target(app) == revision)
            weight += json_integer_value(json_object_get(item, "weight"));
    }
    return (unsigned)weight;
}

/* --- what replicas tell ---------------------------------------------------------------------- */

static void deactivate_others(struct app_revision *latest)
{
    bool told = false;
    for (struct app_revision *r = latest->next; r; r = r->next) {
        if (!r->active)
            continue;
        if (!told)
            app_event(latest->app, r->name, "Normal", "RevisionDeactivating",
                      "Deactivating old revisions for ContainerApp '%s'", latest->app->name);
        told = true;
        struct error ignored;
        r->active = false;
        revision_save(r, &ignored);
        revision_conclude_early(r, "It was deactivated before it was ready.");
        revision_stop(r);
    }
}

static void announce(struct app_revision *revision)
{
    struct app *app = revision->app;
    revision->announced = true;
    app_event(app, revision->name, "Normal", "RevisionReady",
              "Successfully provisioned revision '%s'", revision->name);
    app_event(app, revision->name, "Normal", "RevisionUpdate",
              "Setting traffic weight of '%u%%' for revision '%s'", revision_weight(revision),
              revision->name);
    if (revision->next && app_is_single(app))
        app_event(app, revision->name, "Normal", "RollingRevisionCompleted",
                  "Rolling Transition: Successfully completed rolling over existing to latest "
                  "revision for containerApp: %s",
                  app->name);
    app_event(app, revision->name, "Normal", "ContainerAppReady",
              "Successfully updated containerApp: %s", app->name);
}

/* It is ready, with all its replicas: the others may go, and nobody waits any more. */
static void settle(struct app_revision *revision)
{
    if (!revision->provisioned || revision->pending > 0)
        return;
    if (revision->active && app_is_single(revision->app) &&
        revision == revision_latest(revision->app))
        deactivate_others(revision);
    revision_conclude(revision, revision->failure);
}

void app_settle(struct app *app)
{
    struct app_revision *latest = revision_latest(app);
    if (latest)
        settle(latest);
}

static void on_ready(void *context, const struct lifetime_report *lifetime)
{
    (void)lifetime;
    struct app_replica *replica = context;
    struct app_revision *revision = replica->revision;
    struct error ignored;
    if (!revision->provisioned) {
        revision->provisioned = true;
        revision->progress_end_ns = 0;
        if (revision->late)
            free(steal_ptr(&revision->failure));
        revision->late = false;
        /* A start after a power cut finds out by itself. */
        state_set_durable(revision->app->serve->state, false);
        revision_save(revision, &ignored);
        state_set_durable(revision->app->serve->state, true);
    }
    if (!revision->announced)
        announce(revision);
    settle(revision);
}

static bool on_ended(void *context, const struct lifetime_report *lifetime)
{
    struct app_replica *replica = context;
    struct app_revision *revision = replica->revision;
    replica->has_end = true;
    replica->end_exit_code = lifetime->exit_code;
    replica->end_cause = lifetime->death.cause;
    replica->end_level = lifetime->death.level;
    replica->end_ns = lifetime->ended_ns;
    execs_replica_ended(revision->app->serve, replica->name, lifetime->death.cause);
    if (cause_is_kernel_kill(lifetime->death.cause))
        replica->oom_kills++;
    if (!replica->stopping)
        revision->restarts++;
    /* A container that crashes at its start has been provisioned all the same, as Azure sees it;
     * one that a probe ended, or a restart, is still to become ready. */
    if (!replica->stopping && lifetime->death.cause != CAUSE_KILLED_BY_PLATFORM)
        revision_conclude_early(revision, NULL);
    return true;
}

void revision_fail(struct app_revision *revision, const char *why)
{
    struct error ignored;
    free(revision->failure);
    revision->failure = strdup(why);
    revision->progress_end_ns = 0;
    revision_save(revision, &ignored);
    revision_conclude(revision, why);
}

static void on_failed(void *context, const struct error *failure)
{
    struct app_replica *replica = context;
    struct app_revision *revision = replica->revision;
    revision_fail(revision, failure->text);
    if (replica->stopping)
        replica->stopped = true;
    controller_later(revision->app->serve);
}

static void on_stopped(void *context)
{
    struct app_replica *replica = context;
    replica->stopped = true;
    controller_later(replica->revision->app->serve);
}

/* --- starting ------------------------------------------------------------------------------- */

/* A port that is free at the moment; the container gets it as PORT. */
static uint16_t free_port(void)
{
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
    };
    socklen_t length = sizeof(address);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        return 0;
    return ntohs(address.sin_port);
}

static int make_replica(struct app_revision *revision, struct error *err)
{
    static const struct replica_listener listener = {
        .ready = on_ready,
        .ended = on_ended,
        .failed = on_failed,
        .stopped = on_stopped,
    };
    struct serve *serve = revision->app->serve;
    struct app_replica *made = calloc(1, sizeof(*made));
    char seed[128];
    if (!made)
        return error_errno(err, ENOMEM, "making a replica");
    made->revision = revision;
    made->created_ns = clock_realtime_ns();
    /* Another app of the same name, whose revisions have the same names, has another id. */
    snprintf(seed, sizeof(seed), "%s/%lld/%u", serve->session, (long long)revision->app->id,
             revision->replicas_made++);
    platform_replica_name(seed, revision->name, made->name, sizeof(made->name));
    struct replica_listener told = listener;
    told.context = made;
    int r = template_new(revision->app->name, strstr(revision->name, "--") + 2, revision->template,
                         app_configuration(revision->app), free_port(), &serve->options->template,
                         serve->images, &made->template, err);
    if (r == 0)
        r = platform_add_replica(serve->platform, &made->template->revision, revision->name,
                                 made->name, revision->app->id, &told, &made->replica, err);
    if (r < 0) {
        template_free(made->template);
        free(made);
        return r;
    }
    made->next = revision->replicas;
    revision->replicas = made;
    progress_await(revision);
    replica_start(made->replica);
    return 0;
}

static void totals(const struct serve *serve, unsigned *ret_replicas, uint64_t *ret_bytes)
{
    *ret_replicas = 0;
    *ret_bytes = 0;
    for (struct app *app = serve->apps; app; app = app->next) {
        for (struct app_revision *r = app->revisions; r; r = r->next) {
            unsigned live = live_replicas(r) + r->pending;
            *ret_replicas += live;
            *ret_bytes += live * template_memory(r->template);
        }
    }
}

int controller_admit(struct serve *serve, json_t *template, struct error *err)
{
    unsigned replicas = 0;
    uint64_t bytes = 0;
    unsigned more = template_min_replicas(template);
    uint64_t added = more * template_memory(template);
    totals(serve, &replicas, &bytes);
    char used[SIZE_TEXT_MAX];
    char most[SIZE_TEXT_MAX];
    if (replicas + more > serve->options->replicas_max)
        return error_usage(err,
                           "%u replicas run and %u more are wanted, but there may be %u; stop "
                           "some, or start serve with a larger --max-replicas",
                           replicas, more, serve->options->replicas_max);
    if (bytes + added > serve->options->memory_max_bytes)
        return error_usage(err,
                           "the memory limits of all replicas would add up to %s, but may be %s; "
                           "stop some, or start serve with a larger --max-memory",
                           size_format(bytes + added, used),
                           size_format(serve->options->memory_max_bytes, most));
    return 0;
}

static struct app_revision *next_pending(const struct serve *serve)
{
    for (struct app *app = serve->apps; app; app = app->next) {
        for (struct app_revision *r = app->revisions; r; r = r->next) {
            if (r->pending > 0)
                return r;
        }
    }
    return NULL;
}

/* An idle handle and no timer: those that are due run one after the other, before any request. */
static void on_starting(uv_idle_t *idle)
{
    struct error err;
    struct app_revision *revision = next_pending(idle->data);
    if (!revision) {
        uv_idle_stop(idle);
        return;
    }
    revision->pending--;
    if (make_replica(revision, &err) < 0) {
        revision->pending = 0;
        revision_fail(revision, err.text);
    } else {
        settle(revision);
    }
}

/* It is tried again: what an earlier try failed with is no longer so. */
static void forget_failure(struct app_revision *revision)
{
    struct error ignored;
    if (!revision->failure)
        return;
    free(steal_ptr(&revision->failure));
    revision->late = false;
    revision_save(revision, &ignored);
}

int revision_start(struct app_revision *revision, struct error *err)
{
    struct serve *serve = revision->app->serve;
    unsigned wanted = template_min_replicas(revision->template);
    unsigned running = revision->pending;
    for (const struct app_replica *r = revision->replicas; r; r = r->next)
        running += !r->stopping;
    if (running >= wanted)
        return 0;
    int r = controller_admit(serve, revision->template, err);
    if (r == 0) {
        forget_failure(revision);
        r = images_prepare(revision, err);
    }
    if (r != 0)
        return r < 0 ? r : 0;
    revision->pending += wanted - running - 1;
    r = make_replica(revision, err);
    if (r < 0)
        revision->pending = 0;
    else if (revision->pending > 0)
        uv_idle_start(&serve->starting, on_starting);
    return r;
}

/* --- stopping ------------------------------------------------------------------------------- */

static void stop_replica(struct app_replica *replica)
{
    if (replica->stopping)
        return;
    replica->stopping = true;
    replica_stop(replica->replica, PLATFORM_KILL_STOP);
}

void revision_stop(struct app_revision *revision)
{
    revision->pending = 0;
    for (struct app_replica *r = revision->replicas; r; r = r->next)
        stop_replica(r);
}

void revision_restart(struct app_revision *revision)
{
    forget_failure(revision);
    progress_await(revision);
    for (struct app_replica *r = revision->replicas; r; r = r->next) {
        if (!r->stopping)
            replica_restart(r->replica);
    }
}

void app_stop(struct app *app)
{
    for (struct app_revision *r = app->revisions; r; r = r->next)
        revision_stop(r);
    controller_later(app->serve);
}

bool serve_is_idle(const struct serve *serve)
{
    if (serve->image_jobs || serve->cleaning || serve->execs)
        return false;
    for (const struct app *app = serve->apps; app; app = app->next) {
        for (const struct app_revision *r = app->revisions; r; r = r->next) {
            if (r->replicas)
                return false;
        }
    }
    return true;
}

static bool reap_revision(struct serve *serve, struct app_revision *revision)
{
    struct app_replica **link = &revision->replicas;
    while (*link) {
        struct app_replica *replica = *link;
        if (!replica->stopped) {
            link = &replica->next;
            continue;
        }
        struct error ignored;
        if (replica->requests > 0 || replica_lifetimes(replica->replica) != replica->lives_told)
            pump_run(serve, &ignored); /* counted before it is gone */
        *link = replica->next;
        platform_remove_replica(serve->platform, replica->replica);
        template_free(replica->template);
        free(replica);
    }
    return revision->replicas == NULL;
}

/* Called from the loop alone, never from within a callback that holds one of these objects. */
void controller_reap(struct serve *serve)
{
    struct app **link = &serve->apps;
    bool gone = false;
    while (*link) {
        struct app *app = *link;
        bool idle = true;
        for (struct app_revision *r = app->revisions; r; r = r->next)
            idle = reap_revision(serve, r) && idle;
        if (!app->deleting || !idle) {
            link = &app->next;
            continue;
        }
        *link = app->next;
        for (const struct app_revision *r = app->revisions; r; r = r->next)
            operations_finish(serve, app->id, r->name, "The container app was deleted.");
        operations_finish(serve, app->id, "", NULL);
        app_free(app);
        gone = true;
    }
    operations_finish_groups(serve);
    if (gone && !serve->stopping)
        images_sweep(serve);
    if (serve->stopping && serve_is_idle(serve))
        uv_stop(serve->loop);
}

static void on_later(uv_timer_t *timer)
{
    controller_reap(timer->data);
}

void controller_later(struct serve *serve)
{
    uv_timer_start(&serve->later, on_later, 0, 0);
}
