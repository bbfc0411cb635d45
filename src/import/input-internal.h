/* SPDX-License-Identifier: Apache-2.0 */
/* What input.c and input_json.c share. */
#pragma once

#include "import/input.h"

#define INPUT_BLOCK ((size_t)1 << 20)

struct input {
    char *name; /* owned */
    int fd;     /* -1: memory */
    const char *memory;
    size_t memory_left;
    char *data;        /* owned; one byte more than the capacity, for a terminator */
    size_t start, end; /* what is not yet consumed */
    size_t capacity;
    uint64_t next_line;
    uint64_t column; /* input_json(): of `start`, 0.. */
    struct line last;
    char final_byte;      /* of what was read so far, blanks left out; '\0': none */
    uint64_t blank_lines; /* ends of lines behind it */
    bool eof, begun, skipping, unread;
    bool in_array; /* input_json(): within an array at the top */
};

/* Read one more block behind what is there; what was consumed goes away, so pointers change. 1, 0
 * at the end, -errno. */
int input_fill(struct input *input, struct error *err);

/* Bytes of the UTF-8 character at `text`; 0 where there is none. */
size_t input_character(const char *text, size_t length);
