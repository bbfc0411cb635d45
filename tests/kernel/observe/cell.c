/* SPDX-License-Identifier: Apache-2.0 */
#include "cell.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define END_DEADLINE_NS INT64_C(10000000000)

/* v2: controllers for our children; where our own cgroup cannot give them (it holds us), one above.
 */
static int open_parent(const struct cgroup_host *host, struct cgroup *ret, struct error *err)
{
    int r = cgroup_open_own(host, ret, err);
    while (r == 0 && host->version == CGROUP_V2) {
        if (cgroup_enable_controllers(ret, err) == 0)
            return 0;
        struct cgroup above;
        r = cgroup_open_above(host, ret, &above, err);
        cgroup_done(ret);
        if (r == 0)
            return err->code;
        *ret = above;
        r = r < 0 ? r : 0;
    }
    return r;
}

int yard_open(struct yard *yard, struct error *err)
{
    *yard = (struct yard){0};
    struct cgroup_host host;
    int r = cgroup_host_detect(&host, err);
    if (r < 0)
        return r;
    struct cgroup parent;
    r = open_parent(&host, &parent, err);
    if (r < 0)
        return r;
    char name[64];
    snprintf(name, sizeof(name), "oomlab-observe-%d", (int)getpid());
    r = cgroup_create(&parent, name, &yard->top, err);
    cgroup_done(&parent);
    if (r == 0)
        r = cgroup_enable_controllers(&yard->top, err);
    yard->version = host.version;
    return r;
}

static void warn(const char *what, const struct error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->text);
}

void yard_close(struct yard *yard)
{
    struct error err = {0};
    if (yard->top.version != CGROUP_NONE && cgroup_remove(&yard->top, &err) < 0)
        warn("removing the yard", &err);
    cgroup_done(&yard->top);
}

void cell_wait_go(int go_fd)
{
    char byte;
    while (read(go_fd, &byte, 1) < 0 && errno == EINTR)
        ;
}

static void run_body(pid_t parent, int go_fd, cell_body body, void *context)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(120);
    cell_wait_go(go_fd);
    _exit(body(go_fd, context));
}

static _Noreturn void die(const char *what, const struct error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->code ? err->text : strerror(errno));
    abort();
}

void cell_start(struct yard *yard, const struct cgroup *parent, const struct cgroup_limits *limits,
                cell_body body, void *context, struct cell *ret)
{
    struct error err = {0};
    char name[64];
    snprintf(name, sizeof(name), "cell-%u", yard->made++);
    if (cgroup_create(parent ? parent : &yard->top, name, &ret->cgroup, &err) < 0 ||
        cgroup_set_limits(&ret->cgroup, limits, &err) < 0)
        die("making a cell", &err);
    int go[2];
    if (pipe(go) < 0)
        die("making a pipe", &err);
    pid_t self = getpid();
    fflush(NULL);
    ret->pid = fork();
    if (ret->pid < 0)
        die("forking", &err);
    if (ret->pid == 0) {
        close(go[1]);
        run_body(self, go[0], body, context);
    }
    close(go[0]);
    ret->go_fd = go[1];
    ret->pidfd = (int)syscall(SYS_pidfd_open, ret->pid, 0);
    if (ret->pidfd < 0 || cgroup_attach(&ret->cgroup, ret->pid, &err) < 0)
        die("filling a cell", &err);
}

void cell_go(struct cell *cell)
{
    if (write(cell->go_fd, "g", 1) != 1)
        perror("letting a cell go");
}

void cell_end(struct yard *yard, struct cell *cell)
{
    (void)yard;
    struct error err = {0};
    close_fd(&cell->go_fd);
    if (cgroup_kill_all(&cell->cgroup, clock_monotonic_ns() + END_DEADLINE_NS, &err) < 0)
        warn("emptying a cell", &err);
    waitid(P_PIDFD, (id_t)cell->pidfd, &(siginfo_t){0}, WEXITED); /* ECHILD: the observer did */
    close_fd(&cell->pidfd);
    if (cgroup_remove(&cell->cgroup, &err) < 0)
        warn("removing a cell", &err);
    cgroup_done(&cell->cgroup);
}

void touch(uint64_t bytes)
{
    char *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        _exit(121);
    for (uint64_t i = 0; i < bytes; i += 4096)
        block[i] = 1;
}

int body_hog(int go_fd, void *context)
{
    (void)go_fd;
    (void)context;
    for (;;)
        touch(MIB);
}

int body_sleep(int go_fd, void *context)
{
    (void)go_fd;
    (void)context;
    for (;;)
        pause();
}

int body_exit(int go_fd, void *context)
{
    (void)go_fd;
    return *(int *)context;
}
