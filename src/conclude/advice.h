/* SPDX-License-Identifier: Apache-2.0 */
/* The advice as rows: `recommendation`, `forecast` and `size_rule`. */
#pragma once

#include "analysis/recommend.h"
#include "store/store.h"

/* 0 or -errno. */
int conclude_advice(struct store *store, const struct recommendation *advice, struct error *err);
