/* SPDX-License-Identifier: Apache-2.0 */
/* The evidence of very many samples, for test_report_day.py: replay-day DIRECTORY TICKS REPLICAS.
 * Into the first arm of a synthetic run it replays so many samples of each replica, at 20 Hz by
 * their own clock, through the store's writer: a ring, batches, one transaction each, as a run
 * does. Prints "HIGHEST SAMPLES MICROSECONDS": the highest working set, the samples of the arm, and
 * what a sample took. */
#include "make_run.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define FIRST_ID  1000
#define PERIOD_NS 50000000
#define ROOM      65536 /* of the ring, in turns */
#define TURN      4096

struct tick {
    int64_t lifetime_id, at_ns, bytes;
};

struct replay {
    struct store *store;
    struct ring ring;
    int urgent_fd;
    sem_t turns; /* that the ring has room for */
    size_t applied, pushed;
    int64_t began_ns, highest;
};

static int apply(struct store_batch *batch, const void *record, void *context, bool *durable,
                 struct error *err)
{
    struct replay *replay = context;
    const struct tick *tick = record;
    *durable = false;
    if (++replay->applied % TURN == 0)
        sem_post(&replay->turns);
    const struct store_value values[] = {
        STORE_INT("lifetime_id", tick->lifetime_id),
        STORE_INT("at_ns", tick->at_ns),
        STORE_INT("usage_bytes", tick->bytes + (2 << 20)),
        STORE_INT("working_set_bytes", tick->bytes),
        STORE_INT("anon_bytes", tick->bytes * 9 / 10),
        STORE_INT("file_bytes", 3 << 20),
        STORE_INT("active_file_bytes", 1 << 20),
        STORE_INT("shmem_bytes", 4096),
        STORE_INT("kernel_bytes", 1 << 19),
        STORE_INT("oom_kill", 0),
        STORE_END,
    };
    return store_batch_insert(batch, "sample", values, NULL, err);
}

/* A slow rise to a plateau, noise, and one spike that no chart may lose. */
static int64_t bytes_at(int64_t tick, int64_t ticks)
{
    int64_t rise = tick < 500000 ? tick : 500000;
    return (16 << 20) + rise * 64 + tick * 7919 % (1 << 20) + (tick == ticks / 2 ? 300000000 : 0);
}

static void push(struct replay *replay, const struct tick *tick)
{
    if (replay->pushed++ % TURN == 0) {
        const uint64_t one = 1;
        while (sem_wait(&replay->turns) < 0)
            ;
        if (write(replay->urgent_fd, &one, sizeof(one)) < 0)
            perror("replay-day: waking the writer");
    }
    replay->highest = tick->bytes > replay->highest ? tick->bytes : replay->highest;
    ring_push(&replay->ring, tick);
}

static void push_all(struct replay *replay, int64_t ticks, int64_t replicas)
{
    for (int64_t i = 0; i < ticks; i++) {
        for (int64_t k = 0; k < replicas; k++) {
            const struct tick tick = {
                .lifetime_id = FIRST_ID + k,
                .at_ns = replay->began_ns + i * PERIOD_NS + (k + 1) * 1000000,
                .bytes = bytes_at(i, ticks),
            };
            push(replay, &tick);
        }
    }
}

static int64_t number(struct store *store, const char *sql)
{
    struct error ignored;
    sqlite3_stmt *row = NULL;
    if (store_prepare(store, sql, &row, &ignored) < 0)
        return 0;
    int64_t value = sqlite3_step(row) == SQLITE_ROW ? sqlite3_column_int64(row, 0) : 0;
    sqlite3_finalize(row);
    return value;
}

static int add_replicas(struct replay *replay, int64_t ticks, int64_t replicas, struct error *err)
{
    replay->began_ns = number(replay->store, "SELECT started_ns FROM arm WHERE id = 1");
    const struct store_value key = STORE_INT("id", 1);
    const struct store_value ended[] = {STORE_INT("ended_ns", replay->began_ns + ticks * PERIOD_NS),
                                        STORE_END};
    int r = store_update(replay->store, "arm", &key, ended, err);
    for (int64_t k = 0; r == 0 && k < replicas; k++) {
        char name[64];
        snprintf(name, sizeof(name), "ca-oom--r1-6d8f-x%" PRId64, k);
        const struct store_value lifetime[] = {
            STORE_INT("id", FIRST_ID + k),
            STORE_INT("arm_id", 1),
            STORE_STR("replica", name),
            STORE_INT("idx", 1),
            STORE_INT("pid", 5000 + k),
            STORE_STR("cgroup", "/oomlab-4f2a/arm1"),
            STORE_INT("started_ns", replay->began_ns),
            STORE_INT("backoff_ns", 0),
            STORE_INT("ready_ns", replay->began_ns + 1000000),
            STORE_END,
        };
        r = store_insert(replay->store, "lifetime", lifetime, NULL, err);
    }
    return r;
}

static int replay_all(struct replay *replay, int64_t ticks, int64_t replicas, struct error *err)
{
    const struct store_source source = {
        .ring = &replay->ring, .urgent_fd = replay->urgent_fd, .apply = apply, .context = replay};
    int r = store_writer_start(replay->store, err);
    if (r == 0)
        r = store_writer_add(replay->store, &source, err);
    if (r < 0)
        return r;
    push_all(replay, ticks, replicas);
    return store_writer_stop(replay->store, err);
}

static int run(struct replay *replay, const char *directory, int64_t ticks, int64_t replicas,
               struct error *err)
{
    if (ring_init(&replay->ring, sizeof(struct tick), ROOM) < 0 ||
        sem_init(&replay->turns, 0, ROOM / TURN) < 0 ||
        (replay->urgent_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        return error_errno(err, ENOMEM, "preparing the replay");
    int r = make_run(directory, RUN_SERVICE, &replay->store, err);
    if (r == 0)
        r = add_replicas(replay, ticks, replicas, err);
    return r < 0 ? r : replay_all(replay, ticks, replicas, err);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    struct error err = {0};
    struct replay replay = {.urgent_fd = -1};
    int64_t ticks = atoll(argv[2]), replicas = atoll(argv[3]), begun_ns = clock_monotonic_ns();
    int r = run(&replay, argv[1], ticks, replicas, &err);
    double took_us = (double)(clock_monotonic_ns() - begun_ns) / 1e3;
    if (r < 0)
        fprintf(stderr, "replay-day: %s\n", err.text);
    else
        printf("%" PRId64 " %" PRId64 " %.2f\n", replay.highest,
               number(replay.store, "SELECT count(*) FROM sample s JOIN lifetime l"
                                    " ON l.id = s.lifetime_id WHERE l.arm_id = 1"),
               took_us / (double)(ticks * replicas));
    store_close(replay.store);
    ring_done(&replay.ring);
    close_fd(&replay.urgent_fd);
    return r < 0;
}
