/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of a container, for this folder. */
#pragma once

#include "sandbox/child.h"
#include "sandbox/command.h"
#include "sandbox/sandbox.h"

#include <stdbool.h>

#define SANDBOX_NAME_MAX     200
#define SANDBOX_KILL_WAIT_NS (10 * NS_PER_S)

struct sandbox {
    char name[SANDBOX_NAME_MAX + 1];
    struct cgroup cgroup;
    struct command command;
    uint64_t memory_bytes;
    char *layer; /* its directory, to be removed; NULL: none */
    bool new_user;
    bool in_cgroup; /* born there, not attached */
    pid_t pid;
    int pidfd;
    int control_fd; /* our end of the control socket; -1 once released */
};

/* Whether it was born in its cgroup (CLONE_INTO_CGROUP) rather than moved there. */
bool sandbox_was_born_inside(const struct sandbox *sandbox);
/* Wait for the main process's end, without reaping it: 0 or -ETIMEDOUT. */
int sandbox_wait_for_end(const struct sandbox *sandbox, int64_t deadline_ns);

/* What a child did in this step: "mounting its own /proc". */
const char *failure_step_text(enum child_step step);
/* Why a start failed, in words; both set `err` and return a negative errno. */
/* The child reported a step. */
int failure_reported(const struct sandbox *sandbox, const struct child_report *report,
                     struct error *err);
/* The child ended without a word. */
int failure_silent(const struct sandbox *sandbox, struct error *err);
/* Whether it ended before it executed its command. A process that was killed meanwhile still has
 * the held child's name; one that was reaped has its account from whoever reaped it: false. */
bool failure_died_held(const struct sandbox *sandbox);
