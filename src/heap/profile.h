/* SPDX-License-Identifier: Apache-2.0 */
/* A lifetime's heap profile as it was recorded: the map at the end, the stamps before it. Nothing
 * in the file is trusted: every index is checked before it is used. */
#pragma once

#include "base/error.h"
#include "heap/file.h"
#include "heap/totals.h"

struct heap_profile_stamp {
    struct heap_stamp head;
    struct heap_stamped *entries; /* head.stacks of them; owned */
};

struct heap_profile {
    struct heap_map *map;       /* owned */
    struct heap_totals *totals; /* at its moment; owned */
    struct heap_profile_stamp *stamps;
    size_t stamp_count;
    int64_t kill_ns; /* it is of a kill of a child process; 0: of the lifetime's end */
    uint64_t kills;  /* of child processes before */
};

/* Read a lifetime's file. A file that is none, or is cut off, is a usage error. */
int heap_profile_read(const char *path, struct heap_profile **ret, struct error *err);
/* The same from the uncompressed bytes. */
int heap_profile_parse(const void *data, size_t length, struct heap_profile **ret,
                       struct error *err);
void heap_profile_free(struct heap_profile *profile);

/* The frames of a stack, innermost first; NULL and depth 0 for one that was lost or torn. */
const uint64_t *heap_profile_frames(const struct heap_profile *profile, uint32_t stack,
                                    uint32_t *ret_depth);
/* The module of a frame; NULL: none, or it was torn. Its path is terminated. */
const struct heap_module *heap_profile_module(const struct heap_profile *profile, uint64_t frame);
/* A frame of Python, innermost of all frames where it says that an arena was asked for. */
struct heap_python_frame {
    const char *function, *file; /* terminated; NULL: lost */
    int line;                    /* 0: unknown */
    bool arena;
};
/* False: it is a frame of C. */
bool heap_profile_python(const struct heap_profile *profile, uint64_t frame,
                         struct heap_python_frame *ret);
/* Bytes that a stack held at a stamp. */
double heap_profile_stamped_bytes(const struct heap_profile_stamp *stamp, uint32_t stack);
double heap_profile_stamped_objects(const struct heap_profile_stamp *stamp, uint32_t stack);
