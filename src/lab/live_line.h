/* SPDX-License-Identifier: Apache-2.0 */
/* One line of the live view: coloured pieces, cut to the terminal's width. */
#pragma once

#include "base/buffer.h"
#include "base/terminal.h"
#include "lab/live_view.h"

struct live_line {
    const struct live_screen *screen;
    struct buffer *out;
    unsigned left; /* columns */
    enum colour colour;
};

void live_line_begin(struct live_line *line, const struct live_screen *screen, struct buffer *out);
void live_line_put(struct live_line *line, enum colour colour, const char *text);
void live_line_printf(struct live_line *line, enum colour colour, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void live_line_end(struct live_line *line);
