/* SPDX-License-Identifier: Apache-2.0 */
/* A table's recorder may have had its clock set back: then two rows with the same time are not of
 * the same moment. Internal to src/import. */
#pragma once

#include "analysis/series.h"
#include "store/store.h"

#include <stdint.h>

#define STEADY_MAX 64

/* The samples of one table about one place that are to be taken: facts `first` to `last`. */
struct steady {
    int64_t source_id, place_id, first, last;
};

struct steadies {
    struct steady items[STEADY_MAX];
    size_t count;
    struct clock_steps steps; /* `left_out` too */
};

/* Of each of the container's tables in which the time goes back into a stretch that was told
 * before: its longest stretch without that. A table whose rows are in no order of time has no
 * steps, nor one that was put together from two days in the wrong order. */
int steadies_load(struct store *store, int64_t arm_id, struct steadies *ret, struct error *err);

/* Whether a sample is to be taken. */
bool steadies_take(const struct steadies *steadies, int64_t source_id, int64_t place_id,
                   int64_t fact_id);
