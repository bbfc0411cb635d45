/* SPDX-License-Identifier: Apache-2.0 */
#include "base/terminal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool terminal_has_colour(int fd)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    if (no_color && *no_color != '\0')
        return false;
    if (!term || strcmp(term, "dumb") == 0)
        return false;
    return isatty(fd) == 1;
}

const char *terminal_colour(int fd, enum colour colour)
{
    static const char *const sequences[] = {
        [COLOUR_NONE] = "\033[0m",  [COLOUR_BOLD] = "\033[1m",   [COLOUR_DIM] = "\033[2m",
        [COLOUR_RED] = "\033[31m",  [COLOUR_GREEN] = "\033[32m", [COLOUR_YELLOW] = "\033[33m",
        [COLOUR_BLUE] = "\033[34m",
    };
    return terminal_has_colour(fd) ? sequences[colour] : "";
}

int terminal_width(int fd)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

const char *terminal_clear_line(int fd)
{
    return isatty(fd) == 1 ? "\r\033[K" : "";
}

/* How many bytes of `text` fill at most `columns` columns, one a UTF-8 character. */
static int bytes_of_columns(const char *text, int columns)
{
    const char *at = text;
    for (; *at; at++) {
        bool starts = ((unsigned char)*at & 0xC0) != 0x80;
        if (starts && columns-- == 0)
            break;
    }
    return (int)(at - text);
}

void progress_update(const char *format, ...)
{
    if (isatty(STDERR_FILENO) != 1)
        return;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    /* One column stays free: a full line would wrap on some terminals. */
    fprintf(stderr, "\r\033[K%.*s", bytes_of_columns(text, terminal_width(STDERR_FILENO) - 1),
            text);
}

void progress_clear(void)
{
    fputs(terminal_clear_line(STDERR_FILENO), stderr);
}
