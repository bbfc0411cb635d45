/* SPDX-License-Identifier: Apache-2.0 */
/* Options about the container -> properties.template. */
#include "base/cleanup.h"
#include "base/size.h"
#include "cli/containerapp.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* One empty word clears the list, as with az. */
static json_t *words_json(const char *const *words)
{
    json_t *list = json_array();
    if (words[0] && words[0][0] == '\0' && !words[1])
        return list;
    for (; *words; words++)
        json_array_append_new(list, json_string(*words));
    return list;
}

static int number(const char *option, const char *text, double *ret, struct error *err)
{
    char *end = NULL;
    *ret = strtod(text, &end);
    if (end == text || *end != '\0' || !(*ret >= 0 && *ret < 1e6))
        return error_usage(err, "argument --%s: invalid value: '%.40s'", option, text);
    return 0;
}

/* --- the image ------------------------------------------------------------------------------ */

/* serve has another working directory than whoever types the command. What does not exist goes as
 * it is: the answer names it. */
static json_t *image_json(const char *image)
{
    static const char *const kinds[] = {"dir:", "oci:", "oci-archive:"};
    char resolved[PATH_MAX];
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t prefix = strlen(kinds[i]);
        if (strncmp(image, kinds[i], prefix) != 0 || image[prefix] == '/')
            continue;
        size_t length = i == 0 ? strlen(image + prefix) : strcspn(image + prefix, ":");
        AUTO_FREE char *path = strndup(image + prefix, length);
        if (path && realpath(path, resolved))
            return json_sprintf("%s%s%s", kinds[i], resolved, image + prefix + length);
    }
    return json_string(image);
}

/* --- environment variables ------------------------------------------------------------------- */

static void env_remove(json_t *env, const char *name, size_t length)
{
    for (size_t i = json_array_size(env); i > 0; i--) {
        const char *own = json_string_value(json_object_get(json_array_get(env, i - 1), "name"));
        if (own && strlen(own) == length && strncmp(own, name, length) == 0)
            json_array_remove(env, i - 1);
    }
}

/* Replaced in its place, or appended. */
static int env_put(json_t *env, const char *pair, struct error *err)
{
    size_t length = strcspn(pair, "=");
    if (pair[length] != '=' || length == 0)
        return error_usage(err,
                           "Environment variables must be in the format \"<key>=<value> "
                           "<key>=secretref:<value> ...\", not '%.60s'",
                           pair);
    const char *value = pair + length + 1;
    bool secret = strncmp(value, "secretref:", strlen("secretref:")) == 0;
    json_t *made = json_pack("{s:s%, s:s}", "name", pair, length, secret ? "secretRef" : "value",
                             value + (secret ? strlen("secretref:") : 0));
    if (!made)
        return error_usage(err, "the environment variable '%.60s' is no UTF-8", pair);
    for (size_t i = 0; i < json_array_size(env); i++) {
        const char *own = json_string_value(json_object_get(json_array_get(env, i), "name"));
        if (own && strlen(own) == length && strncmp(own, pair, length) == 0) {
            json_array_set_new(env, i, made);
            return 0;
        }
    }
    json_array_append_new(env, made);
    return 0;
}

static int env_put_all(json_t *env, const char *const *pairs, struct error *err)
{
    int r = 0;
    for (; r == 0 && pairs && *pairs; pairs++)
        r = env_put(env, *pairs, err);
    return r;
}

static int apply_env(const struct az_arguments *arguments, json_t *container, struct error *err)
{
    json_t *env = json_object_get(container, "env");
    if (!json_is_array(env)) {
        env = json_array();
        json_object_set_new(container, "env", env);
    }
    if (arguments->env_vars || arguments->replace_env_vars)
        json_array_clear(env);
    int r = env_put_all(env, arguments->env_vars, err);
    if (r == 0)
        r = env_put_all(env, arguments->replace_env_vars, err);
    for (const char **name = arguments->remove_env_vars; name && *name; name++)
        env_remove(env, *name, strlen(*name));
    return r == 0 ? env_put_all(env, arguments->set_env_vars, err) : r;
}

