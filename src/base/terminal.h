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

/* True when `fd` is a terminal, NO_COLOR is unset or empty, and TERM is not "dumb". */
bool terminal_has_colour(int fd);

/* The escape sequence that switches to `colour` on `fd` (COLOUR_NONE: back to normal); "" where
 * colour is off. Static storage. */
const char *terminal_colour(int fd, enum colour colour);

/* Columns of the terminal at `fd`; 80 where it is none. */
int terminal_width(int fd);

/* The sequence that wipes a status line drawn by progress_update(); "" when `fd` is no terminal. */
const char *terminal_clear_line(int fd);

/* Redraw the status line on stderr: cut to the terminal's width, nothing at all when stderr is no
 * terminal. progress_clear() wipes it. */
void progress_update(const char *format, ...) __attribute__((format(printf, 1, 2)));
void progress_clear(void);
