/* SPDX-License-Identifier: Apache-2.0 */
/* Container apps: create, update, show, list, delete. */
#include "api/ingress.h"
#include "api/resources.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char TYPE[] = APP_TYPE;

struct app *require_app(struct request *request, struct reply *reply)
{
    struct app *app = app_find(request->serve, request->params[0], request->params[1]);
    if (app && !app->deleting)
        return app;
    if (!group_exists(request->serve, request->params[0]))
        refuse_group(request, reply);
    else
        reply_error(reply, MHD_HTTP_NOT_FOUND, "ResourceNotFound",
                    "The Resource '%s/%s' under resource group '%s' was not found. For more "
                    "details please go to https://aka.ms/ARMResourceNotFoundFix",
                    TYPE, request->params[1], request->params[0]);
    return NULL;
}

/* --- showing -------------------------------------------------------------------------------- */

/* Does anything of it run, or will it again? */
static bool has_container(const struct app *app)
{
    for (const struct app_revision *r = app->revisions; r; r = r->next) {
        if (r->active && r->pending > 0)
            return true;
        for (const struct app_replica *p = r->replicas; p; p = p->next) {
            enum replica_state state = replica_state(p->replica);
            if (!p->stopping && state != REPLICA_NEW && state != REPLICA_STOPPED)
                return true;
        }
    }
    return false;
}

/* One that cannot be started is stopped; one of which nothing has been ready is on its way. */
static const char *running_status(const struct app *app)
{
    bool progresses = strcmp(app_provisioning(app), "InProgress") == 0;
    if (!has_container(app))
        return progresses ? "Progressing" : "Stopped";
    for (const struct app_revision *r = app->revisions; progresses && r; r = r->next)
        progresses = !(r->active && r->provisioned);
    return progresses ? "Progressing" : "Running";
}

static void add_ingress(struct app *app, json_t *properties)
{
    json_t *ingress = json_object_get(json_object_get(properties, "configuration"), "ingress");
    if (!json_is_object(ingress))
        return;
    char fqdn[64];
    snprintf(fqdn, sizeof(fqdn), "localhost:%u", ingress_port(app));
    json_object_set_new(ingress, "fqdn", json_string(fqdn));
    if (json_array_size(json_object_get(ingress, "traffic")) == 0 || app_is_single(app))
        json_object_set_new(ingress, "traffic",
                            json_pack("[{s:b, s:i}]", "latestRevision", 1, "weight", 100));
}

json_t *app_json(struct app *app)
{
    json_t *resource = json_deep_copy(app->resource);
    json_t *properties = json_object_get(resource, "properties");
    const struct app_revision *latest = revision_latest(app);
    const struct app_revision *ready = app->revisions;
    while (ready && !ready->provisioned)
        ready = ready->next;
    json_object_set_new(properties, "provisioningState", json_string(app_provisioning(app)));
    json_object_set_new(properties, "runningStatus", json_string(running_status(app)));
    json_object_set_new(properties, "latestRevisionName",
                        app->revisions ? json_string(app->revisions->name) : json_null());
    json_object_set_new(properties, "latestReadyRevisionName",
                        ready ? json_string(ready->name) : json_null());
    template_show(json_object_get(properties, "template"));
    json_object_set_new(properties, "outboundIpAddresses", json_pack("[s]", "127.0.0.1"));
    add_ingress(app, properties);
    if (latest && ingress_port(app) != 0) {
        char fqdn[64];
        snprintf(fqdn, sizeof(fqdn), "localhost:%u", ingress_port(app));
        json_object_set_new(properties, "latestRevisionFqdn", json_string(fqdn));
    }
    return resource;
}

void app_get(struct request *request, struct reply *reply)
{
    struct app *app = require_app(request, reply);
    if (app)
        reply_json(reply, MHD_HTTP_OK, app_json(app));
}

void apps_list(struct request *request, struct reply *reply)
{
    const char *group = request->params[0];
    if (group && !group_exists(request->serve, group)) {
        refuse_group(request, reply);
        return;
    }
    json_t *list = json_array();
    for (struct app *app = request->serve->apps; app; app = app->next) {
        if (!app->deleting && (!group || strcasecmp(app->group, group) == 0))
            json_array_insert_new(list, 0, app_json(app));
    }
    reply_list(request, reply, list);
}

