/* SPDX-License-Identifier: Apache-2.0 */
/* A command line in one string, split into words as a POSIX shell reads it, without expanding
 * anything: blanks separate, '...' and "..." quote, a backslash takes the next character as it is
 * (within "..." only before " and \). */
#pragma once

#include "base/error.h"

/* A NULL-terminated list; words_free() it. Usage error for an open quote or a lone backslash at the
 * end. An empty text gives an empty list. */
int words_split(const char *text, char ***ret, struct error *err);
void words_free(char **words); /* NULL is fine */
