/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/plan_machine.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/metrics.h"
#include "base/size.h"
#include "lab/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RESERVE_BYTES (512 * MIB)

/* "Key:   123 kB" at a line's start. */
static bool meminfo_value(const char *text, const char *key, uint64_t *ret_bytes)
{
    size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) != 0 || line[length] != ':')
            continue;
        char *end = NULL;
        unsigned long long kib = strtoull(line + length + 1, &end, 10);
        if (end == line + length + 1)
            return false;
        *ret_bytes = kib * KIB;
        return true;
    }
    return false;
}

bool machine_memory_parse(const char *meminfo, struct machine_memory *ret)
{
    struct machine_memory memory = {0};
    if (!meminfo_value(meminfo, "MemTotal", &memory.total_bytes) ||
        !meminfo_value(meminfo, "MemAvailable", &memory.available_bytes))
        return false;
    *ret = memory;
    return true;
}

/* A kernel file with one number; "max" and whatever is missing count as false. */
static bool read_number(int dir_fd, const char *name, uint64_t *ret)
{
    char text[64];
    char *end = NULL;
    if (file_read_text(dir_fd, name, text, sizeof(text)) <= 0)
        return false;
    unsigned long long number = strtoull(text, &end, 10);
    if (end == text)
        return false;
    *ret = number;
    return true;
}

static void apply_level(enum cgroup_version version, const char *directory,
                        struct machine_memory *memory)
{
    bool v2 = version == CGROUP_V2;
    char stat[8192];
    uint64_t limit = 0;
    uint64_t usage = 0;
    AUTO_CLOSE int dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return;
    if (!read_number(dir_fd, v2 ? "memory.max" : "memory.limit_in_bytes", &limit) ||
        !read_number(dir_fd, v2 ? "memory.current" : "memory.usage_in_bytes", &usage))
        return;
    if (file_read_text(dir_fd, "memory.stat", stat, sizeof(stat)) > 0) {
        struct metrics metrics = {0};
        cgroup_parse_stat(version, stat, &metrics);
        uint64_t cache =
            metrics_has(&metrics, METRIC_INACTIVE_FILE) ? metrics.value[METRIC_INACTIVE_FILE] : 0;
        usage = usage > cache ? usage - cache : 0;
    }
    uint64_t left = limit > usage ? limit - usage : 0;
    if (left < memory->available_bytes) {
        memory->available_bytes = left;
        memory->limited_by_cgroup = true;
    }
}

void machine_memory_limit(enum cgroup_version version, const char *mount, const char *directory,
                          struct machine_memory *memory)
{
    char path[CGROUP_PATH_MAX];
    size_t mount_length = strlen(mount);
    snprintf(path, sizeof(path), "%s", directory);
    while (strlen(path) >= mount_length && strncmp(path, mount, mount_length) == 0) {
        apply_level(version, path, memory);
        char *slash = strrchr(path, '/');
        if (!slash || slash == path)
            break;
        *slash = '\0';
    }
}

int machine_memory_read(struct machine_memory *ret, struct error *err)
{
    char text[8192];
    struct machine_memory memory = {0};
    ssize_t length = file_read_text(AT_FDCWD, "/proc/meminfo", text, sizeof(text));
    if (length < 0)
        return error_errno(err, (int)-length, "reading /proc/meminfo");
    if (!machine_memory_parse(text, &memory))
        return error_set(err, EPROTO, "/proc/meminfo has no MemTotal or MemAvailable");
    struct cgroup_host host;
    struct error ignored = {0};
    /* Without a memory controller nothing can limit us; sandbox_root_new() says so later. */
    if (cgroup_host_detect(&host, &ignored) == 0)
        machine_memory_limit(host.version, host.mount[CGROUP_MEMORY], host.own[CGROUP_MEMORY],
                             &memory);
    *ret = memory;
    return 0;
}

static const struct arm_plan *largest_arm(const struct scenario_plan *scenario)
{
    const struct arm_plan *largest = NULL;
    for (size_t j = 0; j < scenario->arm_count; j++) {
        if (!largest || scenario->arms[j].memory_bytes > largest->memory_bytes)
            largest = &scenario->arms[j];
    }
    return largest;
}

/* What may be used at the same time: one arm, or one of each scenario. `*ret_arm` is the largest.
 */
static uint64_t peak_demand(const struct plan *plan, const struct arm_plan **ret_arm)
{
    uint64_t sum = 0;
    *ret_arm = NULL;
    for (size_t i = 0; i < plan->scenario_count; i++) {
        const struct arm_plan *largest = largest_arm(&plan->scenarios[i]);
        if (!largest)
            continue;
        sum = sum > UINT64_MAX - largest->memory_bytes ? UINT64_MAX : sum + largest->memory_bytes;
        if (!*ret_arm || largest->memory_bytes > (*ret_arm)->memory_bytes)
            *ret_arm = largest;
    }
    if (plan->side_by_side || !*ret_arm)
        return sum;
    return (*ret_arm)->memory_bytes;
}

static int check_cpus(const struct plan *plan, struct error *err)
{
    double cpus = (double)sysconf(_SC_NPROCESSORS_ONLN);
    for (size_t i = 0; i < plan->scenario_count; i++) {
        const struct scenario_plan *scenario = &plan->scenarios[i];
        for (size_t j = 0; j < scenario->arm_count; j++) {
            if (scenario->arms[j].cpu_cores > cpus)
                return error_unavailable(
                    err,
                    "the arm %s/%s is to have %g CPU cores and this machine has "
                    "%g. Lower cpu and patch-cpu.",
                    scenario->name, arm_kind_name(scenario->arms[j].kind),
                    scenario->arms[j].cpu_cores, cpus);
        }
    }
    return 0;
}

int plan_check_machine(const struct plan *plan, struct error *err)
{
    struct machine_memory memory = {0};
    const struct arm_plan *largest = NULL;
    uint64_t demand = peak_demand(plan, &largest);
    int r = check_cpus(plan, err);
    if (r == 0 && largest)
        r = machine_memory_read(&memory, err);
    if (r < 0 || !largest)
        return r;
    uint64_t quarter = memory.total_bytes / 4;
    uint64_t reserve = quarter < RESERVE_BYTES ? quarter : RESERVE_BYTES;
    if (demand <= memory.available_bytes && reserve <= memory.available_bytes - demand)
        return 0;
    char limit[SIZE_TEXT_MAX], available[SIZE_TEXT_MAX], spare[SIZE_TEXT_MAX];
    error_unavailable(err,
                      "%s '%s' may use %s, but only %s are available%s and %s of them "
                      "must stay free. Lower the limits (memory, raise, patch-memory), or "
                      "free memory.",
                      plan->side_by_side ? "the scenarios side by side, with arms up to"
                                         : "the arm",
                      arm_kind_name(largest->kind), size_format(demand, limit),
                      size_format(memory.available_bytes, available),
                      memory.limited_by_cgroup ? " within the cgroup that oomlab runs in" : "",
                      size_format(reserve, spare));
    return largest->memory_place ? error_wrap(err, "%s", largest->memory_place) : err->code;
}
