/* SPDX-License-Identifier: Apache-2.0 */
/* On a systemd host the tree is systemd's: ask it for a delegated scope to work in. */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/* systemd runs this machine. */
bool scope_needed(void);
/* Start the transient scope NAME.scope with Delegate=yes around our own process: by the system
 * manager as root, by the user's manager otherwise. It vanishes with the process. Unavailable error
 * when no manager can be reached. */
int scope_enter(const char *name, struct error *err);
/* Whether the manager that scope_enter() would ask can be reached. */
int scope_check(struct error *err);
