/* SPDX-License-Identifier: Apache-2.0 */
/* What a recording consists of: recording.c makes and keeps it, recording_save.c writes it. */
#pragma once

#include "base/buffer.h"
#include "heap/guard.h"
#include "heap/moment.h"
#include "heap/recording.h"
#include "heap/totals.h"

/* What a look found of a process. */
struct ended {
    int32_t pid;
    uint32_t state; /* enum heap_process_state that it should have */
};

struct heap_recording {
    struct heap_map *map; /* the container may write it, and cut its file off */
    struct heap_guard *guard;
    struct heap_totals *totals; /* room for summing up */
    struct buffer stamps;       /* struct heap_stamp and its entries, one after the other */
    unsigned stamp_count;
    uint64_t kills;                /* for memory, of processes of the container */
    struct heap_moment *killed;    /* of the last kill that the main process outlived; or NULL */
    struct heap_moment *unsettled; /* of one of which that is not known yet; or NULL */
    unsigned looks_after_kill;
    struct ended seen[HEAP_PROCESSES + 1]; /* by slot: what the last look found */
    struct gone {
        int32_t pid;
        uint64_t kills;         /* that were known then, that one with them */
    } gone[HEAP_PROCESSES + 1]; /* by slot: a process that was gone or dying after a kill */
    bool looked_for[HEAP_MODULES + 1];
    int files[HEAP_MODULES + 1]; /* by module that was looked for: open, or -1 */
    unsigned file_count;
    char *places[HEAP_MODULES + 1]; /* by module: its file, where the loader's name is relative */
};

/* Note which child processes are gone or dying. */
void heap_recording_mark_gone(struct heap_recording *recording, pid_t main_pid);
/* Count in a copy of the processes none that was noted when that many kills were known, or fewer.
 */
void heap_recording_leave_out(const struct heap_recording *recording, uint64_t kills,
                              struct heap_process processes[static HEAP_PROCESSES + 1]);
