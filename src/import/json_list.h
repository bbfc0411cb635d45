/* SPDX-License-Identifier: Apache-2.0 */
/* A list inside of a JSON document, read element by element: a query's result or a List of pods can
 * be much larger than what fits into memory. */
#pragma once

#include "import/input.h"

/* Does the document that begins with `head` have an array under `key` at this depth (1: a member of
 * the document itself), as far as the head shows? */
bool json_list_in_head(const struct head *head, const char *key, unsigned depth);
/* Move behind the '[' of that array. 1, or 0 when there is none (the input is at its end then). */
int json_list_enter(struct input *input, const char *key, unsigned depth, struct error *err);
/* The next element: 1 and a new reference, 0 behind the last; otherwise as input_json(). */
int json_list_next(struct input *input, json_t **ret, uint64_t *ret_line, struct error *err);
