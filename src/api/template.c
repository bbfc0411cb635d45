/* SPDX-License-Identifier: Apache-2.0 */
#include "api/template.h"

#include "api/image.h"
#include "base/cleanup.h"
#include "base/duration.h"
#include "base/size.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REPLICAS_MAX       300 /* as Azure's */
#define PIDS_MAX           4096
#define STARTUP_FAILURES   240
#define LOCAL_PROBE_FIRST  (2 * NS_PER_MS)
#define LOCAL_PROBE_PERIOD (50 * NS_PER_MS)
#define LOCAL_PROBE_STEADY (5 * NS_PER_S)  /* Azure's period */
#define STOP_GRACE         (30 * NS_PER_S) /* Azure's terminationGracePeriodSeconds */

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

static int check_probe(const json_t *probe, size_t i, uint16_t port, struct error *err)
{
    const char *type = text_of(probe, "type");
    const json_t *http = json_object_get(probe, "httpGet");
    const json_t *tcp = json_object_get(probe, "tcpSocket");
    const json_t *action = http ? http : tcp;
    if (!type || (strcasecmp(type, "Liveness") != 0 && strcasecmp(type, "Readiness") != 0 &&
                  strcasecmp(type, "Startup") != 0))
        return error_usage(err, "probes[%zu]: type must be Liveness, Readiness or Startup", i);
    if (!action)
        return error_usage(err, "probes[%zu]: httpGet or tcpSocket is missing", i);
    const char *path = text_of(action, "path");
    if (path && (path[0] != '/' || strlen(path) >= sizeof(((struct probe_spec *)0)->path)))
        return error_usage(err,
                           "probes[%zu]: the path must begin with '/' and be shorter than "
                           "256 bytes",
                           i);
    json_int_t probed = json_integer_value(json_object_get(action, "port"));
    if (port == 0 || probed != port)
        return error_usage(err,
                           "probes[%zu]: port %lld is not the ingress's target port; probes "
                           "of other ports are not supported here",
                           i, (long long)probed);
    return 0;
}

static int check_container(json_t *template, uint16_t port, struct error *err)
{
    const json_t *containers = json_object_get(template, "containers");
    const json_t *container = template_container(template);
    size_t i = 0;
    const json_t *probe = NULL;
    if (json_array_size(containers) != 1)
        return error_usage(err,
                           "template.containers must hold one container, not %zu: side cars "
                           "are not supported here",
                           json_array_size(containers));
    if (json_array_size(json_object_get(template, "initContainers")) > 0)
        return error_usage(err, "template.initContainers is not supported here");
    int r = check_words(json_object_get(container, "command"), "command", err);
    if (r == 0)
        r = check_words(json_object_get(container, "args"), "args", err);
    if (r == 0)
        r = check_env(json_object_get(container, "env"), err);
    json_array_foreach(json_object_get(container, "probes"), i, probe)
    {
        if (r == 0)
            r = check_probe(probe, i, port, err);
    }
    return r == 0 ? image_check(container, err) : r;
}

/* What Azure has and we have not is refused by name: taken in silence it would have no effect, and
 * secrets would be stored and shown. */
static int check_unsupported(const json_t *template, const json_t *configuration, struct error *err)
{
    const json_t *container = template_container(template);
    const struct {
        const json_t *of;
        const char *key, *name;
    } unsupported[] = {
        {configuration, "secrets", "configuration.secrets"},
        {configuration, "registries", "configuration.registries"},
        {template, "volumes", "template.volumes"},
        {container, "volumeMounts", "template.containers[0].volumeMounts"},
        {json_object_get(template, "scale"), "rules", "template.scale.rules"},
    };
    for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++) {
        if (json_array_size(json_object_get(unsupported[i].of, unsupported[i].key)) > 0)
            return error_usage(err, "%s is not supported here", unsupported[i].name);
    }
    if (json_is_true(json_object_get(json_object_get(configuration, "dapr"), "enabled")))
        return error_usage(err, "configuration.dapr is not supported here");
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
    int r = check_container(template, port, err);
    if (r == 0)
        r = check_unsupported(template, configuration, err);
    if (r == 0)
        r = check_modes(configuration, err);
    if (r == 0)
        r = check_scale(json_object_get(template, "scale"), err);
    if (r < 0)
        return r;
    return check_size(template, options, ret_code, err);
}

