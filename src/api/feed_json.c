/* SPDX-License-Identifier: Apache-2.0 */
#include "api/feed_json.h"

#include "api/ingress.h"
#include "api/resources.h"
#include "api/template.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/duration.h"
#include "base/redact.h"

#include <string.h>

static void redactor_cleanup(struct redactor **redactor)
{
    redactor_free(*redactor);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* --- what a container is told, without its secrets ---------------------------------------------
 */

static json_t *redacted(const struct redactor *redactor, const char *text)
{
    AUTO_BUFFER out = {0};
    if (!redactor)
        return json_string(REDACTED);
    return json_string(redactor_apply(redactor, text, &out) ? buffer_text(&out) : text);
}

static json_t *variable_json(const struct redactor *redactor, const json_t *item)
{
    const char *name = text_of(item, "name");
    bool secret = redact_is_secret_name(name, strlen(name));
    return json_pack("{s:s, s:o}", "name", name, "value",
                     secret ? json_string(REDACTED) : redacted(redactor, text_of(item, "value")));
}

static json_t *env_json(const struct redactor *redactor, const json_t *env)
{
    json_t *list = json_array();
    size_t i = 0;
    const json_t *item = NULL;
    json_array_foreach(env, i, item) json_array_append_new(list, variable_json(redactor, item));
    return list;
}

/* As one text, so that the word that follows "--password" is found. */
static json_t *words_json(const struct redactor *redactor, const json_t *words)
{
    AUTO_BUFFER line = {0};
    size_t i = 0;
    const json_t *word = NULL;
    json_array_foreach(words, i, word)
    {
        const char *text = json_string_value(word);
        buffer_printf(&line, "%s%s", i > 0 ? " " : "", text ? text : "");
    }
    return redacted(redactor, buffer_text(&line));
}

/* --- apps ---------------------------------------------------------------------------------------
 */

static json_t *names_json(const struct app_revision *revision)
{
    json_t *list = json_array();
    for (const struct app_replica *p = revision->replicas; p; p = p->next) {
        if (!p->stopping)
            json_array_insert_new(list, 0, json_string(p->name));
    }
    return list;
}

/* An error's text may have been cut within a character. */
static json_t *failure_json(const struct app_revision *revision)
{
    if (!revision->failure)
        return json_null();
    json_t *text = json_string(revision->failure);
    return text ? text : json_string("the reason is in the log of oomlab serve");
}

static json_t *revision_brief(struct app_revision *revision)
{
    struct app_states states;
    const json_t *container = template_container(revision->template);
    const json_t *env = json_object_get(container, "env");
    json_t *cpu = json_object_get(json_object_get(container, "resources"), "cpu");
    CLEANUP(redactor_cleanup) struct redactor *redactor = template_secrets(container);
    app_revision_states(revision, &states);
    return json_pack(
        "{s:s, s:b, s:s, s:s, s:s, s:i, s:i, s:i, s:o, s:o, s:s, s:O?, s:I, s:o, s:o, s:o, s:o}",
        "name", revision->name, "active", revision->active, "health", states.health, "provisioning",
        states.provisioning, "running", states.running, "ready", (int)states.ready, "minReplicas",
        (int)template_min_replicas(revision->template), "weight", (int)revision_weight(revision),
        "created", time_json(revision->created_ns), "failure", failure_json(revision), "image",
        text_of(container, "image"), "cpu", cpu, "memoryBytes",
        (json_int_t)template_memory(revision->template), "command",
        words_json(redactor, json_object_get(container, "command")), "args",
        words_json(redactor, json_object_get(container, "args")), "env", env_json(redactor, env),
        "replicas", names_json(revision));
}

static json_t *ingress_json(struct app *app)
{
    const json_t *ingress = json_object_get(app_configuration(app), "ingress");
    if (!json_is_object(ingress))
        return json_null();
    return json_pack("{s:i, s:i, s:b}", "port", (int)ingress_port(app), "targetPort",
                     (int)template_target_port(app_configuration(app)), "external",
                     json_is_true(json_object_get(ingress, "external")));
}

json_t *feed_app_json(struct app *app)
{
    json_t *revisions = json_array();
    unsigned count = 0;
    for (struct app_revision *r = app->revisions; r; r = r->next) {
        if (count++ < FEED_REVISIONS || r->active)
            json_array_append_new(revisions, revision_brief(r));
    }
    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:o, s:i, s:o}", "id", (json_int_t)app->id,
                     "name", app->name, "group", app->group, "resource",
                     text_of(app->resource, "id"), "provisioning", app_provisioning(app), "mode",
                     app_is_single(app) ? "Single" : "Multiple", "ingress", ingress_json(app),
                     "revisionCount", (int)count, "revisions", revisions);
}

/* --- replicas -----------------------------------------------------------------------------------
 */

static const char *state_word(const struct app_replica *replica)
{
    switch (replica_state(replica->replica)) {
    case REPLICA_RUNNING:
        return replica_is_ready(replica->replica) ? "Ready" : "Running";
    case REPLICA_ENDING:
        return "Ending";
    case REPLICA_BACKOFF:
        return "CrashLoopBackOff";
    case REPLICA_NEW:
    case REPLICA_STOPPED:
    default:
        return replica->revision->failure ? "Failed" : "Waiting";
    }
}

static json_t *end_json(const struct app_replica *replica)
{
    if (!replica->has_end)
        return json_null();
    int64_t at_ns = replica->end_ns + replica->revision->app->serve->realtime_offset_ns;
    return json_pack("{s:s, s:s, s:i, s:I}", "cause", cause_name(replica->end_cause), "level",
                     level_name(replica->end_level), "exitCode", replica->end_exit_code, "at",
                     (json_int_t)(at_ns / NS_PER_MS));
}

json_t *feed_replica_json(const struct app_replica *replica)
{
    unsigned lives = replica_lifetimes(replica->replica);
    return json_pack(
        "{s:s, s:I, s:s, s:s, s:i, s:i, s:i, s:I, s:o}", "name", replica->name, "app",
        (json_int_t)replica->revision->app->id, "revision", replica->revision->name, "state",
        state_word(replica), "restarts", lives > 0 ? (int)lives - 1 : 0, "oomKills",
        (int)replica->oom_kills, "port", (int)replica->template->revision.port, "limitBytes",
        (json_int_t)replica->template->revision.memory_bytes, "lastEnd", end_json(replica));
}
