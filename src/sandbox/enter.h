/* SPDX-License-Identifier: Apache-2.0 */
/* A further process in a running container: in its namespaces and its cgroup, as its user. Unlike
 * the container itself it is no main process: its end ends nothing else. */
#pragma once

#include "sandbox/sandbox.h"

#include <stdbool.h>
#include <sys/types.h>

/* What a running container is made of, held open, so that its entrance may be used in any thread
 * and whatever becomes of the container meanwhile. */
struct entrance;

/* From the thread that owns the container. -ESRCH: its main process has ended. */
int entrance_open(const struct sandbox *sandbox, struct entrance **ret, struct error *err);
/* NULL is fine. */
void entrance_free(struct entrance *entrance);

struct entry_spec {
    const char *const *argv; /* NULL-terminated; argv[0] is looked up in the environment's PATH */
    const char *const *env;  /* NULL-terminated "K=V"; the whole environment */
    const char *directory;   /* in the container; NULL: its "/" */
    const char *root;        /* of the container, for error messages; NULL: this machine's */
    const struct sandbox_user *user; /* NULL: oomlab's own */
    /* A terminal of the container's own (its /dev/pts) as the standard descriptors. */
    bool terminal;
    unsigned short rows, columns;
    int stdin_fd, stdout_fd, stderr_fd; /* without a terminal; the caller keeps its own */
    int cancel_fd;                      /* readable: give up */
};

struct entered {
    pid_t pid; /* as oomlab's pid namespace sees it */
    int pidfd;
    int terminal_fd; /* the terminal's other end, not blocking; -1: none */
};
#define ENTERED_NONE ((struct entered){.pidfd = -1, .terminal_fd = -1})

/* Start it. On error nothing is left, and `err` has the kind and the code that command_error()
 * gives where the command itself is at fault; -ECANCELED when given up. The kernel kills the
 * process when the calling thread ends, which therefore stays until it has waited, and which has
 * no other children. Blocks. */
int entrance_start(struct entrance *entrance, const struct entry_spec *spec, struct entered *ret,
                   struct error *err);
/* Block until it has ended, or until `cancel_fd` is readable: then it is killed with everything
 * that comes from it and has not left its session and its parents behind. Reaps it, closes its
 * pidfd and returns its exit code, 128 + signal for a signal. */
int entrance_wait(struct entrance *entrance, struct entered *entered, int cancel_fd);
/* After a process was killed: whether the container itself has ended or is about to, so that this
 * is why. Blocks for some tenths of a second where it lives on. */
bool entrance_has_closed(const struct entrance *entrance);
