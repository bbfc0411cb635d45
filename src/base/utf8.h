/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The length of the UTF-8 sequence that begins a terminated text, and its code point; 0 when it is
 * malformed (overlong, surrogate, out of range, cut). RFC 3629. */
size_t utf8_decode(const char *text, uint32_t *ret);
