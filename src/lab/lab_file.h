/* SPDX-License-Identifier: Apache-2.0 */
/* Lab files: YAML in, drafts out. Only the form is checked here (keys, types, scalars that stand
 * for lists); plan.c reads the values. Every fault is a usage error with "FILE:LINE:COLUMN: ". */
#pragma once

#include "lab/plan_draft.h"

#include <stddef.h>

#define LAB_FILE_MAX_BYTES ((size_t)256 * 1024)

/* Parse the text of a lab file; `file` is its name for messages and for the place of the files that
 * it names. */
int lab_file_parse(const char *file, const char *text, size_t length, struct lab_draft *ret,
                   struct error *err);
/* Read and parse; "-" is standard input. */
int lab_file_read(const char *file, struct lab_draft *ret, struct error *err);

/* The built-in lab: labs/memory-leak-oomkilled.yaml as it was when oomlab was built. */
const char *builtin_lab_text(size_t *ret_length);
