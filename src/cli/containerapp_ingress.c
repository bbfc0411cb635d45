/* SPDX-License-Identifier: Apache-2.0 */
/* ingress show, ingress traffic show, ingress traffic set. */
#include "cli/containerapp.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_BYTES 128

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

/* --- traffic set: az's rules ----------------------------------------------------------------- */

/* "REVISION=WEIGHT", of which "latest" is the newest revision. */
static int parse_weight(const char *word, char name[static NAME_MAX_BYTES], long *ret,
                        struct error *err)
{
    char *end = NULL;
    size_t length = strcspn(word, "=");
    if (word[length] == '\0' || length == 0 || length >= NAME_MAX_BYTES)
        return error_set(err, EINVAL,
                         "Traffic weights must be in format \"<revision>=<weight> "
                         "<revision2>=<weight2> ...\", not '%.100s'",
                         word);
    *ret = strtol(word + length + 1, &end, 10);
    if (end == word + length + 1 || *end != '\0' || *ret < 0 || *ret > 100)
        return error_set(err, EINVAL,
                         "Traffic weights must be integers between 0 and 100, not '%.40s'",
                         word + length + 1);
    snprintf(name, NAME_MAX_BYTES, "%.*s", (int)length, word);
    return 0;
}

static bool is_latest(const char *name)
{
    return strcasecmp(name, "latest") == 0;
}

static const char *target_of(const json_t *item)
{
    const char *name = json_string_value(json_object_get(item, "revisionName"));
    return json_is_true(json_object_get(item, "latestRevision")) || !name ? "latest" : name;
}

static json_t *find_item(const json_t *traffic, const char *name)
{
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach(traffic, i, item)
    {
        if (strcasecmp(target_of(item), name) == 0)
            return item;
    }
    return NULL;
}

static long weight_of(const json_t *item)
{
    return (long)json_integer_value(json_object_get(item, "weight"));
}

static void set_weight(json_t *item, long weight)
{
    json_object_set_new(item, "weight", json_integer(weight));
}

struct change {
    long old_sum, new_sum; /* of those that are given */
    json_t *given;         /* their names, as keys */
};

/* The revision must exist: az asks before it sends. */
static int check_revision(const struct az_arguments *arguments, const char *name, struct error *err)
{
    char path[AZ_PATH_MAX];
    AUTO_ANSWER answer = {0};
    if (is_latest(name))
        return 0;
    az_app_path(path, arguments, "/revisions/%s", az_segment(name).text);
    int r = az_send(arguments, "GET", path, NULL, &answer, err);
    if (r == 0 && answer.status >= 400)
        return error_set(err, EINVAL, "Revision '%s' is not a valid revision name.", name);
    return r;
}

static int apply_one(const struct az_arguments *arguments, json_t *traffic, const char *word,
                     struct change *change, struct error *err)
{
    char name[NAME_MAX_BYTES];
    long weight = 0;
    int r = parse_weight(word, name, &weight, err);
    if (r == 0)
        r = check_revision(arguments, name, err);
    if (r < 0)
        return r;
    json_t *item = find_item(traffic, name);
    if (item && json_object_get(change->given, target_of(item)))
        return error_set(err, EINVAL, "The revision '%s' is given twice.", name);
    if (!item) {
        item = is_latest(name) ? json_pack("{s:b, s:i}", "latestRevision", 1, "weight", 0)
                               : json_pack("{s:s, s:i}", "revisionName", name, "weight", 0);
        json_array_append_new(traffic, item);
    }
    change->old_sum += weight_of(item);
    change->new_sum += weight;
    set_weight(item, weight);
    json_object_set_new(change->given, target_of(item), json_true());
    return 0;
}

/* Rounding gave too much, which az sends and the service refuses: the last ones give it back. */
static void take_back(json_t *traffic, const struct change *change, long sum)
{
    for (size_t i = json_array_size(traffic); sum > 100 && i > 0; i--) {
        json_t *item = json_array_get(traffic, i - 1);
        if (json_object_get(change->given, target_of(item)) || weight_of(item) == 0)
            continue;
        set_weight(item, weight_of(item) - 1);
        sum--;
    }
}

/* Those that are not given keep their shares of what is left; what rounding (half to even, as
 * Python's) leaves over goes to the first ones, one each. */
