/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks, lines and searches. What a line means is no matter here; JSON values are input_json.c's.
 */
#include "import/input-internal.h"

#include "base/cleanup.h"
#include "import/search.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int input_new(const char *name, size_t capacity, struct input **ret, struct error *err)
{
    struct input *input = calloc(1, sizeof(*input));
    if (!input)
        return error_errno(err, ENOMEM, "reading '%s'", name);
    *input = (struct input){.fd = -1, .name = strdup(name), .next_line = 1};
    input->capacity = capacity;
    input->data = malloc(input->capacity + 1);
    if (!input->name || !input->data) {
        input_close(input);
        return error_errno(err, ENOMEM, "reading '%s'", name);
    }
    *ret = input;
    return 0;
}

int input_open(const char *path, struct input **ret, struct error *err)
{
    bool standard = strcmp(path, "-") == 0;
    AUTO_CLOSE int fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return error_usage(err, "cannot read '%s': %s", path, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return error_usage(err, "cannot read '%s': it is a directory; name the files in it", path);
    int r = input_new(standard ? "stdin" : path, INPUT_BLOCK, ret, err);
    if (r < 0)
        return r;
    (*ret)->fd = steal_fd(&fd);
    return 0;
}

int input_open_memory(const char *name, const void *data, size_t length, struct input **ret,
                      struct error *err)
{
    size_t room = length + 1; /* a short text needs no large block */
    int r = input_new(name, room < INPUT_BLOCK ? room : INPUT_BLOCK, ret, err);
    if (r < 0)
        return r;
    (*ret)->memory = data;
    (*ret)->memory_left = length;
    return 0;
}

void input_number_from(struct input *input, uint64_t line)
{
    input->next_line = line;
}

void input_close(struct input *input)
{
    if (!input)
        return;
    close_fd(&input->fd);
    free(input->name);
    free(input->data);
    free(input);
}

const char *input_name(const struct input *input)
{
    return input->name;
}

__attribute__((format(printf, 5, 0))) static int vinput_error(const struct input *input,
                                                              uint64_t line, uint64_t column,
                                                              struct error *err, const char *format,
                                                              va_list list)
{
    char text[ERROR_TEXT_BYTES];
    vsnprintf(text, sizeof(text), format, list);
    if (line && column)
        return error_usage(err, "%s:%ju:%ju: %s", input->name, (uintmax_t)line, (uintmax_t)column,
                           text);
    if (line)
        return error_usage(err, "%s:%ju: %s", input->name, (uintmax_t)line, text);
    return error_usage(err, "%s: %s", input->name, text);
}

int input_error(const struct input *input, uint64_t line, uint64_t column, struct error *err,
                const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int r = vinput_error(input, line, column, err, format, list);
    va_end(list);
    return r;
}

static int read_some(struct input *input, char *to, size_t room, size_t *ret, struct error *err)
{
    if (input->memory) {
        size_t length = input->memory_left < room ? input->memory_left : room;
        memcpy(to, input->memory, length);
        input->memory += length;
        input->memory_left -= length;
        *ret = length;
        return 0;
    }
    ssize_t length;
    do {
        length = read(input->fd, to, room);
    } while (length < 0 && errno == EINTR);
    if (length < 0)
        return error_usage(err, "cannot read '%s': %s", input->name, strerror(errno));
    *ret = (size_t)length;
    return 0;
}

static int grow(struct input *input, struct error *err)
{
    size_t capacity = 2 * input->capacity;
    char *data = realloc(input->data, capacity + 1);
    if (!data)
        return error_errno(err, ENOMEM, "reading '%s'", input->name);
    input->data = data;
    input->capacity = capacity;
    return 0;
}

/* PowerShell's redirection writes UTF-16, which would look like text with a NUL in every second
 * byte. */
static int take_byte_order_mark(struct input *input, struct error *err)
{
    const unsigned char *data = (const unsigned char *)input->data;
    if (input->end >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0)
        input->start = 3;
    if (input->end >= 2 && (memcmp(data, "\xFF\xFE", 2) == 0 || memcmp(data, "\xFE\xFF", 2) == 0))
        return input_error(input, 1, 1, err,
                           "this is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8 FILE");
    return 0;
}

/* Remember how the bytes [from, to) end. */
static void note_end(struct input *input, const char *from, const char *to)
{
    uint64_t ends = 0;
    while (to > from && isspace((unsigned char)to[-1]))
        ends += *--to == '\n';
    if (to == from) {
        input->blank_lines += ends;
        return;
    }
    input->final_byte = to[-1];
    input->blank_lines = ends;
}

uint64_t input_cut_row(const struct input *input)
{
    char last = input->final_byte;
    return last == '\0' || last == '}' || last == ']' ? 0 : input->next_line - input->blank_lines;
}

int input_fill(struct input *input, struct error *err)
{
    if (input->eof)
        return 0;
    if (input->start > 0) {
        memmove(input->data, input->data + input->start, input->end - input->start);
        input->end -= input->start;
        input->start = 0;
    }
    if (input->end == input->capacity) {
        int r = grow(input, err);
        if (r < 0)
            return r;
    }
    size_t length = 0;
    int r = read_some(input, input->data + input->end, input->capacity - input->end, &length, err);
    if (r < 0)
        return r;
    note_end(input, input->data + input->end, input->data + input->end + length);
    input->end += length;
    input->eof = length == 0;
    if (!input->begun && (input->eof || input->end >= 3)) {
        input->begun = true;
        r = take_byte_order_mark(input, err);
        if (r < 0)
            return r;
    }
    return input->eof ? 0 : 1;
}

int input_head(struct input *input, struct head *ret, struct error *err)
{
    while (input->end < INPUT_HEAD_MAX + 3) {
        int r = input_fill(input, err);
        if (r < 0)
            return r;
        if (r == 0)
            break;
    }
    size_t length = input->end - input->start;
    *ret = (struct head){.text = input->data + input->start,
                         .length = length < INPUT_HEAD_MAX ? length : INPUT_HEAD_MAX,
                         .whole = input->eof && length <= INPUT_HEAD_MAX};
    return 0;
}

/* Hand out [start, start + length) as a line and go on behind `used` bytes. */
static int give_line(struct input *input, size_t length, size_t used, bool cut, struct line *ret)
{
    char *text = input->data + input->start;
    if (length > 0 && text[length - 1] == '\r' && !cut)
        length--;
    text[length] = '\0';
    input->start += used;
    input->last =
        (struct line){.text = text, .length = length, .number = input->next_line++, .cut = cut};
    *ret = input->last;
    return 1;
}

/* The rest of a line that was cut: passed over, up to and with its end. */
static int skip_rest(struct input *input, struct error *err)
{
    while (input->skipping) {
        char *from = input->data + input->start;
        char *newline = memchr(from, '\n', input->end - input->start);
        if (newline) {
            input->start = (size_t)(newline - input->data) + 1;
            input->skipping = false;
            return 0;
        }
        input->start = input->end;
        int r = input_fill(input, err);
        if (r < 0)
            return r;
        if (r == 0) {
            input->skipping = false;
            input->next_line--; /* no end of a line was read */
        }
    }
    return 0;
}

int input_line(struct input *input, struct line *ret, struct error *err)
{
    if (input->unread) {
        input->unread = false;
        *ret = input->last;
        return 1;
    }
    int r = skip_rest(input, err);
    if (r < 0)
        return r;
    size_t searched = 0;
    for (;;) {
        char *from = input->data + input->start;
        size_t length = input->end - input->start;
        char *newline = memchr(from + searched, '\n', length - searched);
        size_t line = newline ? (size_t)(newline - from) : length;
        if (line > INPUT_LINE_MAX) {
            input->skipping = true;
            return give_line(input, INPUT_LINE_MAX, INPUT_LINE_MAX + 1, true, ret);
        }
        if (newline)
            return give_line(input, line, line + 1, false, ret);
        searched = length;
        r = input_fill(input, err);
        if (r < 0)
            return r;
        if (r == 0)
            break;
    }
    size_t length = input->end - input->start;
    if (length == 0)
        return 0;
    give_line(input, length, length, false, ret);
    input->next_line--; /* no end of a line was read */
    return 1;
}

void input_unread_line(struct input *input)
{
    input->unread = true;
}

static uint64_t count_lines(const char *from, const char *to)
{
    uint64_t count = 0;
    while ((from = memchr(from, '\n', (size_t)(to - from))) != NULL) {
        count++;
        from++;
    }
    return count;
}

static const char *find_first(const char *from, const char *to, const char *const *needles,
                              size_t count)
{
    const char *first = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t length = (size_t)((first ? first : to) - from);
        const char *found = search_bytes(from, length, needles[i], strlen(needles[i]));
        if (found)
            first = found;
    }
    return first;
}

