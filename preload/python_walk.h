/* SPDX-License-Identifier: Apache-2.0 */
/* What the unwinder and the hooks need to know of Python. */
#pragma once

#include "preload/python.h"

/* Frames of Python that are looked at for one stack, those that are left out counted. */
#define PYTHON_STEPS 256U

enum python_walk_state { PYTHON_WALK_NEW, PYTHON_WALK_ON, PYTHON_WALK_OFF };

/* Along the frames of C of one stack, innermost first. */
struct python_walk {
    enum python_walk_state state;
    unsigned steps, found;
    uintptr_t frame;  /* of Python, the next to take */
    uintptr_t cframe; /* the record that lies in the frame of C that runs it */
    uintptr_t least;  /* where the interpreter's frames on this stack begin */
};

/* Look for an interpreter in this process; before it runs. The map says which one was found. */
HIDDEN void python_find(void);

/* Whether a mapping is one of pymalloc's arenas. */
HIDDEN bool python_is_arena(const void *caller, size_t bytes);

HIDDEN void python_begin(struct python_walk *walk);
/* For the frame of C that is at `pc` and lies from `begin` to `end`: true where it is the
 * interpreter's, and `*ret_count` frames of Python, perhaps none, take its place. */
HIDDEN bool python_replace(struct python_walk *walk, uintptr_t pc, uintptr_t begin, uintptr_t end,
                           uint64_t *frames, unsigned max, unsigned *ret_count);
/* The frames of Python further out than the frames of C could be followed. */
HIDDEN unsigned python_rest(struct python_walk *walk, uint64_t *frames, unsigned max);
/* What lies further out was interrupted by a signal: take no more. */
HIDDEN void python_stop(struct python_walk *walk);
