/* SPDX-License-Identifier: Apache-2.0 */
/* Resource groups and environments: names to put apps into; nothing runs because of them. */
#include "api/resources.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TAG_NAME_MAX     512 /* as ARM's */
#define TAG_VALUE_MAX    256
#define GROUP_NAME_MAX   90
#define GROUP_NAME_SIGNS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._()"

/* --- stored documents ------------------------------------------------------------------------ */

static void lower(char *text)
{
    for (; *text; text++)
        *text = (char)tolower((unsigned char)*text);
}

static json_t *document_load(struct serve *serve, const char *kind, const char *key)
{
    struct error ignored = {0};
    sqlite3_stmt *row = NULL;
    json_t *found = NULL;
    if (state_query(serve->state, &row, &ignored,
                    "SELECT json FROM resource WHERE kind = ? AND key = ?", "ss", kind, key) == 0 &&
        state_step(serve->state, row, &ignored))
        found = json_loads((const char *)sqlite3_column_text(row, 0), 0, NULL);
    sqlite3_finalize(row);
    return found;
}

static int document_save(struct serve *serve, const char *kind, const char *key,
                         const json_t *document, struct error *err)
{
    AUTO_FREE char *text = json_dumps(document, JSON_COMPACT);
    if (!text)
        return error_set(err, ENOMEM, "keeping a resource");
    return state_run(serve->state, err, "INSERT OR REPLACE INTO resource VALUES (?, ?, ?)", "sss",
                     kind, key, text);
}

static json_t *document_list(struct serve *serve, const char *kind, const char *prefix)
{
    struct error ignored = {0};
    sqlite3_stmt *rows = NULL;
    json_t *list = json_array();
    if (state_query(serve->state, &rows, &ignored,
                    "SELECT json FROM resource WHERE kind = ? AND substr(key, 1, ?) = ? ORDER BY "
                    "key",
                    "sis", kind, (int64_t)strlen(prefix), prefix) == 0) {
        while (state_step(serve->state, rows, &ignored))
            json_array_append_new(list,
                                  json_loads((const char *)sqlite3_column_text(rows, 0), 0, NULL));
    }
    sqlite3_finalize(rows);
    return list;
}

/* --- groups --------------------------------------------------------------------------------- */

bool group_exists(struct serve *serve, const char *group)
{
    char key[160];
    snprintf(key, sizeof(key), "%s", group);
    lower(key);
    json_t *found = document_load(serve, "group", key);
    json_decref(found);
    return found != NULL;
}

void refuse_group(struct request *request, struct reply *reply)
{
    bool reads = strcmp(request->method, MHD_HTTP_METHOD_GET) == 0;
    if (!reads && operation_deleting_group(request->serve, request->params[0]))
        reply_error(reply, MHD_HTTP_CONFLICT, "ResourceGroupBeingDeleted",
                    "The resource group '%s' is in deprovisioning state and cannot perform this "
                    "operation.",
                    request->params[0]);
    else
        reply_error(reply, MHD_HTTP_NOT_FOUND, "ResourceGroupNotFound",
                    "Resource group '%s' could not be found.", request->params[0]);
}

/* What $filter asks for: "tagName eq 'K'", "tagName eq 'K' and tagValue eq 'V'". */
struct tag_filter {
    char name[TAG_NAME_MAX + 1], value[TAG_VALUE_MAX + 1];
    bool has_value;
};

static bool take_word(const char **at, const char *word)
{
    size_t length = strlen(word);
    *at += strspn(*at, " ");
    if (strncasecmp(*at, word, length) != 0)
        return false;
    *at += length;
    return true;
}

static bool take_text(const char **at, char *ret, size_t size)
{
    const char *end = take_word(at, "'") ? strchr(*at, '\'') : NULL;
    if (!end || (size_t)(end - *at) >= size)
        return false;
    snprintf(ret, size, "%.*s", (int)(end - *at), *at);
    *at = end + 1;
    *at += strspn(*at, " ");
    return true;
}

static bool parse_filter(const char *text, struct tag_filter *ret)
{
    *ret = (struct tag_filter){.has_value = false};
    if (!take_word(&text, "tagName") || !take_word(&text, "eq") ||
        !take_text(&text, ret->name, sizeof(ret->name)))
        return false;
    if (text[0] == '\0')
        return true;
    ret->has_value = true;
    return take_word(&text, "and") && take_word(&text, "tagValue") && take_word(&text, "eq") &&
           take_text(&text, ret->value, sizeof(ret->value)) && text[0] == '\0';
}

