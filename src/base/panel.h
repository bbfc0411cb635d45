/* SPDX-License-Identifier: Apache-2.0 */
/* Lines at the end of the terminal on stderr that are redrawn in place, while the log goes on above
 * them. One for the process. What is drawn survives nothing: no mode of the terminal is changed and
 * the cursor stays visible, so that a program that is killed leaves lines behind, but a terminal
 * that works. */
#pragma once

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>

#define PANEL_ROWS_MAX 64

/* True when stderr is a terminal whose cursor can be moved: TERM is set and not "dumb". */
bool panel_possible(void);

/* Redraw: `text` are lines with '\n' between them (at most PANEL_ROWS_MAX; more are left out), each
 * of them narrower than the terminal, without escape sequences but colours. Nothing where it is not
 * possible, and while the terminal takes no output (Ctrl-S): a picture of the past is worth no
 * waiting. */
void panel_draw(const struct buffer *text);
void panel_clear(void);

/* Write a line of the log to stderr in one write(2), above the panel, which the next panel_draw()
 * brings back. From any thread. */
void panel_write_above(const char *line, size_t length);
