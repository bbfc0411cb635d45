/* SPDX-License-Identifier: Apache-2.0 */
/* Making a container: its cgroup, the held child, and the release. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "sandbox/container.h"
#include "sandbox/layer.h"
#include "sandbox/root.h"
#include "sandbox/spawn.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SETUP_WAIT_NS (30 * NS_PER_S)

/* What the child needs in descriptors, all above 2 so that none is in the way of another. */
struct child_fds {
    int control, null, out, err;
    int entrances[CGROUP_CONTROLLERS];
};

static void child_fds_close(struct child_fds *fds)
{
    close_fd(&fds->control);
    close_fd(&fds->null);
    close_fd(&fds->out);
    close_fd(&fds->err);
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        close_fd(&fds->entrances[i]);
}

static int check_name(const char *name, struct error *err)
{
    size_t length = name ? strlen(name) : 0;
    bool good = length > 0 && length <= SANDBOX_NAME_MAX && name[0] != '.';
    for (const char *p = name; good && *p; p++)
        good = isalnum((unsigned char)*p) || strchr("._-", *p);
    return good ? 0
                : error_usage(err,
                              "a container's name must be 1 to %d letters, digits, dots, "
                              "underscores or dashes",
                              SANDBOX_NAME_MAX);
}

static int duplicate(int fd, int *ret)
{
    *ret = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return *ret < 0 ? -errno : 0;
}

static int open_fds(const struct sandbox_spec *spec, struct sandbox *sandbox, struct child_fds *fds)
{
    AUTO_CLOSE int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd < 0)
        return -errno;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    sandbox->control_fd = pair[0];
    AUTO_CLOSE int child_end = pair[1];
    int r = duplicate(null_fd, &fds->null);
    if (r == 0)
        r = duplicate(child_end, &fds->control);
    if (r == 0)
        r = duplicate(spec->stdout_fd, &fds->out);
    if (r == 0)
        r = duplicate(spec->stderr_fd, &fds->err);
    return r < 0 ? r : cgroup_open_entrances(&sandbox->cgroup, fds->entrances);
}

static int clone_held(struct sandbox *sandbox, const struct sandbox_spec *spec,
                      const struct child_fds *fds, struct error *err)
{
    struct child_plan plan = {
        .argv = spec->argv,
        .env = spec->env,
        .candidates = sandbox->command.candidates,
        .directory = spec->directory,
        .root = spec->root,
        .layer = spec->layer,
        .new_user = sandbox->new_user,
        .user = spec->user,
        .raise_oom_score = spawn_must_raise_oom_score(),
        .control_fd = fds->control,
        .stdin_fd = fds->null,
        .stdout_fd = fds->out,
        .stderr_fd = fds->err,
        .descriptors_max = spawn_descriptors_max(),
    };
    snprintf(plan.hostname, sizeof(plan.hostname), "%s", spec->name);
    memcpy(plan.entrance_fds, fds->entrances, sizeof(plan.entrance_fds));
    struct spawn_request request = {
        .plan = &plan,
        .new_user = sandbox->new_user,
        .cgroup_fd =
            sandbox->cgroup.version == CGROUP_V2 ? sandbox->cgroup.dir_fd[CGROUP_MEMORY] : -1,
    };
    struct spawned spawned;
    int r = spawn(&request, &spawned, err);
    if (r < 0)
        return r;
    sandbox->pid = spawned.pid;
    sandbox->pidfd = spawned.pidfd;
    sandbox->in_cgroup = spawned.in_cgroup;
    return 0;
}

/* MSG_NOSIGNAL: a child that is gone already must not cost us a SIGPIPE. */
static void send_go(const struct sandbox *sandbox)
{
    send(sandbox->control_fd, "", 1, MSG_NOSIGNAL);
}

/* 1 and a report, 0 when the child closed its end (by exec or death), or -errno. */
static int receive_report(const struct sandbox *sandbox, struct child_report *ret)
{
    int64_t deadline_ns = clock_monotonic_ns() + SETUP_WAIT_NS;
    struct pollfd answer = {.fd = sandbox->control_fd, .events = POLLIN};
    while (poll(&answer, 1, (int)(SETUP_WAIT_NS / NS_PER_MS)) < 1)
        if (clock_monotonic_ns() >= deadline_ns)
            return -ETIMEDOUT;
    /* A child that ended without reading our byte resets the connection: that error comes first,
     * and once, then its report. */
    ssize_t n;
    do
        n = recv(sandbox->control_fd, ret, sizeof(*ret), 0);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    return n == (ssize_t)sizeof(*ret);
}

