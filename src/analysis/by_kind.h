/* SPDX-License-Identifier: Apache-2.0 */
/* An arm's growth split by kind of memory. Pure. */
#pragma once

#include "analysis/verdict.h"

enum memory_kind {
    MEMORY_ANON,
    MEMORY_SHMEM,
    MEMORY_KERNEL,
    MEMORY_FILE_ACTIVE, /* page cache: no part of what is retained */
    MEMORY_FILE_INACTIVE,
    MEMORY_KINDS
};
const char *memory_kind_name(enum memory_kind kind); /* "anon", "file_active" */

struct growth_kinds {
    bool by_requests;           /* bytes per request; else per second */
    double bytes[MEMORY_KINDS]; /* NAN unknown */
};

/* The common slope of each kind's own floor over the arm's lifetimes, against what the verdict on
 * this arm gives its growth by. Returns 0 or -ENOMEM. */
int growth_by_kind(const struct arm_series *arm, const struct verdict *verdict,
                   struct growth_kinds *ret);
