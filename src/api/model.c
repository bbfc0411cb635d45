/* SPDX-License-Identifier: Apache-2.0 */
#include "api/model.h"

#include "api/image.h"
#include "api/ingress.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- lookup --------------------------------------------------------------------------------- */

struct app *app_find_name(struct serve *serve, const char *name)
{
    for (struct app *app = serve->apps; app; app = app->next) {
        if (strcasecmp(app->name, name) == 0)
            return app;
    }
    return NULL;
}

struct app *app_find(struct serve *serve, const char *group, const char *name)
{
    struct app *app = app_find_name(serve, name);
    return app && strcasecmp(app->group, group) == 0 ? app : NULL;
}

struct app *app_find_id(struct serve *serve, int64_t id)
{
    for (struct app *app = serve->apps; app; app = app->next) {
        if (app->id == id)
            return app;
    }
    return NULL;
}

struct app_revision *revision_find(struct app *app, const char *name)
{
    for (struct app_revision *r = app->revisions; r; r = r->next) {
        if (strcasecmp(r->name, name) == 0)
            return r;
    }
    return NULL;
}

struct app_revision *revision_latest(struct app *app)
{
    for (struct app_revision *r = app->revisions; r; r = r->next) {
        if (r->active)
            return r;
    }
    return NULL;
}

struct app_replica *replica_find(struct app_revision *revision, const char *name)
{
    for (struct app_replica *r = revision->replicas; r; r = r->next) {
        if (strcasecmp(r->name, name) == 0)
            return r;
    }
    return NULL;
}

json_t *app_properties(const struct app *app)
{
    return json_object_get(app->resource, "properties");
}

json_t *app_configuration(const struct app *app)
{
    return json_object_get(app_properties(app), "configuration");
}

bool app_is_single(const struct app *app)
{
    const char *mode =
        json_string_value(json_object_get(app_configuration(app), "activeRevisionsMode"));
    return !mode || strcasecmp(mode, "Multiple") != 0;
}

/* --- changes -------------------------------------------------------------------------------- */

static int out_of_memory(struct error *err)
{
    return error_errno(err, ENOMEM, "keeping the apps");
}

static void revision_free(struct app_revision *revision)
{
    json_decref(revision->template);
    free(revision->failure);
    free(revision);
}

void app_free(struct app *app)
{
    while (app->revisions) {
        struct app_revision *revision = app->revisions;
        app->revisions = revision->next;
        revision_free(revision);
    }
    ingress_close(app);
    json_decref(app->resource);
    free(app->name);
    free(app->group);
    free(app);
}

void model_free(struct serve *serve)
{
    while (serve->apps) {
        struct app *app = serve->apps;
        serve->apps = app->next;
        app_free(app);
    }
}

/* Make the object; takes the reference to `resource` over. */
static struct app *app_make(struct serve *serve, const char *group, const char *name,
                            json_t *resource)
{
    struct app *app = calloc(1, sizeof(*app));
    if (!app) {
        json_decref(resource);
        return NULL;
    }
    app->serve = serve;
    app->resource = resource;
    app->name = strdup(name);
    app->group = strdup(group);
    if (!app->name || !app->group || !resource) {
        app_free(app);
        return NULL;
    }
    return app;
}

int app_insert(struct serve *serve, const char *group, const char *name, json_t *resource,
               struct app **ret, struct error *err)
{
    struct app *app = app_make(serve, group, name, json_incref(resource));
    AUTO_FREE char *text = json_dumps(resource, JSON_COMPACT);
    int r = app && text ? 0 : out_of_memory(err);
    if (r == 0)
        r = state_run(serve->state, err, "INSERT INTO app (name, json, revisions) VALUES (?, ?, 0)",
                      "ss", name, text);
    if (r < 0) {
        if (app)
            app_free(app);
        return r;
    }
    app->id = state_last_id(serve->state);
    app->next = serve->apps;
    serve->apps = app;
    *ret = app;
    return 0;
}

void app_forget(struct app *app)
{
    if (!app)
        return;
    for (struct app **link = &app->serve->apps; *link; link = &(*link)->next) {
        if (*link == app) {
            *link = app->next;
            break;
        }
    }
    app_free(app);
}

int app_save(struct app *app, struct error *err)
{
    AUTO_FREE char *text = json_dumps(app->resource, JSON_COMPACT);
    if (!text)
        return out_of_memory(err);
    app->changes++;
    return state_run(app->serve->state, err, "UPDATE app SET json = ?, revisions = ? WHERE id = ?",
                     "sii", text, (int64_t)app->revision_count, app->id);
}

int app_delete(struct app *app, struct error *err)
{
    struct state *state = app->serve->state;
    int r = state_begin(state, err);
    if (r == 0)
        r = state_run(state, err, "DELETE FROM revision WHERE app_id = ?", "i", app->id);
    if (r == 0)
        r = state_run(state, err, "DELETE FROM app WHERE id = ?", "i", app->id);
    if (r == 0)
        r = state_commit(state, err);
    if (r < 0)
        state_rollback(state);
    return r;
}

