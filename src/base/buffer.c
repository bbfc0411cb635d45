/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buffer_done(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

static int reserve(struct buffer *buffer, size_t extra)
{
    if (buffer->failed)
        return -ENOMEM;
    /* No object is larger than PTRDIFF_MAX; below it the sums and the doubling cannot overflow. */
    char *data = NULL;
    size_t capacity = buffer->capacity ? buffer->capacity : 128;
    if (extra < (size_t)PTRDIFF_MAX - buffer->length) {
        size_t needed = buffer->length + extra + 1;
        if (needed <= buffer->capacity)
            return 0;
        while (capacity < needed)
            capacity *= 2;
        data = realloc(buffer->data, capacity);
    }
    if (!data) {
        buffer->failed = true;
        return -ENOMEM;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return 0;
}

int buffer_append(struct buffer *buffer, const void *data, size_t length)
{
    int r = reserve(buffer, length);
    if (r < 0)
        return r;
    if (length > 0)
        memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
    return 0;
}

int buffer_puts(struct buffer *buffer, const char *text)
{
    return buffer_append(buffer, text, strlen(text));
}

int buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) {
        buffer->failed = true;
        return -ENOMEM;
    }
    int r = reserve(buffer, (size_t)length);
    if (r < 0)
        return r;
    va_start(args, format);
    vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, args);
    va_end(args);
    buffer->length += (size_t)length;
    return 0;
}

int buffer_put_escaped(struct buffer *buffer, const char *text, const char *plain)
{
    int r = 0;
    for (; *text && r == 0; text++) {
        if (isalnum((unsigned char)*text) || strchr(plain, *text))
            r = buffer_append(buffer, text, 1);
        else
            r = buffer_printf(buffer, "%%%02X", (unsigned char)*text);
    }
    return r;
}

const char *buffer_text(const struct buffer *buffer)
{
    return buffer->data ? buffer->data : "";
}

char *buffer_steal(struct buffer *buffer)
{
    if (reserve(buffer, 0) < 0)
        return NULL;
    buffer->data[buffer->length] = '\0';
    char *data = buffer->data;
    *buffer = (struct buffer){0};
    return data;
}
