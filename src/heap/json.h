/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "heap/view.h"

#include <jansson.h>

/* null: not known. */
json_t *heap_number_json(double value);
/* A name, which may be any bytes, as UTF-8 (utf8_escape()); NULL: null. */
json_t *heap_text_json(const char *value);
/* A stack's frames, innermost first. NULL on failed allocation. */
json_t *heap_frames_json(const struct heap_view *view, uint32_t stack);
/* The object of the contract "oomlab.heap/1" (docs/heap.md), at most `top` stacks (0: all). NULL on
 * failed allocation. `at`: the end as a timestamp; NULL: unknown. */
json_t *heap_json(const struct heap_view *view, const char *at, size_t top);
