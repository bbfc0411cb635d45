/* SPDX-License-Identifier: Apache-2.0 */
/* Help texts, from the table of verbs. No line is longer than 100 columns. */
#pragma once

#include "cli/verb.h"

#include <stdio.h>

void help_print_all(FILE *out);
void help_print_verb(const struct verb *verb, FILE *out);
/* The usage error for a verb that there is not. */
int help_unknown_verb(const char *name, struct error *err);
