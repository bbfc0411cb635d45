/* SPDX-License-Identifier: Apache-2.0 */
/* What is checked of a container app before anything is changed. */
#include "api/resources.h"
#include "api/schema.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

bool check_resource(struct request *request, struct reply *reply)
{
    struct error err;
    if (schema_check_resource(request->body, &err) == 0)
        return true;
    reply_failure(reply, "InvalidRequestContent", &err);
    return false;
}

/* Azure's rule: lower case letters, digits and '-', a letter first, no '-' at the end, no '--'. */
bool app_name_is_valid(const char *name)
{
    size_t length = strlen(name);
    if (length < 2 || length > APP_NAME_MAX || !islower((unsigned char)name[0]) ||
        name[length - 1] == '-' || strstr(name, "--"))
        return false;
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

void refuse_app_name(struct reply *reply, const char *name)
{
    reply_error(reply, MHD_HTTP_BAD_REQUEST, "ContainerAppInvalidName",
                "Invalid ContainerApp name '%.100s'. A name must consist of lower case "
                "alphanumeric characters or '-', start with a letter, end with an alphanumeric "
                "character and cannot have '--'. The length must not be more than 32 characters.",
                name);
}

static bool suffix_is_valid(const char *suffix)
{
    size_t length = strlen(suffix);
    return length > 0 && length <= 54 && suffix[length - 1] != '-' && suffix[0] != '-' &&
           suffix[strspn(suffix, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0' &&
           !strstr(suffix, "--");
}

static bool check_environment(struct request *request, json_t *properties, struct reply *reply)
{
    json_t *id = json_object_get(properties, "managedEnvironmentId");
    if (!json_is_string(id))
        id = json_object_get(properties, "environmentId");
    json_t *found =
        json_is_string(id) ? environment_find(request->serve, json_string_value(id)) : NULL;
    if (!found) {
        reply_error(reply, MHD_HTTP_BAD_REQUEST, "InvalidRequestContent",
                    json_is_string(id) ? "The environment '%.300s' does not exist."
                                       : "properties.managedEnvironmentId is missing%s",
                    json_is_string(id) ? json_string_value(id) : "");
        return false;
    }
    json_object_set(properties, "managedEnvironmentId", json_object_get(found, "id"));
    json_object_set(properties, "environmentId", json_object_get(found, "id"));
    json_decref(found);
    return true;
}

/* --- traffic -------------------------------------------------------------------------------- */

static bool refuse_traffic(struct reply *reply, size_t i, const char *name, const char *why)
{
    reply_error(reply, MHD_HTTP_BAD_REQUEST, "ContainerAppInvalidTrafficConfig",
                "ingress.traffic[%zu]: revision '%.100s' %s", i, name, why);
    return false;
}

static const char *target_of(const json_t *item)
{
    const char *name = json_string_value(json_object_get(item, "revisionName"));
    return name && name[0] != '\0' ? name : "latest";
}

static bool is_given_before(const json_t *traffic, size_t count)
{
    const char *name = target_of(json_array_get(traffic, count));
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(target_of(json_array_get(traffic, i)), name) == 0)
            return true;
    }
    return false;
}

/* Azure lets weight go to an inactive revision, whose requests are then lost (issue 1345 of
 * microsoft/azure-container-apps, open): here that is refused. */
static bool check_target(struct app *app, const json_t *traffic, size_t i, struct reply *reply)
{
    const json_t *item = json_array_get(traffic, i);
    const char *name = target_of(item);
    json_int_t weight = json_integer_value(json_object_get(item, "weight"));
    bool latest = strcmp(name, "latest") == 0;
    const struct app_revision *revision = app && !latest ? revision_find(app, name) : NULL;
    if (latest && !json_is_true(json_object_get(item, "latestRevision")))
        return refuse_traffic(reply, i, "", "is none: give revisionName, or latestRevision: true");
    if (!latest && !revision)
        return refuse_traffic(reply, i, name, "does not exist");
    if (weight < 0 || weight > 100)
        return refuse_traffic(reply, i, name, "has a weight that is not 0 to 100");
    if (is_given_before(traffic, i))
        return refuse_traffic(reply, i, name, "has a weight already");
    if (revision && !revision->active && weight > 0)
        return refuse_traffic(reply, i, name, "is not active: activate it first");
    return true;
}

static json_t *traffic_of(const json_t *properties)
{
    const json_t *configuration = json_object_get(properties, "configuration");
    return json_object_get(json_object_get(configuration, "ingress"), "traffic");
}

/* What stays as it is was checked when it came; revisions may have been deactivated since. */
static bool check_traffic(struct app *app, const json_t *properties, struct reply *reply)
{
    const json_t *traffic = traffic_of(properties);
    json_int_t sum = 0;
    if (json_array_size(traffic) == 0 ||
        (app && json_equal(traffic, traffic_of(app_properties(app)))))
        return true;
    for (size_t i = 0; i < json_array_size(traffic); i++) {
        if (!check_target(app, traffic, i, reply))
            return false;
        sum += json_integer_value(json_object_get(json_array_get(traffic, i), "weight"));
    }
    if (sum != 100)
        reply_error(reply, MHD_HTTP_BAD_REQUEST, "ContainerAppInvalidTrafficWeightSum",
                    "Traffic weights must add up to 100, not %lld.", (long long)sum);
    return sum == 100;
}

/* --- all ------------------------------------------------------------------------------------ */

bool app_check(struct request *request, struct app *app, json_t *properties, struct reply *reply)
{
    const char *code = "InvalidRequestContent";
    struct error err;
    if (schema_check_app(properties, &err) < 0) {
        reply_failure(reply, code, &err);
        return false;
    }
    const json_t *suffix =
        json_object_get(json_object_get(properties, "template"), "revisionSuffix");
    struct template_options options = request->serve->options->template;
    const json_t *own = json_object_get(properties, "oomlab");
    template_fill(properties);
    options.any_size |= json_is_true(json_object_get(own, "allowAnySize"));
    if (template_check(properties, &options, &code, &err) < 0) {
        reply_failure(reply, code, &err);
        return false;
    }
    if (json_is_string(suffix) && json_string_length(suffix) > 0 &&
        !suffix_is_valid(json_string_value(suffix))) {
        reply_error(reply, MHD_HTTP_BAD_REQUEST, "ContainerAppInvalidRevisionSuffix",
                    "Invalid revision suffix '%.100s': lower case letters, digits and '-'",
                    json_string_value(suffix));
        return false;
    }
    return check_traffic(app, properties, reply) && check_environment(request, properties, reply);
}
