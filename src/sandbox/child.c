/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/child.h"

#include "sandbox/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXIT_NOT_STARTED 127

/* Older C libraries lack these. */
#ifndef MOUNT_ATTR_RDONLY
#define MOUNT_ATTR_RDONLY 0x00000001
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

_Noreturn void child_fail(const struct child_plan *plan, enum child_step step, unsigned candidate)
{
    struct child_report report = {.step = step, .errnum = errno, .candidate = candidate};
    ssize_t ignored = write(plan->control_fd, &report, sizeof(report));
    (void)ignored;
    _exit(EXIT_NOT_STARTED);
}

void child_check(const struct child_plan *plan, long result, enum child_step step)
{
    if (result < 0)
        child_fail(plan, step, 0);
}

/* Moving itself costs nothing; whoever is moved by another waits for an RCU grace period. */
static bool enter_cgroup(const struct child_plan *plan)
{
    bool inside = true;
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        if (plan->entrance_fds[i] >= 0)
            inside = write(plan->entrance_fds[i], "0", 1) == 1 && inside;
    return inside;
}

void child_wait_for_parent(const struct child_plan *plan)
{
    char byte;
    ssize_t n;
    do
        n = read(plan->control_fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n != 1)
        _exit(EXIT_NOT_STARTED);
}

static void report_and_wait(const struct child_plan *plan, enum child_step step)
{
    struct child_report report = {.step = step};
    if (write(plan->control_fd, &report, sizeof(report)) != (ssize_t)sizeof(report))
        _exit(EXIT_NOT_STARTED);
    child_wait_for_parent(plan);
}

static int close_from_to(unsigned first, unsigned last, int descriptors_max)
{
    if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
        return 0;
    if (errno != ENOSYS)
        return -1;
    for (unsigned fd = first; fd <= last && fd < (unsigned)descriptors_max; fd++)
        close((int)fd);
    return 0;
}

/* First of all, so that no descriptor of oomlab (a lock, another container's socket) lives on here.
 */
void child_arrange_descriptors(const struct child_plan *plan)
{
    child_check(plan, dup3(plan->stdin_fd, STDIN_FILENO, 0), CHILD_STEP_DESCRIPTORS);
    child_check(plan, dup3(plan->stdout_fd, STDOUT_FILENO, 0), CHILD_STEP_DESCRIPTORS);
    child_check(plan, dup3(plan->stderr_fd, STDERR_FILENO, 0), CHILD_STEP_DESCRIPTORS);
    unsigned control = (unsigned)plan->control_fd;
    child_check(plan, close_from_to(STDERR_FILENO + 1, control - 1, plan->descriptors_max),
                CHILD_STEP_DESCRIPTORS);
    child_check(plan, close_from_to(control + 1, ~0U, plan->descriptors_max),
                CHILD_STEP_DESCRIPTORS);
}

/* Raising one's own score needs no privilege. */
int child_raise_oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = write(fd, "0", 1);
    int errnum = errno;
    close(fd);
    errno = errnum;
    return n == 1 ? 0 : -1;
}

/* Whoever may write there could move itself out from under its limit and would look healthy. Best
 * effort: mount_setattr(2) came with Linux 5.12, and without cgroup mounts there is nothing to
 * protect. */
static void protect(const char *path)
{
    /* struct mount_attr of linux/mount.h, which does not go together with every sys/mount.h. */
    static const uint64_t read_only[4] = {MOUNT_ATTR_RDONLY};
    syscall(SYS_mount_setattr, AT_FDCWD, path, AT_RECURSIVE, read_only, sizeof(read_only));
}

/* What a container leaves in shared memory must not be there for the next one, or on the host. */
static long private_shared_memory(void)
{
    if (mount("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777") == 0)
        return 0;
    return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
}

static void enter_root(const struct child_plan *plan)
{
    if (plan->layer)
        child_check(plan, rootfs_overlay(plan->layer, plan->new_user), CHILD_STEP_LAYER);
    child_check(plan, rootfs_enter(plan->layer ? ROOTFS_MERGED : plan->root), CHILD_STEP_ROOT);
    child_check(plan, rootfs_mount_proc(), CHILD_STEP_PROC);
    child_check(plan, rootfs_furnish(), CHILD_STEP_FURNISH);
    child_check(plan, private_shared_memory(), CHILD_STEP_MOUNTS);
    protect("/sys"); /* it is the machine's: nothing in an image has to change it */
}

