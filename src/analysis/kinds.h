/* SPDX-License-Identifier: Apache-2.0 */
/* Which kind of memory grows: the process' own, shared (tmpfs, shared mappings), or the kernel's
 * for it (sockets, pipes, page tables). Internal to src/analysis. */
#pragma once

#include "analysis/profile.h"

#include <stddef.h>

struct kinds {
    double anon, shmem, kernel; /* bytes, from the first to the last tenth; NAN unknown */
};

struct kinds kinds_of(const struct profile *profile);

/* " 97 % of it is shared memory (tmpfs or shared mappings)." where shared or kernel memory has at
 * least a quarter of the growth; else "". `size` at least 1. */
void kinds_words(const struct kinds *kinds, char *text, size_t size);
