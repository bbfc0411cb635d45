/* SPDX-License-Identifier: Apache-2.0 */
/* Whose end a user-space killer made that names a process only. */
#pragma once

#include "store/store.h"

/* After containers_find(): a kill whose record names no cgroup goes to the one container that has
 * an end by that signal at that moment, unless the kernel's or the platform's record explains that
 * end. Where no container or more than one fits, it stays on its own. */
int killer_kills_place(struct store *store, struct error *err);
