/* SPDX-License-Identifier: Apache-2.0 */
/* Revisions and their replicas. */
#include "api/resources.h"

#include "base/clock.h"

#include <string.h>
#include <strings.h>

struct app_revision *require_revision(struct request *request, struct reply *reply)
{
    struct app *app = require_app(request, reply);
    struct app_revision *revision = app ? revision_find(app, request->params[2]) : NULL;
    if (app && !revision)
        reply_error(reply, MHD_HTTP_NOT_FOUND, "RevisionNotFound",
                    "Revision '%s' of container app '%s' was not found.", request->params[2],
                    app->name);
    return revision;
}

json_t *revision_json(struct app_revision *revision)
{
    char id[ID_MAX];
    struct app_states states;
    app_id(revision->app, id);
    app_revision_states(revision, &states);
    char own[ID_MAX + REVISION_NAME_MAX + 16];
    snprintf(own, sizeof(own), "%s/revisions/%s", id, revision->name);
    json_t *template = json_deep_copy(revision->template);
    template_show(template);
    json_t *properties = json_pack(
        "{s:b, s:o, s:s, s:s, s:s, s:i, s:i, s:o}", "active", revision->active, "createdTime",
        time_json(revision->created_ns), "healthState", states.health, "provisioningState",
        states.provisioning, "runningState", states.running, "replicas", (int)states.replicas,
        "trafficWeight", (int)revision_weight(revision), "template", template);
    if (revision->failure)
        json_object_set_new(properties, "provisioningError", json_string(revision->failure));
    if (revision->failure)
        json_object_set_new(properties, "runningStateDetails", json_string(revision->failure));
    return json_pack("{s:s, s:s, s:s, s:o}", "id", own, "name", revision->name, "type",
                     "Microsoft.App/containerapps/revisions", "properties", properties);
}

enum filter { FILTER_NONE, FILTER_ACTIVE, FILTER_INACTIVE, FILTER_UNKNOWN };

/* "properties/active eq true|false", the one that Azure's clients send. */
static enum filter parse_filter(const char *text)
{
    char field[40] = "";
    char value[8] = "";
    char rest = 0;
    if (!text || text[strspn(text, " ")] == '\0')
        return FILTER_NONE;
    if (sscanf(text, " %39[^ ] %*1[eE]%*1[qQ] %7[^ ] %c", field, value, &rest) != 2 ||
        strcasecmp(field, "properties/active") != 0)
        return FILTER_UNKNOWN;
    if (strcasecmp(value, "true") == 0)
        return FILTER_ACTIVE;
    return strcasecmp(value, "false") == 0 ? FILTER_INACTIVE : FILTER_UNKNOWN;
}

/* Oldest first, as Azure lists them: [0] is the first one, [-1] the latest. */
void revisions_list(struct request *request, struct reply *reply)
{
    struct app *app = require_app(request, reply);
    if (!app)
        return;
    const char *text = request_query(request, "$filter");
    enum filter filter = parse_filter(text);
    if (filter == FILTER_UNKNOWN) {
        reply_error(reply, MHD_HTTP_BAD_REQUEST, "InvalidFilter",
                    "The filter '%.100s' is not supported here: revisions are filtered by "
                    "'properties/active eq true' or 'properties/active eq false'.",
                    text);
        return;
    }
    json_t *list = json_array();
    for (struct app_revision *r = app->revisions; r; r = r->next) {
        if (filter == FILTER_NONE || r->active == (filter == FILTER_ACTIVE))
            json_array_insert_new(list, 0, revision_json(r));
    }
    reply_list(request, reply, list);
}

void revision_get(struct request *request, struct reply *reply)
{
    struct app_revision *revision = require_revision(request, reply);
    if (revision)
        reply_json(reply, MHD_HTTP_OK, revision_json(revision));
}

static int start(struct app_revision *revision, struct error *err)
{
    int r = revision_start(revision, err);
    if (r < 0)
        revision_fail(revision, err->text);
    return r;
}

