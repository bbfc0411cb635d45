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
    json_t *body = strcmp(method, "PUT") == 0 ? json_pack("{s:s}", "location", location) : NULL;
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

static int group(const struct invocation *invocation, const char *method, struct error *err)
{
    struct az_arguments *arguments = invocation->arguments;
    char path[AZ_PATH_MAX];
    /* az calls it --name here, and -g is its short form. */
    if (!arguments->group)
        arguments->group = arguments->name;
    int r = require_group(invocation, err);
    if (r < 0)
        return r;
    az_path(path, arguments, "%s", "");
    return ask(invocation, method, path, err);
}

static int group_create(const struct invocation *invocation, struct error *err)
{
    return group(invocation, "PUT", err);
}

static int group_show(const struct invocation *invocation, struct error *err)
{
    return group(invocation, "GET", err);
}

static int group_delete(const struct invocation *invocation, struct error *err)
{
    return group(invocation, "DELETE", err);
}

static int group_list(const struct invocation *invocation, struct error *err)
{
    return print_list(
        invocation->arguments,
        "/subscriptions/" AZ_SUBSCRIPTION "/resourceGroups?api-version=" AZ_API_VERSION, err);
}

static const struct option_spec GROUP_OPTIONS[] = {
    AZ_NAME,
    AZ_GROUP,
    AZ_TEXT("location", 'l', location, "NAME", "recorded, without a meaning here"),
    AZ_TAGS,
    AZ_YES,
    AZ_NO_WAIT,
    AZ_COMMON,
};

#define COMMAND(word, text, function, asks)                                                        \
    {                                                                                              \
        word,                                                                                      \
            {.name = "group " word,                                                                \
             .summary = (text),                                                                    \
             .operands = "",                                                                       \
             .options = GROUP_OPTIONS,                                                             \
             .arguments_bytes = sizeof(struct az_arguments),                                       \
             .run = (function),                                                                    \
             .abbreviates = true},                                                                 \
            (asks)                                                                                 \
    }

static const struct az_command COMMANDS[] = {
    COMMAND("create", "create a resource group", group_create, false),
    COMMAND("show", "show a resource group", group_show, false),
    COMMAND("list", "list resource groups", group_list, false),
    COMMAND("delete", "delete a resource group and everything in it", group_delete, true),
    {.words = NULL},
};

const struct verb VERB_GROUP = {
    .name = "group",
    .summary = "resource groups of 'oomlab serve', as 'az group'",
    .operands = "create|show|list|delete",
    .operand_values = "create show list delete",
    .commands = COMMANDS,
    .raw = true,
    .run = az_run,
};
