/* SPDX-License-Identifier: Apache-2.0 */
/* ingress show, ingress traffic show, ingress traffic set. */
#include "cli/containerapp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int load_ingress(const struct invocation *invocation, json_t **ret, struct error *err)
{
    json_t *app = NULL;
    int r = containerapp_require(invocation, err);
    if (r == 0)
        r = containerapp_load(invocation->arguments, &app, err);
    if (r < 0)
        return r;
    json_t *ingress = json_object_get(
        json_object_get(json_object_get(app, "properties"), "configuration"), "ingress");
    if (json_is_object(ingress))
        *ret = json_incref(ingress);
    else
        r = error_usage(err, "the containerapp must have ingress enabled: create it with "
                             "--target-port and --ingress");
    json_decref(app);
    return r;
}

int ingress_show(const struct invocation *invocation, struct error *err)
{
    json_t *ingress = NULL;
    int r = load_ingress(invocation, &ingress, err);
    return r == 0 ? az_print(invocation->arguments, ingress, NULL, err) : az_failed(err);
}

int traffic_show(const struct invocation *invocation, struct error *err)
{
    json_t *ingress = NULL;
    int r = load_ingress(invocation, &ingress, err);
    if (r < 0)
        return az_failed(err);
    json_t *traffic = json_incref(json_object_get(ingress, "traffic"));
    json_decref(ingress);
    return az_print(invocation->arguments, traffic, NULL, err);
}

/* "REVISION=WEIGHT" and "latest=WEIGHT" */
static json_t *weights_json(const char *const *words, struct error *err)
{
    json_t *list = json_array();
    for (; *words; words++) {
        const char *equals = strrchr(*words, '=');
        char *end = NULL;
        long weight = equals ? strtol(equals + 1, &end, 10) : -1;
        if (!equals || equals == *words || end == equals + 1 || *end != '\0' || weight < 0 ||
            weight > 100) {
            error_usage(err,
                        "Traffic weights must be in format \"<revision>=<weight> "
                        "<revision2>=<weight2> ...\", not '%.100s'",
                        *words);
            json_decref(list);
            return NULL;
        }
        size_t length = (size_t)(equals - *words);
        if (length == 6 && strncmp(*words, "latest", 6) == 0)
            json_array_append_new(
                list, json_pack("{s:b, s:i}", "latestRevision", 1, "weight", (int)weight));
        else
            json_array_append_new(list, json_pack("{s:s%, s:i}", "revisionName", *words, length,
                                                  "weight", (int)weight));
    }
    return list;
}

int traffic_set(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    char path[AZ_PATH_MAX];
    AUTO_ANSWER answer = {0};
    json_t *ingress = NULL;
    int r = load_ingress(invocation, &ingress, err);
    if (r < 0)
        return az_failed(err);
    json_decref(ingress);
    if (!arguments->revision_weight)
        return az_require(invocation, NULL, "--revision-weight", err);
    json_t *traffic = weights_json((const char *const *)arguments->revision_weight, err);
    if (!traffic)
        return err->code;
    json_t *body = json_pack("{s:{s:{s:{s:O}}}}", "properties", "configuration", "ingress",
                             "traffic", traffic);
    az_app_path(path, arguments, "%s", "");
    r = az_ask(arguments, "PATCH", path, body, &answer, err);
    json_decref(body);
    if (r == 0)
        return az_print(arguments, traffic, NULL, err);
    json_decref(traffic);
    return az_failed(err);
}
