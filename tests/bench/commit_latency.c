/* SPDX-License-Identifier: Apache-2.0 */
/* How long a kill record takes from the ring to the durable row, while samples and requests stream
 * in at the highest rates: commit_latency [DIRECTORY [KILLS]]. Once idle, once with every core
 * busy. */
#include "base/clock.h"
#include "base/duration.h"
#include "base/metrics.h"
#include "store/store.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_PER_S  1000
#define REQUESTS_PER_S 2000
#define KILL_EVERY     100
#define BAR_NS         (100 * NS_PER_MS)
#define CORES_MAX      64

enum kind { KIND_SAMPLE, KIND_REQUEST, KIND_KILL };

struct record {
    enum kind kind;
    int64_t number;
    int64_t pushed_ns;
};

struct bench {
    struct store *store;
    struct ring evidence, requests; /* as in a run: the observer's and the traffic's */
    int urgent_fd;
    _Atomic bool stop;
    _Atomic int64_t announced;
    int64_t *latencies;
    int64_t kills;
};

static int apply_sample(struct store_batch *batch, const struct record *record, struct error *err)
{
    struct store_value row[METRIC_COUNT + 3] = {STORE_INT("lifetime_id", 1),
                                                STORE_INT("at_ns", record->pushed_ns)};
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++)
        row[metric + 2] = (struct store_value)STORE_INT(metric_name(metric), record->number << 12);
    return store_batch_insert(batch, "sample", row, NULL, err);
}

static int apply(struct store_batch *batch, const void *data, void *context, bool *durable,
                 struct error *err)
{
    (void)context;
    const struct record *record = data;
    int64_t now = record->pushed_ns;
    if (record->kind == KIND_SAMPLE)
        return apply_sample(batch, record, err);
    if (record->kind == KIND_REQUEST)
        return store_batch_insert(
            batch, "request",
            (struct store_value[]){
                STORE_INT("arm_id", 1), STORE_INT("seq", record->number), STORE_INT("cycle", 1),
                STORE_INT("due_ns", now), STORE_INT("sent_ns", now), STORE_INT("done_ns", now),
                STORE_INT("status", 200), STORE_INT("lifetime_id", 1), STORE_END},
            NULL, err);
    *durable = true;
    return store_batch_insert(batch, "kill",
                              (struct store_value[]){STORE_INT("lifetime_id", 1),
                                                     STORE_INT("kills", 1),
                                                     STORE_INT("noticed_ns", now),
                                                     STORE_INT("recorded_ns", now), STORE_END},
                              NULL, err);
}

static void on_durable(const void *data, int64_t committed_ns, void *context)
{
    struct bench *bench = context;
    const struct record *record = data;
    bench->latencies[record->number] = committed_ns - record->pushed_ns;
    atomic_fetch_add(&bench->announced, 1);
}

