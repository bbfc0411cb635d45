/* SPDX-License-Identifier: Apache-2.0 */
/* create, update, show, list, delete. */
#include "cli/containerapp.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char TABLE[] = "[].{Name: name, Location: location, ResourceGroup: resourceGroup, "
                            "Fqdn: properties.configuration.ingress.fqdn}";
static const char TABLE_ONE[] = "{Name: name, Location: location, ResourceGroup: resourceGroup, "
                                "Fqdn: properties.configuration.ingress.fqdn}";

int containerapp_require(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    int r = az_require(invocation, arguments->name, "--name/-n", err);
    return r == 0 ? az_require(invocation, arguments->group, "--resource-group/-g", err) : r;
}

int containerapp_load(const struct az_arguments *arguments, json_t **ret, struct error *err)
{
    char path[AZ_PATH_MAX];
    AUTO_ANSWER answer = {0};
    az_app_path(path, arguments, "%s", "");
    int r = az_ask(arguments, "GET", path, NULL, &answer, err);
    if (r < 0)
        return r;
    az_add_group(answer.body);
    *ret = json_incref(answer.body);
    return 0;
}

/* Send, wait, show what came of it. */
static int change(const struct invocation *invocation, const char *method, const json_t *body,
                  struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    char path[AZ_PATH_MAX];
    json_t *app = NULL;
    AUTO_ANSWER answer = {0};
    az_app_path(path, arguments, "%s", "");
    int r = az_ask(arguments, method, path, body, &answer, err);
    if (r == 0)
        r = az_wait(arguments, &answer, err);
    if (r == 0)
        r = containerapp_load(arguments, &app, err);
    return r == 0 ? az_print(arguments, app, TABLE_ONE, err) : az_failed(err);
}

int containerapp_patch(const struct invocation *invocation, json_t *properties, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    json_t *body = json_pack("{s:o}", "properties", properties);
    if (body && arguments->tags)
        json_object_set_new(body, "tags", az_tags_json((const char *const *)arguments->tags));
    int r = body ? change(invocation, "PATCH", body, err)
                 : error_errno(err, ENOMEM, "preparing the update");
    json_decref(body);
    return r;
}

/* --- create --------------------------------------------------------------------------------- */

static int environment_id(const struct az_arguments *arguments, char id[static AZ_PATH_MAX])
{
    if (arguments->environment[0] == '/')
        return snprintf(id, AZ_PATH_MAX, "%s", arguments->environment);
    return snprintf(id, AZ_PATH_MAX,
                    "/subscriptions/" AZ_SUBSCRIPTION
                    "/resourceGroups/%s/providers/Microsoft.App/managedEnvironments/%s",
                    arguments->group, arguments->environment);
}

static int apply_ingress(const struct az_arguments *arguments, json_t *configuration,
                         struct error *err)
{
    char *end = NULL;
    long port = arguments->target_port ? strtol(arguments->target_port, &end, 10) : 0;
    if (arguments->revisions_mode && strcasecmp(arguments->revisions_mode, "multiple") != 0 &&
        strcasecmp(arguments->revisions_mode, "single") != 0)
        return error_usage(err,
                           "argument --revisions-mode: '%.40s' is not a valid value (multiple, "
                           "single)",
                           arguments->revisions_mode);
    if (arguments->revisions_mode)
        json_object_set_new(configuration, "activeRevisionsMode",
                            json_string(strcasecmp(arguments->revisions_mode, "multiple") == 0
                                            ? "Multiple"
                                            : "Single"));
    if (arguments->target_port && (*end != '\0' || port < 1 || port > 65535))
        return error_usage(err, "argument --target-port: invalid value: '%.40s'",
                           arguments->target_port);
    if (arguments->ingress && strcasecmp(arguments->ingress, "external") != 0 &&
        strcasecmp(arguments->ingress, "internal") != 0)
        return error_usage(err,
                           "argument --ingress: '%.40s' is not a valid value (external, "
                           "internal)",
                           arguments->ingress);
    if (!arguments->target_port)
        return 0;
    bool external = strcasecmp(arguments->ingress, "internal") != 0;
    json_object_set_new(configuration, "ingress",
                        json_pack("{s:b, s:i, s:s, s:b}", "external", external, "targetPort",
                                  (int)port, "transport",
                                  arguments->transport ? arguments->transport : "Auto",
                                  "allowInsecure", 0));
    return 0;
}

