/* SPDX-License-Identifier: Apache-2.0 */
/* An exec as an object: made from a replica, its descriptors and handles, and its end. */
#include "api/exec_internal.h"
#include "api/loop_daemon.h"
#include "base/cleanup.h"
#include "platform/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* --- making --------------------------------------------------------------------------------- */

static char **copy_words(char *const *words)
{
    size_t count = 0;
    while (words[count])
        count++;
    char **copy = calloc(count + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = strdup(words[i]);
        if (!copy[i]) {
            environment_free(copy);
            return NULL;
        }
    }
    return copy;
}

/* A terminal needs a TERM: the client's, where the container says nothing. */
static int add_term(char ***env, const char *term)
{
    size_t count = 0;
    for (; (*env)[count]; count++)
        if (strncmp((*env)[count], "TERM=", 5) == 0)
            return 0;
    char **grown = realloc(*env, (count + 2) * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    *env = grown;
    grown[count + 1] = NULL;
    if (asprintf(&grown[count], "TERM=%s", term) < 0) {
        grown[count] = NULL;
        return -ENOMEM;
    }
    return 0;
}

static int fill(struct exec *exec, struct app_replica *replica, const struct exec_options *options)
{
    const struct revision_template *template = &replica->template->revision;
    char own[PATH_MAX];
    const char *directory = template->directory;
    exec->command = copy_words(options->command);
    exec->env = environment_new(template, replica->revision->name, replica->name);
    if (!directory && !template->root)
        directory = getcwd(own, sizeof(own)); /* as sandbox_start() leaves the container */
    if (!exec->command || !exec->env || (directory && !(exec->directory = strdup(directory))) ||
        (template->root && !(exec->root = strdup(template->root))))
        return -ENOMEM;
    if (options->terminal && options->term && add_term(&exec->env, options->term) < 0)
        return -ENOMEM;
    exec->has_user = template->user;
    if (template->user)
        exec->user = *template->user;
    exec->terminal = options->terminal;
    exec->rows = options->rows;
    exec->columns = options->columns;
    return 0;
}

int exec_new(struct serve *serve, struct app_replica *replica, const struct exec_options *options,
             struct exec **ret, struct error *err)
{
    struct exec *exec = calloc(1, sizeof(*exec));
    if (!exec)
        return error_errno(err, ENOMEM, "preparing the command");
    exec->serve = serve;
    exec->cancel_fd = -1;
    exec->news.terminal_fd = -1;
    for (size_t i = 0; i < EXEC_PORTS; i++)
        exec->ports[i].fd = -1;
    for (size_t i = 0; i < 3; i++)
        exec->child_fd[i] = -1;
    snprintf(exec->replica, sizeof(exec->replica), "%s", replica->name);
    int r = replica_open_entrance(replica->replica, &exec->entrance, err);
    if (r == 0 && fill(exec, replica, options) < 0)
        r = error_errno(err, ENOMEM, "preparing the command");
    if (r < 0) {
        exec_discard(exec);
        return r;
    }
    *ret = exec;
    return 0;
}

void exec_discard(struct exec *exec)
{
    if (!exec)
        return;
    entrance_free(exec->entrance);
    environment_free(exec->command);
    environment_free(exec->env);
    free(exec->directory);
    free(exec->root);
    exec_queue_done(&exec->from_client);
    exec_queue_done(&exec->input);
    exec_queue_done(&exec->to_client);
    for (size_t i = 0; i < 3; i++)
        close_fd(&exec->child_fd[i]);
    close_fd(&exec->cancel_fd);
    free(exec);
}

/* --- descriptors and handles ------------------------------------------------------------------ */

static void on_closed(uv_handle_t *handle)
{
    struct exec *exec = handle->data;
    if (--exec->handles > 0 || !exec->closing)
        return;
    struct serve *serve = exec->serve;
    for (struct exec **link = &serve->execs; *link; link = &(*link)->next) {
        if (*link != exec)
            continue;
        *link = exec->next;
        break;
    }
    uv_mutex_destroy(&exec->mutex);
    exec_discard(exec);
    if (serve->stopping)
        controller_later(serve);
}

int exec_port_open(struct exec *exec, enum exec_port_index index, int fd)
{
    struct exec_port *port = &exec->ports[index];
    int r = uv_poll_init(exec->serve->loop, &port->poll, fd);
    if (r < 0) {
        if (index != PORT_CLIENT)
            close(fd);
        return r;
    }
    port->poll.data = exec;
    port->exec = exec;
    port->fd = fd;
    exec->handles++;
    return 0;
}

/* The client's socket is the HTTP server's, which closes it. */
void exec_port_close(struct exec *exec, enum exec_port_index index)
{
    struct exec_port *port = &exec->ports[index];
    if (port->fd < 0)
        return;
    uv_close((uv_handle_t *)&port->poll, on_closed);
    if (index == PORT_CLIENT) {
        MHD_upgrade_action(exec->upgrade, MHD_UPGRADE_ACTION_CLOSE);
        loop_daemon_wake(exec->daemon);
        port->fd = -1;
    }
    close_fd(&port->fd);
}

static int open_pipe(struct exec *exec, enum exec_port_index index, int child_end)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    exec->child_fd[index - PORT_INPUT] = ends[child_end];
    return exec_port_open(exec, index, ends[!child_end]);
}

static int open_pipes(struct exec *exec)
{
    int r = open_pipe(exec, PORT_INPUT, 0);
    if (r == 0)
        r = open_pipe(exec, PORT_OUTPUT, 1);
    return r == 0 ? open_pipe(exec, PORT_ERRORS, 1) : r;
}

int exec_prepare(struct exec *exec, struct error *err)
{
    int r = exec_queue_init(&exec->from_client, 2 * EXEC_FRAME_MAX);
    if (r == 0)
        r = exec_queue_init(&exec->input, EXEC_WINDOW);
    if (r == 0)
        r = exec_queue_init(&exec->to_client, EXEC_WINDOW);
    exec->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r == 0 && exec->cancel_fd < 0)
        r = -errno;
    if (r == 0 && !exec->terminal)
        r = open_pipes(exec);
    return r < 0 ? error_errno(err, -r, "preparing the command") : 0;
}

void exec_close(struct exec *exec)
{
    if (exec->closing)
        return;
    exec->closing = true;
    for (int i = 0; i < EXEC_PORTS; i++)
        exec_port_close(exec, (enum exec_port_index)i);
    uv_close((uv_handle_t *)&exec->async, on_closed);
    uv_close((uv_handle_t *)&exec->timer, on_closed);
}
