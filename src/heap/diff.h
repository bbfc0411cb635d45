/* SPDX-License-Identifier: Apache-2.0 */
/* What changed between two profiles: stacks of equal names (functions and files) are the same,
 * whatever their addresses, so that builds can be compared. */
#pragma once

#include "heap/view.h"

struct heap_difference {
    char *key;                  /* owned */
    double before, after;       /* bytes live at the end */
    double variance;            /* of after - before, from the intervals' half widths */
    const struct heap_view *of; /* whose frames to show */
    uint32_t stack;
};

/* The larger of the changes first. free with heap_diff_free(). */
int heap_diff(const struct heap_view *before, const struct heap_view *after,
              struct heap_difference **ret, size_t *ret_count, struct error *err);
void heap_diff_free(struct heap_difference *differences, size_t count);