/* Whether the child reported or ended already: then that is why it could not be moved or mapped. */
static bool has_spoken(const struct sandbox *sandbox)
{
    struct pollfd answer = {.fd = sandbox->control_fd, .events = POLLIN};
    return poll(&answer, 1, 0) == 1;
}

/* Its report once it is set up, or why it is not; as receive_report(). */
static int set_up(struct sandbox *sandbox, struct child_report *ret, struct error *err)
{
    send_go(sandbox);
    int r = receive_report(sandbox, ret);
    if (r != 1 || ret->step != CHILD_OUTSIDE)
        return r;
    r = cgroup_attach(&sandbox->cgroup, sandbox->pid, err);
    if (r < 0 && !has_spoken(sandbox))
        return r;
    send_go(sandbox);
    return receive_report(sandbox, ret);
}

/* From the clone to the held child. */
static int bring_up(struct sandbox *sandbox, const struct sandbox_spec *spec, struct error *err)
{
    int r = 0;
    if (!sandbox->in_cgroup && sandbox->cgroup.version == CGROUP_V2)
        r = cgroup_attach(&sandbox->cgroup, sandbox->pid, err);
    if (r == 0 && sandbox->new_user)
        r = spawn_map_user(sandbox->pid, spec->user, err);
    if (r < 0 && !has_spoken(sandbox))
        return r;
    struct child_report report;
    r = set_up(sandbox, &report, err);
    if (r == -ETIMEDOUT)
        return error_set(err, ETIMEDOUT, "its process hangs while it is being set up");
    if (r == 0)
        return failure_silent(sandbox, err);
    if (r < 0)
        return r;
    return report.step == CHILD_READY ? 0 : failure_reported(sandbox, &report, err);
}

static int start(struct sandbox_root *root, const struct sandbox_spec *spec,
                 struct sandbox *sandbox, struct error *err)
{
    CLEANUP(child_fds_close) struct child_fds fds = {-1, -1, -1, -1, {-1, -1, -1, -1}};
    int r = command_init(spec->argv[0], spec->env, spec->directory, &sandbox->command, err);
    if (r == 0 && spec->root && !(sandbox->command.root = strdup(spec->root)))
        r = error_errno(err, ENOMEM, "looking up '%s'", spec->argv[0]);
    if (r == 0)
        r = cgroup_create(&root->cgroup, spec->name, &sandbox->cgroup, err);
    if (r == 0)
        r = cgroup_set_limits(&sandbox->cgroup, &spec->limits, err);
    if (r < 0)
        return r;
    if (spec->layer)
        r = layer_make(spec->layer, spec->root, &sandbox->layer, err);
    if (r < 0)
        return r;
    r = open_fds(spec, sandbox, &fds);
    if (r < 0)
        return error_errno(err, -r, "preparing its descriptors");
    r = clone_held(sandbox, spec, &fds, err);
    child_fds_close(&fds); /* ours alone would keep the socket open after the child's death */
    return r < 0 ? r : bring_up(sandbox, spec, err);
}

int sandbox_start(struct sandbox_root *root, const struct sandbox_spec *spec, struct sandbox **ret,
                  struct error *err)
{
    int r = check_name(spec->name, err);
    if (r < 0)
        return r;
    struct sandbox *sandbox = calloc(1, sizeof(*sandbox));
    if (!sandbox)
        return error_errno(err, ENOMEM, "starting '%s'", spec->name);
    snprintf(sandbox->name, sizeof(sandbox->name), "%s", spec->name);
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        sandbox->cgroup.dir_fd[i] = -1;
    sandbox->pidfd = -1;
    sandbox->control_fd = -1;
    sandbox->memory_bytes = spec->limits.memory_bytes;
    sandbox->new_user = root->needs_user_namespace;
    r = start(root, spec, sandbox, err);
    if (r < 0) {
        sandbox_free(sandbox);
        return error_wrap(err, "starting '%s'", spec->name);
    }
    *ret = sandbox;
    return 0;
}

int sandbox_release(struct sandbox *sandbox, struct error *err)
{
    if (sandbox->control_fd < 0)
        return error_set(err, EALREADY, "'%s' is running already", sandbox->name);
    send_go(sandbox);
    struct child_report report;
    int r = receive_report(sandbox, &report);
    close_fd(&sandbox->control_fd);
    if (r == -ETIMEDOUT)
        r = error_set(err, ETIMEDOUT, "its process hangs while it executes the command");
    else if (r == 1)
        r = failure_reported(sandbox, &report, err);
    else if (failure_died_held(sandbox))
        r = failure_silent(sandbox, err);
    if (r == 0)
        return 0;
    struct error ignored;
    sandbox_kill(sandbox, &ignored);
    return error_wrap(err, "starting '%s'", sandbox->name);
}