static void share_rest(json_t *traffic, const struct change *change)
{
    long sum = 0;
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach(traffic, i, item)
    {
        sum += weight_of(item);
    }
    long others = sum - change->new_sum;
    if (others == 0)
        return;
    double scale = (double)(change->old_sum - change->new_sum) / (double)others + 1;
    sum = 0;
    json_array_foreach(traffic, i, item)
    {
        if (!json_object_get(change->given, target_of(item)))
            set_weight(item, lrint(scale * (double)weight_of(item)));
        sum += weight_of(item);
    }
    for (i = 0; sum < 100; i++, sum++) {
        item = json_array_get(traffic, i % json_array_size(traffic));
        set_weight(item, weight_of(item) + 1);
    }
    take_back(traffic, change, sum);
}

/* Before any revision is looked up. */
static int check_words(const char *const *words, struct error *err)
{
    char name[NAME_MAX_BYTES];
    long sum = 0;
    for (; words && *words; words++) {
        long weight = 0;
        int r = parse_weight(*words, name, &weight, err);
        if (r < 0)
            return r;
        sum += weight;
    }
    return sum > 100 ? error_set(err, EINVAL, "Traffic sums may not exceed 100.") : 0;
}

static int apply_weights(const struct az_arguments *arguments, json_t *traffic, struct error *err)
{
    struct change change = {.given = json_object()};
    int r = check_words((const char *const *)arguments->revision_weight, err);
    for (const char **word = arguments->revision_weight; r == 0 && word && *word; word++)
        r = apply_one(arguments, traffic, *word, &change, err);
    if (r == 0)
        share_rest(traffic, &change);
    json_decref(change.given);
    return r;
}

/* The app may have weights: az's own checks, in its order. */
static int check_app(const struct az_arguments *arguments, const json_t *app, struct error *err)
{
    const json_t *configuration =
        json_object_get(json_object_get(app, "properties"), "configuration");
    const char *mode = json_string_value(json_object_get(configuration, "activeRevisionsMode"));
    if (!mode || strcasecmp(mode, "single") == 0)
        return error_set(err, EINVAL,
                         "Containerapp '%s' is configured for single revision. Set revision mode "
                         "to multiple in order to set ingress traffic: 'oomlab containerapp "
                         "revision set-mode --mode multiple'",
                         arguments->name);
    if (!json_is_array(json_object_get(json_object_get(configuration, "ingress"), "traffic")))
        return error_set(err, EINVAL,
                         "Ingress must be enabled to set ingress traffic: create the app with "
                         "--target-port and --ingress");
    return 0;
}

static int load_traffic(const struct invocation *invocation, json_t **ret, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    json_t *app = NULL;
    int r = containerapp_load(arguments, &app, err);
    if (r < 0)
        return az_failed(err);
    r = check_app(arguments, app, err);
    if (r == 0)
        *ret = json_deep_copy(json_object_get(
            json_object_get(json_object_get(json_object_get(app, "properties"), "configuration"),
                            "ingress"),
            "traffic"));
    json_decref(app);
    return r;
}

int traffic_set(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    char path[AZ_PATH_MAX];
    AUTO_ANSWER answer = {0};
    json_t *traffic = NULL;
    int r = containerapp_require(invocation, err);
    if (r == 0 && arguments->label_weight)
        r = error_usage(err, "%s: --label-weight is not supported here: revisions have no labels",
                        invocation->verb->name);
    if (r == 0 && !arguments->revision_weight)
        r = error_set(err, EINVAL, "Must specify --revision-weight.");
    if (r == 0)
        r = load_traffic(invocation, &traffic, err);
    if (r != 0)
        return r;
    r = apply_weights(arguments, traffic, err);
    if (r < 0) {
        json_decref(traffic);
        return r;
    }
    json_t *body = json_pack("{s:{s:{s:{s:o}}}}", "properties", "configuration", "ingress",
                             "traffic", traffic);
    az_app_path(path, arguments, "%s", "");
    r = az_ask(arguments, "PATCH", path, body, &answer, err);
    json_decref(body);
    if (r < 0)
        return az_failed(err);
    const json_t *configuration =
        json_object_get(json_object_get(answer.body, "properties"), "configuration");
    return az_print(
        arguments,
        json_incref(json_object_get(json_object_get(configuration, "ingress"), "traffic")), NULL,
        err);
}