static void pause_until(int64_t at_ns)
{
    struct timespec at = {.tv_sec = at_ns / NS_PER_S, .tv_nsec = at_ns % NS_PER_S};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static void push(struct ring *ring, enum kind kind, int64_t number)
{
    struct record record = {.kind = kind, .number = number, .pushed_ns = clock_monotonic_ns()};
    ring_push(ring, &record);
}

static void *send_requests(void *context)
{
    struct bench *bench = context;
    int64_t start = clock_monotonic_ns();
    for (int64_t i = 0; !atomic_load(&bench->stop); i++) {
        push(&bench->requests, KIND_REQUEST, i);
        pause_until(start + (i + 1) * NS_PER_S / REQUESTS_PER_S);
    }
    return NULL;
}

/* Samples at their rate, and one kill for every KILL_EVERY of them: a stall of the disk then counts
 * once. */
static void observe(struct bench *bench)
{
    int64_t start = clock_monotonic_ns();
    int64_t kill = 0;
    for (int64_t i = 0; kill < bench->kills; i++) {
        push(&bench->evidence, KIND_SAMPLE, i);
        if (i % KILL_EVERY == KILL_EVERY - 1) {
            push(&bench->evidence, KIND_KILL, kill++);
            uint64_t one = 1;
            if (write(bench->urgent_fd, &one, sizeof(one)) < 0)
                perror("eventfd");
        }
        pause_until(start + (i + 1) * NS_PER_S / SAMPLES_PER_S);
    }
}

static void *spin(void *context)
{
    const struct bench *bench = context;
    while (!atomic_load_explicit(&bench->stop, memory_order_relaxed))
        ;
    return NULL;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool print_distribution(const char *name, int64_t *values, int64_t count)
{
    qsort(values, (size_t)count, sizeof(*values), compare);
    const double quantiles[] = {0, 0.5, 0.9, 0.99, 1};
    printf("%-16s n=%" PRId64, name, count);
    int64_t p99 = 0;
    for (size_t i = 0; i < 5; i++) {
        int64_t value = values[(int64_t)(quantiles[i] * (double)(count - 1))];
        const char *const labels[] = {"min", "median", "p90", "p99", "max"};
        printf("  %s %.2f ms", labels[i], (double)value / 1e6);
        if (i == 3)
            p99 = value;
    }
    printf("\nbar %s: durable commit p99 %.2f ms < 100 ms: %s\n", name, (double)p99 / 1e6,
           p99 < BAR_NS ? "holds" : "FAILS");
    return p99 < BAR_NS;
}

static int add_sources(struct bench *bench, struct error *err)
{
    struct store_source evidence = {.ring = &bench->evidence,
                                    .urgent_fd = bench->urgent_fd,
                                    .apply = apply,
                                    .on_durable = on_durable,
                                    .context = bench};
    struct store_source requests = {.ring = &bench->requests, .urgent_fd = -1, .apply = apply};
    int r = store_writer_add(bench->store, &evidence, err);
    return r < 0 ? r : store_writer_add(bench->store, &requests, err);
}

static bool run(const char *name, const char *directory, int64_t kills, int spinners)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/oomlab-bench-XXXXXX", directory);
    if (!mkdtemp(path)) {
        perror(path);
        return false;
    }
    struct error err = {0};
    struct bench bench = {.urgent_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .kills = kills};
    bench.latencies = calloc((size_t)kills, sizeof(*bench.latencies));
    bool ok = bench.latencies && ring_init(&bench.evidence, sizeof(struct record), 65536) == 0 &&
              ring_init(&bench.requests, sizeof(struct record), 65536) == 0 &&
              store_create(path, &bench.store, &err) == 0 &&
              store_writer_start(bench.store, &err) == 0 && add_sources(&bench, &err) == 0;
    pthread_t threads[CORES_MAX + 1];
    int started = 0;
    for (int i = 0; ok && i < spinners && i < CORES_MAX; i++)
        started += pthread_create(&threads[started], NULL, spin, &bench) == 0;
    if (ok)
        started += pthread_create(&threads[started], NULL, send_requests, &bench) == 0;
    if (ok)
        observe(&bench);
    atomic_store(&bench.stop, true);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (bench.store && store_writer_stop(bench.store, &err) < 0)
        ok = false;
    if (!ok)
        fprintf(stderr, "commit_latency: %s\n", err.text);
    else
        ok = print_distribution(name, bench.latencies, atomic_load(&bench.announced)) &&
             atomic_load(&bench.announced) == kills && ring_dropped(&bench.evidence) == 0 &&
             ring_dropped(&bench.requests) == 0;
    store_close(bench.store);
    ring_done(&bench.evidence);
    ring_done(&bench.requests);
    free(bench.latencies);
    close(bench.urgent_fd);
    char file[600];
    snprintf(file, sizeof(file), "%s/evidence.db", path);
    unlink(file);
    rmdir(path);
    return ok;
}

int main(int argc, char **argv)
{
    const char *temporary = getenv("TMPDIR");
    const char *directory = argc > 1 ? argv[1] : temporary ? temporary : "/tmp";
    int64_t kills = argc > 2 ? atoll(argv[2]) : 100;
    if (kills < 1)
        return 2;
    printf("ring to durable row in %s, beside %d samples/s and %d requests/s\n", directory,
           SAMPLES_PER_S, REQUESTS_PER_S);
    bool ok = run("idle", directory, kills, 0);
    return run("cores busy", directory, kills, get_nprocs()) && ok ? 0 : 1;
}
