/* SPDX-License-Identifier: Apache-2.0 */
#include "api/template.h"

#include "api/image.h"
#include "api/probes.h"
#include "base/cleanup.h"
#include "base/duration.h"
#include "base/redact.h"
#include "base/size.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REPLICAS_MAX       300 /* as Azure's */
#define PIDS_MAX           4096
#define CONTAINER_NAME_MAX 63
#define STOP_GRACE         (30 * NS_PER_S) /* Azure's terminationGracePeriodSeconds */
#define STOP_GRACE_MAX_S   600
#define GRACE              "terminationGracePeriodSeconds"

json_t *template_container(const json_t *template)
{
    return json_array_get(json_object_get(template, "containers"), 0);
}

static unsigned scale(const json_t *template, const char *key, unsigned fallback)
{
    const json_t *value = json_object_get(json_object_get(template, "scale"), key);
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : (json_int_t)fallback;
    return number < 0 || number > REPLICAS_MAX ? fallback : (unsigned)number;
}

/* Nothing scales to zero here: without a minimum one replica runs. */
unsigned template_min_replicas(const json_t *template)
{
    unsigned least = scale(template, "minReplicas", 1);
    return least > 0 ? least : 1;
}

unsigned template_max_replicas(const json_t *template)
{
    unsigned least = template_min_replicas(template);
    unsigned most = scale(template, "maxReplicas", 10);
    return most > least ? most : least;
}

