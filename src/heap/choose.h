/* SPDX-License-Identifier: Apache-2.0 */
/* Which lifetimes of a run have a heap profile, and what its evidence says about them. */
#pragma once

#include "heap/view.h"

/* The reason of the event that says why an arm has no profile. */
#define HEAP_UNPROFILED_EVENT "HeapProfileMissing"

/* A lifetime's file in a run's directory, of its end or of the last kill of a child process. */
void heap_profile_path(const char *directory, int64_t lifetime_id, bool at_kill,
                       char path[static PATH_MAX]);

/* Fill in the view's arm and what the run says of it, lifetime, end, and whether there is a profile
 * of a child's kill. */
int heap_choose(struct store *store, const char *directory, const struct heap_choice *choice,
                struct heap_view *view, struct error *err);
/* Fill in the memory that the container had at the moment of the view. */
int heap_read_memory(struct store *store, struct heap_view *view, struct error *err);
/* Requests that the lifetime had answered by then; -errno. */
int64_t heap_requests_until(struct store *store, int64_t lifetime_id, int64_t at_ns,
                            struct error *err);
