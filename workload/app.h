/* SPDX-License-Identifier: Apache-2.0 */
/* The running workload: everything it owns, passed to every part of it. */
#pragma once

#include "config.h"
#include "stores.h"
#include "worker.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>

/* MODE=cache: a bounded cache of equal entries. */
struct cache {
    pthread_mutex_t lock;
    unsigned char **entries;
    size_t capacity;
    size_t entry_bytes;
    _Atomic uint64_t bytes;
};

/* MODE=page-cache and MODE=shmem: a file without a name. */
struct blob {
    int fd;                   /* -1: none */
    _Atomic uint64_t written; /* bytes in all, also those written over */
};

struct app {
    struct config config;
    int64_t started_ns;
    int stop_fd; /* an eventfd, readable once the workload ends: it wakes whoever waits */
    struct stores stores;
    struct startup_block *startup; /* MODE=hard-oom */
    _Atomic uint64_t startup_bytes;
    struct cache cache;
    struct blob page_cache, shmem;
    struct worker worker;
    sem_t pool; /* how many units of work may be under way at once */
    _Atomic uint64_t requests, works, ticks;
};

/* Allocate what the mode needs before it serves. */
int workload_app_init(struct app *app, const struct config *config, struct error *err);
void workload_app_done(struct app *app);

/* One unit of work as the mode has it, when the pool has room (a spike does not wait: many at once
 * are its point). Returns 0; -ENOMEM no memory; -ENOSPC the host has too little left; -ECHILD the
 * worker died; other -errno of the file. */
int workload_app_work(struct app *app);

/* Retain so many bytes through the stores' call paths. Returns as workload_app_work(). */
int workload_app_retain(struct app *app, uint64_t bytes);

/* Hold so many bytes for a time, then give them back to the kernel. Returns as workload_app_work().
 */
int workload_app_spike(struct app *app, uint64_t bytes, int64_t hold_ns);

/* Allocate one more block at start-up (MODE=hard-oom). Returns as workload_app_work(). */
int workload_app_fill_startup(struct app *app, uint64_t bytes);

/* All that is retained, in whatever way. */
uint64_t workload_app_retained_bytes(const struct app *app);