static void enter_machine(const struct child_plan *plan)
{
    child_check(plan, mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL),
                CHILD_STEP_PROC);
    child_check(plan, private_shared_memory(), CHILD_STEP_MOUNTS);
    protect("/sys/fs/cgroup");
}

/* System calls again: the C library's functions would have every thread of ours follow. */
void child_become(const struct child_plan *plan)
{
    const struct sandbox_user *user = plan->user;
    /* Many programs log by opening /dev/stdout, which leads to these pipes. */
    fchown(STDOUT_FILENO, user->uid, (gid_t)-1);
    fchown(STDERR_FILENO, user->uid, (gid_t)-1);
    child_check(plan, syscall(SYS_setgroups, (size_t)user->group_count, user->groups),
                CHILD_STEP_USER);
    child_check(plan, syscall(SYS_setresgid, user->gid, user->gid, user->gid), CHILD_STEP_USER);
    child_check(plan, syscall(SYS_setresuid, user->uid, user->uid, user->uid), CHILD_STEP_USER);
    /* A change of user takes it away. Should oomlab have died before, the control socket tells. */
    child_check(plan, prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), CHILD_STEP_DEATH_SIGNAL);
}

static void enter_container(const struct child_plan *plan)
{
    child_check(plan, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), CHILD_STEP_MOUNTS);
    if (plan->root)
        enter_root(plan);
    else
        enter_machine(plan);
    child_check(plan, sethostname(plan->hostname, strlen(plan->hostname)), CHILD_STEP_HOSTNAME);
    child_check(plan, setsid(), CHILD_STEP_SESSION);
    if (plan->directory)
        child_check(plan,
                    plan->root ? rootfs_change_directory(plan->directory) : chdir(plan->directory),
                    CHILD_STEP_DIRECTORY);
    if (plan->raise_oom_score)
        child_check(plan, child_raise_oom_score(), CHILD_STEP_OOM_SCORE);
    if (plan->user && !plan->new_user)
        child_become(plan);
    child_check(plan, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), CHILD_STEP_PRIVILEGES);
}

/* exec keeps ignored signals ignored and the mask as it is: a fresh start needs both undone. */
void child_reset_signals(const struct child_plan *plan)
{
    /* Without libc, which does not touch the two signals of its own (32, 33) and ignores them in
     * what posix_spawn() starts: make's children, for one. All zero is SIG_DFL whatever the layout.
     */
    static const unsigned char action[64];
    for (int i = 1; i < NSIG; i++) /* fails for SIGKILL and SIGSTOP: fine */
        syscall(SYS_rt_sigaction, i, action, NULL, (size_t)(NSIG - 1) / 8);
    sigset_t none;
    sigemptyset(&none);
    child_check(plan, sigprocmask(SIG_SETMASK, &none, NULL), CHILD_STEP_SIGNALS);
}

/* As execvp(3) does: a candidate that is not there is passed over, one that may not be executed is
 * remembered. */
_Noreturn void child_execute(const struct child_plan *plan)
{
    int errnum = ENOENT;
    unsigned blamed = 0;
    for (unsigned i = 0; plan->candidates[i]; i++) {
        execve(plan->candidates[i], (char *const *)plan->argv, (char *const *)plan->env);
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
            child_fail(plan, CHILD_STEP_EXEC, i);
        if (errno == EACCES && errnum != EACCES) {
            errnum = EACCES;
            blamed = i;
        }
        /* There, but what it needs to run is not: worth more than "not found". */
        if (errno == ENOENT && errnum == ENOENT && access(plan->candidates[i], F_OK) == 0)
            blamed = i;
    }
    errno = errnum;
    child_fail(plan, CHILD_STEP_EXEC, blamed);
}

_Noreturn void child_main(const struct child_plan *plan)
{
    child_check(plan, prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), CHILD_STEP_DEATH_SIGNAL);
    prctl(PR_SET_NAME, CHILD_HELD_NAME, 0, 0, 0);
    bool inside = enter_cgroup(plan);
    child_arrange_descriptors(plan);
    child_wait_for_parent(plan);
    if (!inside)
        report_and_wait(plan, CHILD_OUTSIDE);
    enter_container(plan);
    report_and_wait(plan, CHILD_READY);
    child_reset_signals(plan);
    child_execute(plan);
}
