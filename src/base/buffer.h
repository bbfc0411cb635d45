/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte string. A failed allocation is remembered, so that a long series of appends needs
 * one check at its end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *data; /* always terminated when not NULL; owned */
    size_t length;
    size_t capacity;
    bool failed; /* an allocation failed; later appends do nothing */
};

#define AUTO_BUFFER __attribute__((cleanup(buffer_done))) struct buffer

/* Free the contents and leave an empty buffer. */
void buffer_done(struct buffer *buffer);

/* Append bytes. Returns 0, or -ENOMEM now and for every later call. */
int buffer_append(struct buffer *buffer, const void *data, size_t length);
int buffer_puts(struct buffer *buffer, const char *text);
int buffer_printf(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Append text for a URL: letters, digits and what is in `plain` as they are, the rest as %XX. */
int buffer_put_escaped(struct buffer *buffer, const char *text, const char *plain);

/* The contents as a string ("" when empty); owned by the buffer, valid until the next append. */
const char *buffer_text(const struct buffer *buffer);

/* Hand the string over to the caller (free() it) and leave an empty buffer; NULL if it failed. */
char *buffer_steal(struct buffer *buffer);
