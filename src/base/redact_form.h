/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets that are known by their form, whatever stands before them: tokens of services that give
 * them a prefix so that they are found, JSON Web Tokens, private keys. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* How many bytes at `at` are such a secret; 0: none begins there. */
size_t redact_form_at(const char *text, size_t length, size_t at);

/* How many bytes at the end may be the beginning of one. */
size_t redact_form_begun(const char *text, size_t length);
