/* SPDX-License-Identifier: Apache-2.0 */
/* Paragraphs for a terminal. */
#pragma once

#include <stddef.h>
#include <stdio.h>

#define WRAP_COLUMNS 100

/* Print a paragraph in lines of at most WRAP_COLUMNS characters, fewer on a narrower terminal, each
 * indented by `indent`. Longer words are cut. */
void wrap_print(FILE *out, size_t indent, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
