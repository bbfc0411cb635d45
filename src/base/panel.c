/* SPDX-License-Identifier: Apache-2.0 */
#include "base/panel.h"

#include "base/terminal.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* There is one terminal, so there is one of these. */
static struct {
    pthread_mutex_t lock;
    unsigned rows;                    /* drawn; 0: none */
    unsigned columns[PANEL_ROWS_MAX]; /* that each fills */
} panel = {.lock = PTHREAD_MUTEX_INITIALIZER};

bool panel_possible(void)
{
    const char *term = getenv("TERM");
    return term && *term != '\0' && strcmp(term, "dumb") != 0 && isatty(STDERR_FILENO) == 1;
}

static void write_all(const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(STDERR_FILENO, data, length);
        if (n <= 0)
            return; /* nobody is left to tell */
        data += n;
        length -= (size_t)n;
    }
}

/* One a UTF-8 character; colours take none. */
static unsigned count_columns(const char *line, size_t length)
{
    unsigned columns = 0;
    for (size_t i = 0; i < length; i++) {
        if (line[i] == '\033') {
            while (i < length && line[i] != 'm')
                i++;
            continue;
        }
        columns += ((unsigned char)line[i] & 0xC0) != 0x80;
    }
    return columns;
}

/* From the beginning of the last line, where draw() left the cursor, to that of the first. A
 * terminal that has become narrower since has broken the lines that did not fit (most do; one that
 * cuts them loses some lines of the log here). */
static void go_to_start(struct buffer *out)
{
    unsigned width = (unsigned)terminal_width(STDERR_FILENO);
    unsigned above = 0;
    for (unsigned i = 0; i + 1 < panel.rows; i++)
        above += panel.columns[i] > width ? (panel.columns[i] + width - 1) / width : 1;
    buffer_puts(out, "\r");
    if (above > 0)
        buffer_printf(out, "\033[%uA", above);
}

static bool takes_output(void)
{
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0;
}

static void draw(const char *text)
{
    AUTO_BUFFER out = {0};
    unsigned rows = 0;
    go_to_start(&out);
    for (const char *line = text; line && rows < PANEL_ROWS_MAX; rows++) {
        const char *end = strchr(line, '\n');
        size_t length = end ? (size_t)(end - line) : strlen(line);
        panel.columns[rows] = count_columns(line, length);
        buffer_puts(&out, rows > 0 ? "\n" : "");
        buffer_append(&out, line, length);
        buffer_puts(&out, "\033[K");
        line = end ? end + 1 : NULL;
    }
    /* A terminal that echoes ^C does so where the cursor is: not behind the end of a line. */
    buffer_puts(&out, "\033[J\r");
    panel.rows = rows;
    if (!out.failed)
        write_all(out.data, out.length);
}

void panel_draw(const struct buffer *text)
{
    if (text->failed || !panel_possible() || !takes_output())
        return;
    pthread_mutex_lock(&panel.lock);
    draw(buffer_text(text));
    pthread_mutex_unlock(&panel.lock);
}

static void erase(struct buffer *out)
{
    if (panel.rows == 0)
        return;
    go_to_start(out);
    buffer_puts(out, "\033[J");
    panel.rows = 0;
}

void panel_clear(void)
{
    panel_write_above("", 0);
}

void panel_write_above(const char *line, size_t length)
{
    AUTO_BUFFER out = {0};
    pthread_mutex_lock(&panel.lock);
    erase(&out);
    buffer_append(&out, line, length);
    if (!out.failed)
        write_all(out.data, out.length);
    else
        write_all(line, length); /* without memory the line counts, not the looks */
    pthread_mutex_unlock(&panel.lock);
}
