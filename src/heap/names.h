/* SPDX-License-Identifier: Apache-2.0 */
/* Names of code addresses, kept with the run: the programs may be rebuilt or removed after it. */
#pragma once

#include "heap/view.h"

struct heap_names;

/* What the run has, perhaps nothing. Nothing of it is trusted: what is no names is left out, and
 * then *ret_damaged is set. Free with heap_names_free(). -ENOMEM. */
int heap_names_load(struct store *store, struct heap_names **ret, bool *ret_damaged,
                    struct error *err);
/* None; and a module's, as they are in the table. 0; 1: that is no names, and is left out; -ENOMEM.
 */
struct heap_names *heap_names_new(void);
int heap_names_add(struct heap_names *names, const char *build_id, const char *path, int64_t bytes,
                   const char *text);
void heap_names_free(struct heap_names *names);

/* The frames of an address, innermost first, without module and address; NULL: not kept. They
 * belong to the names. `names` may be NULL. */
const struct heap_frame *heap_names_find(const struct heap_names *names,
                                         const struct heap_module *module, uint64_t address,
                                         size_t *ret_count);

/* Keep the names of all stacks of a view that have some and are not kept yet. */
int heap_names_keep(struct store *store, const struct heap_view *view, struct error *err);
