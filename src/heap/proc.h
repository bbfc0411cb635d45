/* SPDX-License-Identifier: Apache-2.0 */
/* What the container's own /proc says of its processes, whose pids in the heap profile are those of
 * its pid namespace. */
#pragma once

#include "preload/layout.h"

#include <stdbool.h>
#include <sys/types.h>

struct heap_proc {
    int fd;                 /* -1: not open */
    uint64_t pid_namespace; /* its inode; 0: unknown */
};

/* `main_pid`: of the container's main process, as this process sees it. False: it has no /proc. */
bool heap_proc_open(pid_t main_pid, struct heap_proc *ret);
void heap_proc_close(struct heap_proc *proc);

/* There is no such process, or it is a zombie. */
bool heap_proc_is_gone(const struct heap_proc *proc, int32_t pid);

/* A child process is gone, or about to be: it was killed, or ends. False also where that cannot be
 * known. */
bool heap_proc_is_dying(const struct heap_proc *proc, const struct heap_process *process);

/* The state that the slot of a live process should have (enum heap_process_state): LIVE also where
 * that cannot be known; never EXITED for the main process. */
uint32_t heap_proc_look(const struct heap_proc *proc, const struct heap_process *process);

struct heap_mapping {
    uint64_t start, end, inode;
    char path[HEAP_PATH_MAX]; /* absolute; "": unknown, deleted since, or too long */
};
/* What the live process has mapped from `start` on. False: unknown. */
bool heap_proc_find_mapping(const struct heap_proc *proc, const struct heap_process *process,
                            uint64_t start, struct heap_mapping *ret);
