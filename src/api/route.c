/* SPDX-License-Identifier: Apache-2.0 */
/* Which path is whose. ARM's paths are compared without regard to case, as ARM does. */
#include "api/resources.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct route {
    const char *method, *pattern; /* {}: a parameter; a leading "/": not below a subscription */
    handler handle;
};

#define SUBSCRIPTIONS "/subscriptions/"
#define GROUP         "resourceGroups/{}"
#define APPS          GROUP "/providers/Microsoft.App/containerApps"
#define APP           APPS "/{}"
#define REV           APP "/revisions/{}"
#define ENVS          GROUP "/providers/Microsoft.App/managedEnvironments"

static const struct route ROUTES[] = {
    {"GET", "resourceGroups", groups_list},
    {"GET", GROUP, group_get},
    {"PUT", GROUP, group_put},
    {"PATCH", GROUP, group_patch},
    {"DELETE", GROUP, group_delete},
    {"GET", "providers/Microsoft.App/managedEnvironments", environments_list},
    {"GET", ENVS, environments_list},
    {"GET", ENVS "/{}", environment_get},
    {"PUT", ENVS "/{}", environment_put},
    {"DELETE", ENVS "/{}", environment_delete},
    {"GET", "providers/Microsoft.App/containerApps", apps_list},
    {"GET", APPS, apps_list},
    {"GET", APP, app_get},
    {"PUT", APP, app_put},
    {"PATCH", APP, app_patch},
    {"DELETE", APP, app_remove},
    {"POST", APP "/listSecrets", app_list_secrets},
    {"GET", APP "/revisions", revisions_list},
    {"GET", REV, revision_get},
    {"POST", REV "/activate", revision_action},
    {"POST", REV "/deactivate", revision_action},
    {"POST", REV "/restart", revision_action},
    {"GET", REV "/replicas", replicas_list},
    {"GET", REV "/replicas/{}", replica_get},
    {"GET", APP "/providers/Microsoft.Insights/metrics", metrics_get},
    {"GET", APP "/providers/Microsoft.Insights/metricDefinitions", metric_definitions_get},
    {"GET", APP "/oomlab/logs", logs_get},
    {"POST", APP "/oomlab/exec", exec_post},
    {"GET", "providers/Microsoft.App/locations/{}/containerappOperationStatuses/{}", operation_get},
    {"GET", "providers/Microsoft.App/locations/{}/containerappOperationResults/{}", operation_get},
    {"GET", "operationresults/{}", group_operation_get},
    {"GET", "/", page_get},
    {"GET", "/web/{}", page_file_get},
    {"GET", "/oomlab/stream", stream_get},
    {"GET", "/oomlab/runs", runs_list},
    {"GET", "/oomlab/runs/{}/report.html", run_report_get},
    {"POST", "/oomlab/runs/{}/ticket", run_ticket_post},
    {"GET", "/oomlab/reports/{}", run_ticket_get},
    {"GET", "/metrics", prometheus_get},
    {"GET", "/healthz", health_get},
    {"GET", "/readyz", health_get},
};

/* Names become parts of file names, cgroup names and texts: letters, digits and these signs, and
 * nothing that a path could be made of. */
static bool sound(const char *name, size_t length)
{
    if (length == 0 || length > 128 || name[0] == '.')
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)name[i]) && !strchr("-_.()", name[i]))
            return false;
    }
    return true;
}

static bool match(const char *pattern, const char *path, struct request *request)
{
    unsigned params = 0;
    while (*pattern && *path) {
        size_t wanted = strcspn(pattern, "/");
        size_t given = strcspn(path, "/");
        if (wanted == 2 && pattern[0] == '{') {
            if (!sound(path, given) || params == REQUEST_PARAMS)
                return false;
            free(request->params[params]);
            request->params[params++] = strndup(path, given);
        } else if (wanted != given || strncasecmp(pattern, path, wanted) != 0) {
            return false;
        }
        request->action = pattern;
        pattern += wanted;
        path += given;
        if ((*pattern == '/') != (*path == '/'))
            return false;
        pattern += *pattern == '/';
        path += *path == '/';
    }
    return *pattern == '\0' && *path == '\0';
}

/* The path below the subscription; NULL when it does not begin with one. */
static const char *below_subscription(struct request *request)
{
    const char *path = request->path;
    if (strncasecmp(path, SUBSCRIPTIONS, strlen(SUBSCRIPTIONS)) != 0)
        return NULL;
    path += strlen(SUBSCRIPTIONS);
    size_t length = strcspn(path, "/");
    if (!sound(path, length) || length >= sizeof(request->subscription) || path[length] != '/')
        return NULL;
    memcpy(request->subscription, path, length);
    return path + length + 1;
}

