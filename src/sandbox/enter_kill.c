/* SPDX-License-Identifier: Apache-2.0 */
/* The end of what has entered a container, which is not the end of the container: by descent and
 * by session, because all of it shares the container's cgroup with the rest. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/file.h"
#include "sandbox/enter_internal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define MEMBERS_MAX  4096
#define ROUNDS_MAX   100 /* of killing what forks as fast as it is killed */
#define KILL_WAIT_NS (10 * NS_PER_S)

struct member {
    pid_t pid, parent, session;
    bool zombie, ours;
};

static bool read_member(pid_t pid, struct member *ret)
{
    char path[32];
    char text[512];
    char state = 0;
    *ret = (struct member){.pid = pid};
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (pid <= 0 || file_read_text(AT_FDCWD, path, text, sizeof(text)) <= 0)
        return false;
    const char *rest = strrchr(text, ')'); /* the name before it may hold anything */
    if (!rest || sscanf(rest + 1, " %c %d %*d %d", &state, &ret->parent, &ret->session) != 3)
        return false;
    ret->zombie = state == 'Z' || state == 'X';
    return true;
}

static unsigned read_members(const struct cgroup *cgroup, struct member *members)
{
    pid_t pids[MEMBERS_MAX];
    unsigned count = 0;
    int found = cgroup_members(cgroup, pids, MEMBERS_MAX);
    for (int i = 0; i < found; i++)
        count += read_member(pids[i], &members[count]);
    return count;
}

static bool has_parent(const struct member *members, unsigned count, const struct member *child)
{
    for (unsigned i = 0; i < count; i++)
        if (members[i].ours && members[i].pid == child->parent)
            return true;
    return false;
}

/* Mark the descendants of `pid` and the members of its session. */
static void mark(struct member *members, unsigned count, pid_t pid)
{
    for (unsigned i = 0; i < count; i++)
        members[i].ours = members[i].pid == pid || members[i].session == pid;
    for (bool more = true; more;) {
        more = false;
        for (unsigned i = 0; i < count; i++) {
            if (members[i].ours || !has_parent(members, count, &members[i]))
                continue;
            members[i].ours = true;
            more = true;
        }
    }
}

/* By a descriptor that is looked at once more: the number may be another's by now. */
static void kill_member(const struct member *member)
{
    struct member now;
    AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, member->pid, 0);
    if (pidfd >= 0 && read_member(member->pid, &now) && now.session == member->session)
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

/* Returns how many were alive, apart from `pid` itself. */
static unsigned kill_others(const struct cgroup *cgroup, struct member *members, pid_t pid)
{
    unsigned alive = 0;
    unsigned count = read_members(cgroup, members);
    mark(members, count, pid);
    for (unsigned i = 0; i < count; i++) {
        if (!members[i].ours || members[i].zombie || members[i].pid == pid)
            continue;
        kill_member(&members[i]);
        alive++;
    }
    return alive;
}

/* It is stopped first and killed last: it starts nothing more, and its children stay its children
 * until they are found. */
void enter_kill(const struct entrance *entrance, const struct entered *entered)
{
    AUTO_FREE struct member *members = calloc(MEMBERS_MAX, sizeof(*members));
    syscall(SYS_pidfd_send_signal, entered->pidfd, SIGSTOP, NULL, 0);
    for (int i = 0; members && i < ROUNDS_MAX; i++)
        if (kill_others(&entrance->cgroup, members, entered->pid) == 0)
            break;
    syscall(SYS_pidfd_send_signal, entered->pidfd, SIGKILL, NULL, 0);
    struct pollfd end = {.fd = entered->pidfd, .events = POLLIN};
    poll(&end, 1, (int)(KILL_WAIT_NS / NS_PER_MS));
    /* What it started between the last look and its end; the session's number is still taken,
     * because it is not reaped. */
    for (int i = 0; members && i < ROUNDS_MAX; i++)
        if (kill_others(&entrance->cgroup, members, entered->pid) == 0)
            break;
}
