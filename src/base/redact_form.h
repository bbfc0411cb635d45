/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets that are known by their form, whatever stands before them: tokens of services that give
 * them a prefix so that they are found, JSON Web Tokens, private keys. */
#pragma once

#include <stddef.h>

/* Where the first such secret at or after `at` begins, and how many bytes it has; `length`: there
 * is none. */
size_t redact_form_find(const char *text, size_t length, size_t at, size_t *ret_bytes);

/* How many bytes at the end may be the beginning of one. */
size_t redact_form_begun(const char *text, size_t length);