void app_list_secrets(struct request *request, struct reply *reply)
{
    if (require_app(request, reply))
        reply_json(reply, MHD_HTTP_OK, json_pack("{s:[]}", "value"));
}

/* --- changing ------------------------------------------------------------------------------- */

/* null is as if it were missing: a PATCH cannot even say it. */
static void strip_nulls(json_t *json)
{
    const char *key = NULL;
    void *next = NULL;
    json_t *value = NULL;
    json_object_foreach_safe(json, next, key, value)
    {
        if (json_is_null(value))
            json_object_del(json, key);
        else
            strip_nulls(value);
    }
    for (size_t i = 0; i < json_array_size(json); i++)
        strip_nulls(json_array_get(json, i));
}

/* The template without its suffix, to be compared. New reference. */
static json_t *comparable(const json_t *template)
{
    json_t *copy = json_deep_copy(template);
    json_object_del(copy, "revisionSuffix");
    strip_nulls(copy);
    return copy;
}

static bool same_template(const json_t *a, const json_t *b)
{
    json_t *left = comparable(a);
    json_t *right = comparable(b);
    bool same = json_equal(left, right);
    json_decref(left);
    json_decref(right);
    return same;
}

static void suffix_for(struct app *app, const json_t *template, char *suffix, size_t size)
{
    const char *given = json_string_value(json_object_get(template, "revisionSuffix"));
    if (given && given[0] != '\0')
        snprintf(suffix, size, "%s", given);
    else
        snprintf(suffix, size, "%07u", app->revision_count + 1);
}

/* The app and its new revision, durable in one transaction that the caller has begun. */
static int record_revision(struct app *app, struct app_revision **ret, struct error *err)
{
    char suffix[64];
    json_t *template = json_object_get(app_properties(app), "template");
    suffix_for(app, template, suffix, sizeof(suffix));
    int r = revision_insert(app, suffix, template, ret, err);
    if (r == 0)
        r = app_save(app, err);
    return r == 0 ? state_commit(app->serve->state, err) : r;
}

/* A revision that is recorded: its containers. */
static struct operation *deploy(struct request *request, struct app *app,
                                struct app_revision *revision)
{
    struct error err;
    struct operation *operation = operation_new(request->serve, app, revision->name, request->path);
    app_event(app, revision->name, "Normal", "RevisionCreation", "Creating a new revision: %s",
              revision->name);
    if (revision_start(revision, &err) < 0)
        revision_fail(revision, err.text);
    return operation;
}

static void reply_app(struct request *request, struct reply *reply, struct app *app,
                      unsigned status, struct operation *operation)
{
    struct error err;
    if (ingress_open(app, &err) < 0)
        app_event(app, NULL, "Warning", "IngressFailed", "%s", err.text);
    reply_operation(request, reply, operation);
    reply_json(reply, status, app_json(app));
}

static bool suffix_is_taken(struct app *app, const json_t *template, struct reply *reply)
{
    char name[REVISION_NAME_MAX];
    const char *suffix = json_string_value(json_object_get(template, "revisionSuffix"));
    if (!suffix || suffix[0] == '\0')
        return false;
    snprintf(name, sizeof(name), "%s--%s", app->name, suffix);
    if (!revision_find(app, name))
        return false;
    reply_error(reply, MHD_HTTP_CONFLICT, "ContainerAppRevisionAlreadyExists",
                "Revision with suffix %s already exists. Choose another --revision-suffix.",
                suffix);
    return true;
}

/* RFC 7396: objects are merged, null removes, everything else replaces. */
static void merge(json_t *target, json_t *patch)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(patch, key, value)
    {
        json_t *old = json_object_get(target, key);
        if (json_is_null(value))
            json_object_del(target, key);
        else if (json_is_object(value) && json_is_object(old))
            merge(old, value);
        else
            json_object_set_new(target, key, json_deep_copy(value));
    }
}

/* Tags and location: a PUT replaces them, a PATCH adds to them, with null for its tags it takes
 * them all away. New reference. */
