/* SPDX-License-Identifier: Apache-2.0 */
/* Which lifetimes of a run have a heap profile, and what its evidence says about them. */
#pragma once

#include "heap/view.h"

/* The reason of the event that says why an arm has no profile. */
#define HEAP_UNPROFILED_EVENT "HeapProfileMissing"

/* Fill in the view's arm and what the run says of it, lifetime, end and memory. */
int heap_choose(struct store *store, const char *directory, const struct heap_choice *choice,
                struct heap_view *view, struct error *err);
/* Requests that the lifetime had answered by then; -errno. */
int64_t heap_requests_until(struct store *store, int64_t lifetime_id, int64_t at_ns,
                            struct error *err);
