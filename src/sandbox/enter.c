/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/enter.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/file.h"
#include "sandbox/enter_internal.h"
#include "sandbox/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SETUP_WAIT_MS   30000
#define CLOSING_WAIT_MS 300
#define CLOSED_WAIT_MS  5000
#define PF_EXITING      0x4U /* include/linux/sched.h: in the flags of /proc/PID/stat */

/* --- the entrance --------------------------------------------------------------------------- */

static bool is_gone(int pidfd, int wait_ms)
{
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    return poll(&end, 1, wait_ms) == 1;
}

static int copy_fd(int fd, int *ret)
{
    if (fd < 0)
        return 0;
    *ret = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return *ret < 0 ? -errno : 0;
}

static int open_namespaces(struct entrance *entrance)
{
    static const char *const names[ENTER_NAMESPACES] = {"user", "ipc", "uts", "pid", "mnt"};
    char path[48];
    for (int i = 0; i < ENTER_NAMESPACES; i++) {
        if (i == ENTER_USER && !entrance->new_user)
            continue; /* it is ours, and nobody may enter the one that he is in */
        snprintf(path, sizeof(path), "/proc/%d/ns/%s", entrance->pid, names[i]);
        entrance->namespace_fd[i] = open(path, O_RDONLY | O_CLOEXEC);
        if (entrance->namespace_fd[i] < 0)
            return -errno;
    }
    return 0;
}

static int fill_entrance(const struct sandbox *sandbox, struct entrance *entrance)
{
    int r = copy_fd(sandbox->pidfd, &entrance->pidfd);
    for (int i = 0; r == 0 && i < CGROUP_CONTROLLERS; i++)
        r = copy_fd(sandbox->cgroup.dir_fd[i], &entrance->cgroup.dir_fd[i]);
    if (r == 0)
        r = open_namespaces(entrance);
    /* Only now is it certain that the pid was still the container's. */
    return is_gone(sandbox->pidfd, 0) ? -ESRCH : r;
}

int entrance_open(const struct sandbox *sandbox, struct entrance **ret, struct error *err)
{
    struct entrance *entrance = calloc(1, sizeof(*entrance));
    if (!entrance)
        return error_errno(err, ENOMEM, "entering '%s'", sandbox->name);
    snprintf(entrance->name, sizeof(entrance->name), "%s", sandbox->name);
    entrance->cgroup = sandbox->cgroup;
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        entrance->cgroup.dir_fd[i] = -1;
    for (int i = 0; i < ENTER_NAMESPACES; i++)
        entrance->namespace_fd[i] = -1;
    entrance->pid = sandbox->pid;
    entrance->pidfd = -1;
    entrance->new_user = sandbox->new_user;
    int r = fill_entrance(sandbox, entrance);
    if (r < 0) {
        entrance_free(entrance);
        return r == -ESRCH ? error_set(err, ESRCH, "'%s' has ended", sandbox->name)
                           : error_errno(err, -r, "entering '%s'", sandbox->name);
    }
    *ret = entrance;
    return 0;
}

void entrance_free(struct entrance *entrance)
{
    if (!entrance)
        return;
    for (int i = 0; i < ENTER_NAMESPACES; i++)
        close_fd(&entrance->namespace_fd[i]);
    cgroup_done(&entrance->cgroup);
    close_fd(&entrance->pidfd);
    free(entrance);
}

/* A main process on its way out waits for everything else in its pid namespace to be reaped before
 * its own end shows. */
static bool is_exiting(pid_t pid)
{
    char path[32];
    char text[512];
    unsigned flags = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (file_read_text(AT_FDCWD, path, text, sizeof(text)) <= 0)
        return true;
    const char *rest = strrchr(text, ')');
    return rest && sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 &&
           (flags & PF_EXITING);
}

bool entrance_has_closed(const struct entrance *entrance)
{
    if (is_gone(entrance->pidfd, CLOSING_WAIT_MS))
        return true;
    return is_exiting(entrance->pid) && is_gone(entrance->pidfd, CLOSED_WAIT_MS);
}

/* --- a start -------------------------------------------------------------------------------- */

struct entry {
    const struct entrance *entrance;
    const struct entry_spec *spec;
    struct command command;
    int control_fd;                 /* ours */
    int child_fd, in, out, out_err; /* the child's, all above 2 */
    struct entered entered;
};

static void entry_close_child(struct entry *entry)
{
    close_fd(&entry->child_fd);
    close_fd(&entry->in);
    close_fd(&entry->out);
    close_fd(&entry->out_err);
}