/* Names of tags are compared without regard to case, values are not. */
static bool has_tag(const json_t *group, const struct tag_filter *filter)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(json_object_get(group, "tags"), name, value)
    {
        const char *text = json_string_value(value);
        if (strcasecmp(name, filter->name) == 0)
            return !filter->has_value || (text && strcmp(text, filter->value) == 0);
    }
    return false;
}

/* Those that are going are shown until they are gone. */
void groups_list(struct request *request, struct reply *reply)
{
    struct tag_filter wanted;
    const char *filter = request_query(request, "$filter");
    if (filter && !parse_filter(filter, &wanted)) {
        reply_error(reply, MHD_HTTP_BAD_REQUEST, "InvalidFilterInQueryString",
                    "The filter '%.100s' is not supported here: groups are filtered by \"tagName "
                    "eq 'NAME'\" and \"tagName eq 'NAME' and tagValue eq 'VALUE'\".",
                    filter);
        return;
    }
    json_t *list = document_list(request->serve, "group", "");
    for (const struct operation *o = request->serve->operations; o; o = o->next) {
        if (o->group && o->status == OPERATION_RUNNING)
            json_array_append_new(list, json_deep_copy(o->group));
    }
    for (size_t i = json_array_size(list); filter && i > 0; i--) {
        if (!has_tag(json_array_get(list, i - 1), &wanted))
            json_array_remove(list, i - 1);
    }
    reply_list(request, reply, list);
}

static json_t *load_group(struct request *request, char key[static 160])
{
    snprintf(key, 160, "%s", request->params[0]);
    lower(key);
    return document_load(request->serve, "group", key);
}

static json_t *shown_group(struct request *request)
{
    char key[160];
    const struct operation *going = operation_deleting_group(request->serve, request->params[0]);
    return going ? json_deep_copy(going->group) : load_group(request, key);
}

void group_get(struct request *request, struct reply *reply)
{
    json_t *group = shown_group(request);
    if (group && strcmp(request->method, MHD_HTTP_METHOD_HEAD) == 0) {
        json_decref(group);
        reply->status = MHD_HTTP_NO_CONTENT; /* ARM's way to ask whether it exists */
    } else if (group) {
        reply_json(reply, MHD_HTTP_OK, group);
    } else {
        refuse_group(request, reply);
    }
}

static json_t *word_or(const json_t *body, const char *key, const char *fallback)
{
    json_t *given = json_object_get(body, key);
    return json_is_string(given) ? json_incref(given) : json_string(fallback);
}

void refuse_group_name(struct reply *reply, const char *name)
{
    size_t length = strlen(name);
    char signs[2] = {name[strspn(name, GROUP_NAME_SIGNS)], '\0'};
    if (length > GROUP_NAME_MAX)
        reply_error(reply, MHD_HTTP_BAD_REQUEST, "InvalidResourceGroup",
                    "The provided resource group name '%.100s' has %zu characters. It may have %d "
                    "at most.",
                    name, length, GROUP_NAME_MAX);
    else
        reply_error(reply, MHD_HTTP_BAD_REQUEST, "InvalidResourceGroup",
                    "The provided resource group name '%.100s' has these invalid characters: "
                    "'%s'. The name can only be a letter, digit, '-', '.', '(', ')' or '_', and "
                    "'.' neither its first nor its last character.",
                    name, (signs[0] & 0x80) || signs[0] == '\0' ? "." : signs);
}

/* "West Europe" is "westeurope". */
static bool same_location(const char *a, const char *b)
{
    for (; *a || *b; a++, b++) {
        a += strspn(a, " ");
        b += strspn(b, " ");
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
            return false;
        if (*a == '\0')
            return true;
    }
    return true;
}

/* False: it is answered. */
static bool check_group(struct request *request, const json_t *before, struct reply *reply)
{
    const char *name = request->params[0];
    const char *given = json_string_value(json_object_get(request->body, "location"));
    const char *own = json_string_value(json_object_get(before, "location"));
    if (strlen(name) > GROUP_NAME_MAX || name[strlen(name) - 1] == '.')
        refuse_group_name(reply, name);
    else if (!given || given[0] == '\0')
        reply_error(reply, MHD_HTTP_BAD_REQUEST, "LocationRequired",
                    "The location property is required for this definition.");
    else if (own && !same_location(given, own))
        reply_error(reply, MHD_HTTP_CONFLICT, "InvalidResourceGroupLocation",
                    "Invalid resource group location '%.100s'. The Resource group already exists "
                    "in location '%.100s'.",
                    given, own);
    else
        return true;
    return false;
}