int revision_insert(struct app *app, const char *suffix, json_t *template,
                    struct app_revision **ret, struct error *err)
{
    struct app_revision *revision = calloc(1, sizeof(*revision));
    AUTO_FREE char *text = NULL;
    if (!revision)
        return out_of_memory(err);
    revision->app = app;
    revision->active = true;
    revision->created_ns = clock_realtime_ns();
    revision->template = json_deep_copy(template);
    snprintf(revision->name, sizeof(revision->name), "%s--%s", app->name, suffix);
    int r = revision->template ? image_pin(template_container(revision->template), err)
                               : out_of_memory(err);
    if (r == 0)
        text = json_dumps(revision->template, JSON_COMPACT);
    if (r == 0 && !text)
        r = out_of_memory(err);
    if (r == 0)
        r = state_run(app->serve->state, err,
                      "INSERT INTO revision VALUES (?, ?, ?, 1, ?, 0, NULL)", "sisi",
                      revision->name, app->id, text, revision->created_ns);
    if (r < 0) {
        revision_free(revision);
        return r;
    }
    app->revision_count++;
    revision->next = app->revisions;
    app->revisions = revision;
    *ret = revision;
    return 0;
}

void revision_forget(struct app *app, struct app_revision *revision)
{
    if (!revision || app->revisions != revision)
        return;
    app->revisions = revision->next;
    app->revision_count--;
    revision_free(revision);
}

int revision_save(struct app_revision *revision, struct error *err)
{
    return state_run(revision->app->serve->state, err,
                     "UPDATE revision SET active = ?, provisioned = ?, failure = ? WHERE name = ?",
                     "iiss", (int64_t)revision->active, (int64_t)revision->provisioned,
                     revision->failure, revision->name);
}

/* --- loading -------------------------------------------------------------------------------- */

static const char *column(sqlite3_stmt *statement, int index)
{
    const char *text = (const char *)sqlite3_column_text(statement, index);
    return text ? text : "";
}

/* The group stands in the resource's id. */
static int load_app(struct serve *serve, sqlite3_stmt *row, struct error *err)
{
    json_t *resource = json_loads(column(row, 2), 0, NULL);
    const char *id = json_string_value(json_object_get(resource, "id"));
    char group[128] = "";
    if (id)
        sscanf(id, "/subscriptions/%*[^/]/resourceGroups/%127[^/]", group);
    struct app *app = app_make(serve, group, column(row, 1), resource);
    if (!app || group[0] == '\0') {
        if (app)
            app_free(app);
        return error_set(err, EINVAL, "the record of app '%s' cannot be read", column(row, 1));
    }
    app->id = sqlite3_column_int64(row, 0);
    app->revision_count = (unsigned)sqlite3_column_int(row, 3);
    app->next = serve->apps;
    serve->apps = app;
    return 0;
}

static int load_revision(struct serve *serve, sqlite3_stmt *row, struct error *err)
{
    struct app *app = app_find_id(serve, sqlite3_column_int64(row, 1));
    struct app_revision *revision = app ? calloc(1, sizeof(*revision)) : NULL;
    if (!app)
        return 0;
    if (!revision)
        return out_of_memory(err);
    revision->app = app;
    snprintf(revision->name, sizeof(revision->name), "%s", column(row, 0));
    revision->template = json_loads(column(row, 2), 0, NULL);
    revision->active = sqlite3_column_int(row, 3) != 0;
    revision->created_ns = sqlite3_column_int64(row, 4);
    revision->provisioned = revision->announced = sqlite3_column_int(row, 5) != 0;
    if (sqlite3_column_type(row, 6) != SQLITE_NULL)
        revision->failure = strdup(column(row, 6));
    revision->next = app->revisions;
    app->revisions = revision;
    if (!revision->template)
        return error_set(err, EINVAL, "the record of revision '%s' cannot be read", revision->name);
    return 0;
}

static int load(struct serve *serve, const char *sql,
                int (*take)(struct serve *serve, sqlite3_stmt *row, struct error *err),
                struct error *err)
{
    sqlite3_stmt *rows = NULL;
    int r = state_query(serve->state, &rows, err, sql, "");
    *err = r < 0 ? *err : (struct error){0};
    while (r == 0 && state_step(serve->state, rows, err))
        r = take(serve, rows, err);
    sqlite3_finalize(rows);
    return r < 0 ? r : err->code;
}

int model_load(struct serve *serve, struct error *err)
{
    int r = load(serve, "SELECT id, name, json, revisions FROM app ORDER BY id", load_app, err);
    if (r == 0)
        r = load(serve, "SELECT * FROM revision ORDER BY created_ns", load_revision, err);
    return r;
}
