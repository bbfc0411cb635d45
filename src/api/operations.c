/* SPDX-License-Identifier: Apache-2.0 */
#include "api/model.h"

#include "base/clock.h"
#include "base/duration.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define KEEP_NS (3600 * NS_PER_S)

static void random_id(char id[static 40])
{
    unsigned char bytes[16] = {0};
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        memcpy(bytes, &(int64_t){clock_monotonic_ns()}, sizeof(int64_t));
    for (size_t i = 0, at = 0; i < sizeof(bytes); i++) {
        at += (size_t)snprintf(id + at, 40 - at, "%02x", bytes[i]);
        if (i == 3 || i == 5 || i == 7 || i == 9)
            id[at++] = '-';
    }
}

struct operation *operation_new(struct serve *serve, const struct app *app, const char *revision,
                                const char *target)
{
    struct operation *operation = calloc(1, sizeof(*operation));
    if (!operation)
        return NULL;
    random_id(operation->id);
    operation->started_ns = clock_realtime_ns();
    operation->app_id = app ? app->id : 0;
    operation->target = strdup(target);
    snprintf(operation->revision, sizeof(operation->revision), "%s", revision);
    operation->next = serve->operations;
    serve->operations = operation;
    return operation;
}

struct operation *operation_new_group(struct serve *serve, json_t *group, const char *target)
{
    struct operation *operation = operation_new(serve, NULL, "", target);
    if (operation)
        operation->group = group;
    else
        json_decref(group);
    return operation;
}

struct operation *operation_find(struct serve *serve, const char *id)
{
    struct operation *operation = serve->operations;
    while (operation && strcmp(operation->id, id) != 0)
        operation = operation->next;
    return operation;
}

struct operation *operation_deleting_app(struct serve *serve, const struct app *app)
{
    struct operation *o = serve->operations;
    while (o && (o->status != OPERATION_RUNNING || o->app_id != app->id || o->revision[0] != '\0'))
        o = o->next;
    return o;
}

static const char *group_name(const struct operation *operation)
{
    const char *name = json_string_value(json_object_get(operation->group, "name"));
    return name ? name : "";
}

struct operation *operation_deleting_group(struct serve *serve, const char *group)
{
    struct operation *o = serve->operations;
    while (o &&
           (o->status != OPERATION_RUNNING || !o->group || strcasecmp(group_name(o), group) != 0))
        o = o->next;
    return o;
}

void operations_finish(struct serve *serve, int64_t app_id, const char *revision,
                       const char *failure)
{
    for (struct operation *o = serve->operations; o; o = o->next) {
        if (o->status != OPERATION_RUNNING || o->app_id != app_id ||
            strcmp(o->revision, revision) != 0)
            continue;
        o->status = failure ? OPERATION_FAILED : OPERATION_SUCCEEDED;
        o->ended_ns = clock_realtime_ns();
        o->failure = failure ? strdup(failure) : NULL;
    }
}

static bool has_apps(const struct serve *serve, const char *group)
{
    const struct app *app = serve->apps;
    while (app && strcasecmp(app->group, group) != 0)
        app = app->next;
    return app != NULL;
}

void operations_finish_groups(struct serve *serve)
{
    for (struct operation *o = serve->operations; o; o = o->next) {
        if (o->status != OPERATION_RUNNING || !o->group || has_apps(serve, group_name(o)))
            continue;
        o->status = OPERATION_SUCCEEDED;
        o->ended_ns = clock_realtime_ns();
    }
}

void operations_trim(struct serve *serve, bool all)
{
    int64_t before = clock_realtime_ns() - KEEP_NS;
    struct operation **link = &serve->operations;
    while (*link) {
        struct operation *operation = *link;
        if (!all && (operation->status == OPERATION_RUNNING || operation->ended_ns > before)) {
            link = &operation->next;
            continue;
        }
        *link = operation->next;
        free(operation->target);
        free(operation->failure);
        json_decref(operation->group);
        free(operation);
    }
}
