/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling through descriptors kept open. One pread(2) a file: a second one, to see the end, would
 * make the kernel compute the file again, and the answer would not be of one moment. */
#include "kernel/cgroup-internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STAT_BYTES   16384
#define NUMBER_BYTES 64
#define EVENTS_BYTES 512

struct source {
    const char *name;
    enum cgroup_controller controller; /* v1: whose directory */
};

static const struct source v1_sources[CGROUP_FILES] = {
    [CGROUP_FILE_USAGE] = {"memory.usage_in_bytes", CGROUP_MEMORY},
    [CGROUP_FILE_STAT] = {"memory.stat", CGROUP_MEMORY},
    [CGROUP_FILE_EVENTS] = {"memory.oom_control", CGROUP_MEMORY},
    [CGROUP_FILE_FAILCNT] = {"memory.failcnt", CGROUP_MEMORY},
    [CGROUP_FILE_MEMSW_FAILCNT] = {"memory.memsw.failcnt", CGROUP_MEMORY},
    [CGROUP_FILE_PEAK] = {"memory.max_usage_in_bytes", CGROUP_MEMORY},
    [CGROUP_FILE_KERNEL] = {"memory.kmem.usage_in_bytes", CGROUP_MEMORY},
    [CGROUP_FILE_SOCK] = {"memory.kmem.tcp.usage_in_bytes", CGROUP_MEMORY},
    [CGROUP_FILE_CPU] = {"cpu.stat", CGROUP_CPU},
    [CGROUP_FILE_CPUACCT] = {"cpuacct.usage", CGROUP_CPUACCT},
    [CGROUP_FILE_PIDS] = {"pids.current", CGROUP_PIDS},
};

static const struct source v2_sources[CGROUP_FILES] = {
    [CGROUP_FILE_USAGE] = {"memory.current", CGROUP_MEMORY},
    [CGROUP_FILE_STAT] = {"memory.stat", CGROUP_MEMORY},
    [CGROUP_FILE_EVENTS] = {"memory.events", CGROUP_MEMORY},
    [CGROUP_FILE_EVENTS_LOCAL] = {"memory.events.local", CGROUP_MEMORY},
    [CGROUP_FILE_PEAK] = {"memory.peak", CGROUP_MEMORY},
    [CGROUP_FILE_SWAP] = {"memory.swap.current", CGROUP_MEMORY},
    [CGROUP_FILE_PRESSURE] = {"memory.pressure", CGROUP_MEMORY},
    [CGROUP_FILE_CPU] = {"cpu.stat", CGROUP_MEMORY},
    [CGROUP_FILE_PIDS] = {"pids.current", CGROUP_MEMORY},
};

int cgroup_reader_open(const struct cgroup *cgroup, struct cgroup_reader *ret, struct error *err)
{
    const struct source *sources = cgroup->version == CGROUP_V1 ? v1_sources : v2_sources;
    struct cgroup_reader reader = {.version = cgroup->version};
    for (int i = 0; i < CGROUP_FILES; i++) {
        reader.fd[i] = -1;
        int dir_fd = cgroup->dir_fd[sources[i].controller];
        if (sources[i].name && dir_fd >= 0)
            reader.fd[i] = openat(dir_fd, sources[i].name, O_RDONLY | O_CLOEXEC);
        if (reader.fd[i] < 0 && (i == CGROUP_FILE_USAGE || i == CGROUP_FILE_EVENTS)) {
            int errnum = errno;
            for (int j = 0; j < i; j++)
                close_fd(&reader.fd[j]);
            return error_errno(err, errnum, "opening '%s/%s'", cgroup->path[CGROUP_MEMORY],
                               sources[i].name);
        }
    }
    *ret = reader;
    return 0;
}

void cgroup_reader_close(struct cgroup_reader *reader)
{
    for (int i = 0; i < CGROUP_FILES; i++)
        close_fd(&reader->fd[i]);
}

