/* SPDX-License-Identifier: Apache-2.0 */
/* What the child does between clone and exec. oomlab has threads, so a lock (malloc's, stdio's) may
 * be held for ever in the child: only system calls on data prepared beforehand. */
#pragma once

#include "sandbox/sandbox.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The name of a process that has not executed its command yet; exec replaces it. */
#define CHILD_HELD_NAME "oomlab-held"

enum child_step {
    CHILD_READY,   /* not a failure: set up and held */
    CHILD_OUTSIDE, /* nor this: the parent has to move it into its cgroup, and to say so by a byte
                    */
    CHILD_STEP_DEATH_SIGNAL,
    CHILD_STEP_DESCRIPTORS,
    CHILD_STEP_MOUNTS,
    CHILD_STEP_LAYER,
    CHILD_STEP_ROOT,
    CHILD_STEP_FURNISH,
    CHILD_STEP_PROC,
    CHILD_STEP_HOSTNAME,
    CHILD_STEP_SESSION,
    CHILD_STEP_DIRECTORY,
    CHILD_STEP_OOM_SCORE,
    CHILD_STEP_USER,
    CHILD_STEP_PRIVILEGES,
    CHILD_STEP_SIGNALS,
    CHILD_STEP_EXEC,
    /* Of a process that enters a running container (enter_child.h). */
    CHILD_ENTERED, /* not a failure: `pid` is inside, and held */
    CHILD_STEP_NAMESPACES,
    CHILD_STEP_CLONE,
    CHILD_STEP_TERMINAL,
};

/* One message on the control socket. */
struct child_report {
    enum child_step step;
    int errnum;
    unsigned candidate; /* CHILD_STEP_EXEC: which one */
    pid_t pid;          /* CHILD_ENTERED, as oomlab's pid namespace sees it */
};

struct child_plan {
    const char *const *argv;
    const char *const *env;
    char *const *candidates;
    const char *directory;           /* NULL: stay */
    const char *root;                /* NULL: stay in this machine's */
    const char *layer;               /* NULL: use the root in place */
    bool new_user;                   /* it has a user namespace, where its user is mapped already */
    const struct sandbox_user *user; /* NULL: stay who we are */
    char hostname[65];
    bool raise_oom_score; /* oomlab's own is negative: 0 for the child */
    int control_fd;       /* SOCK_SEQPACKET, above 2, as are the next three */
    int stdin_fd, stdout_fd, stderr_fd;
    int entrance_fds[CGROUP_CONTROLLERS]; /* cgroup_open_entrances(): it moves itself; or all -1 */
    int descriptors_max;                  /* for kernels without close_range */
};

/* Runs in the child, all signals blocked. Enters its cgroup, waits for a byte on the control socket
 * (the parent has mapped its user), sets up, reports CHILD_READY, waits for a second byte,
 * executes. The socket's end means that oomlab is gone: exit. */
_Noreturn void child_main(const struct child_plan *plan);

/* The parts of it, in their order. What fails is reported, and ends the child. */
_Noreturn void child_fail(const struct child_plan *plan, enum child_step step, unsigned candidate);
void child_check(const struct child_plan *plan, long result, enum child_step step);
/* A byte on the control socket; its end: exit. */
void child_wait_for_parent(const struct child_plan *plan);
/* Standard input, output and error; everything else but the control socket is closed. */
void child_arrange_descriptors(const struct child_plan *plan);
/* 0, or -1 with errno. */
int child_raise_oom_score(void);
void child_become(const struct child_plan *plan);
void child_reset_signals(const struct child_plan *plan);
_Noreturn void child_execute(const struct child_plan *plan);