/* One that is there keeps its name and its place. New reference. */
static json_t *made_group(const struct request *request, const json_t *before)
{
    char id[ID_MAX];
    if (before)
        return json_deep_copy(before);
    snprintf(id, sizeof(id), "/subscriptions/%s/resourceGroups/%s", request->subscription,
             request->params[0]);
    return json_pack("{s:s, s:O, s:n, s:s, s:{s:s}, s:n, s:s}", "id", id, "location",
                     json_object_get(request->body, "location"), "managedBy", "name",
                     request->params[0], "properties", "provisioningState", "Succeeded", "tags",
                     "type", "Microsoft.Resources/resourceGroups");
}

/* Takes the reference to `group` over. */
static void save_group(struct request *request, const char *key, json_t *group, unsigned status,
                       struct reply *reply)
{
    struct error err;
    json_t *tags = json_object_get(request->body, "tags");
    json_object_set_new(group, "tags", json_is_object(tags) ? json_incref(tags) : json_null());
    if (document_save(request->serve, "group", key, group, &err) < 0) {
        reply_failure(reply, "InternalServerError", &err);
        json_decref(group);
    } else {
        reply_json(reply, status, group);
    }
}

void group_put(struct request *request, struct reply *reply)
{
    char key[160];
    if (!check_resource(request, reply))
        return;
    if (operation_deleting_group(request->serve, request->params[0])) {
        refuse_group(request, reply);
        return;
    }
    json_t *before = load_group(request, key);
    if (check_group(request, before, reply))
        save_group(request, key, made_group(request, before),
                   before ? MHD_HTTP_OK : MHD_HTTP_CREATED, reply);
    json_decref(before);
}

/* Its tags, which replace those that it has; what else there is cannot be changed. */
void group_patch(struct request *request, struct reply *reply)
{
    char key[160];
    if (!check_resource(request, reply))
        return;
    json_t *group = load_group(request, key);
    if (!group)
        refuse_group(request, reply);
    else if (json_object_get(request->body, "tags"))
        save_group(request, key, group, MHD_HTTP_OK, reply);
    else
        reply_json(reply, MHD_HTTP_OK, group);
}

static void stop_group(struct serve *serve, const char *group, struct error *err)
{
    for (struct app *app = serve->apps; app; app = app->next) {
        if (strcasecmp(app->group, group) != 0 || app->deleting)
            continue;
        if (app_delete(app, err) < 0)
            return;
        app->deleting = true;
        app_stop(app);
    }
}

static int forget_group(struct serve *serve, const char *key, struct error *err)
{
    char environments[200];
    snprintf(environments, sizeof(environments), "%s/", key);
    stop_group(serve, key, err);
    if (err->code != 0)
        return err->code;
    return state_run(
        serve->state, err,
        "DELETE FROM resource WHERE (kind = 'environment' AND substr(key, 1, ?) = ?) OR "
        "(kind = 'group' AND key = ?)",
        "iss", (int64_t)strlen(environments), environments, key);
}

/* Everything in it goes. It is recorded at once, and the operation ends with the last container. */
void group_delete(struct request *request, struct reply *reply)
{
    char key[160];
    struct error err = {0};
    struct serve *serve = request->serve;
    struct operation *operation = operation_deleting_group(serve, request->params[0]);
    json_t *group = operation ? NULL : load_group(request, key);
    if (!operation && !group) {
        refuse_group(request, reply);
        return;
    }
    if (!operation && forget_group(serve, key, &err) < 0) {
        json_decref(group);
        reply_failure(reply, "InternalServerError", &err);
        return;
    }
    if (!operation) {
        json_object_set_new(json_object_get(group, "properties"), "provisioningState",
                            json_string("Deleting"));
        operation = operation_new_group(serve, group, request->path);
    }
    controller_later(serve);
    if (operation)
        reply_group_operation(request, reply, operation);
    else
        reply->status = MHD_HTTP_ACCEPTED;
}

/* --- environments ---------------------------------------------------------------------------- */

static void environment_key(const char *group, const char *name, char key[static 300])
{
    snprintf(key, 300, "%s/%s", group, name);
    lower(key);
}

