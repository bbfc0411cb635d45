/* SPDX-License-Identifier: Apache-2.0 */
/* POST .../containerApps/{app}/oomlab/exec, upgraded to oomlab-exec.1: a command in a container.
 * {"command": ["ls", "-l"], "revision", "replica", "container": names, all optional,
 *  "terminal": {"rows": 24, "columns": 80, "term": "xterm"}; without it: pipes}. */
#include "api/exec.h"
#include "api/exec_stream.h"
#include "api/resources.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TERM_MAX 64

static bool is_running(const struct app_replica *replica)
{
    return !replica->stopping && replica->replica &&
           replica_state(replica->replica) == REPLICA_RUNNING;
}

static struct app_replica *running_replica(struct app_revision *revision)
{
    struct app_replica *replica = revision->replicas;
    while (replica && !is_running(replica))
        replica = replica->next;
    return replica;
}

/* The newest active one where something runs: while a new one starts, the old one serves. */
static struct app_revision *choose_revision(struct app *app)
{
    for (struct app_revision *r = app->revisions; r; r = r->next)
        if (r->active && running_replica(r))
            return r;
    return revision_latest(app);
}

static struct app_replica *choose(struct app *app, const json_t *body, struct reply *reply)
{
    const char *revision_name = json_string_value(json_object_get(body, "revision"));
    const char *name = json_string_value(json_object_get(body, "replica"));
    struct app_revision *revision =
        revision_name ? revision_find(app, revision_name) : choose_revision(app);
    if (!revision && revision_name)
        reply_error(reply, MHD_HTTP_NOT_FOUND, "RevisionNotFound",
                    "Revision '%.100s' of container app '%s' was not found.", revision_name,
                    app->name);
    else if (!revision)
        reply_error(reply, MHD_HTTP_CONFLICT, "NoActiveRevision",
                    "Container app '%s' has no active revision: activate one first ('oomlab "
                    "containerapp revision list --all' shows them).",
                    app->name);
    if (!revision)
        return NULL;
    struct app_replica *replica = name ? replica_find(revision, name) : running_replica(revision);
    if (name && !replica)
        reply_error(reply, MHD_HTTP_NOT_FOUND, "ReplicaNotFound",
                    "Replica '%.190s' of revision '%s' was not found.", name, revision->name);
    else if (!replica || !is_running(replica))
        reply_error(reply, MHD_HTTP_CONFLICT, "ReplicaNotRunning",
                    "No container of revision '%s' that fits runs at the moment; 'oomlab "
                    "containerapp replica list' shows their states.",
                    revision->name);
    else
        return replica;
    return NULL;
}

static bool has_container(const struct app_replica *replica, const json_t *body,
                          struct reply *reply)
{
    const char *asked = json_string_value(json_object_get(body, "container"));
    const json_t *container = template_container(replica->revision->template);
    const char *name = json_string_value(json_object_get(container, "name"));
    if (!name)
        name = replica->revision->app->name;
    if (!asked || strcasecmp(asked, name) == 0)
        return true;
    reply_error(reply, MHD_HTTP_NOT_FOUND, "ContainerNotFound",
                "Container '%.100s' was not found; the one of this app is '%.100s'.", asked, name);
    return false;
}

/* The words, borrowed from the body, in a list that is the caller's. */
static char **read_command(const json_t *body, struct reply *reply)
{
    const json_t *command = json_object_get(body, "command");
    size_t count = json_array_size(command);
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *word = json_array_get(command, i);
        bytes += json_string_length(word) + 1;
        if (!json_is_string(word))
            count = 0;
    }
    if (count == 0 || json_string_length(json_array_get(command, 0)) == 0) {
        reply_error(reply, MHD_HTTP_BAD_REQUEST, "InvalidCommand",
                    "command must be a list of words, the first one not empty");
        return NULL;
    }
    if (count > EXEC_WORDS_MAX || bytes > EXEC_COMMAND_MAX) {
        reply_error(reply, MHD_HTTP_BAD_REQUEST, "CommandTooLong",
                    "a command may have %d words and %zu bytes", EXEC_WORDS_MAX, EXEC_COMMAND_MAX);
        return NULL;
    }
    char **words = calloc(count + 1, sizeof(*words));
    for (size_t i = 0; words && i < count; i++)
        words[i] = (char *)json_string_value(json_array_get(command, i));
    if (!words)
        reply_error(reply, MHD_HTTP_INTERNAL_SERVER_ERROR, "InternalServerError", "out of memory");
    return words;
}

static unsigned short read_size(const json_t *terminal, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(terminal, name));
    return value > 0 && value <= UINT16_MAX ? (unsigned short)value : 0;
}

/* It becomes a variable of the environment: names of terminals, and nothing else. */
static const char *read_term(const json_t *terminal)
{
    const char *term = json_string_value(json_object_get(terminal, "term"));
    if (!term || strlen(term) > TERM_MAX)
        return NULL;
    for (const char *at = term; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("-_.+", *at))
            return NULL;
    return term;
}

static bool asks_upgrade(const struct request *request, struct reply *reply)
{
    const char *upgrade = request_header(request, "Upgrade");
    const char *connection = request_header(request, "Connection");
    if (upgrade && strcasecmp(upgrade, EXEC_PROTOCOL) == 0 && connection &&
        strcasestr(connection, "upgrade"))
        return true;
    reply_header(reply, "Upgrade", "%s", EXEC_PROTOCOL);
    reply_error(reply, MHD_HTTP_UPGRADE_REQUIRED, "UpgradeRequired",
                "the connection must be upgraded to %s", EXEC_PROTOCOL);
    return false;
}

static void make(struct request *request, struct app_replica *replica, char **command,
                 struct reply *reply)
{
    struct error err = {0};
    const json_t *terminal = json_object_get(request->body, "terminal");
    const struct exec_options options = {
        .command = command,
        .terminal = json_is_object(terminal),
        .rows = read_size(terminal, "rows"),
        .columns = read_size(terminal, "columns"),
        .term = read_term(terminal),
    };
    int r = exec_new(request->serve, replica, &options, &reply->exec, &err);
    if (r == -ESRCH)
        reply_error(reply, MHD_HTTP_CONFLICT, "ReplicaNotRunning", "%s", err.text);
    else if (r < 0)
        reply_failure(reply, "ExecFailed", &err);
    else
        reply->status = MHD_HTTP_SWITCHING_PROTOCOLS;
}

void exec_post(struct request *request, struct reply *reply)
{
    struct app *app = require_app(request, reply);
    if (!app || !asks_upgrade(request, reply))
        return;
    AUTO_FREE char **command = read_command(request->body, reply);
    struct app_replica *replica = command ? choose(app, request->body, reply) : NULL;
    if (!replica || !has_container(replica, request->body, reply))
        return;
    if (request->serve->stopping)
        reply_error(reply, MHD_HTTP_SERVICE_UNAVAILABLE, "ServiceUnavailable",
                    "oomlab serve is being stopped");
    else if (execs_count(request->serve, replica->name) >= EXECS_PER_REPLICA)
        reply_error(reply, MHD_HTTP_TOO_MANY_REQUESTS, "TooManyCommands",
                    "%d commands run in replica '%s' already", EXECS_PER_REPLICA, replica->name);
    else
        make(request, replica, command, reply);
}
