/* SPDX-License-Identifier: Apache-2.0 */
/* The workload's settings, from the environment and the command line. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum mode {
    MODE_HEALTHY,
    MODE_HARD_OOM,
    MODE_LEAK,
    MODE_LEAK_PER_REQUEST,
    MODE_CACHE,
    MODE_SPIKE,
    MODE_PAGE_CACHE,
    MODE_SHMEM,
    MODE_CHILD,
    MODE_COUNT
};
const char *workload_mode_name(enum mode mode);

struct config {
    bool help;
    enum mode mode;
    const char *host; /* as in the environment; borrowed */
    uint64_t port;    /* 0: any free one */
    uint64_t hard_oom_bytes;
    uint64_t tick_bytes;
    int64_t tick_ns;
    uint64_t request_bytes; /* what one /work needs */
    uint64_t cache_bytes;
    uint64_t spike_bytes;
    int64_t spike_ns;
    const char *data_dir; /* borrowed */
    uint64_t data_bytes;
    uint64_t reserve_bytes; /* of the host's available memory, never taken */
};

/* Read the environment, then the arguments. Usage error, in one line, that names the variable or
 * the option at fault. */
int workload_config_read(int argc, char **argv, struct config *ret, struct error *err);

/* The help: every option and variable with its default. */
void workload_config_print_help(FILE *out);
