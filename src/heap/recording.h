/* SPDX-License-Identifier: Apache-2.0 */
/* The outside of a heap profile while the container lives: makes the map that its processes write
 * into, stamps how much each stack holds at chosen moments, and keeps everything after the end. */
#pragma once

#include "base/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The directory below a run's, and a lifetime's files in it: of its end, and of the last kill of a
 * child process that the main process outlived, where there was one. */
#define HEAP_DIRECTORY        "heap"
#define HEAP_FILE_FORMAT      HEAP_DIRECTORY "/lifetime-%u.heap.gz"
#define HEAP_KILL_FILE_FORMAT HEAP_DIRECTORY "/lifetime-%u.kill.heap.gz"

struct heap_recording;

/* The sampling mean for a limit: a 16384th of it, within 4 and 512 KiB. */
uint64_t heap_default_rate(uint64_t limit_bytes);

/* The entry of LD_PRELOAD that names the recorder: beside the program in the build tree, or where
 * it was installed; guarded by heap_preload_guard(). LD_PRELOAD forbids blanks and colons in its
 * path. -ENOENT with `err` when there is none. */
int heap_library_find(char path[static PATH_MAX], struct error *err);

/* For a container that is set up and held: make the map in its /dev/shm and touch all its pages, so
 * that they are charged to the calling process's memory cgroup and not to the container's. It goes
 * with the container's mounts and heap_recording_free(). */
int heap_recording_new(pid_t pid, uint64_t limit_bytes, uint64_t rate_bytes,
                       struct heap_recording **ret, struct error *err);
void heap_recording_free(struct heap_recording *recording);

/* Stamp what is live now. `cycle`: the cycle that begins at this moment; 0: none does. */
int heap_recording_stamp(struct heap_recording *recording, int64_t at_ns, unsigned cycle,
                         struct error *err);
/* The kernel killed a process of the container for memory, just now: keep what was held, the dead
 * process's part with it, but not those of others that were killed before. Of several at about the
 * same time (within two calls of heap_recording_reap()) the first is kept. `main_pid`: as for
 * heap_recording_reap(). `kills_all`: it kills all processes at once (memory.oom.group). */
void heap_recording_killed(struct heap_recording *recording, int64_t at_ns, pid_t main_pid,
                           bool kills_all);
/* Call it several times a second while the container runs: what a process held that has been gone
 * for two calls, killed or crashed, or runs another program now, counts no more. `main_pid`: of the
 * container's main process, as this process sees it. Without a /proc in the container, or the right
 * to read a process's auxiliary vector, nothing is known and nothing changes. */
void heap_recording_reap(struct heap_recording *recording, pid_t main_pid);
/* False: the container overwrote the map, or cut its file off, and what it said is lost. */
bool heap_recording_is_intact(const struct heap_recording *recording);
/* How many processes have attached so far. */
unsigned heap_recording_attached(const struct heap_recording *recording);

/* Why a recording ends. */
enum heap_ending {
    HEAP_ENDING_STOP,   /* the container runs, and is about to be stopped */
    HEAP_ENDING_KILLED, /* the kernel killed its main process for memory, or all of them */
    HEAP_ENDING_OTHER,  /* its main process ended otherwise */
};

/* Write the map and the stamps into DIRECTORY as lifetime `lifetime_id`'s file, compressed, and
 * those of the last kill of a child process as another. `main_pid`: as for heap_recording_reap().
 * -EBADMSG when it is not intact: no file. */
int heap_recording_save(struct heap_recording *recording, enum heap_ending ending, pid_t main_pid,
                        const char *directory, unsigned lifetime_id, struct error *err);