/* Move to the beginning of the first complete line that holds a needle. 1 found, 0 not within the
 * complete lines that are in memory (they are passed over). */
static int find_in_block(struct input *input, const char *const *needles, size_t count)
{
    char *from = input->data + input->start;
    char *end = input->data + input->end;
    char *last = memrchr(from, '\n', (size_t)(end - from));
    char *to = input->eof ? end : last ? last + 1 : from;
    const char *found = find_first(from, to, needles, count);
    const char *target = to;
    if (found) {
        const char *newline = memrchr(from, '\n', (size_t)(found - from));
        target = newline ? newline + 1 : from;
    }
    input->next_line += count_lines(from, target);
    input->start = (size_t)(target - input->data);
    return found ? 1 : 0;
}

static bool line_has(const struct line *line, const char *const *needles, size_t count)
{
    return find_first(line->text, line->text + line->length, needles, count) != NULL;
}

int input_find(struct input *input, const char *const *needles, size_t count, struct line *ret,
               struct error *err)
{
    input->unread = false;
    for (;;) {
        int r = skip_rest(input, err);
        if (r < 0)
            return r;
        if (find_in_block(input, needles, count))
            return input_line(input, ret, err);
        if (input->eof && input->start == input->end)
            return 0;
        if (input->end - input->start > INPUT_LINE_MAX) { /* a line of more than a block */
            r = input_line(input, ret, err);
            if (r <= 0 || line_has(ret, needles, count))
                return r;
            continue;
        }
        r = input_fill(input, err);
        if (r < 0)
            return r;
    }
}

int input_rest(struct input *input, const char **ret, size_t *ret_length, struct error *err)
{
    for (;;) {
        if (input->end - input->start > INPUT_VALUE_MAX)
            return input_error(input, 0, 0, err, "this document is larger than %zu MiB",
                               INPUT_VALUE_MAX >> 20);
        int r = input_fill(input, err);
        if (r < 0)
            return r;
        if (r == 0)
            break;
    }
    input->data[input->end] = '\0';
    *ret = input->data + input->start;
    *ret_length = input->end - input->start;
    input->start = input->end;
    return 0;
}