static json_t *changed_resource(const struct request *request, const struct app *app,
                                json_t *properties, bool put)
{
    json_t *resource = json_copy(app->resource);
    json_t *given = json_object_get(request->body, "tags");
    bool anew = put || json_is_null(given);
    json_t *tags = anew ? json_object() : json_deep_copy(json_object_get(resource, "tags"));
    json_t *location = json_object_get(request->body, "location");
    json_object_set_new(resource, "properties", properties);
    if (json_is_string(location))
        json_object_set(resource, "location", location);
    if (!tags)
        tags = json_object();
    if (json_is_object(given))
        merge(tags, given);
    if (json_object_size(tags) > 0)
        json_object_set(resource, "tags", tags);
    else
        json_object_del(resource, "tags");
    json_decref(tags);
    return resource;
}

static bool is_same(const json_t *before, const json_t *template)
{
    const char *suffix = json_string_value(json_object_get(template, "revisionSuffix"));
    const char *old = json_string_value(json_object_get(before, "revisionSuffix"));
    return same_template(before, template) &&
           (!suffix || suffix[0] == '\0' || (old && strcmp(old, suffix) == 0));
}

/* Record it, with a new revision unless the template is the same. What is not recorded has not
 * happened. */
static int record_change(struct app *app, json_t *resource, struct app_revision **ret, bool same,
                         struct error *err)
{
    json_t *before = app->resource;
    app->resource = resource;
    int r = same ? app_save(app, err) : state_begin(app->serve->state, err);
    if (r == 0 && !same)
        r = record_revision(app, ret, err);
    if (r < 0) {
        state_rollback(app->serve->state);
        revision_forget(app, *ret);
        app->resource = before;
        json_decref(resource);
        return r;
    }
    json_decref(before);
    return 0;
}

/* In single mode everything goes to the latest revision, and still does when there may be several
 * again. */
static void forget_weights(const json_t *properties)
{
    json_t *configuration = json_object_get(properties, "configuration");
    const char *mode = json_string_value(json_object_get(configuration, "activeRevisionsMode"));
    if (!mode || strcasecmp(mode, "Multiple") != 0)
        json_object_del(json_object_get(configuration, "ingress"), "traffic");
}

/* Put `properties` (checked, taken over) in the place of the app's. */
static void change(struct request *request, struct reply *reply, struct app *app,
                   json_t *properties, bool put)
{
    struct error err;
    json_t *template = json_object_get(properties, "template");
    bool same = is_same(json_object_get(app_properties(app), "template"), template);
    if (!same && controller_admit(request->serve, template, &err) < 0) {
        json_decref(properties);
        reply_error(reply, MHD_HTTP_CONFLICT, "LocalCapacityExceeded", "%s", err.text);
        return;
    }
    if (!same && suffix_is_taken(app, template, reply)) {
        json_decref(properties);
        return;
    }
    struct operation *operation = NULL;
    struct app_revision *revision = NULL;
    forget_weights(properties);
    json_object_set_new(properties, "provisioningState",
                        json_string(same ? app_provisioning(app) : "InProgress"));
    json_t *resource = changed_resource(request, app, properties, put);
    if (record_change(app, resource, &revision, same, &err) < 0) {
        reply_failure(reply, "ContainerAppOperationError", &err);
        return;
    }
    if (!same) {
        operation = deploy(request, app, revision);
    } else if (app->revisions) {
        app_settle(app); /* perhaps there is to be one revision now */
        app_event(app, app->revisions->name, "Normal", "RevisionUpdate",
                  "Revision '%s' updated. No new revision was provisioned.", app->revisions->name);
    }
    reply_app(request, reply, app,
              put         ? MHD_HTTP_OK
              : operation ? MHD_HTTP_ACCEPTED
                          : MHD_HTTP_OK,
              operation);
}

