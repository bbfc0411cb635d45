/* SPDX-License-Identifier: Apache-2.0 */
/* revision ..., replica ... */
#include "cli/containerapp.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define REVISION_COLUMNS                                                                           \
    "{CreatedTime: properties.createdTime, Active: properties.active, Replicas: "                  \
    "properties.replicas, TrafficWeight: properties.trafficWeight, HealthState: "                  \
    "properties.healthState, ProvisioningState: properties.provisioningState, Name: name}"
static const char REVISIONS[] = "[]." REVISION_COLUMNS;
static const char REVISION[] = REVISION_COLUMNS;
static const char REPLICAS[] = "[].{CreatedTime: properties.createdTime, Name: name}";

/* The app's name is the revision's up to "--" where it was not given. */
static int require_revision(const struct invocation *invocation, struct error *err)
{
    struct az_arguments *arguments = invocation->arguments;
    static char name[128];
    int r = az_require(invocation, arguments->revision, "--revision", err);
    if (r == 0 && !arguments->name && strstr(arguments->revision, "--")) {
        snprintf(name, sizeof(name), "%.*s",
                 (int)(strstr(arguments->revision, "--") - arguments->revision),
                 arguments->revision);
        arguments->name = name;
    }
    return r == 0 ? containerapp_require(invocation, err) : r;
}

int cli_revision_list(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    char path[AZ_PATH_MAX];
    json_t *list = NULL;
    size_t i = 0;
    json_t *revision = NULL;
    int r = containerapp_require(invocation, err);
    if (r < 0)
        return r;
    az_app_path(path, arguments, "/revisions%s", "");
    r = az_list(arguments, path, &list, err);
    if (r < 0)
        return az_failed(err);
    json_t *shown = json_array();
    json_array_foreach(list, i, revision)
    {
        az_add_group(revision);
        if (arguments->all ||
            json_is_true(json_object_get(json_object_get(revision, "properties"), "active")))
            json_array_append(shown, revision);
    }
    json_decref(list);
    return az_print(arguments, shown, REVISIONS, err);
}

static int show(const struct invocation *invocation, const char *path, const char *table,
                struct error *err)
{
    AUTO_ANSWER answer = {0};
    int r = az_ask(invocation->arguments, "GET", path, NULL, &answer, err);
    if (r < 0)
        return az_failed(err);
    az_add_group(answer.body);
    return az_print(invocation->arguments, json_incref(answer.body), table, err);
}

int cli_revision_show(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    char path[AZ_PATH_MAX];
    int r = require_revision(invocation, err);
    if (r < 0)
        return r;
    az_app_path(path, arguments, "/revisions/%s", az_segment(arguments->revision).text);
    return show(invocation, path, REVISION, err);
}

/* restart, activate, deactivate: the last word of the command. */
int cli_revision_act(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    char path[AZ_PATH_MAX];
    AUTO_ANSWER answer = {0};
    int r = require_revision(invocation, err);
    if (r < 0)
        return r;
    az_app_path(path, arguments, "/revisions/%s/%s", az_segment(arguments->revision).text,
                strrchr(invocation->verb->name, ' ') + 1);
    r = az_ask(arguments, "POST", path, NULL, &answer, err);
    return r == 0 ? az_print(arguments, json_incref(answer.body), NULL, err) : az_failed(err);
}

int cli_revision_set_mode(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    int r = containerapp_require(invocation, err);
    if (r == 0)
        r = az_require(invocation, arguments->mode, "--mode", err);
    if (r < 0)
        return r;
    bool multiple = strcasecmp(arguments->mode, "multiple") == 0;
    if (!multiple && strcasecmp(arguments->mode, "single") != 0)
        return error_usage(err, "argument --mode: '%.40s' is not a valid value (single, multiple)",
                           arguments->mode);
    return containerapp_patch(invocation,
                              json_pack("{s:{s:s}}", "configuration", "activeRevisionsMode",
                                        multiple ? "Multiple" : "Single"),
                              err);
}

/* A PATCH leaves what it does not name as it is: what the app's template has and this one has not
 * is named as null. */
static void drop_others(const json_t *latest, json_t *template)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)latest, key, value)
    {
        if (!json_object_get(template, key))
            json_object_set_new(template, key, json_null());
    }
}

