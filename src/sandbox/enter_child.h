/* SPDX-License-Identifier: Apache-2.0 */
/* What happens between the clone and the exec of a process that enters a container: as in child.h,
 * system calls only. */
#pragma once

#include "sandbox/child.h"

/* In the order in which they are entered: the user namespace gives the right to enter the others.
 */
enum { ENTER_USER, ENTER_IPC, ENTER_UTS, ENTER_PID, ENTER_MOUNT, ENTER_NAMESPACES };

struct enter_plan {
    struct child_plan child;
    int namespace_fd[ENTER_NAMESPACES]; /* -1: stay in oomlab's */
    bool terminal;
};

/* Runs in the first child, all signals blocked: enters the namespaces, and clones the process
 * itself as its sibling, because only a child is in the other pid namespace. Reports CHILD_ENTERED
 * and exits. The sibling waits for a byte (it is in its cgroup), sets up, reports CHILD_READY with
 * its terminal, waits for a second byte, executes. */
_Noreturn void enter_main(const struct enter_plan *plan);
