/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/platform.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "platform/events.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OBSERVER_RING_RECORDS 8192

struct revision {
    struct revision *next;
    struct platform *platform;
    const struct revision_template *template;
    struct replica_listener listener; /* the deployer's */
    int64_t arm_id;
    char *name;
    struct replica *replica;
    bool failed, deactivated, announced;
};

/* A replica without one of our revisions. */
struct guest {
    struct guest *next;
    struct replica *replica;
};

struct platform {
    struct platform_core core;
    bool loop_ready;
    char *directory, *run_id;
    struct revision *revisions;
    struct guest *guests;
};

/* NULL: it has no such lifetime, or no more. */
static struct replica *find_replica(const struct platform *platform, uint32_t lifetime_id)
{
    if (lifetime_id == 0)
        return NULL;
    for (const struct guest *g = platform->guests; g; g = g->next)
        if (replica_lifetime_id(g->replica) == lifetime_id)
            return g->replica;
    for (const struct revision *r = platform->revisions; r; r = r->next)
        if (replica_lifetime_id(r->replica) == lifetime_id)
            return r->replica;
    return NULL;
}

static void deliver(void *context, const struct observation *observation, int64_t committed_ns)
{
    struct replica *replica = find_replica(context, observation->lifetime_id);
    if (replica)
        replica_observe(replica, observation, committed_ns);
}

/* The profile is to show what is held at the kill, not what is left when the disk has its row. */
static void notice_kill(void *context, uint32_t lifetime_id, int64_t at_ns)
{
    struct replica *replica = find_replica(context, lifetime_id);
    if (replica)
        replica_notice_kill(replica, at_ns);
}

static int start_parts(struct platform *platform, const struct platform_options *options,
                       struct error *err)
{
    struct platform_core *core = &platform->core;
    const struct observer_options observer = {
        .rate_hz = options->sample_rate_hz,
        .ring_records = OBSERVER_RING_RECORDS,
    };
    int r = uv_loop_init(&core->loop);
    if (r < 0)
        return error_errno(err, -r, "making the event loop");
    platform->loop_ready = true;
    r = sandbox_root_new(options->run_id, &core->root, err);
    if (r == 0)
        r = observer_start(&observer, &core->observer, err);
    if (r == 0)
        r = recorder_new(core->store, core->observer, &core->loop, deliver, notice_kill, platform,
                         &core->recorder, err);
    if (r == 0)
        r = prober_new(&core->loop, &core->prober, err);
    return r;
}

int platform_new(const struct platform_options *options, struct platform **ret, struct error *err)
{
    struct platform *platform = calloc(1, sizeof(*platform));
    if (!platform)
        return error_errno(err, ENOMEM, "making the platform");
    platform->core.store = options->store;
    platform->directory = strdup(options->directory);
    platform->run_id = strdup(options->run_id);
    platform->core.directory = platform->directory;
    int r = platform->directory && platform->run_id
                ? 0
                : error_errno(err, ENOMEM, "making the platform");
    if (r == 0)
        r = start_parts(platform, options, err);
    if (r < 0) {
        platform_free(platform);
        return r;
    }
    *ret = platform;
    return 0;
}

void platform_forget(struct platform *platform, struct revision *revision)
{
    for (struct revision **link = &platform->revisions; *link; link = &(*link)->next) {
        if (*link == revision) {
            *link = revision->next;
            break;
        }
    }
    replica_free(revision->replica);
    free(revision->name);
    free(revision);
}

void platform_free(struct platform *platform)
{
    if (!platform)
        return;
    while (platform->revisions)
        platform_forget(platform, platform->revisions);
    while (platform->guests)
        platform_remove_replica(platform, platform->guests->replica);
    prober_free(platform->core.prober);
    recorder_free(platform->core.recorder);
    if (platform->core.observer)
        observer_stop(platform->core.observer);
    if (platform->loop_ready) {
        uv_run(&platform->core.loop, UV_RUN_DEFAULT);
        uv_loop_close(&platform->core.loop);
    }
    sandbox_root_free(platform->core.root);
    free(platform->directory);
    free(platform->run_id);
    free(platform);
}

void platform_run_once(struct platform *platform)
{
    uv_run(&platform->core.loop, UV_RUN_ONCE);
}

uv_loop_t *platform_loop(struct platform *platform)
{
    return &platform->core.loop;
}