/* az goes by the file's name; here the path says which app it is, and a warning says so. */
static void warn_name(const struct az_arguments *arguments, const json_t *yaml)
{
    const char *name = json_string_value(json_object_get(yaml, "name"));
    if (name && strcasecmp(name, arguments->name) != 0 && !arguments->only_show_errors)
        log_warning("The app name provided in the --yaml file \"%s\" does not match the one "
                    "provided in the --name flag \"%s\". The one provided by the --name flag is "
                    "used here.",
                    name, arguments->name);
}

/* What else was said about the app is not looked at, as with az, and az's words say so. */
int containerapp_load_yaml(const struct az_arguments *arguments, json_t **ret, struct error *err)
{
    const void *const others[] = {
        arguments->image,
        arguments->container_name,
        arguments->command,
        arguments->args,
        arguments->cpu,
        arguments->memory,
        arguments->min_replicas,
        arguments->max_replicas,
        arguments->revision_suffix,
        arguments->env_vars,
        arguments->set_env_vars,
        arguments->replace_env_vars,
        arguments->tags,
        arguments->remove_env_vars,
        arguments->target_port,
        arguments->ingress,
        arguments->transport,
        arguments->revisions_mode,
    };
    bool more = false;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        more = more || others[i];
    if (more && !arguments->only_show_errors)
        log_warning("Additional flags were passed along with --yaml. These flags will be ignored, "
                    "and the configuration defined in the yaml will be used instead");
    int r = yaml_load_json(arguments->yaml, ret, err);
    if (r == 0)
        warn_name(arguments, *ret);
    return r;
}

static int load_yaml(const struct az_arguments *arguments, json_t **ret, struct error *err)
{
    if (arguments->yaml)
        return containerapp_load_yaml(arguments, ret, err);
    *ret = json_pack("{s:s, s:{s:{}, s:{s:s}}}", "location", "local", "properties", "template",
                     "configuration", "activeRevisionsMode", "Single");
    return *ret ? 0 : error_errno(err, ENOMEM, "preparing the app");
}

static json_t *object_in(json_t *parent, const char *key)
{
    json_t *found = json_object_get(parent, key);
    if (!json_is_object(found)) {
        found = json_object();
        json_object_set_new(parent, key, found);
    }
    return found;
}

static bool has_environment(const json_t *properties)
{
    return json_is_string(json_object_get(properties, "managedEnvironmentId")) ||
           json_is_string(json_object_get(properties, "environmentId"));
}

static int fill(const struct az_arguments *arguments, json_t *body, struct error *err)
{
    char id[AZ_PATH_MAX];
    json_t *properties = object_in(body, "properties");
    json_t *configuration = object_in(properties, "configuration");
    int r = 0;
    if (!arguments->yaml) {
        r = template_apply(arguments, object_in(properties, "template"), err);
        if (r == 0)
            r = apply_ingress(arguments, configuration, err);
    }
    if (arguments->environment && !has_environment(properties)) {
        environment_id(arguments, id);
        json_object_set_new(properties, "managedEnvironmentId", json_string(id));
    }
    if (arguments->any_size)
        json_object_set_new(properties, "oomlab", json_pack("{s:b}", "allowAnySize", 1));
    if (arguments->tags && !arguments->yaml)
        json_object_set_new(body, "tags", az_tags_json((const char *const *)arguments->tags));
    return r;
}

/* az's validators, which look before the file of --yaml is read. An ingress is published, so that
 * it is not one by default. */
static int check_pair(const struct az_arguments *arguments, struct error *err)
{
    if (arguments->target_port && !arguments->ingress)
        return error_set(err, EINVAL, "Usage error: must specify --ingress with --target-port");
    if (arguments->ingress && !arguments->target_port)
        return error_set(err, EINVAL, "Usage error: must specify --target-port with --ingress");
    return 0;
}

