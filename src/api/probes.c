/* SPDX-License-Identifier: Apache-2.0 */
#include "api/probes.h"

#include "base/duration.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define STARTUP_FAILURES   240
#define LOCAL_PROBE_FIRST  (2 * NS_PER_MS)
#define LOCAL_PROBE_PERIOD (50 * NS_PER_MS)
#define LOCAL_PROBE_STEADY (5 * NS_PER_S) /* Azure's period */

static const struct probe_type {
    const char *name;
    json_int_t failures_max, successes_max;
} TYPES[PROBE_TYPES] = {{"Liveness", 30, 1}, {"Readiness", 48, 10}, {"Startup", 240, 1}};

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static const struct probe_type *type_of(const json_t *probe)
{
    const char *name = text_of(probe, "type");
    for (size_t i = 0; name && i < PROBE_TYPES; i++) {
        if (strcasecmp(TYPES[i].name, name) == 0)
            return &TYPES[i];
    }
    return NULL;
}

/* --- checking ------------------------------------------------------------------------------- */

static const char *container_name(const json_t *container)
{
    const char *name = text_of(container, "name");
    return name ? name : "";
}

static int check_numbers(const json_t *container, const json_t *probe,
                         const struct probe_type *type, const char **ret_code, struct error *err)
{
    const struct {
        const char *key, *word, *code;
        json_int_t low, high;
    } numbers[] = {
        {"failureThreshold", "FailureThreshold", "ContainerAppProbeFailureThresholdOutOfRange", 1,
         type->failures_max},
        {"successThreshold", "SuccessThreshold", "ContainerAppProbeSuccessThresholdOutOfRange", 1,
         type->successes_max},
        {"periodSeconds", "PeriodSeconds", "ContainerAppProbePeriodSecondsOutOfRange", 1, 240},
        {"timeoutSeconds", "TimeoutSeconds", "ContainerAppProbeTimeoutSecondsOutOfRange", 1, 240},
        {"initialDelaySeconds", "InitialDelaySeconds",
         "ContainerAppProbeInitialDelaySecondsOutOfRange", 0, 60},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const json_t *value = json_object_get(probe, numbers[i].key);
        json_int_t number = json_integer_value(value);
        if (!value || json_is_null(value) ||
            (json_is_integer(value) && number >= numbers[i].low && number <= numbers[i].high))
            continue;
        *ret_code = numbers[i].code;
        return error_usage(err,
                           "Container '%.80s' '%s' probe's %s must be in the range of ['%lld', "
                           "'%lld'].",
                           container_name(container), type->name, numbers[i].word,
                           (long long)numbers[i].low, (long long)numbers[i].high);
    }
    return 0;
}

static int check_port(const json_t *container, const json_t *action, const struct probe_type *type,
                      size_t i, uint16_t port, const char **ret_code, struct error *err)
{
    json_int_t probed = json_integer_value(json_object_get(action, "port"));
    if (probed < 1 || probed > 65535) {
        *ret_code = "ContainerAppProbePortOutOfRange";
        return error_usage(err,
                           "Container '%.80s' '%s' probe's Port must be in the range of ['1', "
                           "'65535'].",
                           container_name(container), type->name);
    }
    if (port != 0 && probed == port)
        return 0;
    return error_usage(err,
                       "probes[%zu]: port %lld is not the ingress's target port; probes of other "
                       "ports are not supported here",
                       i, (long long)probed);
}

/* RFC 9110: a name is a token, a value is of visible characters and blanks. */
static int check_headers(const json_t *action, size_t i, struct error *err)
{
    size_t k = 0;
    const json_t *header = NULL;
    json_array_foreach(json_object_get(action, "httpHeaders"), k, header)
    {
        const char *name = text_of(header, "name");
        const char *value = text_of(header, "value");
        bool sound = name && value && name[0] != '\0';
        for (; sound && *name; name++)
            sound = isalnum((unsigned char)*name) || strchr("!#$%&'*+-.^_`|~", *name);
        for (; sound && *value; value++)
            sound = (unsigned char)*value >= ' ' && *value != 127;
        if (!sound)
            return error_usage(err,
                               "probes[%zu]: httpHeaders[%zu] must have a name (letters, digits, "
                               "'-' and the like) and a value on one line",
                               i, k);
    }
    return 0;
}

/* What has no effect here is refused by name. */
static int check_action(const json_t *action, size_t i, struct error *err)
{
    const char *path = text_of(action, "path");
    const char *scheme = text_of(action, "scheme");
    if (path && (path[0] != '/' || strlen(path) >= sizeof(((struct probe_spec *)0)->path)))
        return error_usage(err,
                           "probes[%zu]: the path must begin with '/' and be shorter than "
                           "256 bytes",
                           i);
    if (scheme && strcasecmp(scheme, "HTTP") != 0)
        return error_usage(err, "probes[%zu]: scheme '%.20s' is not supported here, but HTTP", i,
                           scheme);
    return check_headers(action, i, err);
}

