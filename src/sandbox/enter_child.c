/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/enter_child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Documentation/admin-guide/devices.txt */
#define PTMX_MAJOR 5
#define PTMX_MINOR 2

/* Older C libraries lack it (Linux 4.13). */
#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

static void enter_namespaces(const struct enter_plan *plan)
{
    static const int types[ENTER_NAMESPACES] = {CLONE_NEWUSER, CLONE_NEWIPC, CLONE_NEWUTS,
                                                CLONE_NEWPID, CLONE_NEWNS};
    for (int i = 0; i < ENTER_NAMESPACES; i++)
        if (plan->namespace_fd[i] >= 0)
            child_check(&plan->child, setns(plan->namespace_fd[i], types[i]),
                        CHILD_STEP_NAMESPACES);
}

/* /dev is the container's, which may have put anything there: take nothing but a terminal. */
static int open_master(void)
{
    struct stat status;
    int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && major(status.st_rdev) == PTMX_MAJOR &&
        minor(status.st_rdev) == PTMX_MINOR)
        return fd;
    close(fd);
    errno = ENOTTY;
    return -1;
}

/* Make a terminal, take it as the session's own and as the standard descriptors. */
static int take_terminal(void)
{
    int unlocked = 0;
    int master = open_master();
    if (master < 0 || ioctl(master, TIOCSPTLCK, &unlocked) < 0)
        return -1;
    int fd = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, TIOCSCTTY, 0) < 0)
        return -1;
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
        if (dup3(fd, i, 0) < 0)
            return -1;
    close(fd);
    return master;
}

/* The terminal's other end goes with the message; -1: none. */
static void report_ready(const struct child_plan *plan, int fd)
{
    struct child_report report = {.step = CHILD_READY};
    struct iovec data = {.iov_base = &report, .iov_len = sizeof(report)};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    memset(&control, 0, sizeof(control));
    if (fd >= 0) {
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
    }
    child_check(plan, sendmsg(plan->control_fd, &message, 0), CHILD_STEP_DESCRIPTORS);
}

static _Noreturn void become_command(const struct enter_plan *enter)
{
    const struct child_plan *plan = &enter->child;
    int terminal = -1;
    child_check(plan, prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), CHILD_STEP_DEATH_SIGNAL);
    child_wait_for_parent(plan);
    child_check(plan, setsid(), CHILD_STEP_SESSION);
    if (enter->terminal)
        child_check(plan, terminal = take_terminal(), CHILD_STEP_TERMINAL);
    if (plan->directory)
        child_check(plan, chdir(plan->directory), CHILD_STEP_DIRECTORY);
    if (plan->user && !plan->new_user) {
        fchown(STDIN_FILENO, plan->user->uid, (gid_t)-1); /* as child_become() does with output */
        child_become(plan);
    }
    child_check(plan, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), CHILD_STEP_PRIVILEGES);
    report_ready(plan, terminal);
    child_wait_for_parent(plan);
    child_reset_signals(plan);
    child_execute(plan);
}

_Noreturn void enter_main(const struct enter_plan *enter)
{
    const struct child_plan *plan = &enter->child;
    child_check(plan, prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), CHILD_STEP_DEATH_SIGNAL);
    prctl(PR_SET_NAME, CHILD_HELD_NAME, 0, 0, 0);
    if (plan->raise_oom_score)
        child_check(plan, child_raise_oom_score(), CHILD_STEP_OOM_SCORE);
    /* Until it executes something, it has oomlab's memory, and the container's processes see it:
     * not for their eyes. After the line above, because /proc/self is root's then. */
    child_check(plan, prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), CHILD_STEP_PRIVILEGES);
    enter_namespaces(enter);
    child_arrange_descriptors(plan);
    struct child_report report = {.step = CHILD_ENTERED};
#if defined(__s390__)
    long pid = syscall(SYS_clone, NULL, CLONE_PARENT | SIGCHLD, NULL, NULL, 0);
#else
    long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, 0);
#endif
    child_check(plan, pid, CHILD_STEP_CLONE);
    if (pid == 0)
        become_command(enter);
    report.pid = (pid_t)pid;
    if (write(plan->control_fd, &report, sizeof(report)) != (ssize_t)sizeof(report))
        _exit(1); /* oomlab is gone, and with it the sibling's reason to live */
    _exit(0);
}