static int set_active(struct app_revision *revision, bool active, struct error *err)
{
    struct serve *serve = revision->app->serve;
    int r = 0;
    if (active && !revision->active)
        r = controller_admit(serve, revision->template, err);
    if (r < 0)
        return r;
    bool before = revision->active;
    revision->active = active;
    r = revision_save(revision, err);
    if (r < 0) {
        revision->active = before;
        return r;
    }
    if (!active) {
        app_event(revision->app, revision->name, "Normal", "RevisionDeactivating",
                  "Deactivating revision '%s'", revision->name);
        revision_conclude_early(revision, "It was deactivated before it was ready.");
        revision_stop(revision);
        controller_later(serve);
        return 0;
    }
    return start(revision, err);
}

void revision_action(struct request *request, struct reply *reply)
{
    struct error err = {0};
    struct app_revision *revision = require_revision(request, reply);
    if (!revision)
        return;
    int r = 0;
    if (strcmp(request->action, "restart") != 0) {
        r = set_active(revision, strcmp(request->action, "activate") == 0, &err);
    } else if (!revision->active) {
        reply_error(reply, MHD_HTTP_BAD_REQUEST, "RevisionNotActive",
                    "Revision '%s' is not active: activate it first.", revision->name);
        return;
    } else {
        revision_restart(revision);
        r = start(revision, &err);
    }
    if (r < 0)
        reply_failure(reply, "ContainerAppOperationError", &err);
    else
        reply_json(reply, MHD_HTTP_OK, json_string("Success"));
}

/* --- replicas ------------------------------------------------------------------------------- */

static json_t *container_json(struct app_replica *replica)
{
    const json_t *container = template_container(replica->revision->template);
    const char *name = json_string_value(json_object_get(container, "name"));
    unsigned lives = replica_lifetimes(replica->replica);
    enum replica_state state = replica_state(replica->replica);
    bool ready = replica_is_ready(replica->replica);
    bool running = state == REPLICA_RUNNING;
    const char *details = "";
    if (state == REPLICA_BACKOFF)
        details = "CrashLoopBackOff";
    else if (state == REPLICA_STOPPED && replica->revision->failure)
        details = replica->revision->failure;
    json_t *json = json_pack(
        "{s:s, s:b, s:b, s:i, s:s, s:s}", "name", name ? name : replica->revision->app->name,
        "ready", ready, "started", running, "restartCount", lives > 0 ? (int)lives - 1 : 0,
        "runningState", running ? "Running" : "Waiting", "runningStateDetails", details);
    if (replica->has_end)
        json_object_set_new(json, "oomlab",
                            json_pack("{s:{s:s, s:i}, s:i}", "lastEnd", "cause",
                                      cause_name(replica->end_cause), "exitCode",
                                      replica->end_exit_code, "oomKills", (int)replica->oom_kills));
    return json;
}

json_t *replica_json(struct app_replica *replica)
{
    char id[ID_MAX];
    char own[ID_MAX + 320];
    app_id(replica->revision->app, id);
    snprintf(own, sizeof(own), "%s/revisions/%s/replicas/%s", id, replica->revision->name,
             replica->name);
    bool running = replica_state(replica->replica) == REPLICA_RUNNING;
    return json_pack("{s:s, s:s, s:s, s:{s:o, s:s, s:s, s:[o], s:{s:i}}}", "id", own, "name",
                     replica->name, "type", "Microsoft.App/containerapps/revisions/replicas",
                     "properties", "createdTime", time_json(replica->created_ns), "runningState",
                     running ? "Running" : "NotRunning", "runningStateDetails", "", "containers",
                     container_json(replica), "oomlab", "port",
                     (int)replica->template->revision.port);
}

void replicas_list(struct request *request, struct reply *reply)
{
    struct app_revision *revision = require_revision(request, reply);
    if (!revision)
        return;
    json_t *list = json_array();
    for (struct app_replica *r = revision->replicas; r; r = r->next) {
        if (!r->stopping)
            json_array_insert_new(list, 0, replica_json(r));
    }
    reply_list(request, reply, list);
}

void replica_get(struct request *request, struct reply *reply)
{
    struct app_revision *revision = require_revision(request, reply);
    struct app_replica *replica = revision ? replica_find(revision, request->params[3]) : NULL;
    if (replica)
        reply_json(reply, MHD_HTTP_OK, replica_json(replica));
    else if (revision)
        reply_error(reply, MHD_HTTP_NOT_FOUND, "ReplicaNotFound",
                    "Replica '%s' of revision '%s' was not found.", request->params[3],
                    revision->name);
}
