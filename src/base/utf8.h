/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length of the UTF-8 sequence that begins a terminated text, and its code point; 0 when it is
 * malformed (overlong, surrogate, out of range, cut). RFC 3629. */
size_t utf8_decode(const char *text, uint32_t *ret);

/* What a terminal or a browser would obey instead of showing it: controls (not tab and newline),
 * marks that turn the direction of writing, and points that are none. */
bool utf8_is_harmful(uint32_t point);

/* Write a text that somebody else made so that it can be shown and still tells every two texts
 * apart: bytes that are no UTF-8 as \xNN, and a backslash before an x as \x5c; with `controls` so
 * are harmful characters, tabs and newlines. Cut to the room, between characters. */
void utf8_escape(const char *text, bool controls, char *out, size_t size);
/* What was written so (with or without `controls`), as it was before. In place. */
void utf8_unescape(char *text);
#define UTF8_ESCAPED_MAX(length) (4 * (length) + 1) /* room that is enough */