static int template_from_yaml(const struct az_arguments *arguments, json_t *template,
                              struct error *err)
{
    json_t *body = NULL;
    int r = containerapp_load_yaml(arguments, &body, err);
    if (r < 0)
        return r;
    json_t *given = json_object_get(json_object_get(body, "properties"), "template");
    if (json_is_object(given))
        json_object_update_recursive(template, given);
    json_decref(body);
    return 0;
}

/* A new revision from the template of another one (the latest) and what the options change. */
int cli_revision_copy(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    char path[AZ_PATH_MAX];
    AUTO_ANSWER answer = {0};
    json_t *app = NULL;
    int r = containerapp_require(invocation, err);
    if (r < 0)
        return r;
    r = containerapp_load(arguments, &app, err);
    const char *latest = json_string_value(
        json_object_get(json_object_get(app, "properties"), "latestRevisionName"));
    const char *from = arguments->from_revision ? arguments->from_revision : latest;
    if (r == 0 && !from)
        r = error_usage(err, "the app has no active revision: give --from-revision");
    if (r == 0) {
        az_app_path(path, arguments, "/revisions/%s", az_segment(from).text);
        r = az_ask(arguments, "GET", path, NULL, &answer, err);
    }
    if (r < 0) {
        json_decref(app);
        return az_failed(err);
    }
    json_t *template =
        json_deep_copy(json_object_get(json_object_get(answer.body, "properties"), "template"));
    json_object_del(template, "revisionSuffix");
    r = arguments->yaml ? template_from_yaml(arguments, template, err)
                        : template_apply(arguments, template, err);
    drop_others(json_object_get(json_object_get(app, "properties"), "template"), template);
    json_decref(app);
    if (r < 0) {
        json_decref(template);
        return r;
    }
    return containerapp_patch(invocation, json_pack("{s:o}", "template", template), err);
}

/* --- replicas ------------------------------------------------------------------------------- */

static int find_revision(const struct invocation *invocation, char *ret, size_t size,
                         struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    json_t *app = NULL;
    int r = containerapp_require(invocation, err);
    if (r < 0 || arguments->revision) {
        snprintf(ret, size, "%s", arguments->revision ? arguments->revision : "");
        return r;
    }
    r = containerapp_load(arguments, &app, err);
    const char *latest = json_string_value(
        json_object_get(json_object_get(app, "properties"), "latestRevisionName"));
    snprintf(ret, size, "%s", latest ? latest : "");
    json_decref(app);
    if (r == 0 && ret[0] == '\0')
        return error_usage(err, "the app has no active revision: give --revision");
    return r;
}

static int load_replicas(const struct invocation *invocation, json_t **ret, struct error *err)
{
    char revision[200];
    char path[AZ_PATH_MAX];
    int r = find_revision(invocation, revision, sizeof(revision), err);
    if (r < 0)
        return r;
    az_app_path(path, invocation->arguments, "/revisions/%s/replicas", az_segment(revision).text);
    return az_list(invocation->arguments, path, ret, err);
}

int cli_replica_list(const struct invocation *invocation, struct error *err)
{
    json_t *list = NULL;
    size_t i = 0;
    json_t *replica = NULL;
    int r = load_replicas(invocation, &list, err);
    if (r < 0)
        return az_failed(err);
    json_array_foreach(list, i, replica)
    {
        az_add_group(replica);
    }
    return az_print(invocation->arguments, list, REPLICAS, err);
}

int cli_replica_count(const struct invocation *invocation, struct error *err)
{
    json_t *list = NULL;
    int r = load_replicas(invocation, &list, err);
    if (r < 0)
        return az_failed(err);
    json_t *count = json_integer((json_int_t)json_array_size(list));
    json_decref(list);
    return az_print(invocation->arguments, count, NULL, err);
}

int cli_replica_show(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    char revision[200];
    char path[AZ_PATH_MAX];
    int r = az_require(invocation, arguments->replica, "--replica", err);
    if (r == 0)
        r = find_revision(invocation, revision, sizeof(revision), err);
    if (r < 0)
        return az_failed(err);
    az_app_path(path, arguments, "/revisions/%s/replicas/%s", az_segment(revision).text,
                az_segment(arguments->replica).text);
    return show(invocation, path, NULL, err);
}
