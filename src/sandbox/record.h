/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership on disk: which cgroups a run of oomlab made, so that the next start can remove them
 * when their owner died without doing so.
 *
 * A record is a file that its owner keeps locked (flock) as long as it lives; a lock that can be
 * taken is the proof of death, whatever became of the pid. It names the cgroups before they are
 * made. The directory is private to the user: $OOMLAB_RUNTIME_DIR if set, else /run/oomlab for
 * root, $XDG_RUNTIME_DIR/oomlab or /tmp/oomlab-UID for others. */
#pragma once

#include "base/error.h"

#define RECORD_NAME_MAX 128

struct record {
    int dir_fd;
    int fd; /* locked */
    char name[RECORD_NAME_MAX];
};

#define RECORD_NONE ((struct record){.dir_fd = -1, .fd = -1})

/* Create and lock the record of the cgroup name ("oomlab-<run id>"). EEXIST: a live run has it. */
int record_open(const char *cgroup_name, struct record *ret, struct error *err);
/* Add "word path": a controller's name and its cgroup directory, or "self" and the leaf that holds
 * oomlab itself. Call it before the directory is made. */
int record_add(const struct record *record, const char *word, const char *path, struct error *err);
/* Everything in it is gone: delete it. */
void record_drop(struct record *record);
/* Close it, so that a later start sweeps what it names. */
void record_abandon(struct record *record);
/* Remove what records without an owner name, then the records. Returns how many runs had something
 * left, or -errno when something could not be removed (its record stays). */
int record_sweep(struct error *err);