/* --- making --------------------------------------------------------------------------------- */

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

static int64_t seconds(const json_t *probe, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(probe, key);
    json_int_t number = json_integer_value(value);
    return json_is_integer(value) && number >= 0 && number < 86400 ? number * NS_PER_S : fallback;
}

static void make_probe(const json_t *probe, struct probe_spec *ret)
{
    const json_t *http = json_object_get(probe, "httpGet");
    const char *path = text_of(http, "path");
    json_int_t threshold = json_integer_value(json_object_get(probe, "failureThreshold"));
    ret->kind = http ? READY_HTTP : READY_TCP;
    snprintf(ret->path, sizeof(ret->path), "%s", path ? path : "/");
    ret->period_ns = seconds(probe, "periodSeconds", 10 * NS_PER_S);
    ret->first_period_ns = ret->steady_period_ns = 0;
    if (ret->period_ns < NS_PER_S)
        ret->period_ns = NS_PER_S;
    ret->timeout_ns = seconds(probe, "timeoutSeconds", NS_PER_S);
    if (ret->timeout_ns < NS_PER_S)
        ret->timeout_ns = NS_PER_S;
    ret->initial_delay_ns = seconds(probe, "initialDelaySeconds", 0);
    if (threshold > 0 && threshold < 1000000)
        ret->failure_threshold = (unsigned)threshold;
}

static void make_probes(const json_t *container, struct app_template *made)
{
    const struct probe_spec none = {.kind = READY_NONE, .failure_threshold = 3};
    made->revision.readiness = made->revision.liveness = made->revision.startup = none;
    made->revision.startup.failure_threshold = STARTUP_FAILURES;
    /* Azure probes the target port of an ingress unless told otherwise; here, more often until it
     * answers. */
    if (made->target_port != 0) {
        made->revision.readiness.kind = READY_TCP;
        made->revision.readiness.first_period_ns = LOCAL_PROBE_FIRST;
        made->revision.readiness.period_ns = LOCAL_PROBE_PERIOD;
        made->revision.readiness.steady_period_ns = LOCAL_PROBE_STEADY;
        made->revision.readiness.timeout_ns = NS_PER_S;
    }
    size_t i = 0;
    const json_t *probe = NULL;
    json_array_foreach(json_object_get(container, "probes"), i, probe)
    {
        const char *type = text_of(probe, "type");
        make_probe(probe, strcasecmp(type, "Liveness") == 0    ? &made->revision.liveness
                          : strcasecmp(type, "Readiness") == 0 ? &made->revision.readiness
                                                               : &made->revision.startup);
    }
}

static int fill(struct app_template *made, json_t *template, uint16_t port,
                const struct template_options *options, const struct image_cache *images,
                struct error *err)
{
    json_t *container = template_container(template);
    int r = image_make(container, images, &made->image, err);
    if (r == 0 && make_env(json_object_get(container, "env"), &made->env) < 0)
        r = error_errno(err, ENOMEM, "making a template");
    if (r < 0)
        return r;
    made->replicas = template_min_replicas(template);
    made->replicas_max = template_max_replicas(template);
    made->revision = (struct revision_template){
        .app = made->app,
        .suffix = made->suffix,
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
        .stop_grace_ns = seconds(template, "terminationGracePeriodSeconds", STOP_GRACE),
    };
    make_probes(container, made);
    return 0;
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
    made->target_port = template_target_port(configuration);
    int r = made->app && made->suffix ? fill(made, template, port, options, images, err)
                                      : error_errno(err, ENOMEM, "making a template");
    if (r < 0) {
        template_free(made);
        return r;
    }
    *ret = made;
    return 0;
}

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

void template_free(struct app_template *template)
{
    if (!template)
        return;
    image_parts_free(&template->image);
    free_list(template->env);
    free(template->app);
    free(template->suffix);
    free(template);
}
