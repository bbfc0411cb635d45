/* SPDX-License-Identifier: Apache-2.0 */
/* containerapp env ..., and 'oomlab group'. */
#include "cli/containerapp.h"

#include <string.h>

static int require_group(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    return az_require(invocation, arguments->group, "--resource-group/-g", err);
}

static int ask(const struct invocation *invocation, const char *method, const char *path,
               struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    AUTO_ANSWER answer = {0};
    const char *location = arguments->location ? arguments->location : "local";
    json_t *body = strcmp(method, "PUT") == 0     ? json_pack("{s:s}", "location", location)
                   : strcmp(method, "PATCH") == 0 ? json_object()
                                                  : NULL;
    if (body && arguments->tags)
        json_object_set_new(body, "tags", az_tags_json((const char *const *)arguments->tags));
    int r = az_ask(arguments, method, path, body, &answer, err);
    json_decref(body);
    if (r == 0)
        r = az_wait(arguments, &answer, err);
    if (r < 0)
        return az_failed(err);
    if (!answer.body)
        return STATUS_DONE;
    az_add_group(answer.body);
    return az_print(arguments, json_incref(answer.body), NULL, err);
}

static int environment(const struct invocation *invocation, const char *method, struct error *err)
{
    char path[AZ_PATH_MAX];
    int r = containerapp_require(invocation, err);
    const struct az_arguments *arguments = invocation->arguments;
    if (r < 0)
        return r;
    az_path(path, arguments, "/providers/Microsoft.App/managedEnvironments/%s",
            az_segment(arguments->name).text);
    return ask(invocation, method, path, err);
}

int env_create(const struct invocation *invocation, struct error *err)
{
    return environment(invocation, "PUT", err);
}

int env_show(const struct invocation *invocation, struct error *err)
{
    return environment(invocation, "GET", err);
}

int env_delete(const struct invocation *invocation, struct error *err)
{
    return environment(invocation, "DELETE", err);
}

static int print_list(const struct az_arguments *arguments, const char *path, struct error *err)
{
    json_t *list = NULL;
    size_t i = 0;
    json_t *item = NULL;
    int r = az_list(arguments, path, &list, err);
    if (r < 0)
        return az_failed(err);
    json_array_foreach(list, i, item)
    {
        az_add_group(item);
    }
    return az_print(arguments, list, NULL, err);
}

int env_list(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    char path[AZ_PATH_MAX];
    if (arguments->group)
        az_path(path, arguments, "/providers/Microsoft.App/managedEnvironments%s", "");
    else
        snprintf(path, sizeof(path),
                 "/subscriptions/" AZ_SUBSCRIPTION
                 "/providers/Microsoft.App/managedEnvironments?api-version=" AZ_API_VERSION);
    return print_list(arguments, path, err);
}

/* --- groups --------------------------------------------------------------------------------- */

/* az calls it --name here, and -g is its short form. */
static int group_path(const struct invocation *invocation, char path[static AZ_PATH_MAX],
                      struct error *err)
{
    struct az_arguments *arguments = invocation->arguments;
    if (!arguments->group)
        arguments->group = arguments->name;
    int r = require_group(invocation, err);
    if (r == 0)
        az_path(path, arguments, "%s", "");
    return r;
}

static int group(const struct invocation *invocation, const char *method, struct error *err)
{
    char path[AZ_PATH_MAX];
    int r = group_path(invocation, path, err);
    return r == 0 ? ask(invocation, method, path, err) : r;
}

static int group_create(const struct invocation *invocation, struct error *err)
{
    return group(invocation, "PUT", err);
}

static int group_show(const struct invocation *invocation, struct error *err)
{
    return group(invocation, "GET", err);
}

static int group_update(const struct invocation *invocation, struct error *err)
{
    return group(invocation, "PATCH", err);
}

static int group_delete(const struct invocation *invocation, struct error *err)
{
    return group(invocation, "DELETE", err);
}

static int group_exists(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    char path[AZ_PATH_MAX];
    AUTO_ANSWER answer = {0};
    int r = group_path(invocation, path, err);
    if (r == 0)
        r = az_send(arguments, "HEAD", path, NULL, &answer, err);
    if (r < 0)
        return r;
    return az_print(arguments, json_boolean(answer.status < 300), NULL, err);
}

/* "KEY" or "KEY=VALUE". */
static void put_tag(struct buffer *path, const char *tag)
{
    AUTO_BUFFER filter = {0};
    size_t length = strcspn(tag, "=");
    buffer_printf(&filter, "tagname eq '%.*s'", (int)length, tag);
    if (tag[length] == '=')
        buffer_printf(&filter, " and tagvalue eq '%s'", tag + length + 1);
    buffer_puts(path, "&$filter=");
    az_put_escaped(path, buffer_text(&filter));
}

static int group_list(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    AUTO_BUFFER path = {0};
    buffer_puts(&path,
                "/subscriptions/" AZ_SUBSCRIPTION "/resourceGroups?api-version=" AZ_API_VERSION);
    if (arguments->tag)
        put_tag(&path, arguments->tag);
    return print_list(arguments, buffer_text(&path), err);
}

#define GROUP_NAME AZ_TEXT("name", 'n', name, "NAME", "name of the resource group"), AZ_GROUP

static const struct option_spec GROUP_CREATE[] = {
    GROUP_NAME, AZ_TEXT("location", 'l', location, "NAME", "recorded, without a meaning here"),
    AZ_TAGS, AZ_COMMON};
static const struct option_spec GROUP_SHOW[] = {GROUP_NAME, AZ_COMMON};
static const struct option_spec GROUP_LIST[] = {
    AZ_TEXT("tag", 0, tag, "K[=V]", "groups with this tag alone"), AZ_COMMON};
static const struct option_spec GROUP_UPDATE[] = {GROUP_NAME, AZ_TAGS, AZ_COMMON};
static const struct option_spec GROUP_DELETE[] = {GROUP_NAME, AZ_YES, AZ_NO_WAIT, AZ_COMMON};

#define COMMAND(word, text, option_list, function, asks)                                           \
    AZ_COMMAND("group ", word, text, option_list, function, asks)

static const struct az_command COMMANDS[] = {
    COMMAND("create", "create a resource group, or replace its tags", GROUP_CREATE, group_create,
            false),
    COMMAND("show", "show a resource group", GROUP_SHOW, group_show, false),
    COMMAND("list", "list resource groups", GROUP_LIST, group_list, false),
    COMMAND("exists", "true or false", GROUP_SHOW, group_exists, false),
    COMMAND("update", "replace its tags", GROUP_UPDATE, group_update, false),
    COMMAND("delete", "delete a resource group and everything in it", GROUP_DELETE, group_delete,
            true),
    {.words = NULL},
};

const struct verb VERB_GROUP = {
    .name = "group",
    .summary = "resource groups of 'oomlab serve', as 'az group'",
    .operands = "create|show|list|exists|update|delete",
    .operand_values = "create show list exists update delete",
    .commands = COMMANDS,
    .raw = true,
    .run = az_run,
};
