/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory this machine, or the cgroup we live in, can still give. */
#pragma once

#include "base/error.h"
#include "kernel/cgroup.h"

#include <stdbool.h>
#include <stdint.h>

struct machine_memory {
    uint64_t total_bytes;
    uint64_t available_bytes; /* MemAvailable, or less where a cgroup of ours limits it */
    bool limited_by_cgroup;
};

/* From the text of /proc/meminfo; false when MemTotal or MemAvailable is missing. */
bool machine_memory_parse(const char *meminfo, struct machine_memory *ret);

/* Lower `memory` to what the cgroup at `directory` and those above it, up to `mount`, leave: the
 * limit minus what is used and not reclaimable page cache. Levels without a limit or files do not
 * count. */
void machine_memory_limit(enum cgroup_version version, const char *mount, const char *directory,
                          struct machine_memory *memory);

/* This machine, now. */
int machine_memory_read(struct machine_memory *ret, struct error *err);
