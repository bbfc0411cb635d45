/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include "base/cleanup.h"
#include "stores.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

void workload_worker_init(struct worker *worker)
{
    *worker = (struct worker){.fd = -1};
    pthread_mutex_init(&worker->lock, NULL);
}

/* The worker's whole life: retain what it is told to, until the main process is gone. */
static _Noreturn void serve(int fd, pid_t parent)
{
    prctl(PR_SET_NAME, "workload-child");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    if (fd > 3)
        close_range(3, (unsigned)fd - 1, 0);
    close_range((unsigned)fd + 1, ~0U, 0); /* the listening socket above all */

    struct stores stores; /* its own: the inherited one may be locked */
    stores_init(&stores);
    uint64_t bytes;
    while (recv(fd, &bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes)) {
        int answer = stores_keep(&stores, bytes);
        if (send(fd, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
            break;
    }
    _exit(0);
}

int workload_worker_start(struct worker *worker, struct error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_errno(err, errno, "connecting a worker");
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        serve(pair[1], parent);
    int errnum = errno;
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return error_errno(err, errnum, "forking a worker");
    }
    pthread_mutex_lock(&worker->lock);
    close_fd(&worker->fd);
    worker->fd = pair[0];
    atomic_store(&worker->pid, pid);
    atomic_store(&worker->bytes, 0);
    pthread_mutex_unlock(&worker->lock);
    return 0;
}

int workload_worker_retain(struct worker *worker, uint64_t bytes)
{
    int answer = 0;
    pthread_mutex_lock(&worker->lock);
    bool lives = worker->fd >= 0 &&
                 send(worker->fd, &bytes, sizeof(bytes), MSG_NOSIGNAL) == (ssize_t)sizeof(bytes) &&
                 recv(worker->fd, &answer, sizeof(answer), 0) == (ssize_t)sizeof(answer);
    if (lives && answer == 0)
        atomic_fetch_add(&worker->bytes, bytes);
    pthread_mutex_unlock(&worker->lock);
    return lives ? answer : -ECHILD;
}

uint64_t workload_worker_retained_bytes(const struct worker *worker)
{
    return atomic_load(&worker->bytes);
}

void workload_worker_done(struct worker *worker)
{
    pid_t pid = atomic_load(&worker->pid);
    close_fd(&worker->fd); /* it ends when the connection does */
    if (pid > 0)
        waitpid(pid, NULL, 0);
    pthread_mutex_destroy(&worker->lock);
}
