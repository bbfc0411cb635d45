/* SPDX-License-Identifier: Apache-2.0 */
/* Limits, v1 and v2. What was asked for and cannot be had is an error; what was not asked for is
 * left alone. */
#include "kernel/cgroup-internal.h"

#include "base/file.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define CPU_PERIOD_US    100000
#define CPU_QUOTA_MIN_US 1000 /* the kernel refuses less */

static int write_number(const struct cgroup *cgroup, enum cgroup_controller controller,
                        const char *file, uint64_t value, struct error *err)
{
    char text[32];
    snprintf(text, sizeof(text), "%" PRIu64, value);
    int r = file_write_text(cgroup->dir_fd[controller], file, text);
    if (r < 0)
        return error_errno(err, -r, "writing %s to '%s/%s'", text, cgroup->path[controller], file);
    return 0;
}

/* memory+swap may never be below memory, so the order depends on the direction of the change. A new
 * cgroup has no limit yet: memory first.
 *
 * The kernel charges memory+swap first, and with both limits the same memory.failcnt, our only
 * count of limit hits, never moves (6.18 counts nowhere then). One page more lets memory be hit
 * first, at the price of one page that may be swapped. */
static int set_memory_v1(const struct cgroup *cgroup, const struct cgroup_limits *limits,
                         struct error *err)
{
    static const char memory[] = "memory.limit_in_bytes";
    static const char memory_swap[] = "memory.memsw.limit_in_bytes";
    int dir_fd = cgroup->dir_fd[CGROUP_MEMORY];
    uint64_t with_swap = limits->memory_bytes + (uint64_t)sysconf(_SC_PAGESIZE);
    int r = write_number(cgroup, CGROUP_MEMORY, memory, limits->memory_bytes, err);
    if (r == -EINVAL) { /* raised over the old memory+swap limit */
        char text[32];
        snprintf(text, sizeof(text), "%" PRIu64, with_swap);
        file_write_text(dir_fd, memory_swap, text);
        r = write_number(cgroup, CGROUP_MEMORY, memory, limits->memory_bytes, err);
    }
    if (r < 0 || !limits->forbid_swap)
        return r;
    r = write_number(cgroup, CGROUP_MEMORY, memory_swap, with_swap, err);
    if (r == -ENOENT || r == -EOPNOTSUPP) {
        /* No swap accounting: 0 keeps a v1 cgroup from swapping at all. */
        file_write_text(dir_fd, "memory.swappiness", "0");
        r = 0;
    }
    return r;
}

static int set_memory_v2(const struct cgroup *cgroup, const struct cgroup_limits *limits,
                         struct error *err)
{
    int r = 0;
    if (limits->memory_bytes)
        r = write_number(cgroup, CGROUP_MEMORY, "memory.max", limits->memory_bytes, err);
    if (r == 0 && limits->forbid_swap) {
        r = write_number(cgroup, CGROUP_MEMORY, "memory.swap.max", 0, err);
        if (r == -ENOENT) /* a kernel without swap, or without its accounting */
            r = 0;
    }
    if (r == 0 && limits->oom_group)
        r = write_number(cgroup, CGROUP_MEMORY, "memory.oom.group", 1, err);
    return r;
}

static int quota_us(double cores, uint64_t *ret, struct error *err)
{
    double quota = round(cores * CPU_PERIOD_US);
    if (!(quota >= CPU_QUOTA_MIN_US && quota <= 1e12))
        return error_usage(err, "%g CPU cannot be enforced; the least is %g", cores,
                           (double)CPU_QUOTA_MIN_US / CPU_PERIOD_US);
    *ret = (uint64_t)quota;
    return 0;
}

static int set_cpu(const struct cgroup *cgroup, double cores, struct error *err)
{
    uint64_t quota = 0;
    int r = quota_us(cores, &quota, err);
    if (r < 0)
        return r;
    if (cgroup->version == CGROUP_V2) {
        char text[48];
        snprintf(text, sizeof(text), "%" PRIu64 " %d", quota, CPU_PERIOD_US);
        r = file_write_text(cgroup->dir_fd[CGROUP_MEMORY], "cpu.max", text);
        if (r < 0 && r != -ENOENT)
            return error_errno(err, -r, "writing '%s' to '%s/cpu.max'", text,
                               cgroup->path[CGROUP_MEMORY]);
    } else if (cgroup->dir_fd[CGROUP_CPU] < 0) {
        r = -ENOENT;
    } else {
        r = write_number(cgroup, CGROUP_CPU, "cpu.cfs_period_us", CPU_PERIOD_US, err);
        if (r == 0)
            r = write_number(cgroup, CGROUP_CPU, "cpu.cfs_quota_us", quota, err);
    }
    if (r == -ENOENT)
        return error_unavailable(
            err,
            "a CPU quota of %g cannot be set, because the cpu controller is not usable here. "
            "Run without a CPU limit, or enable the controller for oomlab's cgroup",
            cores);
    return r;
}

static int set_pids(const struct cgroup *cgroup, uint64_t max, struct error *err)
{
    enum cgroup_controller place = cgroup->version == CGROUP_V2 ? CGROUP_MEMORY : CGROUP_PIDS;
    int r = -ENOENT;
    if (cgroup->dir_fd[place] >= 0)
        r = write_number(cgroup, place, "pids.max", max, err);
    if (r == -ENOENT)
        return error_unavailable(
            err,
            "a limit of %" PRIu64 " processes cannot be set, because the pids controller is not "
            "usable here. Run without that limit, or enable the controller for oomlab's cgroup",
            max);
    return r;
}

int cgroup_set_limits(const struct cgroup *cgroup, const struct cgroup_limits *limits,
                      struct error *err)
{
    int r = 0;
    if (cgroup->version == CGROUP_V2)
        r = set_memory_v2(cgroup, limits, err);
    else if (limits->memory_bytes)
        r = set_memory_v1(cgroup, limits, err);
    if (r == 0 && limits->cpu_cores != 0)
        r = set_cpu(cgroup, limits->cpu_cores, err);
    if (r == 0 && limits->pids_max)
        r = set_pids(cgroup, limits->pids_max, err);
    return r;
}