static int open_entry_fds(struct entry *entry)
{
    const struct entry_spec *spec = entry->spec;
    int pair[2];
    AUTO_CLOSE int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    entry->control_fd = pair[0];
    AUTO_CLOSE int child_end = pair[1];
    int r = copy_fd(child_end, &entry->child_fd);
    if (r == 0)
        r = copy_fd(spec->terminal ? null_fd : spec->stdin_fd, &entry->in);
    if (r == 0)
        r = copy_fd(spec->terminal ? null_fd : spec->stdout_fd, &entry->out);
    if (r == 0)
        r = copy_fd(spec->terminal ? null_fd : spec->stderr_fd, &entry->out_err);
    return r;
}

/* The first child; its pidfd, or -errno. */
static int clone_first(const struct entry *entry)
{
    const struct entry_spec *spec = entry->spec;
    struct enter_plan plan = {
        .child =
            {
                .argv = spec->argv,
                .env = spec->env,
                .candidates = entry->command.candidates,
                .directory = spec->directory,
                .new_user = entry->entrance->new_user,
                .user = spec->user,
                .raise_oom_score = spawn_must_raise_oom_score(),
                .control_fd = entry->child_fd,
                .stdin_fd = entry->in,
                .stdout_fd = entry->out,
                .stderr_fd = entry->out_err,
                .descriptors_max = spawn_descriptors_max(),
            },
        .terminal = spec->terminal,
    };
    memcpy(plan.namespace_fd, entry->entrance->namespace_fd, sizeof(plan.namespace_fd));
    sigset_t all;
    sigset_t before;
    int pidfd = -1;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    long pid = spawn_clone(CLONE_PIDFD, &pidfd);
    if (pid == 0)
        enter_main(&plan);
    int errnum = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid < 0 ? -errnum : pidfd;
}

/* Takes the descriptor that came with a message, if one did. */
static void take_fd(struct msghdr *message, int *fd)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
        header->cmsg_len != CMSG_LEN(sizeof(int)))
        return;
    close_fd(fd);
    memcpy(fd, CMSG_DATA(header), sizeof(*fd));
}

/* 1 and a report, 0 when the child closed its end (by exec or death), or -errno. */
static int receive(struct entry *entry, struct child_report *ret)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec data = {.iov_base = ret, .iov_len = sizeof(*ret)};
    struct pollfd polls[2] = {{.fd = entry->control_fd, .events = POLLIN},
                              {.fd = entry->spec->cancel_fd, .events = POLLIN}};
    int ready;
    do
        ready = poll(polls, 2, SETUP_WAIT_MS);
    while (ready < 0 && errno == EINTR);
    if (ready == 0)
        return -ETIMEDOUT;
    if (!polls[0].revents)
        return -ECANCELED;
    ssize_t n;
    do {
        struct msghdr message = {.msg_iov = &data,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof(control)};
        n = recvmsg(entry->control_fd, &message, MSG_CMSG_CLOEXEC);
        if (n > 0)
            take_fd(&message, &entry->entered.terminal_fd);
    } while (n < 0 && (errno == EINTR || errno == ECONNRESET)); /* as in receive_report() */
    return n == (ssize_t)sizeof(*ret);
}

static int explain(const struct entry *entry, int r, const struct child_report *report,
                   struct error *err)
{
    if (r == -ECANCELED)
        return error_set(err, ECANCELED, "given up");
    if (r < 0)
        return error_errno(err, -r, "setting the process up");
    if (r == 0 && is_gone(entry->entrance->pidfd, CLOSING_WAIT_MS))
        return error_set(err, ESRCH, "the container has ended");
    if (r == 0)
        return error_set(err, ECHILD,
                         "its process was killed before it could execute the command: there may "
                         "be no memory left under the container's limit");
    if (report->step == CHILD_STEP_EXEC)
        return command_error(&entry->command, report->candidate, report->errnum, err);
    if (is_gone(entry->entrance->pidfd, 0)) /* its pid namespace takes nobody any more */
        return error_set(err, ESRCH, "the container has ended");
    if (report->step == CHILD_STEP_DIRECTORY)
        return error_errno(err, report->errnum, "its working directory '%s'",
                           entry->spec->directory);
    return error_errno(err, report->errnum, "%s", failure_step_text(report->step));
}

static void reap(int pidfd)
{
    siginfo_t info;
    while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 && errno == EINTR)
        ;
}

