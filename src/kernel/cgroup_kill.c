/* SPDX-License-Identifier: Apache-2.0 */
/* Processes in a cgroup: move them in, list them, kill all of them and wait until they are gone. */
#include "kernel/cgroup-internal.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BATCH      64 /* processes killed at a time */
#define TEXT_BYTES 4096

int cgroup_attach(const struct cgroup *cgroup, pid_t pid, struct error *err)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", pid);
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        if (cgroup->dir_fd[i] < 0)
            continue;
        int r = file_write_text(cgroup->dir_fd[i], "cgroup.procs", text);
        if (r < 0)
            return error_errno(err, -r, "moving process %d into '%s'", pid, cgroup->path[i]);
    }
    return 0;
}

/* "tasks" moves one thread, and only for that the kernel leaves out the lock over all processes. */
int cgroup_open_entrances(const struct cgroup *cgroup, int fds[CGROUP_CONTROLLERS])
{
    int r = 0;
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        fds[i] = -1;
        if (r < 0 || cgroup->version != CGROUP_V1 || cgroup->dir_fd[i] < 0)
            continue;
        fds[i] = openat(cgroup->dir_fd[i], "tasks", O_WRONLY | O_CLOEXEC);
        r = fds[i] < 0 ? -errno : 0;
    }
    for (int i = 0; r < 0 && i < CGROUP_CONTROLLERS; i++)
        close_fd(&fds[i]);
    return r;
}

/* The first `max` pids of cgroup.procs. */
static int read_members(int dir_fd, pid_t *pids, unsigned max)
{
    char text[TEXT_BYTES];
    ssize_t n = file_read_text(dir_fd, "cgroup.procs", text, sizeof(text));
    if (n < 0)
        return (int)n;
    unsigned count = 0;
    for (char *line = text, *end; count < max && (end = strchr(line, '\n')); line = end + 1) {
        uint64_t pid;
        if (cgroup_parse_number(line, &pid) && pid <= INT_MAX)
            pids[count++] = (pid_t)pid;
    }
    return (int)count;
}

int cgroup_members(const struct cgroup *cgroup, pid_t *pids, unsigned max)
{
    return read_members(cgroup->dir_fd[CGROUP_MEMORY], pids, max);
}

static int remaining_ms(int64_t deadline_ns)
{
    int64_t left = deadline_ns - clock_monotonic_ns();
    if (left <= 0)
        return 0;
    int64_t ms = left / NS_PER_MS + 1;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

static bool contains(const pid_t *pids, int count, pid_t pid)
{
    for (int i = 0; i < count; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

struct batch {
    struct pollfd polls[BATCH];
    nfds_t count;
};

static void batch_close(struct batch *batch)
{
    for (nfds_t i = 0; i < batch->count; i++)
        close_fd(&batch->polls[i].fd);
    batch->count = 0;
}

/* Hold the members by pidfd first and look again: a number that is still listed then belongs to the
 * process that is held, so no reused pid is ever hit. */
static int kill_batch(int dir_fd, struct batch *batch)
{
    pid_t listed[BATCH];
    pid_t pids[BATCH];
    int count = read_members(dir_fd, pids, BATCH);
    if (count <= 0)
        return count;
    int fds[BATCH];
    for (int i = 0; i < count; i++)
        fds[i] = pids[i] > 0 ? (int)syscall(SYS_pidfd_open, pids[i], 0) : -1;
    int again = read_members(dir_fd, listed, BATCH);
    for (int i = 0; i < count; i++) {
        if (fds[i] >= 0 && contains(listed, again, pids[i]) &&
            syscall(SYS_pidfd_send_signal, fds[i], SIGKILL, NULL, 0) == 0)
            batch->polls[batch->count++] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        else
            close_fd(&fds[i]);
    }
    return count;
}

/* A pidfd becomes readable when its process has ended: wait for all that were killed. */
static int wait_batch(struct batch *batch, int64_t deadline_ns)
{
    if (batch->count == 0) /* listed, but not to be held: on their way out, or beyond our sight */
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
    for (nfds_t i = 0; i < batch->count; i++) {
        while (poll(&batch->polls[i], 1, remaining_ms(deadline_ns)) < 1)
            if (clock_monotonic_ns() >= deadline_ns)
                return -ETIMEDOUT;
    }
    return 0;
}

static int kill_child_members(int dir_fd, const char *name, void *data)
{
    AUTO_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    return cgroup_kill_members(fd, *(int64_t *)data);
}

int cgroup_kill_members(int dir_fd, int64_t deadline_ns)
{
    for (;;) {
        CLEANUP(batch_close) struct batch batch = {.count = 0};
        int count = kill_batch(dir_fd, &batch);
        if (count == 0 || count == -ENODEV || count == -ENOENT) /* empty, or just removed */
            break;
        int r = count < 0 ? count : wait_batch(&batch, deadline_ns);
        if (r < 0)
            return r;
        if (clock_monotonic_ns() >= deadline_ns)
            return -ETIMEDOUT;
    }
    int r = cgroup_each_child(dir_fd, kill_child_members, &deadline_ns);
    return r == -ENOENT ? 0 : r;
}

int cgroup_wait_empty(int dir_fd, int64_t deadline_ns)
{
    AUTO_CLOSE int fd = openat(dir_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENODEV ? 0 : -errno;
    for (;;) {
        char text[256];
        ssize_t n = file_pread_text(fd, text, sizeof(text));
        if (n == -ENODEV || (n >= 0 && strstr(text, "populated 0")))
            return 0;
        if (n < 0)
            return (int)n;
        int ms = remaining_ms(deadline_ns);
        if (ms == 0)
            return -ETIMEDOUT;
        struct pollfd change = {.fd = fd, .events = POLLPRI};
        if (poll(&change, 1, ms) < 0 && errno != EINTR)
            return -errno;
    }
}

static int kill_directory(enum cgroup_version version, int dir_fd, int64_t deadline_ns)
{
    if (version == CGROUP_V2) {
        int r = file_write_text(dir_fd, "cgroup.kill", "1");
        if (r == 0)
            return cgroup_wait_empty(dir_fd, deadline_ns);
        if (r != -ENOENT && r != -EOPNOTSUPP)
            return r;
    }
    return cgroup_kill_members(dir_fd, deadline_ns);
}

int cgroup_kill_all(const struct cgroup *cgroup, int64_t deadline_ns, struct error *err)
{
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        if (cgroup->dir_fd[i] < 0)
            continue;
        int r = kill_directory(cgroup->version, cgroup->dir_fd[i], deadline_ns);
        if (r < 0 && r != -ENODEV)
            return error_errno(err, -r, "killing the processes in '%s'", cgroup->path[i]);
    }
    return 0;
}
