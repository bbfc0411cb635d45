/* SPDX-License-Identifier: Apache-2.0 */
/* Runtimes that keep their objects in a heap of their own, which malloc does not see. */
#pragma once

#include "heap/profile.h"

struct heap_runtime {
    const char *name;   /* "Java" */
    const char *advice; /* what shows its objects, as sentences */
};

/* The runtime that the container's program is, known by what a profiled process that counts has
 * mapped; NULL: none of these. Static storage. */
const struct heap_runtime *heap_runtime_find(const struct heap_profile *profile);
