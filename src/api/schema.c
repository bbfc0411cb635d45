/* SPDX-License-Identifier: Apache-2.0 */
#include "api/schema.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAX_BYTES 256

/* ANY: Azure's, and not looked at here, or elsewhere. COMPUTED: ours to say; what a client sends
 * back of it is taken out. */
enum kind { STRING, INTEGER, NUMBER, BOOLEAN, OBJECT, ARRAY, TEXTS, ANY, COMPUTED };

struct field {
    const char *name; /* NULL ends the list */
    enum kind kind;
    enum kind element;          /* of an array */
    const struct field *fields; /* of an object, or of an array's objects; NULL: any */
};

#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/* clang-format off */
static const struct field RESOURCE[] = {
    {"location", STRING}, {"tags", TEXTS}, {"properties", OBJECT}, {"id", ANY}, {"name", ANY},
    {"type", ANY}, {"etag", ANY}, {"systemData", ANY}, {"extendedLocation", ANY},
    {"identity", ANY}, {"kind", ANY}, {"managedBy", ANY}, {"resourceGroup", ANY}, {"sku", ANY},
    END};

static const struct field HEADER[] = {{"name", STRING}, {"value", STRING}, END};
static const struct field ACTION[] = {
    {"host", STRING}, {"path", STRING}, {"port", INTEGER}, {"scheme", STRING},
    {"httpHeaders", ARRAY, OBJECT, HEADER}, END};
static const struct field PROBE[] = {
    {"type", STRING}, {"failureThreshold", INTEGER}, {"successThreshold", INTEGER},
    {"periodSeconds", INTEGER}, {"timeoutSeconds", INTEGER}, {"initialDelaySeconds", INTEGER},
    {"terminationGracePeriodSeconds", INTEGER}, {"httpGet", OBJECT, OBJECT, ACTION},
    {"tcpSocket", OBJECT, OBJECT, ACTION}, END};
static const struct field VARIABLE[] = {
    {"name", STRING}, {"value", STRING}, {"secretRef", STRING}, END};
static const struct field RESOURCES[] = {
    {"cpu", NUMBER}, {"memory", STRING}, {"gpu", ANY}, {"ephemeralStorage", COMPUTED}, END};
static const struct field CONTAINER[] = {
    {"name", STRING}, {"image", STRING}, {"command", ARRAY, STRING}, {"args", ARRAY, STRING},
    {"env", ARRAY, OBJECT, VARIABLE}, {"resources", OBJECT, OBJECT, RESOURCES},
    {"probes", ARRAY, OBJECT, PROBE}, {"volumeMounts", ARRAY, OBJECT},
    {"imageType", ANY}, {"oomlab", COMPUTED}, END};
static const struct field SCALE[] = {
    {"minReplicas", INTEGER}, {"maxReplicas", INTEGER}, {"rules", ARRAY, OBJECT},
    {"cooldownPeriod", ANY}, {"pollingInterval", ANY}, END};
static const struct field TEMPLATE[] = {
    {"revisionSuffix", STRING}, {"terminationGracePeriodSeconds", INTEGER},
    {"containers", ARRAY, OBJECT, CONTAINER}, {"initContainers", ARRAY, OBJECT, CONTAINER},
    {"scale", OBJECT, OBJECT, SCALE}, {"volumes", ARRAY, OBJECT}, {"serviceBinds", ANY}, END};

static const struct field WEIGHT[] = {
    {"revisionName", STRING}, {"weight", INTEGER}, {"latestRevision", BOOLEAN}, {"label", STRING},
    END};
static const struct field INGRESS[] = {
    {"external", BOOLEAN}, {"targetPort", INTEGER}, {"exposedPort", INTEGER},
    {"transport", STRING}, {"allowInsecure", BOOLEAN}, {"traffic", ARRAY, OBJECT, WEIGHT},
    {"customDomains", ARRAY, OBJECT}, {"fqdn", COMPUTED}, {"ipSecurityRestrictions", ANY},
    {"stickySessions", ANY}, {"clientCertificateMode", ANY}, {"corsPolicy", ANY},
    {"additionalPortMappings", ANY}, {"targetPortHttpScheme", ANY}, END};
static const struct field DAPR[] = {
    {"enabled", BOOLEAN}, {"appId", ANY}, {"appProtocol", ANY}, {"appPort", ANY},
    {"httpReadBufferSize", ANY}, {"httpMaxRequestSize", ANY}, {"logLevel", ANY},
    {"enableApiLogging", ANY}, {"appHealth", ANY}, {"maxConcurrency", ANY}, END};
static const struct field CONFIGURATION[] = {
    {"activeRevisionsMode", STRING}, {"maxInactiveRevisions", INTEGER},
    {"ingress", OBJECT, OBJECT, INGRESS}, {"secrets", ARRAY, OBJECT},
    {"registries", ARRAY, OBJECT}, {"dapr", OBJECT, OBJECT, DAPR}, {"runtime", ANY},
    {"service", ANY}, {"identitySettings", ANY}, {"revisionTransitionThreshold", ANY},
    {"targetLabel", ANY}, {"agentSettings", ANY}, END};