static void create(struct request *request, struct reply *reply, json_t *properties)
{
    char id[ID_MAX];
    struct error err;
    struct app *app = NULL;
    struct serve *serve = request->serve;
    const char *name = request->params[1];
    if (controller_admit(serve, json_object_get(properties, "template"), &err) < 0) {
        reply_error(reply, MHD_HTTP_CONFLICT, "LocalCapacityExceeded", "%s", err.text);
        return;
    }
    snprintf(id, sizeof(id), "/subscriptions/%s/resourceGroups/%s/providers/%s/%s",
             request->subscription, request->params[0], TYPE, name);
    const char *location = json_string_value(json_object_get(request->body, "location"));
    json_object_set_new(properties, "provisioningState", json_string("InProgress"));
    json_t *resource =
        json_pack("{s:s, s:s, s:s, s:s, s:O}", "id", id, "name", name, "type", TYPE, "location",
                  location ? location : "local", "properties", properties);
    json_t *tags = json_object_get(request->body, "tags");
    if (json_object_size(tags) > 0)
        json_object_set(resource, "tags", tags);
    struct app_revision *revision = NULL;
    int r = state_begin(serve->state, &err);
    if (r == 0)
        r = app_insert(serve, request->params[0], name, resource, &app, &err);
    if (r == 0)
        r = record_revision(app, &revision, &err);
    json_decref(resource);
    if (r < 0) {
        state_rollback(serve->state);
        app_forget(app);
        reply_failure(reply, "ContainerAppOperationError", &err);
        return;
    }
    reply_app(request, reply, app, MHD_HTTP_CREATED, deploy(request, app, revision));
}

static void drop_null(json_t *object, const char *key)
{
    if (json_is_null(json_object_get(object, key)))
        json_object_del(object, key);
}

void app_put(struct request *request, struct reply *reply)
{
    struct serve *serve = request->serve;
    const char *name = request->params[1];
    struct app *app = app_find(serve, request->params[0], name);
    json_t *given = json_object_get(request->body, "properties");
    if (!group_exists(serve, request->params[0])) {
        refuse_group(request, reply);
        return;
    }
    if (!app_name_is_valid(name)) {
        refuse_app_name(reply, name);
        return;
    }
    if ((app && app->deleting) || (!app && app_find_name(serve, name))) {
        reply_error(reply, MHD_HTTP_CONFLICT, "ContainerAppNameAlreadyInUse",
                    "The name '%s' is in use: by an app of another resource group, or by one that "
                    "is being deleted.",
                    name);
        return;
    }
    if (!check_resource(request, reply))
        return;
    json_t *properties = json_is_object(given) ? json_deep_copy(given) : json_object();
    drop_null(json_object_get(properties, "configuration"), "ingress");
    if (!app_check(request, app, properties, reply)) {
        json_decref(properties);
    } else if (app) {
        change(request, reply, app, properties, true);
    } else {
        create(request, reply, properties);
        json_decref(properties);
    }
}

void app_patch(struct request *request, struct reply *reply)
{
    struct app *app = require_app(request, reply);
    if (!app || !check_resource(request, reply))
        return;
    json_t *properties = json_deep_copy(app_properties(app));
    json_t *patch = json_object_get(request->body, "properties");
    json_t *template = json_object_get(patch, "template");
    /* A suffix is for one revision: it does not stay for the next. */
    if (json_is_object(template))
        json_object_del(json_object_get(properties, "template"), "revisionSuffix");
    if (json_is_object(patch))
        merge(properties, patch);
    if (!app_check(request, app, properties, reply)) {
        json_decref(properties);
        return;
    }
    change(request, reply, app, properties, false);
}

static int begin_deletion(struct app *app, struct error *err)
{
    int r = app_delete(app, err);
    if (r < 0)
        return r;
    app->deleting = true;
    app_stop(app);
    return 0;
}

/* One that is being deleted already, by itself or with its group, is waited for. */
void app_remove(struct request *request, struct reply *reply)
{
    struct error err = {0};
    struct app *app = app_find(request->serve, request->params[0], request->params[1]);
    if (!app) {
        reply->status = MHD_HTTP_NO_CONTENT;
        return;
    }
    if (!app->deleting && begin_deletion(app, &err) < 0) {
        reply_failure(reply, "ContainerAppOperationError", &err);
        return;
    }
    struct operation *operation = operation_deleting_app(request->serve, app);
    if (!operation)
        operation = operation_new(request->serve, app, "", request->path);
    reply_operation(request, reply, operation);
    reply->status = MHD_HTTP_ACCEPTED;
}