/* False when the file is absent or cannot be read. A last line that did not fit is dropped. */
static bool read_once(const struct cgroup_reader *reader, enum cgroup_file file, char *text,
                      size_t size)
{
    if (reader->fd[file] < 0)
        return false;
    ssize_t n;
    do
        n = pread(reader->fd[file], text, size - 1, 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    text[n] = '\0';
    if ((size_t)n == size - 1) {
        char *newline = strrchr(text, '\n');
        *(newline ? newline + 1 : text) = '\0';
    }
    return true;
}

static void read_number(const struct cgroup_reader *reader, enum cgroup_file file,
                        enum metric metric, struct metrics *metrics)
{
    char text[NUMBER_BYTES];
    uint64_t value;
    if (read_once(reader, file, text, sizeof(text)) && cgroup_parse_number(text, &value))
        metrics_put(metrics, metric, value);
}

/* A charge goes to memory+swap first: where that has the same limit, it is the counter that hits it
 * (mm/memcontrol.c, try_charge_memcg), and memory.failcnt stays at 0. */
static void read_limit_hits_v1(const struct cgroup_reader *reader, struct metrics *metrics)
{
    static const enum cgroup_file files[] = {CGROUP_FILE_FAILCNT, CGROUP_FILE_MEMSW_FAILCNT};
    uint64_t hits = 0;
    bool known = false;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char text[NUMBER_BYTES];
        uint64_t value;
        if (!read_once(reader, files[i], text, sizeof(text)) || !cgroup_parse_number(text, &value))
            continue;
        hits += value;
        known = true;
    }
    if (known)
        metrics_put(metrics, METRIC_LIMIT_HITS, hits);
}

static void read_events(const struct cgroup_reader *reader, struct metrics *metrics)
{
    char text[EVENTS_BYTES];
    if (read_once(reader, CGROUP_FILE_EVENTS, text, sizeof(text))) {
        if (reader->version == CGROUP_V1)
            cgroup_parse_oom_control_v1(text, metrics);
        else
            cgroup_parse_events_v2(text, metrics);
    }
    read_limit_hits_v1(reader, metrics);
}

static void put_working_set(struct metrics *metrics)
{
    if (!metrics_has(metrics, METRIC_USAGE) || !metrics_has(metrics, METRIC_INACTIVE_FILE))
        return;
    uint64_t usage = metrics->value[METRIC_USAGE];
    uint64_t inactive = metrics->value[METRIC_INACTIVE_FILE];
    metrics_put(metrics, METRIC_WORKING_SET, usage > inactive ? usage - inactive : 0);
}

void cgroup_reader_sample(const struct cgroup_reader *reader, struct metrics *ret)
{
    memset(ret, 0, sizeof(*ret));
    char text[STAT_BYTES];
    read_number(reader, CGROUP_FILE_USAGE, METRIC_USAGE, ret);
    if (read_once(reader, CGROUP_FILE_STAT, text, sizeof(text)))
        cgroup_parse_stat(reader->version, text, ret);
    put_working_set(ret);
    read_events(reader, ret);
    read_number(reader, CGROUP_FILE_PEAK, METRIC_PEAK, ret);
    read_number(reader, CGROUP_FILE_KERNEL, METRIC_KERNEL, ret);
    read_number(reader, CGROUP_FILE_SOCK, METRIC_SOCK, ret);
    read_number(reader, CGROUP_FILE_SWAP, METRIC_SWAP, ret);
    read_number(reader, CGROUP_FILE_CPUACCT, METRIC_CPU, ret);
    read_number(reader, CGROUP_FILE_PIDS, METRIC_PIDS, ret);
    if (read_once(reader, CGROUP_FILE_CPU, text, sizeof(text)))
        cgroup_parse_cpu_stat(reader->version, text, ret);
    if (read_once(reader, CGROUP_FILE_PRESSURE, text, sizeof(text)))
        psi_parse(text, ret);
}

void cgroup_reader_sample_events(const struct cgroup_reader *reader, struct metrics *ret)
{
    memset(ret, 0, sizeof(*ret));
    read_events(reader, ret);
}

int cgroup_oom_eventfd(const struct cgroup *cgroup, struct error *err)
{
    if (cgroup->version != CGROUP_V1)
        return error_set(err, EOPNOTSUPP,
                         "cgroup v2 notifies through memory.events, not an eventfd");
    AUTO_CLOSE int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event < 0)
        return error_errno(err, errno, "creating an eventfd");
    int dir_fd = cgroup->dir_fd[CGROUP_MEMORY];
    AUTO_CLOSE int control = openat(dir_fd, "memory.oom_control", O_RDONLY | O_CLOEXEC);
    if (control < 0)
        return error_errno(err, errno, "opening '%s/memory.oom_control'",
                           cgroup->path[CGROUP_MEMORY]);
    char line[NUMBER_BYTES];
    snprintf(line, sizeof(line), "%d %d", event, control);
    AUTO_CLOSE int registry = openat(dir_fd, "cgroup.event_control", O_WRONLY | O_CLOEXEC);
    if (registry < 0 || write(registry, line, strlen(line)) < 0)
        return error_errno(err, errno, "asking for OOM events of '%s'",
                           cgroup->path[CGROUP_MEMORY]);
    return steal_fd(&event);
}
