/* SPDX-License-Identifier: Apache-2.0 */
#include "base/terminal.h"

#include "base/panel.h"

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
    if (!term || *term == '\0' || strcmp(term, "dumb") == 0)
        return false;
    return isatty(fd) == 1;
}

const char *terminal_sequence(enum colour colour)
{
    static const char *const sequences[] = {
        [COLOUR_NONE] = "\033[0m",  [COLOUR_BOLD] = "\033[1m",   [COLOUR_DIM] = "\033[2m",
        [COLOUR_RED] = "\033[31m",  [COLOUR_GREEN] = "\033[32m", [COLOUR_YELLOW] = "\033[33m",
        [COLOUR_BLUE] = "\033[34m",
    };
    return sequences[colour];
}

const char *terminal_colour(int fd, enum colour colour)
{
    return terminal_has_colour(fd) ? terminal_sequence(colour) : "";
}

int terminal_width(int fd)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

int terminal_height(int fd)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row > 0)
        return size.ws_row;
    return 24;
}

bool terminal_has_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *locale = getenv(names[i]);
        if (locale && *locale != '\0')
            return strcasestr(locale, "utf-8") || strcasestr(locale, "utf8");
    }
    return false;
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
    if (!panel_possible())
        return;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    AUTO_BUFFER line = {0};
    /* One column stays free: a full line would wrap on some terminals. */
    buffer_append(&line, text, (size_t)bytes_of_columns(text, terminal_width(STDERR_FILENO) - 1));
    panel_draw(&line);
}