/* --- size and scale -------------------------------------------------------------------------- */

/* "1Gi" is written "1Gi", "0.5" as "0.5Gi" as az does. */
static int apply_size(const struct az_arguments *arguments, json_t *container, struct error *err)
{
    json_t *resources = json_object_get(container, "resources");
    double cpu = 0;
    int r = 0;
    if (!json_is_object(resources)) {
        resources = json_pack("{s:f, s:s}", "cpu", 0.5, "memory", "1Gi");
        json_object_set_new(container, "resources", resources);
        /* One half of a pair alone: the other one is that pair's. */
        if (arguments->cpu && !arguments->memory && atof(arguments->cpu) > 0) {
            char memory[32];
            snprintf(memory, sizeof(memory), "%gGi", 2 * atof(arguments->cpu));
            json_object_set_new(resources, "memory", json_string(memory));
        }
    }
    if (arguments->cpu) {
        r = number("cpu", arguments->cpu, &cpu, err);
        if (r == 0)
            json_object_set_new(resources, "cpu", json_real(cpu));
    }
    if (r == 0 && arguments->memory) {
        uint64_t bytes = 0;
        r = size_parse(arguments->memory, &bytes, err);
        if (r < 0)
            return error_wrap(err, "argument --memory");
        json_object_set_new(resources, "memory", json_string(arguments->memory));
    }
    return r;
}

static int apply_scale(const struct az_arguments *arguments, json_t *template, struct error *err)
{
    const char *const texts[] = {arguments->min_replicas, arguments->max_replicas};
    static const char *const options[] = {"min-replicas", "max-replicas"};
    static const char *const keys[] = {"minReplicas", "maxReplicas"};
    json_t *scale = json_object_get(template, "scale");
    if (!json_is_object(scale)) {
        scale = json_pack("{s:n, s:i}", "minReplicas", "maxReplicas", 10);
        json_object_set_new(template, "scale", scale);
    }
    for (size_t i = 0; i < 2; i++) {
        long value = 0;
        int r = texts[i] ? az_whole_number(options[i], texts[i], 0, 1000000, &value, err) : 0;
        if (r < 0)
            return r;
        if (texts[i])
            json_object_set_new(scale, keys[i], json_integer(value));
    }
    return 0;
}

int template_apply(const struct az_arguments *arguments, json_t *template, struct error *err)
{
    json_t *containers = json_object_get(template, "containers");
    if (!json_is_array(containers) || json_array_size(containers) == 0) {
        containers =
            json_pack("[{s:s, s:s}]", "name",
                      arguments->container_name ? arguments->container_name : arguments->name,
                      "image", "host");
        json_object_set_new(template, "containers", containers);
    }
    json_t *container = json_array_get(containers, 0);
    const char *name = json_string_value(json_object_get(container, "name"));
    if (arguments->container_name && name && strcmp(arguments->container_name, name) != 0)
        return error_usage(
            err,
            "argument --container-name: the app has no container '%.80s', but '%.80s'; "
            "more than one is not supported here",
            arguments->container_name, name);
    if (arguments->image)
        json_object_set_new(container, "image", image_json(arguments->image));
    if (arguments->command)
        json_object_set_new(container, "command",
                            words_json((const char *const *)arguments->command));
    if (arguments->args)
        json_object_set_new(container, "args", words_json((const char *const *)arguments->args));
    if (arguments->revision_suffix)
        json_object_set_new(template, "revisionSuffix", json_string(arguments->revision_suffix));
    int r = apply_size(arguments, container, err);
    if (r == 0)
        r = apply_env(arguments, container, err);
    return r == 0 ? apply_scale(arguments, template, err) : r;
}
