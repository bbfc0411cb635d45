/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of an entrance, for this folder. */
#pragma once

#include "sandbox/container.h"
#include "sandbox/enter.h"
#include "sandbox/enter_child.h"

struct entrance {
    char name[SANDBOX_NAME_MAX + 1];
    struct cgroup cgroup; /* descriptors of its own */
    pid_t pid;            /* of the container's main process */
    int pidfd;
    int namespace_fd[ENTER_NAMESPACES];
    bool new_user;
};

/* Kill a process (not reaped yet) that has entered, and everything that comes from it: its
 * descendants, and what is still in its session. Bounded. */
void enter_kill(const struct entrance *entrance, const struct entered *entered);
