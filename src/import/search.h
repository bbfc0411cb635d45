/* SPDX-License-Identifier: Apache-2.0 */
/* memmem(3) for long texts and short words: glibc's takes steps no longer than the word, this one
 * looks at sixteen places at once. */
#pragma once

#include <stddef.h>

/* Where `word` (at least one byte) begins in `text` first; NULL when nowhere. */
const char *search_bytes(const char *text, size_t length, const char *word, size_t word_length);
