/* SPDX-License-Identifier: Apache-2.0 */
/* Names for code addresses, with elfutils: functions, inlined ones, source lines, separate debug
 * files by build-id, .gnu_debugdata. Runs outside of the container, after its end. */
#pragma once

#include "base/error.h"
#include "preload/layout.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Strings live as long as the symbols. */
struct heap_frame {
    const char *function; /* demangled; NULL: unknown */
    const char *file;     /* NULL: unknown */
    int line;             /* 0: unknown */
    const char *module;   /* path; NULL: no module (code made at run time) */
    uint64_t address;     /* within the module, or absolute without one */
    bool inlined;         /* into the next frame */
    bool python;          /* a frame of Python: no module, no address */
    bool arena;           /* none: the next one asked for an arena of Python's allocator */
};

/* Frames that one address stands for: more are left out. */
#define HEAP_INLINED_MAX 64U

struct heap_symbols;
struct heap_names;

/* `names`: those that were kept with the run (borrowed); NULL: none. `directory`: of the run, which
 * may have copies of files (heap_module_path()). */
int heap_symbols_new(const struct heap_names *names, const char *directory,
                     struct heap_symbols **ret, struct error *err);
void heap_symbols_free(struct heap_symbols *symbols);

/* The frames that one recorded address stands for, innermost first: the inlined functions, then the
 * one they are inlined into. At least one. `module` NULL: no module. The array belongs to the
 * symbols. Names that were kept come first: they are of the program that ran. Where none are, a
 * module whose file is gone or is another (by build-id) gives frames without names. */
const struct heap_frame *heap_symbols_resolve(struct heap_symbols *symbols,
                                              const struct heap_module *module, uint64_t address,
                                              size_t *ret_count);
