/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a program can be profiled by preloading, found out by reading it: a statically linked one
 * would run unprofiled without a word, and one for musl would not start. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Examine the file that would be executed; scripts are followed to their interpreter (and through
 * env(1), by `search_path`, as $PATH). False: it cannot, and `reason` says why and what to do, as a
 * clause. What cannot be read is left to fail, or run, by itself: true. */
bool heap_program_can_be_profiled(const char *path, const char *search_path, char *reason,
                                  size_t size);

/* The programs that were examined already. All zero: none. */
#define HEAP_PROGRAMS_KNOWN 128
struct heap_programs {
    struct {
        dev_t device;
        ino_t inode;
    } known[HEAP_PROGRAMS_KNOWN];
    unsigned count; /* a full list is begun anew */
};

/* The same for what a process runs now, which may have been executed by what was examined before.
 * A program that is among `programs` is not examined again: true; so is a process that is gone, or
 * that may not be read. `main`: it is the container's main process, else a child. */
bool heap_process_can_be_profiled(struct heap_programs *programs, pid_t pid, bool main,
                                  char *reason, size_t size);
