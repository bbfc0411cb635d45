/* SPDX-License-Identifier: Apache-2.0 */
/* The thread of an exec: it starts the process and waits for it, so that the loop waits for
 * nothing. It must be the one that waits, and at once: a container's main process can only end when
 * everything else in its pid namespace has been reaped, and the loop may be waiting for that. */
#include "api/exec_internal.h"
#include "base/cleanup.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

static void tell(struct exec *exec, const struct exec_news *news)
{
    uv_mutex_lock(&exec->mutex);
    exec->news = *news;
    uv_mutex_unlock(&exec->mutex);
    uv_async_send(&exec->async);
}

static int start(struct exec *exec, struct entered *entered, struct error *err)
{
    const struct entry_spec spec = {
        .argv = (const char *const *)exec->command,
        .env = (const char *const *)exec->env,
        .directory = exec->directory,
        .root = exec->root,
        .user = exec->has_user ? &exec->user : NULL,
        .terminal = exec->terminal,
        .rows = exec->rows,
        .columns = exec->columns,
        .stdin_fd = exec->child_fd[0],
        .stdout_fd = exec->child_fd[1],
        .stderr_fd = exec->child_fd[2],
        .cancel_fd = exec->cancel_fd,
    };
    int r = entrance_start(exec->entrance, &spec, entered, err);
    for (size_t i = 0; i < 3; i++) /* ours alone would hide that its ends are closed */
        close_fd(&exec->child_fd[i]);
    return r;
}

static void run(void *context)
{
    struct exec *exec = context;
    struct entered entered = ENTERED_NONE;
    struct exec_news news = {.terminal_fd = -1};
    sigset_t all;
    sigfillset(&all); /* they are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    if (start(exec, &entered, &news.error) < 0) {
        news.failed = news.ended = true;
        news.container_ended = news.error.code == -ESRCH;
        tell(exec, &news);
        return;
    }
    news.started = true;
    news.terminal_fd = entered.terminal_fd;
    tell(exec, &news);
    news.status = entrance_wait(exec->entrance, &entered, exec->cancel_fd);
    if (news.status == 128 + SIGKILL)
        news.container_ended = entrance_has_closed(exec->entrance);
    news.ended = true;
    tell(exec, &news);
}

int exec_process_start(struct exec *exec, struct error *err)
{
    int r = uv_thread_create(&exec->thread, run, exec);
    if (r < 0)
        return error_errno(err, -r, "starting a thread");
    exec->has_thread = true;
    return 0;
}

void exec_process_join(struct exec *exec)
{
    if (exec->has_thread)
        uv_thread_join(&exec->thread);
    exec->has_thread = false;
}

void exec_process_cancel(struct exec *exec)
{
    const uint64_t one = 1;
    ssize_t ignored = write(exec->cancel_fd, &one, sizeof(one));
    (void)ignored;
}
