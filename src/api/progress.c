/* SPDX-License-Identifier: Apache-2.0 */
/* What comes of a new revision, as its operation and its app tell it. One that is not ready in time
 * is given up by its operation, as by a Kubernetes deployment's progressDeadlineSeconds; its
 * containers are tried on. */
#include "api/model.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/duration.h"

#include <stdlib.h>
#include <string.h>

#define PORTS_MAX 8

/* --- the outcome ----------------------------------------------------------------------------- */

const char *app_provisioning(const struct app *app)
{
    const char *kept = json_string_value(json_object_get(app_properties(app), "provisioningState"));
    if (app->deleting)
        return "Deleting";
    return kept ? kept : "Succeeded";
}

/* It is kept, so that a start of serve knows it. A start after a power cut finds out by itself. */
static void set_provisioning(struct app *app, const char *state)
{
    struct error ignored;
    if (app->deleting || strcmp(app_provisioning(app), state) == 0)
        return;
    json_object_set_new(app_properties(app), "provisioningState", json_string(state));
    state_set_durable(app->serve->state, false);
    app_save(app, &ignored);
    state_set_durable(app->serve->state, true);
}

/* The app's state is that of its newest revision. */
void revision_conclude(struct app_revision *revision, const char *failure)
{
    struct app *app = revision->app;
    operations_finish(app->serve, app->id, revision->name, failure);
    if (app->revisions == revision)
        set_provisioning(app, failure ? "Failed" : "Succeeded");
}

void revision_conclude_early(struct app_revision *revision, const char *failure)
{
    struct app *app = revision->app;
    bool open = app->revisions == revision && strcmp(app_provisioning(app), "InProgress") == 0;
    revision->progress_end_ns = 0;
    operations_finish(app->serve, app->id, revision->name, failure);
    if (open)
        set_provisioning(app, failure ? "Failed" : "Succeeded");
}

/* --- why it is not ready ---------------------------------------------------------------------- */

/* An app that listens elsewhere than where the ingress looks for it. False: it does not. */
static bool put_ports(const struct app_replica *replica, struct buffer *text)
{
    uint16_t ports[PORTS_MAX];
    unsigned target = replica->template->target_port;
    unsigned own = replica->template->revision.port;
    unsigned count = replica_listening_ports(replica->replica, ports, PORTS_MAX);
    if (target == 0 || count == 0)
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (ports[i] == own)
            return false;
    }
    if (ports[0] != target)
        buffer_printf(text, " The TargetPort %u does not match the listening port %u.", target,
                      ports[0]);
    else
        buffer_printf(text, " The container listens on port %u.", target);
    buffer_printf(text,
                  " Here a container must listen on the port that its variable PORT names (%u); "
                  "the target port is the ingress's own.",
                  own);
    return true;
}

static void put_reason(const struct app_revision *revision, struct buffer *text)
{
    for (const struct app_replica *r = revision->replicas; r; r = r->next) {
        if (r->stopping || replica_is_ready(r->replica))
            continue;
        const char *probe = replica_probe_failure(r->replica);
        if (!put_ports(r, text) && probe[0])
            buffer_printf(text, " %s.", probe);
        return;
    }
}

static void give_up(struct app_revision *revision)
{
    AUTO_BUFFER text = {0};
    struct app_states states;
    app_revision_states(revision, &states);
    buffer_printf(&text, "Deployment Progress Deadline Exceeded. %u/%u replicas ready.",
                  states.ready, template_min_replicas(revision->template));
    put_reason(revision, &text);
    revision->late = true;
    app_event(revision->app, revision->name, "Warning", "RevisionProvisioningFailed",
              "Revision '%s' was not ready in time: %s", revision->name, buffer_text(&text));
    revision_fail(revision, buffer_text(&text));
}

/* --- the deadline ----------------------------------------------------------------------------- */

static void arm(struct serve *serve);

static void on_progress(uv_timer_t *timer)
{
    struct serve *serve = timer->data;
    int64_t now_ns = clock_monotonic_ns();
    for (struct app *app = serve->apps; app; app = app->next) {
        for (struct app_revision *r = app->revisions; r; r = r->next) {
            if (r->progress_end_ns == 0 || r->progress_end_ns > now_ns)
                continue;
            r->progress_end_ns = 0;
            if (!app->deleting && r->active && !serve->stopping)
                give_up(r);
        }
    }
    arm(serve);
}

static void arm(struct serve *serve)
{
    int64_t first_ns = INT64_MAX;
    for (const struct app *app = serve->apps; app; app = app->next) {
        for (const struct app_revision *r = app->revisions; r; r = r->next) {
            if (r->progress_end_ns != 0 && r->progress_end_ns < first_ns)
                first_ns = r->progress_end_ns;
        }
    }
    if (first_ns == INT64_MAX)
        return;
    int64_t wait_ns = first_ns - clock_monotonic_ns();
    uv_timer_start(&serve->progress, on_progress,
                   wait_ns > 0 ? (uint64_t)(wait_ns / NS_PER_MS) + 1 : 0, 0);
}

void progress_await(struct app_revision *revision)
{
    struct serve *serve = revision->app->serve;
    if (revision->provisioned)
        return;
    revision->progress_end_ns = clock_monotonic_ns() + serve->options->progress_deadline_ns;
    arm(serve);
}