uint16_t template_target_port(const json_t *configuration)
{
    const json_t *ingress = json_object_get(configuration, "ingress");
    json_int_t port = json_integer_value(json_object_get(ingress, "targetPort"));
    return port > 0 && port < 65536 ? (uint16_t)port : 0;
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static double cpu_of(const json_t *container)
{
    return json_number_value(json_object_get(json_object_get(container, "resources"), "cpu"));
}

uint64_t template_memory(json_t *template)
{
    struct error ignored;
    uint64_t bytes = 0;
    const char *text =
        text_of(json_object_get(template_container(template), "resources"), "memory");
    return text && size_parse(text, &bytes, &ignored) == 0 ? bytes : 0;
}

/* 0.25 cores to 4 in steps of 0.25, and 2 GiB a core: the Consumption plan's combinations. */
static bool azure_pair(double cpu, uint64_t memory)
{
    double quarters = cpu * 4;
    return quarters >= 0.999 && quarters <= 16.001 && fabs(quarters - round(quarters)) < 1e-6 &&
           memory == (uint64_t)llround(quarters) * (GIB / 2);
}

static int check_size(json_t *template, const struct template_options *options,
                      const char **ret_code, struct error *err)
{
    json_t *container = template_container(template);
    const char *memory = text_of(json_object_get(container, "resources"), "memory");
    uint64_t bytes = template_memory(template);
    double cpu = cpu_of(container);
    *ret_code = "ContainerAppInvalidResourceTotal";
    if (options->any_size && bytes > 0 && cpu >= 0)
        return 0;
    if (azure_pair(cpu, bytes))
        return 0;
    return error_usage(err,
                       "The total requested CPU and memory resources for this application (CPU: "
                       "%g, memory: %s) is invalid. Total CPU and memory for all containers "
                       "defined in a Container App must add up to one of the following CPU - "
                       "Memory combinations: [cpu: 0.25, memory: 0.5Gi]; [cpu: 0.5, memory: "
                       "1.0Gi]; [cpu: 0.75, memory: 1.5Gi]; [cpu: 1.0, memory: 2.0Gi]; [cpu: "
                       "1.25, memory: 2.5Gi]; [cpu: 1.5, memory: 3.0Gi]; [cpu: 1.75, memory: "
                       "3.5Gi]; [cpu: 2.0, memory: 4.0Gi]; ... [cpu: 4.0, memory: 8.0Gi]",
                       cpu, memory ? memory : "none");
}

static void set_default(json_t *object, const char *key, json_t *value)
{
    const json_t *given = json_object_get(object, key);
    if (!given || json_is_null(given))
        json_object_set_new(object, key, value);
    else
        json_decref(value);
}

void template_fill(json_t *properties)
{
    size_t i = 0;
    json_t *container = NULL;
    set_default(properties, "configuration", json_object());
    json_t *configuration = json_object_get(properties, "configuration");
    json_t *ingress = json_object_get(configuration, "ingress");
    set_default(configuration, "activeRevisionsMode", json_string("Single"));
    if (json_is_object(ingress)) {
        set_default(ingress, "external", json_false());
        set_default(ingress, "transport", json_string("Auto"));
        set_default(ingress, "allowInsecure", json_false());
    }
    json_array_foreach(json_object_get(json_object_get(properties, "template"), "containers"), i,
                       container)
    {
        if (json_object_size(json_object_get(container, "resources")) == 0)
            json_object_set_new(container, "resources",
                                json_pack("{s:f, s:s}", "cpu", 0.5, "memory", "1Gi"));
    }
}

void template_show(json_t *template)
{
    static const struct {
        double cpu;
        const char *storage;
    } sizes[] = {{0.25, "1Gi"}, {0.5, "2Gi"}, {1, "4Gi"}};
    size_t i = 0;
    json_t *container = NULL;
    json_array_foreach(json_object_get(template, "containers"), i, container)
    {
        const char *storage = "8Gi";
        for (size_t k = sizeof(sizes) / sizeof(sizes[0]); k > 0; k--) {
            if (cpu_of(container) <= sizes[k - 1].cpu)
                storage = sizes[k - 1].storage;
        }
        json_object_set_new(json_object_get(container, "resources"), "ephemeralStorage",
                            json_string(storage));
    }
}

static int check_words(const json_t *list, const char *name, struct error *err)
{
    size_t i = 0;
    const json_t *item = NULL;
    if (list && !json_is_null(list) && !json_is_array(list))
        return error_usage(err, "%s must be an array of strings", name);
    json_array_foreach(list, i, item)
    {
        if (!json_is_string(item))
            return error_usage(err, "%s must be an array of strings", name);
    }
    return 0;
}

static int check_env(const json_t *env, struct error *err)
{
    size_t i = 0;
    const json_t *item = NULL;
    json_array_foreach(env, i, item)
    {
        const char *name = text_of(item, "name");
        if (!name || name[0] == '\0' || strchr(name, '='))
            return error_usage(err, "env[%zu] needs a name without '='", i);
        if (json_is_string(json_object_get(item, "secretRef")))
            return error_usage(err,
                               "env[%zu] ('%.60s'): secretRef is not supported here; give "
                               "the value",
                               i, name);
    }
    return 0;
}

/* RFC 1123, in the words of Kubernetes, which Azure passes on. */
static int check_container_name(const json_t *container, struct error *err)
{
    const char *name = text_of(container, "name");
    if (!name)
        return 0;
    size_t length = strlen(name);
    if (length > 0 && length <= CONTAINER_NAME_MAX && name[0] != '-' && name[length - 1] != '-' &&
        name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0')
        return 0;
    return error_usage(err,
                       "The following field(s) are either invalid or missing. Invalid value: "
                       "\"%.100s\": Invalid Name: Per RFC 1123 name must consist of lower case "
                       "alphanumeric characters or '-', must start and end with an alphanumeric "
                       "character, and have 63 of them at most (e.g. 'my-name', or '123-abc', "
                       "regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?'): "
                       "template.containers.",
                       name);
}

static int check_duplicates(const json_t *containers, struct error *err)
{
    for (size_t i = 1; i < json_array_size(containers); i++) {
        const char *name = text_of(json_array_get(containers, i), "name");
        for (size_t k = 0; name && k < i; k++) {
            const char *other = text_of(json_array_get(containers, k), "name");
            if (other && strcmp(name, other) == 0)
                return error_usage(err,
                                   "The following field(s) are either invalid or missing. "
                                   "Duplicate value: \"%.100s\": template.containers.",
                                   name);
        }
    }
    return 0;
}

static int check_container(json_t *template, uint16_t port, const char **ret_code,
                           struct error *err)
{
    const json_t *containers = json_object_get(template, "containers");
    const json_t *container = template_container(template);
    int r = check_duplicates(containers, err);
    if (r < 0)
        return r;
    if (json_array_size(containers) != 1)
        return error_usage(err,
                           "template.containers must hold one container, not %zu: side cars "
                           "are not supported here",
                           json_array_size(containers));
    if (json_array_size(json_object_get(template, "initContainers")) > 0)
        return error_usage(err, "template.initContainers is not supported here");
    r = check_container_name(container, err);
    if (r == 0)
        r = check_words(json_object_get(container, "command"), "command", err);
    if (r == 0)
        r = check_words(json_object_get(container, "args"), "args", err);
    if (r == 0)
        r = check_env(json_object_get(container, "env"), err);
    if (r == 0)
        r = probes_check(container, port, ret_code, err);
    return r == 0 ? image_check(container, err) : r;
}

/* What Azure has and we have not is refused by name: taken in silence it would have no effect, and
 * secrets would be stored and shown. */
static int check_unsupported(const json_t *template, const json_t *configuration, struct error *err)
{
    const json_t *container = template_container(template);
    const json_t *ingress = json_object_get(configuration, "ingress");
    const char *affinity = text_of(json_object_get(ingress, "stickySessions"), "affinity");
    const struct {
        const json_t *of; /* a list or an object in it, which may be empty */
        const char *key, *name;
    } unsupported[] = {
        {configuration, "secrets", "configuration.secrets"},
        {configuration, "registries", "configuration.registries"},
        {template, "volumes", "template.volumes"},
        {container, "volumeMounts", "template.containers[0].volumeMounts"},
        {json_object_get(template, "scale"), "rules", "template.scale.rules"},
        {template, "serviceBinds", "template.serviceBinds"},
        {configuration, "service", "configuration.service"},
        {configuration, "runtime", "configuration.runtime"},
        {ingress, "ipSecurityRestrictions", "ingress.ipSecurityRestrictions"},
        {ingress, "customDomains", "ingress.customDomains"},
        {ingress, "corsPolicy", "ingress.corsPolicy"},
        {ingress, "additionalPortMappings", "ingress.additionalPortMappings"},
    };
    for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++) {
        const json_t *found = json_object_get(unsupported[i].of, unsupported[i].key);
        if (json_array_size(found) > 0 || json_object_size(found) > 0)
            return error_usage(err, "%s is not supported here", unsupported[i].name);
    }
    if (affinity && strcasecmp(affinity, "none") != 0)
        return error_usage(err, "ingress.stickySessions is not supported here");
    if (json_is_true(json_object_get(json_object_get(configuration, "dapr"), "enabled")))
        return error_usage(err, "configuration.dapr is not supported here");
    return 0;
}

/* Settings that have a value which asks for nothing. */
static int check_values(const json_t *properties, const json_t *ingress, struct error *err)
{
    const char *profile = text_of(properties, "workloadProfileName");
    const json_t *traffic = json_object_get(ingress, "traffic");
    size_t i = 0;
    const json_t *item = NULL;
    if (profile && profile[0] != '\0' && strcasecmp(profile, "Consumption") != 0)
        return error_usage(err,
                           "workloadProfileName is not supported here but for Consumption: "
                           "'%.60s'",
                           profile);
    if (json_integer_value(json_object_get(ingress, "exposedPort")) != 0)
        return error_usage(err, "ingress.exposedPort is not supported here");
    json_array_foreach(traffic, i, item)
    {
        const char *label = text_of(item, "label");
        if (label && label[0] != '\0')
            return error_usage(err, "ingress.traffic[%zu].label is not supported here", i);
    }
    return 0;
}

static int check_modes(const json_t *configuration, struct error *err)
{
    const char *mode = text_of(configuration, "activeRevisionsMode");
    const char *transport = text_of(json_object_get(configuration, "ingress"), "transport");
    if (mode && strcasecmp(mode, "single") != 0 && strcasecmp(mode, "multiple") != 0)
        return error_usage(
            err, "configuration.activeRevisionsMode is Single or Multiple, not '%.40s'", mode);
    if (transport && strcasecmp(transport, "auto") != 0 && strcasecmp(transport, "http") != 0)
        return error_usage(err, "ingress.transport is Auto or Http here, not '%.40s'", transport);
    return 0;
}

/* Replicas may be left out. */
static int check_scale(const json_t *scale, struct error *err)
{
    const json_t *least = json_object_get(scale, "minReplicas");
    const json_t *most = json_object_get(scale, "maxReplicas");
    bool numbers = (!least || json_is_null(least) || json_is_integer(least)) &&
                   (!most || json_is_null(most) || json_is_integer(most));
    json_int_t low = json_integer_value(least), high = json_integer_value(most);
    if (numbers && low >= 0 && low <= REPLICAS_MAX &&
        (!json_is_integer(most) || (high >= 1 && high <= REPLICAS_MAX && high >= low)))
        return 0;
    return error_usage(err,
                       "scale: minReplicas (0 to %d) and maxReplicas (1 to %d) are whole numbers, "
                       "the first not above the second",
                       REPLICAS_MAX, REPLICAS_MAX);
}

static int check_grace(const json_t *template, struct error *err)
{
    const json_t *value = json_object_get(template, GRACE);
    json_int_t seconds = json_integer_value(value);
    if (!value || json_is_null(value) ||
        (json_is_integer(value) && seconds >= 0 && seconds <= STOP_GRACE_MAX_S))
        return 0;
    return error_usage(err, "template." GRACE " must be in the range of ['0', '%d'].",
                       STOP_GRACE_MAX_S);
}

int template_check(json_t *properties, const struct template_options *options,
                   const char **ret_code, struct error *err)
{
    json_t *template = json_object_get(properties, "template");
    const json_t *configuration = json_object_get(properties, "configuration");
    const json_t *ingress = json_object_get(configuration, "ingress");
    uint16_t port = template_target_port(configuration);
    *ret_code = "InvalidParameterValueInContainerTemplate";
    if (!json_is_object(template))
        return error_usage(err, "properties.template is missing");
    if (json_is_object(ingress) && port == 0)
        return error_usage(err, "ingress.targetPort must be between 1 and 65535");
    int r = check_container(template, port, ret_code, err);
    if (r == 0)
        r = check_unsupported(template, configuration, err);
    if (r == 0)
        r = check_values(properties, ingress, err);
    if (r == 0)
        r = check_modes(configuration, err);
    if (r == 0)
        r = check_scale(json_object_get(template, "scale"), err);
    if (r == 0)
        r = check_grace(template, err);
    if (r < 0)
        return r;
    return check_size(template, options, ret_code, err);
}

/* --- making --------------------------------------------------------------------------------- */

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

static int make_env(const json_t *env, char ***ret)
{
    char **list = calloc(json_array_size(env) + 1, sizeof(*list));
    if (!list)
        return -ENOMEM;
    *ret = list;
    for (size_t i = 0; i < json_array_size(env); i++) {
        const json_t *item = json_array_get(env, i);
        const char *value = text_of(item, "value");
        if (asprintf(&list[i], "%s=%s", text_of(item, "name"), value ? value : "") < 0) {
            list[i] = NULL;
            return -ENOMEM;
        }
    }
    return 0;
}

static int learn_command(struct redactor *redactor, const json_t *words)
{
    size_t count = json_array_size(words);
    AUTO_FREE char **command = calloc(count + 1, sizeof(*command));
    if (!command)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        command[i] = (char *)json_string_value(json_array_get(words, i));
    return redactor_learn_command(redactor, command);
}

struct redactor *template_secrets(const json_t *container)
{
    struct redactor *redactor = redactor_new();
    char **env = NULL;
    int r = redactor ? redactor_learn_env(redactor, environ) : -ENOMEM;
    if (r == 0)
        r = make_env(json_object_get(container, "env"), &env);
    if (r == 0)
        r = redactor_learn_env(redactor, env);
    if (r == 0)
        r = learn_command(redactor, json_object_get(container, "command"));
    if (r == 0)
        r = learn_command(redactor, json_object_get(container, "args"));
    free_list(env);
    if (r == 0)
        return redactor;
    redactor_free(redactor);
    return NULL;
}

static int64_t stop_grace_ns(const json_t *template)
{
    const json_t *value = json_object_get(template, GRACE);
    return json_is_integer(value) ? json_integer_value(value) * NS_PER_S : STOP_GRACE;
}

static int fill(struct app_template *made, json_t *template, uint16_t port,
                const struct template_options *options, const struct image_cache *images,
                struct error *err)
{
    json_t *container = template_container(template);
    int r = image_make(container, images, &made->image, err);
    made->secrets = template_secrets(container);
    if (r == 0 && (make_env(json_object_get(container, "env"), &made->env) < 0 || !made->secrets))
        r = error_errno(err, ENOMEM, "making a template");
    if (r < 0)
        return r;
    made->replicas = template_min_replicas(template);
    made->replicas_max = template_max_replicas(template);
    made->revision = (struct revision_template){
        .app = made->app,
        .suffix = made->suffix,
        .container = made->container,
        .command = made->image.command,
        .root = made->image.root,
        .root_is_shared = made->image.shared_root,
        .directory = made->image.directory,
        .user = made->image.has_user ? &made->image.user : NULL,
        .image_env = made->image.env,
        .env = made->env,
        .memory_bytes = template_memory(template),
        .cpu_cores = cpu_of(container),
        .pids_max = PIDS_MAX,
        .port = port,
        .backoff = options->backoff,
        .stop_grace_ns = stop_grace_ns(template),
        .secrets = made->secrets,
    };
    return probes_make(container, made->target_port, &made->revision, made->probe_headers, err);
}

int template_new(const char *app, const char *suffix, json_t *template, json_t *configuration,
                 uint16_t port, const struct template_options *options,
                 const struct image_cache *images, struct app_template **ret, struct error *err)
{
    struct app_template *made = calloc(1, sizeof(*made));
    if (!made)
        return error_errno(err, ENOMEM, "making a template");
    made->app = strdup(app);
    made->suffix = strdup(suffix);
    const char *container = text_of(template_container(template), "name");
    made->container = strdup(container ? container : app);
    made->target_port = template_target_port(configuration);
    int r = made->app && made->suffix && made->container
                ? fill(made, template, port, options, images, err)
                : error_errno(err, ENOMEM, "making a template");
    if (r < 0) {
        template_free(made);
        return r;
    }
    *ret = made;
    return 0;
}

void template_free(struct app_template *template)
{
    if (!template)
        return;
    image_parts_free(&template->image);
    free_list(template->env);
    free(template->app);
    free(template->suffix);
    free(template->container);
    redactor_free(template->secrets);
    for (size_t i = 0; i < PROBE_TYPES; i++)
        free_list(template->probe_headers[i]);
    free(template);
}
