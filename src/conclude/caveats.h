/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of what an arm's samples could not show. */
#pragma once

#include "analysis/caveats.h"
#include "base/error.h"
#include "store/store.h"

/* One row for each. */
int conclude_caveats(struct store *store, int64_t arm_id, const struct caveats *caveats,
                     struct error *err);