static int check_probe(const json_t *container, size_t i, uint16_t port, bool seen[PROBE_TYPES],
                       const char **ret_code, struct error *err)
{
    const json_t *probe = json_array_get(json_object_get(container, "probes"), i);
    const struct probe_type *type = type_of(probe);
    const json_t *http = json_object_get(probe, "httpGet");
    const json_t *tcp = json_object_get(probe, "tcpSocket");
    if (!type)
        return error_usage(err, "probes[%zu]: type must be Liveness, Readiness or Startup", i);
    if (seen[type - TYPES])
        return error_usage(err, "Container '%.80s' has more than one '%s' probe.",
                           container_name(container), type->name);
    seen[type - TYPES] = true;
    if (json_is_object(http) == json_is_object(tcp))
        return error_usage(err, "probes[%zu]: httpGet or tcpSocket is %s", i,
                           http ? "enough, not both" : "missing");
    const json_t *action = json_is_object(http) ? http : tcp;
    int r = check_action(action, i, err);
    if (r == 0)
        r = check_numbers(container, probe, type, ret_code, err);
    return r == 0 ? check_port(container, action, type, i, port, ret_code, err) : r;
}

int probes_check(const json_t *container, uint16_t port, const char **ret_code, struct error *err)
{
    bool seen[PROBE_TYPES] = {false};
    int r = 0;
    size_t count = json_array_size(json_object_get(container, "probes"));
    for (size_t i = 0; r == 0 && i < count; i++)
        r = check_probe(container, i, port, seen, ret_code, err);
    return r;
}

/* --- making --------------------------------------------------------------------------------- */

static int64_t seconds(const json_t *probe, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(probe, key);
    return json_is_integer(value) ? json_integer_value(value) * NS_PER_S : fallback;
}

static unsigned count(const json_t *probe, const char *key, unsigned fallback)
{
    const json_t *value = json_object_get(probe, key);
    return json_is_integer(value) ? (unsigned)json_integer_value(value) : fallback;
}

/* "Name: value" of each into *ret, which is the caller's also after a failure; an empty one as
 * libcurl wants it. */
static int make_headers(const json_t *list, char ***ret, struct error *err)
{
    size_t i = 0;
    const json_t *header = NULL;
    *ret = calloc(json_array_size(list) + 1, sizeof(**ret));
    bool made = *ret != NULL;
    json_array_foreach(list, i, header)
    {
        const char *value = text_of(header, "value");
        made = made && asprintf(&(*ret)[i], "%s%s%s", text_of(header, "name"),
                                value[0] ? ": " : ";", value) >= 0;
        if (!made && *ret)
            (*ret)[i] = NULL; /* asprintf() leaves anything there */
    }
    return made ? 0 : error_errno(err, ENOMEM, "making a probe");
}

static int make_probe(const json_t *probe, struct probe_spec *ret, char ***ret_headers,
                      struct error *err)
{
    const json_t *http = json_object_get(probe, "httpGet");
    const char *path = text_of(http, "path");
    ret->kind = json_is_object(http) ? READY_HTTP : READY_TCP;
    snprintf(ret->path, sizeof(ret->path), "%s", path ? path : "/");
    ret->period_ns = seconds(probe, "periodSeconds", 10 * NS_PER_S);
    ret->first_period_ns = ret->steady_period_ns = 0;
    ret->timeout_ns = seconds(probe, "timeoutSeconds", NS_PER_S);
    ret->initial_delay_ns = seconds(probe, "initialDelaySeconds", 0);
    ret->failure_threshold = count(probe, "failureThreshold", ret->failure_threshold);
    ret->success_threshold = count(probe, "successThreshold", 1);
    int r = make_headers(json_object_get(http, "httpHeaders"), ret_headers, err);
    ret->headers = *ret_headers;
    return r;
}

int probes_make(const json_t *container, uint16_t target_port, struct revision_template *ret,
                char **headers[static PROBE_TYPES], struct error *err)
{
    const struct probe_spec none = {.kind = READY_NONE, .failure_threshold = 3};
    struct probe_spec *const specs[] = {&ret->liveness, &ret->readiness, &ret->startup};
    size_t i = 0;
    const json_t *probe = NULL;
    ret->readiness = ret->liveness = ret->startup = none;
    ret->startup.failure_threshold = STARTUP_FAILURES;
    /* Azure probes the target port of an ingress unless told otherwise; here, more often until it
     * answers. */
    if (target_port != 0) {
        ret->readiness.kind = READY_TCP;
        ret->readiness.first_period_ns = LOCAL_PROBE_FIRST;
        ret->readiness.period_ns = LOCAL_PROBE_PERIOD;
        ret->readiness.steady_period_ns = LOCAL_PROBE_STEADY;
        ret->readiness.timeout_ns = NS_PER_S;
    }
    json_array_foreach(json_object_get(container, "probes"), i, probe)
    {
        const struct probe_type *type = type_of(probe);
        size_t at = type ? (size_t)(type - TYPES) : 0;
        int r = type ? make_probe(probe, specs[at], &headers[at], err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}
