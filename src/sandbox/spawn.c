/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/spawn.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAMESPACES      (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC)
#define DESCRIPTORS_MAX 65536

static long clone_into_cgroup(uint64_t flags, int cgroup_fd, int *pidfd)
{
    struct clone_args args = {
        .flags = flags | CLONE_INTO_CGROUP,
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
        .cgroup = (unsigned)cgroup_fd,
    };
    return syscall(SYS_clone3, &args, sizeof(args));
}

/* clone(2) rather than clone3: some container runtimes' filters refuse the latter. The pidfd comes
 * back through the third argument. */
long spawn_clone(uint64_t flags, int *pidfd)
{
#if defined(__s390__)
    return syscall(SYS_clone, NULL, flags | SIGCHLD, pidfd, NULL, 0);
#else
    return syscall(SYS_clone, flags | SIGCHLD, NULL, pidfd, NULL, 0);
#endif
}

/* Not these: out of memory, out of processes; trying another way would not help. */
static bool may_be_refusal(int errnum)
{
    return errnum == EINVAL || errnum == E2BIG || errnum == ENOSYS || errnum == EOPNOTSUPP ||
           errnum == EPERM || errnum == EACCES || errnum == EBUSY;
}

static long clone_child(const struct spawn_request *request, struct spawned *spawned)
{
    uint64_t flags = NAMESPACES | CLONE_PIDFD | (request->new_user ? CLONE_NEWUSER : 0U);
    spawned->in_cgroup = request->cgroup_fd >= 0;
    if (request->cgroup_fd >= 0) {
        long pid = clone_into_cgroup(flags, request->cgroup_fd, &spawned->pidfd);
        if (pid >= 0 || !may_be_refusal(errno))
            return pid;
        spawned->in_cgroup = false;
    }
    return spawn_clone(flags, &spawned->pidfd);
}

static int explain(const struct spawn_request *request, int errnum, struct error *err)
{
    if (request->new_user && (errnum == EPERM || errnum == ENOSPC || errnum == EACCES))
        return error_unavailable(
            err,
            "this machine does not let an ordinary user make user namespaces. Allow it with "
            "sysctl user.max_user_namespaces (kernel.unprivileged_userns_clone=1 on Debian, "
            "kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu), or run oomlab as root");
    if (errnum == EINVAL || errnum == ENOSPC)
        return error_unavailable(err,
                                 "this kernel does not give PID, mount, UTS and IPC namespaces "
                                 "(%s). oomlab needs Linux 5.4 with them built in",
                                 strerrordesc_np(errnum));
    return error_errno(err, errnum, "cloning a process into its own namespaces");
}

int spawn(const struct spawn_request *request, struct spawned *ret, struct error *err)
{
    /* A handler of oomlab that ran in the child could write to a pipe that both share. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    struct spawned spawned = {.pidfd = -1};
    long pid = clone_child(request, &spawned);
    if (pid == 0)
        child_main(request->plan);
    int errnum = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return explain(request, errnum, err);
    spawned.pid = (pid_t)pid;
    *ret = spawned;
    return 0;
}

static int write_map(pid_t pid, const char *file, const char *text, struct error *err)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
    int r = file_write_text(AT_FDCWD, path, text);
    return r < 0 ? error_errno(err, -r, "writing '%s' to '%s'", text, path) : 0;
}

int spawn_map_user(pid_t pid, const struct sandbox_user *user, struct error *err)
{
    char users[64];
    char groups[64];
    snprintf(users, sizeof(users), "%u %u 1", user ? user->uid : geteuid(), geteuid());
    snprintf(groups, sizeof(groups), "%u %u 1", user ? user->gid : getegid(), getegid());
    /* Without this an ordinary user may not map groups: a group can also deny. */
    int r = write_map(pid, "setgroups", "deny", err);
    if (r == 0)
        r = write_map(pid, "uid_map", users, err);
    if (r == 0)
        r = write_map(pid, "gid_map", groups, err);
    return r;
}

bool spawn_must_raise_oom_score(void)
{
    char text[16];
    return file_read_text(AT_FDCWD, "/proc/self/oom_score_adj", text, sizeof(text)) > 0 &&
           text[0] == '-';
}

int spawn_descriptors_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > DESCRIPTORS_MAX)
        return DESCRIPTORS_MAX;
    return (int)limit.rlim_cur;
}
