/* SPDX-License-Identifier: Apache-2.0 */
/* A file that a container may write can be cut off by it, and what reads its mapping then gets
 * SIGBUS. Guarded, such a mapping becomes one of zeros instead, and says so. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct heap_guard;

/* For a mapping of whole pages that stays where it is until heap_guard_remove(). The process's
 * handler of SIGBUS is ours from the first call on. */
int heap_guard_add(void *start, size_t bytes, struct heap_guard **ret, struct error *err);
/* Whether the file was cut off: the contents are lost. */
bool heap_guard_is_lost(const struct heap_guard *guard);
/* Before it is unmapped. NULL: nothing. */
void heap_guard_remove(struct heap_guard *guard);