/* Whatever was made: the first child may have been killed before it could tell of its sibling,
 * which the end of the control socket ends. One that is not reaped would keep the container's main
 * process from ending. */
static void reap_all(void)
{
    siginfo_t info;
    while (waitid(P_ALL, 0, &info, WEXITED | __WNOTHREAD) == 0 || errno == EINTR)
        ;
}

/* From the clone to a process inside, held. */
static int enter(struct entry *entry, struct error *err)
{
    AUTO_CLOSE int first = clone_first(entry);
    if (first < 0)
        return error_errno(err, -first, "cloning a process");
    entry_close_child(entry); /* ours alone would keep the socket open after the child's death */
    struct child_report report = {0};
    int r = receive(entry, &report);
    if (r != 1)
        syscall(SYS_pidfd_send_signal, first, SIGKILL, NULL, 0);
    reap(first);
    if (r != 1 || report.step != CHILD_ENTERED)
        return explain(entry, r, &report, err);
    /* It is our child and not reaped: the number is still its own. */
    entry->entered.pid = report.pid;
    entry->entered.pidfd = (int)syscall(SYS_pidfd_open, report.pid, 0);
    if (entry->entered.pidfd >= 0)
        return 0;
    return error_errno(err, errno, "watching the process");
}

static void send_go(const struct entry *entry)
{
    send(entry->control_fd, "", 1, MSG_NOSIGNAL);
}

static int release(struct entry *entry, struct error *err)
{
    const struct entry_spec *spec = entry->spec;
    struct child_report report = {0};
    int r = cgroup_attach(&entry->entrance->cgroup, entry->entered.pid, err);
    if (r < 0)
        return is_gone(entry->entrance->pidfd, 0) ? error_set(err, ESRCH, "the container has ended")
                                                  : r;
    send_go(entry);
    r = receive(entry, &report);
    if (r != 1 || report.step != CHILD_READY)
        return explain(entry, r, &report, err);
    if (spec->terminal) {
        const struct winsize size = {.ws_row = spec->rows, .ws_col = spec->columns};
        if (ioctl(entry->entered.terminal_fd, TIOCSWINSZ, &size) < 0)
            return error_errno(err, errno, "setting the terminal's size");
    }
    send_go(entry);
    r = receive(entry, &report);
    if (r != 0)
        return explain(entry, r, &report, err);
    return 0;
}

static int start_entry(struct entry *entry, struct error *err)
{
    const struct entry_spec *spec = entry->spec;
    int r = command_init(spec->argv[0], spec->env, spec->directory, &entry->command, err);
    if (r < 0)
        return r;
    if (spec->root && !(entry->command.root = strdup(spec->root)))
        return error_errno(err, ENOMEM, "looking up '%s'", spec->argv[0]);
    r = open_entry_fds(entry);
    if (r < 0)
        return error_errno(err, -r, "preparing its descriptors");
    r = enter(entry, err);
    return r == 0 ? release(entry, err) : r;
}

int entrance_start(struct entrance *entrance, const struct entry_spec *spec, struct entered *ret,
                   struct error *err)
{
    struct entry entry = {
        .entrance = entrance,
        .spec = spec,
        .control_fd = -1,
        .child_fd = -1,
        .in = -1,
        .out = -1,
        .out_err = -1,
        .entered = ENTERED_NONE,
    };
    int r = start_entry(&entry, err);
    entry_close_child(&entry);
    close_fd(&entry.control_fd);
    command_done(&entry.command);
    if (r < 0) {
        if (entry.entered.pidfd >= 0)
            enter_kill(entrance, &entry.entered); /* it may be running by now */
        reap_all();
        close_fd(&entry.entered.pidfd);
        close_fd(&entry.entered.terminal_fd);
        return r;
    }
    *ret = entry.entered;
    return 0;
}

int entrance_wait(struct entrance *entrance, struct entered *entered, int cancel_fd)
{
    struct pollfd polls[2] = {{.fd = entered->pidfd, .events = POLLIN},
                              {.fd = cancel_fd, .events = POLLIN}};
    while (poll(polls, 2, -1) < 0 && errno == EINTR)
        ;
    if (polls[1].revents && !polls[0].revents)
        enter_kill(entrance, entered);
    siginfo_t info = {0};
    while (waitid(P_PIDFD, (id_t)entered->pidfd, &info, WEXITED) < 0 && errno == EINTR)
        ;
    close_fd(&entered->pidfd);
    return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}
