/* SPDX-License-Identifier: Apache-2.0 */
/* What a terminal gets and a pipe does not: colour and a status line that is redrawn in place. */
#pragma once

#include <stdbool.h>

enum colour {
    COLOUR_NONE,
    COLOUR_BOLD,
    COLOUR_DIM,
    COLOUR_RED,
    COLOUR_GREEN,
    COLOUR_YELLOW,
    COLOUR_BLUE,
};

/* True when `fd` is a terminal, NO_COLOR is unset or empty, and TERM is set and not "dumb". */
bool terminal_has_colour(int fd);

/* The escape sequence that switches to `colour` on `fd` (COLOUR_NONE: back to normal); "" where
 * colour is off. Static storage. */
const char *terminal_colour(int fd, enum colour colour);

/* The same, wherever it goes. */
const char *terminal_sequence(enum colour colour);

/* Columns of the terminal at `fd`; 80 where it is none. */
int terminal_width(int fd);

/* Rows; 24 where it is none. */
int terminal_height(int fd);

/* Whether the environment's locale writes UTF-8 (LC_ALL, LC_CTYPE, LANG: the first that is set). */
bool terminal_has_utf8(void);

/* Draw a status line as the panel (base/panel.h), cut to the terminal's width; nothing at all where
 * there is none. panel_clear() wipes it. */
void progress_update(const char *format, ...) __attribute__((format(printf, 1, 2)));
