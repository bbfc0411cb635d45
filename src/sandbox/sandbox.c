/* SPDX-License-Identifier: Apache-2.0 */
/* A container after its start: signalled, killed, removed. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/file.h"
#include "sandbox/container.h"
#include "sandbox/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t sandbox_pid(const struct sandbox *sandbox)
{
    return sandbox->pid;
}

int sandbox_pidfd(const struct sandbox *sandbox)
{
    return sandbox->pidfd;
}

const struct cgroup *sandbox_cgroup(const struct sandbox *sandbox)
{
    return &sandbox->cgroup;
}

int sandbox_signal(struct sandbox *sandbox, int signal_number)
{
    if (syscall(SYS_pidfd_send_signal, sandbox->pidfd, signal_number, NULL, 0) < 0)
        return -errno;
    return 0;
}

/* "SigCgt:\t0000000000014002": bit n - 1 is signal n. */
static bool mask_has(const char *status, const char *name, int signal_number)
{
    const char *line = strstr(status, name);
    return line && strtoull(line + strlen(name), NULL, 16) >> (signal_number - 1) & 1;
}

/* While it waits for signals in rt_sigtimedwait(2), they do not look blocked. */
static bool awaits_signals(pid_t pid)
{
    char path[32];
    char text[256];
    snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
    if (file_read_text(AT_FDCWD, path, text, sizeof(text)) <= 0)
        return true;
    return strtol(text, NULL, 10) == SYS_rt_sigtimedwait;
}

void sandbox_signal_stance(const struct sandbox *sandbox, int signal_number,
                           struct signal_stance *ret)
{
    char path[32];
    char status[4096];
    snprintf(path, sizeof(path), "/proc/%d/status", sandbox->pid);
    *ret = (struct signal_stance){.awaited = true};
    if (file_read_text(AT_FDCWD, path, status, sizeof(status)) <= 0)
        return;
    *ret = (struct signal_stance){
        .caught = mask_has(status, "\nSigCgt:", signal_number),
        .blocked = mask_has(status, "\nSigBlk:", signal_number),
        .sleeping = strstr(status, "\nState:\tS") != NULL,
        .awaited = awaits_signals(sandbox->pid),
        .pending = mask_has(status, "\nSigPnd:", signal_number) ||
                   mask_has(status, "\nShdPnd:", signal_number),
    };
}

bool sandbox_was_born_inside(const struct sandbox *sandbox)
{
    return sandbox->in_cgroup;
}

int sandbox_wait_for_end(const struct sandbox *sandbox, int64_t deadline_ns)
{
    struct pollfd end = {.fd = sandbox->pidfd, .events = POLLIN};
    for (;;) {
        int64_t left_ns = deadline_ns - clock_monotonic_ns();
        if (poll(&end, 1, left_ns > 0 ? (int)(left_ns / NS_PER_MS) + 1 : 0) == 1)
            return 0;
        if (left_ns <= 0)
            return -ETIMEDOUT;
    }
}

/* The main process is PID 1 of its namespace: its end takes all others with it, even those that
 * left the cgroup. Then whatever the cgroup holds. */
int sandbox_kill(struct sandbox *sandbox, struct error *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + SANDBOX_KILL_WAIT_NS;
    if (sandbox->pidfd >= 0)
        sandbox_signal(sandbox, SIGKILL);
    int r = 0;
    if (sandbox->cgroup.dir_fd[CGROUP_MEMORY] >= 0)
        r = cgroup_kill_all(&sandbox->cgroup, deadline_ns, err);
    if (r == 0 && sandbox->pidfd >= 0 && sandbox_wait_for_end(sandbox, deadline_ns) < 0)
        r = error_set(err, ETIMEDOUT, "its main process does not end");
    return r < 0 ? error_wrap(err, "killing '%s'", sandbox->name) : 0;
}

void sandbox_free(struct sandbox *sandbox)
{
    if (!sandbox)
        return;
    struct error ignored; /* what stays is on the run's record */
    sandbox_kill(sandbox, &ignored);
    siginfo_t info;
    if (sandbox->pidfd >= 0) /* ECHILD: whoever watched it has reaped it */
        while (waitid(P_PIDFD, (id_t)sandbox->pidfd, &info, WEXITED | WNOHANG) < 0 &&
               errno == EINTR)
            ;
    cgroup_remove(&sandbox->cgroup, &ignored);
    cgroup_done(&sandbox->cgroup);
    command_done(&sandbox->command);
    layer_remove(sandbox->layer);
    close_fd(&sandbox->pidfd);
    close_fd(&sandbox->control_fd);
    free(sandbox);
}
