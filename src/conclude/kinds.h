/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of an arm's growth by kind of memory. */
#pragma once

#include "analysis/by_kind.h"
#include "base/error.h"
#include "store/store.h"

/* One row for each kind that is known. */
int conclude_kinds(struct store *store, int64_t arm_id, const struct growth_kinds *kinds,
                   struct error *err);
