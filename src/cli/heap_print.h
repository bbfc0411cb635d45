/* SPDX-License-Identifier: Apache-2.0 */
/* A heap profile for people, and the difference of two for both. */
#pragma once

#include "heap/diff.h"
#include "heap/view.h"

#include <jansson.h>
#include <stdio.h>

/* At most `top` stacks; 0: all. */
void heap_print(const struct heap_view *view, size_t top, FILE *out);
void heap_difference_print(const struct heap_view *before, const struct heap_view *after,
                           const struct heap_difference *differences, size_t count, size_t top,
                           FILE *out);
/* "oomlab.heap-diff/1": before, after (arm, lifetime, total_bytes), stacks[{before_bytes,
 * after_bytes, change_bytes, ci95_bytes, frames[]}]. NULL on failed allocation. */
json_t *heap_difference_json(const struct heap_view *before, const struct heap_view *after,
                             const struct heap_difference *differences, size_t count, size_t top);
