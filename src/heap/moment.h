/* SPDX-License-Identifier: Apache-2.0 */
/* What lived in a container at one moment, kept while the container goes on: a copy of those parts
 * of the map that change. Its stacks, modules and texts are only ever added to. */
#pragma once

#include "preload/layout.h"

#include <stddef.h>

struct heap_moment {
    int64_t at_ns;      /* CLOCK_MONOTONIC */
    uint64_t kills;     /* of child processes before */
    unsigned stamps;    /* before */
    size_t stamp_bytes; /* of those */
    struct heap_header header;
    struct heap_process processes[HEAP_PROCESSES + 1];
    uint64_t keys[HEAP_SAMPLES];
    struct heap_sample samples[HEAP_SAMPLES];
};

/* Copy from the map, which may be changing meanwhile: a sample is whole, or else torn in the copy,
 * too. */
void heap_moment_take(const struct heap_map *map, struct heap_moment *ret);

/* The same parts of a copy of the map, as they were then. */
void heap_moment_restore(const struct heap_moment *moment, struct heap_map *map);