int platform_cgroup_version(const struct platform *platform)
{
    return (int)sandbox_root_version(platform->core.root);
}

bool platform_kernel_log(const struct platform *platform)
{
    return observer_has_kmsg(platform->core.observer);
}

uint64_t platform_dropped_observations(const struct platform *platform)
{
    return ring_dropped(observer_ring(platform->core.observer));
}

/* --- replicas of others ---------------------------------------------------------------------- */

int platform_add_replica(struct platform *platform, const struct revision_template *template,
                         const char *revision, const char *name, int64_t owner_id,
                         const struct replica_listener *listener, struct replica **ret,
                         struct error *err)
{
    struct guest *guest = calloc(1, sizeof(*guest));
    if (!guest)
        return error_errno(err, ENOMEM, "making a replica");
    int r = replica_new(&platform->core, template, revision, name, owner_id, listener,
                        &guest->replica, err);
    if (r < 0) {
        free(guest);
        return r;
    }
    guest->next = platform->guests;
    platform->guests = guest;
    *ret = guest->replica;
    return 0;
}

void platform_remove_replica(struct platform *platform, struct replica *replica)
{
    for (struct guest **link = &platform->guests; *link; link = &(*link)->next) {
        struct guest *guest = *link;
        if (guest->replica != replica)
            continue;
        *link = guest->next;
        replica_free(replica);
        free(guest);
        return;
    }
}

/* --- revisions ------------------------------------------------------------------------------ */

char *revision_name(const struct revision_template *template)
{
    char *name = NULL;
    if (asprintf(&name, "%s--%s", template->app, template->suffix) < 0)
        return NULL;
    return name;
}

void platform_replica_name(const char *seed_text, const char *revision, char *name, size_t size)
{
    /* Kubernetes' alphabet for random suffixes (k8s.io/apimachinery/pkg/util/rand). */
    static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
    char seed[512];
    char digest[SHA256_TEXT_MAX];
    int length = snprintf(seed, sizeof(seed), "%s/%s", seed_text, revision);
    sha256_hex(seed, (size_t)length < sizeof(seed) ? (size_t)length : sizeof(seed) - 1, digest);
    char suffix[6] = "";
    for (size_t i = 0; i < 5; i++) {
        unsigned byte = 0;
        sscanf(digest + 10 + 2 * i, "%2x", &byte);
        suffix[i] = alphabet[byte % (sizeof(alphabet) - 1)];
    }
    snprintf(name, size, "%s-%.10s-%s", revision, digest, suffix);
}

static struct event_subject subject_of(const struct revision *revision)
{
    return (struct event_subject){
        .store = revision->platform->core.store,
        .arm_id = revision->arm_id,
        .app = revision->template->app,
        .revision = revision->name,
    };
}

#define REVISION_EVENT(revision, reason, ...)                                                      \
    do {                                                                                           \
        struct error event_error;                                                                  \
        struct event_subject event_subject = subject_of(revision);                                 \
        event_add(&event_subject, "Normal", reason, NULL, &event_error, __VA_ARGS__);              \
    } while (0)

static void on_ready(void *context, const struct lifetime_report *lifetime)
{
    struct revision *revision = context;
    const char *app = revision->template->app;
    if (!revision->announced) {
        revision->announced = true;
        REVISION_EVENT(revision, "RevisionReady", "Successfully provisioned revision '%s'",
                       revision->name);
        REVISION_EVENT(revision, "RevisionUpdate",
                       "Setting traffic weight of '100%%' for revision '%s'", revision->name);
        REVISION_EVENT(revision, "ContainerAppReady", "Successfully updated containerApp: %s", app);
    }
    if (revision->listener.ready)
        revision->listener.ready(revision->listener.context, lifetime);
}

static bool on_ended(void *context, const struct lifetime_report *lifetime)
{
    struct revision *revision = context;
    if (!revision->listener.ended)
        return true;
    return revision->listener.ended(revision->listener.context, lifetime);
}

static void on_failed(void *context, const struct error *err)
{
    struct revision *revision = context;
    revision->failed = true;
    if (revision->listener.failed)
        revision->listener.failed(revision->listener.context, err);
}

