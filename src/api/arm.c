/* SPDX-License-Identifier: Apache-2.0 */
/* What ARM resources have in common: lists with pages, times, operations. */
#include "api/resources.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/duration.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE_DEFAULT 100
#define PAGE_MAX     1000

json_t *time_json(int64_t realtime_ns)
{
    char text[40];
    time_t seconds = (time_t)(realtime_ns / NS_PER_S);
    struct tm parts;
    if (!gmtime_r(&seconds, &parts))
        return json_null();
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S+00:00", &parts);
    return json_string(text);
}

static size_t number_query(struct request *request, const char *name, size_t fallback, size_t most)
{
    const char *text = request_query(request, name);
    if (!text || !isdigit((unsigned char)text[0]))
        return fallback;
    unsigned long value = strtoul(text, NULL, 10);
    return value < most ? value : most;
}

#define LINK_PLAIN "-._~$/:,'()"

/* What else was asked for is asked for again. */
static enum MHD_Result put_parameter(void *context, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    struct buffer *link = context;
    (void)kind;
    if (strcmp(name, "$top") == 0 || strcmp(name, "$skipToken") == 0)
        return MHD_YES;
    buffer_put_escaped(link, name, LINK_PLAIN);
    buffer_puts(link, "=");
    buffer_put_escaped(link, value ? value : "", LINK_PLAIN);
    buffer_puts(link, "&");
    return MHD_YES;
}

static json_t *next_link(struct request *request, size_t top, size_t skip)
{
    AUTO_BUFFER link = {0};
    buffer_printf(&link, "%s%s?", request->base, request->path);
    MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, put_parameter, &link);
    buffer_printf(&link, "$top=%zu&$skipToken=%zu", top, skip);
    return json_string(buffer_text(&link));
}

void reply_list(struct request *request, struct reply *reply, json_t *items)
{
    size_t top = number_query(request, "$top", PAGE_DEFAULT, PAGE_MAX);
    size_t skip = number_query(request, "$skipToken", 0, 100000000);
    size_t total = json_array_size(items);
    if (top == 0)
        top = 1;
    json_t *page = json_array();
    for (size_t i = skip; i < total && i < skip + top; i++)
        json_array_append(page, json_array_get(items, i));
    json_decref(items);
    json_t *body = json_pack("{s:o}", "value", page);
    if (skip + top < total)
        json_object_set_new(body, "nextLink", next_link(request, top, skip + top));
    reply_json(reply, MHD_HTTP_OK, body);
}

void app_id(const struct app *app, char id[static ID_MAX])
{
    const char *text = json_string_value(json_object_get(app->resource, "id"));
    snprintf(id, ID_MAX, "%s", text ? text : "");
}

void reply_operation(struct request *request, struct reply *reply,
                     const struct operation *operation)
{
    if (!operation)
        return;
    static const char *const names[] = {"Azure-AsyncOperation", "Location"};
    static const char *const words[] = {"Statuses", "Results"};
    for (unsigned i = 0; i < 2; i++)
        reply_header(reply, names[i],
                     "%s/subscriptions/%s/providers/Microsoft.App/locations/local/"
                     "containerappOperation%s/%s?api-version=%s",
                     request->base, request->subscription, words[i], operation->id,
                     request_query(request, "api-version"));
    reply_header(reply, "Retry-After", "1");
}

void reply_group_operation(struct request *request, struct reply *reply,
                           const struct operation *operation)
{
    reply->status = MHD_HTTP_ACCEPTED;
    reply_header(reply, "Location", "%s/subscriptions/%s/operationresults/%s?api-version=%s",
                 request->base, request->subscription, operation->id,
                 request_query(request, "api-version"));
    reply_header(reply, "Retry-After", "1");
}

static void no_operation(struct reply *reply, const char *id)
{
    reply_error(reply, MHD_HTTP_NOT_FOUND, "OperationNotFound",
                "There is no operation '%s' (any more).", id);
}

/* A group's, which cannot fail once it has begun. */
void group_operation_get(struct request *request, struct reply *reply)
{
    const struct operation *operation = operation_find(request->serve, request->params[0]);
    if (!operation || !operation->group)
        no_operation(reply, request->params[0]);
    else if (operation->status == OPERATION_RUNNING)
        reply_group_operation(request, reply, operation);
    else
        reply->status = MHD_HTTP_OK;
}

void operation_get(struct request *request, struct reply *reply)
{
    static const char *const words[] = {
        [OPERATION_RUNNING] = "InProgress",
        [OPERATION_SUCCEEDED] = "Succeeded",
        [OPERATION_FAILED] = "Failed",
    };
    const struct operation *operation = operation_find(request->serve, request->params[1]);
    bool results = strcasestr(request->path, "OperationResults") != NULL;
    if (!operation) {
        no_operation(reply, request->params[1]);
        return;
    }
    if (results && operation->status == OPERATION_RUNNING) {
        reply->status = MHD_HTTP_ACCEPTED;
        reply_operation(request, reply, operation);
        return;
    }
    if (results && operation->status == OPERATION_SUCCEEDED) {
        struct app *app = app_find_id(request->serve, operation->app_id);
        if (app && !app->deleting)
            reply_json(reply, MHD_HTTP_OK, app_json(app));
        else
            reply->status = MHD_HTTP_NO_CONTENT;
        return;
    }
    json_t *body =
        json_pack("{s:s, s:s, s:s, s:o}", "id", request->path, "name", operation->id, "status",
                  words[operation->status], "startTime", time_json(operation->started_ns));
    if (operation->status != OPERATION_RUNNING)
        json_object_set_new(body, "endTime", time_json(operation->ended_ns));
    if (operation->failure)
        json_object_set_new(body, "error",
                            json_pack("{s:s, s:s}", "code", "ContainerAppOperationError", "message",
                                      operation->failure));
    reply_json(reply, MHD_HTTP_OK, body);
}

void health_get(struct request *request, struct reply *reply)
{
    bool stopping = request->serve->stopping;
    reply->text = strdup(stopping ? "stopping\n" : "ok\n");
    reply->type = "text/plain; charset=utf-8";
    reply->status = stopping && strcmp(request->path, "/readyz") == 0 ? MHD_HTTP_SERVICE_UNAVAILABLE
                                                                      : MHD_HTTP_OK;
}
