/* SPDX-License-Identifier: Apache-2.0 */
/* How long the evidence of a kill takes, from the kernel's kill to the record in memory and to the
 * durable row, over real kills: kill_latency [KILLS [LIMIT_MIB]]. Once idle, once with every core
 * busy.
 *
 * The kernel's kill is the tracepoint oom:mark_victim, stamped with the monotonic clock; it fires
 * right after the counter rose and SIGKILL was sent, so that a record can be "early" by some
 * microseconds. Without tracefs it is the stamp of the kill's line in the kernel log. */
#include "../kernel/observe/cell.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/file.h"
#include "platform/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>

#define KILLS_DEFAULT 100
#define LIMIT_DEFAULT 32
#define CORES_MAX     64
#define DEADLINE_MS   30000
#define BAR_MEDIAN_NS (1 * NS_PER_MS)
#define BAR_P99_NS    (10 * NS_PER_MS)
#define BAR_ROW_NS    (100 * NS_PER_MS) /* p99 to the durable row */

#define EVENT "events/oom/mark_victim/enable"

/* A trace buffer of our own. */
struct trace {
    char mount_point[64];
    char instance[128];
    int dir_fd;
    int pipe_fd; /* -1: no tracing here */
};

static int trace_instance(struct trace *trace)
{
    if (mount("none", trace->mount_point, "tracefs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return -errno;
    snprintf(trace->instance, sizeof(trace->instance), "%s/instances/oomlab-%d", trace->mount_point,
             (int)getpid());
    if (mkdir(trace->instance, 0700) < 0)
        return -errno;
    trace->dir_fd = open(trace->instance, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (trace->dir_fd < 0)
        return -errno;
    int r = file_write_text(trace->dir_fd, "trace_clock", "mono");
    if (r == 0)
        r = file_write_text(trace->dir_fd, EVENT, "1");
    if (r < 0)
        return r;
    trace->pipe_fd = openat(trace->dir_fd, "trace_pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return trace->pipe_fd < 0 ? -errno : 0;
}

static void trace_close(struct trace *trace)
{
    close_fd(&trace->pipe_fd);
    if (trace->dir_fd >= 0)
        file_write_text(trace->dir_fd, EVENT, "0");
    close_fd(&trace->dir_fd);
    rmdir(trace->instance);
    umount(trace->mount_point);
    rmdir(trace->mount_point);
}

static void trace_open(struct trace *trace)
{
    *trace = (struct trace){.mount_point = "/tmp/oomlab-trace-XXXXXX", .dir_fd = -1, .pipe_fd = -1};
    int r = mkdtemp(trace->mount_point) ? trace_instance(trace) : -errno;
    if (r < 0) {
        printf("no tracing here (%s): the kernel log's own stamps are the reference\n",
               strerror(-r));
        trace_close(trace);
    }
}

/* "  hog-12 [001] d..1.  1674.123456: mark_victim: pid=12 ...": the stamp of that pid, or 0. */
static int64_t find_stamp(const char *text, pid_t pid)
{
    char key[64];
    snprintf(key, sizeof(key), ": mark_victim: pid=%d", (int)pid);
    for (const char *found = text; (found = strstr(found, key)); found++) {
        const char *digits = found + strlen(key);
        if (*digits >= '0' && *digits <= '9')
            continue;
        const char *start = found;
        while (start > text && start[-1] != ' ')
            start--;
        return (int64_t)(strtod(start, NULL) * 1e6 + 0.5) * 1000;
    }
    return 0;
}

static int64_t trace_kill_ns(const struct trace *trace, pid_t pid)
{
    char text[65536];
    size_t used = 0;
    for (ssize_t n = 1; n > 0 && used + 1 < sizeof(text); used += n > 0 ? (size_t)n : 0)
        n = read(trace->pipe_fd, text + used, sizeof(text) - 1 - used);
    text[used] = '\0';
    return find_stamp(text, pid);
}

struct result {
    int64_t *noticed, *recorded, *durable, *ended; /* after the kernel's kill */
    unsigned count, unknown;
};

/* Observer, writer and control loop as in a run, with an evidence file on disk. */
struct pipeline {
    char directory[64];
    struct store *store;
    struct observer *observer;
    uv_loop_t loop;
    struct recorder *recorder;
    /* What was delivered about the current container. */
    pid_t pid;
    struct observation kill, end;
    int64_t kill_committed_ns, log_ns;
};

static void must(int r, const struct error *err)
{
    if (r >= 0)
        return;
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

static void deliver(void *context, const struct observation *observation, int64_t committed_ns)
{
    struct pipeline *pipeline = context;
    if (observation->kind == OBSERVATION_KILL && pipeline->kill.kind != OBSERVATION_KILL) {
        pipeline->kill = *observation;
        pipeline->kill_committed_ns = committed_ns;
    } else if (observation->kind == OBSERVATION_END) {
        pipeline->end = *observation;
    } else if (observation->kind == OBSERVATION_KMSG &&
               observation->kmsg.oom.kind == KMSG_OOM_KILLED &&
               observation->kmsg.oom.pid == pipeline->pid) {
        pipeline->log_ns = observation->kmsg.kernel_ns;
    }
}

static void insert_arm(struct store *store)
{
    struct error err = {0};
    const struct store_value values[] = {
        STORE_INT("id", 1),
        STORE_STR("scenario", "bench"),
        STORE_STR("name", "trigger"),
        STORE_STR("differs_in", "[]"),
        STORE_STR("purpose", "latency"),
        STORE_STR("app", "bench"),
        STORE_STR("revision", "bench--trigger"),
        STORE_STR("command", "[]"),
        STORE_STR("env", "{}"),
        STORE_INT("memory_limit_bytes", 0),
        STORE_INT("requests_planned", 0),
        STORE_STR("sequence_sha256", ""),
        STORE_INT("started_ns", clock_monotonic_ns()),
        STORE_END,
    };
    must(store_insert(store, "arm", values, NULL, &err), &err);
}

static void insert_lifetime(struct store *store, uint32_t id, pid_t pid)
{
    struct error err = {0};
    const struct store_value values[] = {
        STORE_INT("id", id),
        STORE_INT("arm_id", 1),
        STORE_STR("replica", "bench"),
        STORE_INT("idx", id),
        STORE_INT("pid", pid),
        STORE_STR("cgroup", ""),
        STORE_INT("started_ns", clock_monotonic_ns()),
        STORE_INT("backoff_ns", 0),
        STORE_END,
    };
    must(store_insert(store, "lifetime", values, NULL, &err), &err);
}

static void ignore_notice(void *context, uint32_t lifetime_id, int64_t at_ns)
{
    (void)context, (void)lifetime_id, (void)at_ns;
}

static void pipeline_open(struct pipeline *pipeline)
{
    struct error err = {0};
    *pipeline = (struct pipeline){.directory = "/var/tmp/oomlab-latency-XXXXXX"};
    if (!mkdtemp(pipeline->directory) || uv_loop_init(&pipeline->loop) < 0)
        exit(1);
    must(store_create(pipeline->directory, &pipeline->store, &err), &err);
    must(store_writer_start(pipeline->store, &err), &err);
    must(observer_start(&(struct observer_options){0}, &pipeline->observer, &err), &err);
    must(recorder_new(pipeline->store, pipeline->observer, &pipeline->loop, deliver, ignore_notice,
                      pipeline, &pipeline->recorder, &err),
         &err);
    insert_arm(pipeline->store);
}

static void pipeline_close(struct pipeline *pipeline)
{
    static const char *const names[] = {"evidence.db", "evidence.db-wal", "evidence.db-shm"};
    struct error err = {0};
    recorder_free(pipeline->recorder);
    observer_stop(pipeline->observer);
    uv_run(&pipeline->loop, UV_RUN_DEFAULT);
    uv_loop_close(&pipeline->loop);
    must(store_writer_stop(pipeline->store, &err), &err);
    store_close(pipeline->store);
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", pipeline->directory, names[i]);
        unlink(path);
    }
    rmdir(pipeline->directory);
}

static void on_deadline(uv_timer_t *timer)
{
    (void)timer;
    fprintf(stderr, "no end was recorded\n");
    exit(1);
}

static void wait_for_end(struct pipeline *pipeline)
{
    uv_timer_t deadline;
    uv_timer_init(&pipeline->loop, &deadline);
    uv_timer_start(&deadline, on_deadline, DEADLINE_MS, 0);
    while (pipeline->end.kind != OBSERVATION_END)
        uv_run(&pipeline->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&deadline, NULL);
    uv_run(&pipeline->loop, UV_RUN_NOWAIT);
}

/* One container, from start to end. */
static void kill_once(struct yard *yard, struct pipeline *pipeline, const struct trace *trace,
                      uint64_t limit_bytes, uint32_t id, struct result *result)
{
    const struct cgroup_limits limits = {.memory_bytes = limit_bytes, .forbid_swap = true};
    struct error err = {0};
    struct cell cell;
    cell_start(yard, NULL, &limits, body_hog, NULL, &cell);
    must(observer_add(pipeline->observer, id, &cell.cgroup, cell.pidfd, &err), &err);
    insert_lifetime(pipeline->store, id, cell.pid);
    pipeline->pid = cell.pid;
    pipeline->kill = (struct observation){0};
    pipeline->end = (struct observation){0};
    pipeline->log_ns = 0;
    cell_go(&cell);
    wait_for_end(pipeline);
    int64_t kernel_ns = trace->pipe_fd >= 0 ? trace_kill_ns(trace, cell.pid) : pipeline->log_ns;
    cell_end(yard, &cell);
    if (kernel_ns == 0 || pipeline->kill.kind != OBSERVATION_KILL) {
        result->unknown++;
        return;
    }
    result->noticed[result->count] = pipeline->kill.at_ns - kernel_ns;
    result->recorded[result->count] = pipeline->kill.recorded_ns - kernel_ns;
    result->durable[result->count] = pipeline->kill_committed_ns - kernel_ns;
    result->ended[result->count++] = pipeline->end.recorded_ns - kernel_ns;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t quantile(const int64_t *sorted, unsigned count, double q)
{
    return sorted[(unsigned)(q * (double)(count - 1) + 0.5)];
}

static void print_distribution(const char *load, const char *name, int64_t *values, unsigned count)
{
    static const struct {
        const char *name;
        double q;
    } points[] = {{"min", 0}, {"median", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"max", 1}};
    qsort(values, count, sizeof(*values), compare);
    printf("%-5s kill -> %-9s n=%u", load, name, count);
    for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++)
        printf("  %s %.3f ms", points[i].name, (double)quantile(values, count, points[i].q) / 1e6);
    printf("\n");
}

/* `reference_ns`: how exact the kernel's own stamps are. */
static bool check_bar(const char *load, const int64_t *sorted, unsigned count, int64_t reference_ns)
{
    if (reference_ns < 0 || reference_ns > BAR_MEDIAN_NS / 10) {
        printf("bar: %s: cannot be judged here, the kernel log's stamps are too coarse\n", load);
        return true;
    }
    int64_t median_ns = quantile(sorted, count, 0.5), p99_ns = quantile(sorted, count, 0.99);
    bool holds = median_ns < BAR_MEDIAN_NS && p99_ns < BAR_P99_NS;
    printf("bar: %s, kill to stamped evidence: median < 1 ms and p99 < 10 ms %s\n", load,
           holds ? "holds" : "MISSED");
    return holds;
}

static void print_cost(const char *load, const struct observer *observer,
                       const struct observer_stats *stats, unsigned unknown)
{
    printf("%-5s %u kills without the kernel's stamp; %s, %s; %" PRIu64
           " looks, %.1f ms of processor for all kills; log clock ",
           load, unknown, stats->realtime ? "real-time" : "not real-time",
           observer_locked(observer) ? "locked" : "not locked", stats->polls,
           (double)stats->cpu_ns / 1e6);
    if (stats->log_clock_error_ns < 0)
        printf("not calibrated\n");
    else
        printf("known to %.1f us\n", (double)stats->log_clock_error_ns / 1e3);
}

static bool check_row_bar(const char *load, const int64_t *sorted, unsigned count)
{
    bool holds = quantile(sorted, count, 0.99) < BAR_ROW_NS;
    printf("bar: %s, kill to durable row: p99 < 100 ms %s\n", load, holds ? "holds" : "MISSED");
    return holds;
}

static bool measure(struct yard *yard, const struct trace *trace, const char *load, unsigned kills,
                    uint64_t limit_bytes)
{
    struct pipeline pipeline;
    pipeline_open(&pipeline);
    int64_t *space = calloc((size_t)kills * 4, sizeof(*space));
    if (!space)
        exit(1);
    struct result result = {
        .noticed = space,
        .recorded = space + kills,
        .durable = space + 2 * (size_t)kills,
        .ended = space + 3 * (size_t)kills,
    };
    for (unsigned i = 0; i < kills; i++)
        kill_once(yard, &pipeline, trace, limit_bytes, i + 1, &result);
    struct observer_stats stats;
    observer_stats(pipeline.observer, &stats);
    bool holds = false;
    if (result.count > 0) {
        print_distribution(load, "noticed", result.noticed, result.count);
        print_distribution(load, "recorded", result.recorded, result.count);
        print_distribution(load, "durable", result.durable, result.count);
        print_distribution(load, "end", result.ended, result.count);
        int64_t reference_ns = trace->pipe_fd >= 0 ? NS_PER_MS / 1000 : stats.log_clock_error_ns;
        holds = check_bar(load, result.recorded, result.count, reference_ns);
        holds = check_row_bar(load, result.durable, result.count) && holds;
    }
    print_cost(load, pipeline.observer, &stats, result.unknown);
    free(space);
    pipeline_close(&pipeline);
    return holds;
}

static unsigned start_spinning(pid_t *spinners)
{
    unsigned count = (unsigned)get_nprocs() < CORES_MAX ? (unsigned)get_nprocs() : CORES_MAX;
    for (unsigned i = 0; i < count; i++) {
        spinners[i] = fork();
        if (spinners[i] == 0)
            for (volatile unsigned n = 0;; n++)
                if (n % 65536 == 0 && getppid() == 1)
                    _exit(0);
    }
    return count;
}

static void stop_spinning(const pid_t *spinners, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        kill(spinners[i], SIGKILL);
        waitpid(spinners[i], NULL, 0);
    }
}

int main(int argc, char **argv)
{
    unsigned kills = argc > 1 ? (unsigned)atoi(argv[1]) : KILLS_DEFAULT;
    uint64_t limit_bytes = (argc > 2 ? (uint64_t)atoi(argv[2]) : LIMIT_DEFAULT) * MIB;
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct yard yard;
    struct error err = {0};
    if (kills == 0 || yard_open(&yard, &err) < 0) {
        fprintf(stderr, "no kills can be had here: %s\n", err.text);
        return 77;
    }
    struct trace trace;
    trace_open(&trace);
    bool idle = measure(&yard, &trace, "idle", kills, limit_bytes);
    pid_t spinners[CORES_MAX];
    unsigned count = start_spinning(spinners);
    bool busy = measure(&yard, &trace, "busy", kills, limit_bytes);
    stop_spinning(spinners, count);
    trace_close(&trace);
    yard_close(&yard);
    return idle && busy ? 0 : 1;
}