static void on_stopped(void *context)
{
    struct revision *revision = context;
    struct error ignored;
    const struct store_value key = STORE_STR("name", revision->name);
    const struct store_value values[] = {
        STORE_INT("deactivated_ns", clock_monotonic_ns()),
        STORE_END,
    };
    revision->deactivated = true;
    store_update(revision->platform->core.store, "revision", &key, values, &ignored);
    if (revision->listener.stopped)
        revision->listener.stopped(revision->listener.context);
}

static void on_unprofiled(void *context, bool partly, const struct error *err)
{
    struct revision *revision = context;
    if (revision->listener.unprofiled)
        revision->listener.unprofiled(revision->listener.context, partly, err);
}

static int insert_revision(const struct revision *revision, struct error *err)
{
    const struct revision_template *t = revision->template;
    char template[256];
    snprintf(template, sizeof(template),
             "{\"cpu_cores\":%g,\"memory_bytes\":%llu,\"port\":%u,\"minReplicas\":1,"
             "\"maxReplicas\":1}",
             t->cpu_cores, (unsigned long long)t->memory_bytes, t->port);
    const struct store_value values[] = {
        STORE_STR("name", revision->name),     STORE_STR("app", t->app),
        STORE_INT("arm_id", revision->arm_id), STORE_INT("created_ns", clock_monotonic_ns()),
        STORE_STR("template", template),       STORE_END,
    };
    return store_insert(revision->platform->core.store, "revision", values, NULL, err);
}

static int make_replica(struct revision *revision, struct error *err)
{
    const struct replica_listener listener = {
        .context = revision,
        .ready = on_ready,
        .ended = on_ended,
        .failed = on_failed,
        .stopped = on_stopped,
        .unprofiled = on_unprofiled,
    };
    char name[256];
    /* From the run and the revision: the names of a run repeat in its record. */
    platform_replica_name(revision->platform->run_id, revision->name, name, sizeof(name));
    return replica_new(&revision->platform->core, revision->template, revision->name, name,
                       revision->arm_id, &listener, &revision->replica, err);
}

int platform_deploy(struct platform *platform, const struct revision_template *template,
                    int64_t arm_id, const struct replica_listener *listener, struct revision **ret,
                    struct error *err)
{
    struct revision *revision = calloc(1, sizeof(*revision));
    if (!revision)
        return error_errno(err, ENOMEM, "making a revision");
    revision->platform = platform;
    revision->template = template;
    revision->listener = *listener;
    revision->arm_id = arm_id;
    revision->name = revision_name(template);
    int r = revision->name ? 0 : error_errno(err, ENOMEM, "making a revision");
    if (r == 0)
        r = insert_revision(revision, err);
    if (r == 0)
        r = make_replica(revision, err);
    if (r < 0) {
        free(revision->name);
        free(revision);
        return r;
    }
    revision->next = platform->revisions;
    platform->revisions = revision;
    *ret = revision;
    REVISION_EVENT(revision, "RevisionCreation", "Creating a new revision: %s", revision->name);
    replica_start(revision->replica);
    return 0;
}

void platform_deactivate(struct platform *platform, struct revision *revision,
                         enum platform_kill reason)
{
    (void)platform;
    REVISION_EVENT(revision, "RevisionDeactivating",
                   "Deactivating old revisions for ContainerApp '%s'", revision->template->app);
    replica_stop(revision->replica, reason);
}

void platform_hurry(struct revision *revision)
{
    replica_hurry(revision->replica);
}

void platform_stamp_heap(struct revision *revision, unsigned cycle)
{
    replica_stamp_heap(revision->replica, cycle);
}

void platform_abandon(struct revision *revision)
{
    replica_abandon(revision->replica);
}

void revision_get_states(const struct revision *revision, struct revision_states *ret)
{
    const struct replica *replica = revision->replica;
    bool ready = replica_is_ready(replica);
    bool ever = replica_was_ready(replica);
    bool crashed = replica_lifetimes(replica) > 1 || revision->failed;
    ret->provisioning = ever ? "Provisioned" : crashed ? "Failed" : "Provisioning";
    ret->health = ready ? "Healthy" : ever || crashed ? "Unhealthy" : "None";
    if (revision->deactivated)
        ret->running = "Stopped";
    else if (ready)
        ret->running = "RunningAtMaxScale";
    else if (ever)
        ret->running = "Degraded";
    else
        ret->running = crashed ? "Failed" : "Processing";
}

const struct replica *revision_replica(const struct revision *revision)
{
    return revision->replica;
}