int containerapp_create(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    json_t *body = NULL;
    int r = containerapp_require(invocation, err);
    if (r == 0 && !arguments->yaml)
        r = az_require(invocation, arguments->environment, "--environment", err);
    if (r == 0)
        r = check_pair(arguments, err);
    if (r == 0)
        r = load_yaml(arguments, &body, err);
    if (r == 0)
        r = fill(arguments, body, err);
    if (r == 0)
        r = change(invocation, "PUT", body, err);
    json_decref(body);
    return r;
}

/* --- update --------------------------------------------------------------------------------- */

static json_t *part(const json_t *app, const char *key)
{
    return json_object_get(json_object_get(app, "properties"), key);
}

static int update_from_yaml(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    json_t *body = NULL;
    int r = containerapp_load_yaml(arguments, &body, err);
    if (r == 0)
        r = change(invocation, "PATCH", body, err);
    json_decref(body);
    return r;
}

int containerapp_update(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    json_t *app = NULL;
    int r = containerapp_require(invocation, err);
    if (r < 0)
        return r;
    if (arguments->yaml)
        return update_from_yaml(invocation, err);
    r = containerapp_load(arguments, &app, err);
    if (r < 0)
        return az_failed(err);
    json_t *template = json_deep_copy(part(app, "template"));
    json_object_del(template, "revisionSuffix");
    r = template_apply(arguments, template, err);
    json_decref(app);
    if (r < 0) {
        json_decref(template);
        return r;
    }
    json_t *properties = json_pack("{s:o}", "template", template);
    if (arguments->any_size)
        json_object_set_new(properties, "oomlab", json_pack("{s:b}", "allowAnySize", 1));
    return containerapp_patch(invocation, properties, err);
}

/* --- the rest ------------------------------------------------------------------------------- */

int containerapp_show(const struct invocation *invocation, struct error *err)
{
    json_t *app = NULL;
    int r = containerapp_require(invocation, err);
    if (r < 0)
        return r;
    r = containerapp_load(invocation->arguments, &app, err);
    return r == 0 ? az_print(invocation->arguments, app, TABLE_ONE, err) : az_failed(err);
}

/* There is one subscription, whatever it is called. */
static const char *below_subscription(const char *id)
{
    const char *group = strcasestr(id, "/resourceGroups/");
    return group ? group : id;
}

/* NULL: any; a name, or an id. */
static bool is_of_environment(const json_t *app, const char *environment)
{
    const char *id = json_string_value(part(app, "managedEnvironmentId"));
    if (!environment)
        return true;
    const char *name = id ? strrchr(id, '/') : NULL;
    if (name && environment[0] == '/')
        return strcasecmp(below_subscription(id), below_subscription(environment)) == 0;
    return name && strcasecmp(name + 1, environment) == 0;
}

int containerapp_list(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    char path[AZ_PATH_MAX];
    json_t *list = NULL;
    size_t i = 0;
    json_t *app = NULL;
    if (arguments->group)
        az_path(path, arguments, "/providers/Microsoft.App/containerApps%s", "");
    else
        snprintf(path, sizeof(path),
                 "/subscriptions/" AZ_SUBSCRIPTION
                 "/providers/Microsoft.App/containerApps?api-version=" AZ_API_VERSION);
    int r = az_list(arguments, path, &list, err);
    if (r < 0)
        return az_failed(err);
    json_t *shown = json_array();
    json_array_foreach(list, i, app)
    {
        az_add_group(app);
        if (is_of_environment(app, arguments->environment))
            json_array_append(shown, app);
    }
    json_decref(list);
    return az_print(arguments, shown, TABLE, err);
}

int containerapp_delete(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    char path[AZ_PATH_MAX];
    AUTO_ANSWER answer = {0};
    int r = containerapp_require(invocation, err);
    if (r < 0)
        return r;
    az_app_path(path, arguments, "%s", "");
    r = az_ask(arguments, "DELETE", path, NULL, &answer, err);
    if (r == 0)
        r = az_wait(arguments, &answer, err);
    return r == 0 ? STATUS_DONE : az_failed(err);
}
