/* SPDX-License-Identifier: Apache-2.0 */
/* Aligned plain-text tables for people. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 16

struct table;

/* `headings` is a NULL-terminated list of at most TABLE_COLUMNS_MAX names; one that starts with '>'
 * makes its column right-aligned (the sign is not printed). NULL on failed allocation. */
struct table *table_new(const char *const *headings);
void table_free(struct table *table);

/* Append a row of as many texts as there are headings (NULL counts as ""). The texts are copied.
 * Returns 0 or -ENOMEM. */
int table_add(struct table *table, const char *const *cells);

/* Print with two blanks between columns; widths count UTF-8 characters. */
void table_print(const struct table *table, FILE *out);
/* The same with a rule of dashes below the headings. */
void table_print_ruled(const struct table *table, FILE *out);
