/* SPDX-License-Identifier: Apache-2.0 */
#include "report/wrap.h"

#include "base/cleanup.h"
#include "base/terminal.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEAST_COLUMNS 40

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t';
}

/* Bytes of the next line: as many whole words as fit into `columns`, else a cut word. */
static size_t line_bytes(const char *text, size_t columns)
{
    size_t used = 0;
    size_t last_blank = 0;
    const char *at = text;
    for (; *at; at++) {
        if (is_blank(*at))
            last_blank = (size_t)(at - text);
        if (is_continuation(*at))
            continue;
        if (used == columns)
            return last_blank ? last_blank : (size_t)(at - text);
        used++;
    }
    return (size_t)(at - text);
}

static void print_line(FILE *out, size_t indent, const char *text, size_t length)
{
    fprintf(out, "%*s", (int)indent, "");
    for (size_t i = 0; i < length; i++)
        fputc(is_blank(text[i]) ? ' ' : text[i], out);
    fputc('\n', out);
}

/* A narrower terminal would break the lines anywhere. */
static size_t columns_of(FILE *out)
{
    int fd = fileno(out); /* -1: a stream in memory */
    int width = fd >= 0 && isatty(fd) ? terminal_width(fd) : WRAP_COLUMNS;
    return width >= WRAP_COLUMNS   ? WRAP_COLUMNS
           : width < LEAST_COLUMNS ? LEAST_COLUMNS
                                   : (size_t)width;
}

void wrap_print(FILE *out, size_t indent, const char *format, ...)
{
    AUTO_FREE char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    if (!text)
        return;
    const char *at = text;
    size_t columns = columns_of(out);
    while (*at) {
        size_t length = line_bytes(at, columns - indent);
        print_line(out, indent, at, length);
        at += length;
        while (is_blank(*at))
            at++;
    }
}
