/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of a run's root, for this folder. */
#pragma once

#include "kernel/cgroup.h"
#include "sandbox/record.h"
#include "sandbox/sandbox.h"

#include <stdbool.h>

/* The name of the leaf that oomlab itself may have to live in: oomlab-<run id>.self. */
#define ROOT_SELF_SUFFIX ".self"

struct sandbox_root {
    struct cgroup parent; /* where the run's cgroup stands */
    struct cgroup cgroup; /* oomlab-<run id>: only containers' cgroups in it */
    struct cgroup self; /* v2: the leaf that oomlab moved to, so that `parent` may have children */
    bool has_self;
    struct record record;
    bool needs_user_namespace; /* we lack CAP_SYS_ADMIN */
};

/* Whether this process has the capability (CAP_...) in effect. */
bool root_has_capability(int capability);

/* Where containers may go. `needs_self`: only after our own process has moved into a leaf below it.
 */
struct place {
    struct cgroup parent;
    bool needs_self;
};
/* Enters a systemd scope of that name where systemd owns the tree. */
int place_find(const char *scope_name, struct place *ret, struct error *err);
