/* SPDX-License-Identifier: Apache-2.0 */
/* Making foreign text harmless, and figures readable. */
#pragma once

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIGURE_TEXT_MAX 48

/* Append `text` as valid UTF-8: what is none, control characters except tab and newline, and the
 * characters that turn the direction of writing become U+FFFD. Command lines, paths and console
 * output come from programs that may be hostile to a terminal, a page or a table. */
void text_append_clean(struct buffer *out, const char *text);

/* "512 MiB" from bytes; "not measured" when NAN. */
const char *figure_bytes(double bytes, char text[static FIGURE_TEXT_MAX]);
/* The same with a sign, for growth: "+30.0 KiB". */
const char *figure_growth(double bytes, char text[static FIGURE_TEXT_MAX]);
/* "1.52 s" from seconds; "not measured" when NAN. */
const char *figure_seconds(double seconds, char text[static FIGURE_TEXT_MAX]);
/* "0.25", "1", "no limit" for NAN. */
const char *figure_cores(double cores, char text[static FIGURE_TEXT_MAX]);
/* A count or a measured number with at most `places` decimals, no trailing zeros. */
const char *figure_number(double value, int places, char text[static FIGURE_TEXT_MAX]);
/* "512Mi" when exact, as a limit is written. */
const char *figure_limit(double bytes, char text[static FIGURE_TEXT_MAX]);
