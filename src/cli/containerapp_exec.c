/* SPDX-License-Identifier: Apache-2.0 */
/* exec: a command in a replica's container. */
#include "api/exec_stream.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/words.h"
#include "cli/containerapp.h"
#include "cli/exec_relay.h"

#include <errno.h>
#include <string.h>

#define COMMAND_DEFAULT "sh"

static int put_command(json_t *body, const char *text, struct error *err)
{
    char **words = NULL;
    json_t *list = json_array();
    int r = words_split(text, &words, err);
    size_t bytes = 0;
    for (char **word = words; r == 0 && *word; word++) {
        bytes += strlen(*word) + 1;
        if (json_array_append_new(list, json_string(*word)) < 0)
            r = error_usage(err, "argument --command: '%.100s' is no UTF-8", *word);
    }
    if (r == 0 && json_array_size(list) == 0)
        r = error_usage(err, "argument --command: it is empty");
    if (r == 0 && (bytes > EXEC_COMMAND_MAX || json_array_size(list) > EXEC_WORDS_MAX))
        r = error_usage(err, "argument --command: it may have %d words and %zu bytes",
                        EXEC_WORDS_MAX, EXEC_COMMAND_MAX);
    json_object_set_new(body, "command", list);
    words_free(words);
    return r;
}

static void put_name(json_t *body, const char *key, const char *value)
{
    if (value)
        json_object_set_new(body, key, json_string(value));
}

static void put_terminal(json_t *body)
{
    unsigned rows = 0;
    unsigned columns = 0;
    const char *term = getenv("TERM");
    exec_terminal_size(&rows, &columns);
    json_t *terminal = json_pack("{s:i, s:i}", "rows", (int)rows, "columns", (int)columns);
    put_name(terminal, "term", term);
    json_object_set_new(body, "terminal", terminal);
}

static int make_body(const struct az_arguments *arguments, bool terminal, json_t **ret,
                     struct error *err)
{
    json_t *body = json_object();
    if (!body)
        return error_errno(err, ENOMEM, "preparing a request");
    *ret = body;
    put_name(body, "revision", arguments->revision);
    put_name(body, "replica", arguments->replica);
    put_name(body, "container", arguments->container);
    if (terminal)
        put_terminal(body);
    return put_command(body, arguments->exec_command ? arguments->exec_command : COMMAND_DEFAULT,
                       err);
}

static int relay(int socket, bool terminal, int *ret_status, struct error *err)
{
    struct exec_terminal own = {.signal_fd = -1};
    int r = terminal ? exec_terminal_open(&own, err) : 0;
    if (r == 0)
        r = exec_relay(socket, &own, ret_status, err);
    exec_terminal_close(&own);
    return r;
}

int containerapp_exec(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    char path[AZ_PATH_MAX];
    json_t *body = NULL;
    AUTO_CLOSE int socket = -1;
    bool terminal = isatty(STDIN_FILENO);
    int status = 0;
    int r = containerapp_require(invocation, err);
    if (r == 0)
        r = make_body(arguments, terminal, &body, err);
    if (r == 0) {
        az_app_path(path, arguments, "%s", "/oomlab/exec");
        r = az_upgrade(arguments, path, body, EXEC_PROTOCOL, &socket, err);
    }
    json_decref(body);
    if (r < 0)
        return az_failed(err);
    r = relay(socket, terminal, &status, err);
    if (r >= 0 || status == 0)
        return r;
    log_error("%s", err->text);
    return status;
}