static const struct field OWN[] = {{"allowAnySize", BOOLEAN}, END};
static const struct field APP[] = {
    {"managedEnvironmentId", STRING}, {"environmentId", STRING}, {"workloadProfileName", STRING},
    {"template", OBJECT, OBJECT, TEMPLATE}, {"configuration", OBJECT, OBJECT, CONFIGURATION},
    {"oomlab", OBJECT, OBJECT, OWN}, {"patchingConfiguration", ANY},
    {"provisioningState", COMPUTED}, {"runningStatus", COMPUTED}, {"deploymentErrors", COMPUTED},
    {"latestRevisionName", COMPUTED}, {"latestReadyRevisionName", COMPUTED},
    {"latestRevisionFqdn", COMPUTED}, {"customDomainVerificationId", COMPUTED},
    {"outboundIpAddresses", COMPUTED}, {"eventStreamEndpoint", COMPUTED},
    {"delegatedIdentities", COMPUTED}, END};
/* clang-format on */

static int refuse(const char *path, enum kind kind, struct error *err)
{
    static const char *const words[] = {
        [STRING] = "a string",
        [INTEGER] = "a whole number",
        [NUMBER] = "a number",
        [BOOLEAN] = "true or false",
        [OBJECT] = "an object",
        [ARRAY] = "an array",
        [TEXTS] = "an object of strings",
        [ANY] = "anything",
        [COMPUTED] = "anything",
    };
    return error_usage(err,
                       "The request content was invalid and could not be deserialized: the JSON "
                       "value could not be converted to %s. Path: %s",
                       words[kind], path);
}

static bool has_kind(const json_t *value, enum kind kind)
{
    switch (kind) {
    case STRING:
        return json_is_string(value);
    case INTEGER:
        return json_is_integer(value);
    case NUMBER:
        return json_is_number(value);
    case BOOLEAN:
        return json_is_boolean(value);
    case OBJECT:
    case TEXTS:
        return json_is_object(value);
    case ARRAY:
        return json_is_array(value);
    case ANY:
    case COMPUTED:
        return true;
    }
    return false;
}

/* The number that a text is, NULL when it is none. New reference. */
static json_t *number_of(const char *text, enum kind kind)
{
    char *end = NULL;
    size_t length = strlen(text);
    errno = 0;
    if (length == 0 || text[strspn(text, kind == INTEGER ? "-0123456789" : "+-.0123456789eE")])
        return NULL;
    if (kind == INTEGER) {
        long long value = strtoll(text, &end, 10);
        return *end || errno ? NULL : json_integer(value);
    }
    double value = strtod(text, &end);
    return *end || end == text || !isfinite(value) ? NULL : json_real(value);
}

static int check_fields(json_t *object, const struct field *fields, const char *path,
                        struct error *err);

static int check_texts(const json_t *object, const char *path, struct error *err)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)object, name, value)
    {
        char own[PATH_MAX_BYTES];
        snprintf(own, sizeof(own), "%.180s['%.60s']", path, name);
        if (!json_is_string(value) && !json_is_null(value))
            return refuse(own, STRING, err);
    }
    return 0;
}

static int check_elements(json_t *array, const struct field *field, const char *path,
                          struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < json_array_size(array); i++) {
        char own[PATH_MAX_BYTES];
        json_t *value = json_array_get(array, i);
        snprintf(own, sizeof(own), "%.230s[%zu]", path, i);
        if (!has_kind(value, field->element))
            return refuse(own, field->element, err);
        if (field->element == OBJECT && field->fields)
            r = check_fields(value, field->fields, own, err);
    }
    return r;
}

static int check_field(json_t *object, const struct field *field, const char *path,
                       struct error *err)
{
    char own[PATH_MAX_BYTES];
    json_t *value = json_object_get(object, field->name);
    /* Of tags and of the ingress null means that there are none any more. */
    bool whole = (field->kind == OBJECT && field->fields != INGRESS) || field->kind == ARRAY;
    snprintf(own, sizeof(own), "%.200s.%s", path, field->name);
    if ((json_is_null(value) && whole) || field->kind == COMPUTED) {
        json_object_del(object, field->name); /* and `value` with it */
        return 0;
    }
    if (!value || json_is_null(value) || field->kind == ANY)
        return 0;
    if (json_is_string(value) && (field->kind == INTEGER || field->kind == NUMBER)) {
        json_t *number = number_of(json_string_value(value), field->kind);
        return number && json_object_set_new(object, field->name, number) == 0
                   ? 0
                   : refuse(own, field->kind, err);
    }
    if (!has_kind(value, field->kind))
        return refuse(own, field->kind, err);
    if (field->kind == TEXTS)
        return check_texts(value, own, err);
    if (field->kind == ARRAY)
        return check_elements(value, field, own, err);
    return field->fields ? check_fields(value, field->fields, own, err) : 0;
}

/* Taken in silence it would have no effect: "minReplica". */
static int check_members(const json_t *object, const struct field *fields, const char *path,
                         struct error *err)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)object, name, value)
    {
        const struct field *field = fields;
        while (field->name && strcmp(field->name, name) != 0)
            field++;
        if (!field->name)
            return error_usage(err,
                               "The request content was invalid and could not be deserialized: "
                               "Could not find member '%.60s'. Path: %.180s.%.60s",
                               name, path, name);
    }
    return 0;
}

static int check_fields(json_t *object, const struct field *fields, const char *path,
                        struct error *err)
{
    int r = check_members(object, fields, path, err);
    for (; r == 0 && fields->name; fields++)
        r = check_field(object, fields, path, err);
    return r;
}

int schema_check_resource(json_t *body, struct error *err)
{
    if (!body)
        return 0;
    return json_is_object(body) ? check_fields(body, RESOURCE, "$", err) : refuse("$", OBJECT, err);
}

int schema_check_app(json_t *properties, struct error *err)
{
    return check_fields(properties, APP, "$.properties", err);
}