/* "2022-03-01" or later; previews count by their date. */
static bool version_fits(const char *version)
{
    if (!version || strlen(version) < 10)
        return false;
    for (size_t i = 0; i < 10; i++) {
        if (i == 4 || i == 7 ? version[i] != '-' : !isdigit((unsigned char)version[i]))
            return false;
    }
    return true;
}

static bool check_version(struct request *request, struct reply *reply)
{
    const char *version = request_query(request, "api-version");
    /* Resource groups and metrics have version series of their own, older ones. */
    bool app = strcasestr(request->path, "/providers/Microsoft.App/") &&
               !strcasestr(request->path, "/providers/Microsoft.Insights/");
    if (!version) {
        reply_error(reply, MHD_HTTP_BAD_REQUEST, "MissingApiVersionParameter",
                    "The api-version query parameter (?api-version=) is required for all "
                    "requests.");
        return false;
    }
    if (!version_fits(version) || (app && strncmp(version, "2022-03-01", 10) < 0)) {
        reply_error(reply, MHD_HTTP_BAD_REQUEST, "InvalidApiVersionParameter",
                    "The api-version '%.40s' is invalid. Versions from '2022-03-01' on are "
                    "supported.",
                    version);
        return false;
    }
    return true;
}

/* The name behind `collection` of what is to be made and can have no such name. NULL: the path is
 * another one's. */
static const char *unsound(const struct request *request, const char *collection)
{
    const char *at = strcasestr(request->path, collection);
    const char *name = at ? at + strlen(collection) : NULL;
    bool is_put = strcmp(request->method, MHD_HTTP_METHOD_PUT) == 0;
    return name && is_put && !strchr(name, '/') ? name : NULL;
}

static void refuse_path(struct request *request, struct reply *reply)
{
    const char *app = unsound(request, "/providers/Microsoft.App/containerApps/");
    const char *group = unsound(request, "/resourceGroups/");
    if (app)
        refuse_app_name(reply, app);
    else if (group)
        refuse_group_name(reply, group);
    else
        reply_error(reply, MHD_HTTP_NOT_FOUND, "InvalidResourceType",
                    "There is nothing at '%.300s'.", request->path);
}

static void put_subscription(json_t *object, const char *key, const char *subscription)
{
    const char *id = json_string_value(json_object_get(object, key));
    const char *rest = id && strncmp(id, SUBSCRIPTIONS, strlen(SUBSCRIPTIONS)) == 0
                           ? strchr(id + strlen(SUBSCRIPTIONS), '/')
                           : NULL;
    if (rest)
        json_object_set_new(object, key, json_sprintf(SUBSCRIPTIONS "%s%s", subscription, rest));
}

static void put_subscriptions(json_t *resource, const char *subscription)
{
    json_t *properties = json_object_get(resource, "properties");
    put_subscription(resource, "id", subscription);
    put_subscription(properties, "managedEnvironmentId", subscription);
    put_subscription(properties, "environmentId", subscription);
}

/* There is one subscription, whatever it is called: ids have the name under which it was asked. */
static void name_subscription(const struct request *request, json_t *body)
{
    size_t i = 0;
    json_t *item = NULL;
    if (request->subscription[0] == '\0')
        return;
    put_subscriptions(body, request->subscription);
    json_array_foreach(json_object_get(body, "value"), i, item)
    {
        put_subscriptions(item, request->subscription);
    }
}

void route_dispatch(struct request *request, struct reply *reply)
{
    const char *below = below_subscription(request);
    bool known = false;
    const char *method = request->method;
    if (strcmp(method, MHD_HTTP_METHOD_HEAD) == 0)
        method = MHD_HTTP_METHOD_GET;
    for (size_t i = 0; i < sizeof(ROUTES) / sizeof(ROUTES[0]); i++) {
        const struct route *route = &ROUTES[i];
        bool arm = route->pattern[0] != '/';
        const char *path = arm ? below : request->path + 1;
        if (!path || !match(route->pattern + !arm, path, request))
            continue;
        known = true;
        if (strcmp(method, route->method) != 0)
            continue;
        if (!arm || check_version(request, reply))
            route->handle(request, reply);
        break;
    }
    for (size_t i = 0; i < REQUEST_PARAMS; i++)
        free(request->params[i]);
    name_subscription(request, reply->body);
    if (reply->status != 0)
        return;
    if (known)
        reply_error(reply, MHD_HTTP_METHOD_NOT_ALLOWED, "MethodNotAllowed",
                    "'%.20s' is not allowed on this resource", request->method);
    else
        refuse_path(request, reply);
}