json_t *environment_find(struct serve *serve, const char *id)
{
    char group[130] = "";
    char name[130] = "";
    char key[300];
    char text[ID_MAX];
    snprintf(text, sizeof(text), "%s", id);
    lower(text);
    if (sscanf(text,
               "/subscriptions/%*[^/]/resourcegroups/%129[^/]/providers/microsoft.app/"
               "managedenvironments/%129[^/]",
               group, name) != 2)
        return NULL;
    environment_key(group, name, key);
    return document_load(serve, "environment", key);
}

void environments_list(struct request *request, struct reply *reply)
{
    char prefix[200] = "";
    if (request->params[0])
        snprintf(prefix, sizeof(prefix), "%s/", request->params[0]);
    lower(prefix);
    reply_list(request, reply, document_list(request->serve, "environment", prefix));
}

static void no_environment(struct request *request, struct reply *reply)
{
    reply_error(reply, MHD_HTTP_NOT_FOUND, "ResourceNotFound",
                "The Resource 'Microsoft.App/managedEnvironments/%s' under resource group '%s' "
                "was not found.",
                request->params[1], request->params[0]);
}

void environment_get(struct request *request, struct reply *reply)
{
    char key[300];
    environment_key(request->params[0], request->params[1], key);
    json_t *environment = document_load(request->serve, "environment", key);
    if (environment)
        reply_json(reply, MHD_HTTP_OK, environment);
    else
        no_environment(request, reply);
}

void environment_put(struct request *request, struct reply *reply)
{
    char key[300];
    char id[ID_MAX];
    struct error err;
    if (!group_exists(request->serve, request->params[0])) {
        refuse_group(request, reply);
        return;
    }
    if (!check_resource(request, reply))
        return;
    environment_key(request->params[0], request->params[1], key);
    snprintf(id, sizeof(id),
             "/subscriptions/%s/resourceGroups/%s/providers/Microsoft.App/managedEnvironments/%s",
             request->subscription, request->params[0], request->params[1]);
    json_t *before = document_load(request->serve, "environment", key);
    const char *own = json_string_value(json_object_get(before, "id"));
    const char *name = json_string_value(json_object_get(before, "name"));
    if (own) /* apps have it */
        snprintf(id, sizeof(id), "%s", own);
    json_t *given = json_object_get(request->body, "properties");
    json_t *properties = json_is_object(given) ? json_deep_copy(given) : json_object();
    json_object_set_new(properties, "provisioningState", json_string("Succeeded"));
    json_object_set_new(properties, "defaultDomain", json_string("localhost"));
    json_object_set_new(properties, "staticIp", json_string("127.0.0.1"));
    json_t *environment = json_pack("{s:s, s:o, s:s, s:o, s:s}", "id", id, "location",
                                    word_or(request->body, "location", "local"), "name",
                                    name ? name : request->params[1], "properties", properties,
                                    "type", "Microsoft.App/managedEnvironments");
    json_t *tags = json_object_get(request->body, "tags");
    if (json_object_size(tags) > 0)
        json_object_set(environment, "tags", tags);
    if (document_save(request->serve, "environment", key, environment, &err) < 0) {
        reply_failure(reply, "InternalServerError", &err);
        json_decref(environment);
    } else {
        reply_json(reply, before ? MHD_HTTP_OK : MHD_HTTP_CREATED, environment);
    }
    json_decref(before);
}

static bool environment_is_used(struct serve *serve, const char *id)
{
    for (struct app *app = serve->apps; app; app = app->next) {
        const char *used =
            json_string_value(json_object_get(app_properties(app), "managedEnvironmentId"));
        if (!app->deleting && used && strcasecmp(used, id) == 0)
            return true;
    }
    return false;
}

void environment_delete(struct request *request, struct reply *reply)
{
    char key[300];
    struct error err;
    environment_key(request->params[0], request->params[1], key);
    json_t *environment = document_load(request->serve, "environment", key);
    const char *id = json_string_value(json_object_get(environment, "id"));
    if (!environment)
        reply->status = MHD_HTTP_NO_CONTENT;
    else if (id && environment_is_used(request->serve, id))
        reply_error(reply, MHD_HTTP_CONFLICT, "ManagedEnvironmentHasContainerApps",
                    "Environment '%s' still holds container apps; delete them first.",
                    request->params[1]);
    else if (state_run(request->serve->state, &err,
                       "DELETE FROM resource WHERE kind = 'environment' AND key = ?", "s", key) < 0)
        reply_failure(reply, "InternalServerError", &err);
    else
        reply->status = MHD_HTTP_OK;
    json_decref(environment);
}
