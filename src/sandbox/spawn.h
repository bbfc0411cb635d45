/* SPDX-License-Identifier: Apache-2.0 */
/* The clone itself. */
#pragma once

#include "base/error.h"
#include "sandbox/child.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct spawn_request {
    const struct child_plan *plan;
    bool new_user; /* a user namespace as well */
    int cgroup_fd; /* v2: be born in there; -1: attached afterwards */
};

struct spawned {
    pid_t pid;
    int pidfd;
    bool in_cgroup; /* CLONE_INTO_CGROUP worked; otherwise the caller attaches */
};

/* Clone a child that runs child_main() in new PID, mount, UTS and IPC namespaces. Old kernels and
 * filters that refuse clone3 or CLONE_INTO_CGROUP get the older ways. Signals are blocked in the
 * child. */
int spawn(const struct spawn_request *request, struct spawned *ret, struct error *err);
/* As an ordinary user, map our own user and group, and nothing else, into the child's user
 * namespace: it sees itself as `user`, or as who we are (NULL). */
int spawn_map_user(pid_t pid, const struct sandbox_user *user, struct error *err);

/* clone(2) with SIGCHLD at its end and `flags` (CLONE_PIDFD fills in `pidfd`): the pid, 0 in the
 * child, or -1 with errno. Block signals before. */
long spawn_clone(uint64_t flags, int *pidfd);
/* What a child's plan has of this process. */
bool spawn_must_raise_oom_score(void);
int spawn_descriptors_max(void);
