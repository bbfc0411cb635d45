/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a program can be profiled by preloading, found out by reading it: a statically linked one
 * would run unprofiled without a word, and one for musl would not start. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Examine the file that would be executed; scripts are followed to their interpreter (and through
 * env(1), by `search_path`, as $PATH). False: it cannot, and `reason` says why and what to do, as a
 * clause. What cannot be read is left to fail, or run, by itself: true. */
bool heap_program_can_be_profiled(const char *path, const char *search_path, char *reason,
                                  size_t size);

/* What was examined already: programs, each once, and processes, each once for every program that
 * it runs. All zero: nothing. A full list is begun anew. */
#define HEAP_PROGRAMS_KNOWN  128
#define HEAP_PROCESSES_KNOWN 512
struct heap_programs {
    struct heap_known_program {
        dev_t device;
        ino_t inode;
        bool faulty;
    } programs[HEAP_PROGRAMS_KNOWN];
    struct heap_known_process {
        pid_t pid;
        dev_t device;
        ino_t inode;
        int64_t since_ns;
        bool examined;
    } processes[HEAP_PROCESSES_KNOWN];
    unsigned program_count, process_count;
};

/* Whether what a process runs now is profiled: it may have been executed by what was examined
 * before, and without LD_PRELOAD. False, once: it is not, and `reason` says why, as a clause. A
 * process that is gone or may not be read, is just being loaded, or runs this very program, is left
 * to itself: true. Call it several times a second. `main`: it is the container's main process, else
 * a child; `now_ns`: monotonic. */
bool heap_process_is_profiled(struct heap_programs *known, pid_t pid, bool main, int64_t now_ns,
                              char *reason, size_t size);
