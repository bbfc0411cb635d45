/* SPDX-License-Identifier: Apache-2.0 */
/* Where runs live: $XDG_STATE_HOME/oomlab/runs/<id>/, or any directory that --output named. */
#pragma once

#include "base/error.h"
#include "store/run_id.h"

#include <limits.h>
#include <stdbool.h>

/* The directory of all runs; it need not exist. Usage error without XDG_STATE_HOME and HOME. */
int state_runs_directory(char ret[static PATH_MAX], struct error *err);

/* "20261122-131502-<name>-4f1a": sorts by time (UTC), the random end makes it unique. */
int run_id_make(const char *name, char ret[static RUN_ID_MAX], struct error *err);

/* A run's directory while it is being written: others see the lock and leave it alone. */
struct run_directory {
    char id[RUN_ID_MAX];
    char path[PATH_MAX]; /* absolute */
    int lock_fd;         /* -1 when not held */
    bool made;           /* run_directory_make() made it; else it was there and empty */
};

/* Make and lock the directory of a new run; `output`: this one, which must be new or empty (usage
 * error otherwise). Missing parents of the default place are made, those of `output` are not.
 * Nobody else can look into a directory made here; one that was there keeps its mode. */
int run_directory_make(const char *name, const char *output, struct run_directory *ret,
                       struct error *err);
void run_directory_unlock(struct run_directory *run);

/* Find a run by "last", by its id or the unique beginning of one, or by its directory. Usage error
 * when there is none, with the nearest id. Not locked. */
int run_directory_find(const char *text, struct run_directory *ret, struct error *err);

/* Of an operand "RUN:ARM" the colon; NULL: it has none, or is the name of something that is there:
 * a directory's name may have a colon in it, an arm's has none. */
const char *run_operand_colon(const char *text);

/* The ids of all runs, oldest first, NULL-terminated; free with strv_free() (lab/plan_value.h). */
int run_ids_list(char ***ret, struct error *err);
/* The run of this id, which need not exist. */
int run_directory_of_id(const char *id, struct run_directory *ret, struct error *err);

/* True while another process writes it. */
bool run_directory_busy(const struct run_directory *run);
/* Lock it: -EBUSY (a usage error) while it is being written. */
int run_directory_lock(struct run_directory *run, struct error *err);
/* Remove the directory and everything in it, without following links. */
int run_directory_remove(const struct run_directory *run, struct error *err);
/* Remove what a run that never began has put there, and the directory if it was made for it. What
 * somebody else put there stays. Needs the lock. */
void run_directory_discard(const struct run_directory *run);
