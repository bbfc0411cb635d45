/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/live_line.h"

#include <stdarg.h>
#include <stdio.h>

static void switch_colour(struct live_line *line, enum colour colour)
{
    if (!line->screen->colour || colour == line->colour)
        return;
    if (line->colour != COLOUR_NONE)
        buffer_puts(line->out, terminal_sequence(COLOUR_NONE));
    if (colour != COLOUR_NONE)
        buffer_puts(line->out, terminal_sequence(colour));
    line->colour = colour;
}

/* A terminal wraps a full line, or does not: one column stays free. */
void live_line_begin(struct live_line *line, const struct live_screen *screen, struct buffer *out)
{
    if (out->length > 0)
        buffer_puts(out, "\n");
    *line = (struct live_line){.screen = screen, .out = out, .left = screen->columns - 1};
}

void live_line_put(struct live_line *line, enum colour colour, const char *text)
{
    size_t length = 0;
    while (text[length] != '\0') {
        size_t next = length + 1;
        while (((unsigned char)text[next] & 0xC0) == 0x80)
            next++;
        if (line->left == 0)
            break;
        line->left--;
        length = next;
    }
    if (length == 0)
        return;
    switch_colour(line, colour);
    buffer_append(line->out, text, length);
}

void live_line_printf(struct live_line *line, enum colour colour, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    live_line_put(line, colour, text);
}

void live_line_end(struct live_line *line)
{
    switch_colour(line, COLOUR_NONE);
}
