/* SPDX-License-Identifier: Apache-2.0 */
/* MODE=child: a forked process that does the leaking. It is killed; the main process lives on, says
 * so and starts the next, as a pre-forking server does. */
#pragma once

#include "base/error.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

struct worker {
    pthread_mutex_t lock; /* one request at a time; guards fd */
    int fd;               /* to the worker; -1 while there is none */
    _Atomic pid_t pid;
    _Atomic uint64_t bytes; /* what the living worker retains */
};

void workload_worker_init(struct worker *worker);
/* End the worker and wait for it. */
void workload_worker_done(struct worker *worker);

/* Fork a worker (instead of a dead one). Its signals are as they are here. */
int workload_worker_start(struct worker *worker, struct error *err);

/* Have the worker retain `bytes`. Returns 0, -ENOMEM, or -ECHILD when it died over it. */
int workload_worker_retain(struct worker *worker, uint64_t bytes);

uint64_t workload_worker_retained_bytes(const struct worker *worker);
