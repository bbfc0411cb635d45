/* SPDX-License-Identifier: Apache-2.0 */
/* What a lifetime's file holds, gzip-compressed: this header, the map, and the stamps. Native byte
 * order: a run is read where it was recorded, or on the same architecture. */
#pragma once

#include "preload/layout.h"

#define HEAP_SAVED_MAGIC UINT64_C(0x3264657661736f6f) /* "oosaved2" */
#define HEAP_STAMPS_MAX  256U
#define HEAP_STAMPED_MAX HEAP_STACKS

struct heap_saved_header {
    uint64_t magic;
    uint32_t map_bytes;
    uint32_t stamps;
    int64_t at_ns;  /* CLOCK_MONOTONIC: of a kill of a child process; 0: of the lifetime's end */
    uint64_t kills; /* of child processes before */
};

/* A stamp; `stacks` entries follow. */
struct heap_stamp {
    int64_t at_ns;  /* CLOCK_MONOTONIC */
    uint32_t cycle; /* the cycle that began then; 0: none */
    uint32_t stacks;
    uint64_t kills; /* of child processes until then, which took with them what they held */
};
struct heap_stamped {
    uint32_t stack;
    uint32_t samples;
    double bytes, objects;
};
