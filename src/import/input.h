/* SPDX-License-Identifier: Apache-2.0 */
/* A named stream of bytes that somebody recorded: a file, standard input or a piece of memory.
 *
 * It is read once, from front to back, in large blocks; whatever its size, it costs a few MiB.
 * Nothing is believed about it: lines may end in LF, CRLF or nothing, be of any length, hold NUL
 * bytes and bytes that are no UTF-8; a byte order mark at the beginning is left out. */
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INPUT_HEAD_MAX  ((size_t)64 << 10) /* what recognition sees */
#define INPUT_LINE_MAX  ((size_t)1 << 20)  /* a longer line is cut here */
#define INPUT_VALUE_MAX ((size_t)4 << 20)  /* a larger JSON value is an error */

struct input;

/* Open a file, or standard input for "-" (named "stdin" in messages). Errors are usage errors. */
int input_open(const char *path, struct input **ret, struct error *err);
/* Read `length` bytes of memory, which must outlive the input. */
int input_open_memory(const char *name, const void *data, size_t length, struct input **ret,
                      struct error *err);
/* The first line is number `line`: for a part of a larger document. Only before the first read. */
void input_number_from(struct input *input, uint64_t line);
void input_close(struct input *input);
static inline void input_cleanup(struct input **input)
{
    input_close(*input);
}
#define AUTO_INPUT __attribute__((cleanup(input_cleanup))) struct input

const char *input_name(const struct input *input);

/* What is recognised: the first bytes of an input, without its byte order mark. */
struct head {
    const char *text; /* not terminated; may hold anything */
    size_t length;    /* at most INPUT_HEAD_MAX */
    bool whole;       /* this is all there is */
};
/* Nothing is consumed. Only before the first read. */
int input_head(struct input *input, struct head *ret, struct error *err);

struct line {
    char *text;      /* terminated, without its end of line; valid until the next read of the input;
                        the reader may change it in place */
    size_t length;   /* may be more than strlen(text) where it holds NUL bytes */
    uint64_t number; /* 1.. */
    bool cut;        /* it was longer than INPUT_LINE_MAX; the rest is skipped */
};

/* The next line. 1, 0 at the end, -errno with `err`. A '\r' before the end of line is taken off. */
int input_line(struct input *input, struct line *ret, struct error *err);

/* The next line that holds one of `needles` (the bytes as they stand). As input_line(), at the
 * speed of a plain search: for logs of which few lines matter. */
#define INPUT_NEEDLES_MAX 8
int input_find(struct input *input, const char *const *needles, size_t count, struct line *ret,
               struct error *err);

/* Of a stream of JSON rows that was read to its end: the number of the last row if that is no whole
 * one, 0 otherwise. */
uint64_t input_cut_row(const struct input *input);

/* Give back the line that was read last: the next input_line() returns it again, as it stands. */
void input_unread_line(struct input *input);

/* The next JSON value: the elements of an array at the top, one by one; values behind one another
 * (NDJSON or indented); blanks, commas and stray carriage returns between them are passed over.
 * 1 and a new reference, 0 at the end. What is no JSON or larger than INPUT_VALUE_MAX is a usage
 * error with FILE:LINE:COLUMN. `ret_line` is the line on which the value begins. Do not mix with
 * input_line() within a document. */
int input_json(struct input *input, json_t **ret, uint64_t *ret_line, struct error *err);

/* The whole rest, for formats that are no stream of values or lines (YAML): terminated, at most
 * INPUT_VALUE_MAX (usage error). Owned by the input, valid until it is closed. */
int input_rest(struct input *input, const char **ret, size_t *ret_length, struct error *err);

/* Usage error "FILE:LINE:COLUMN: ...". line 0: of the input as a whole; column 0: none. */
int input_error(const struct input *input, uint64_t line, uint64_t column, struct error *err,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Put a '?' for every byte that is no UTF-8: jansson refuses a whole value for one of them. */
void input_make_utf8(char *text, size_t length);

/* Copy `text` so that it can be shown: what is no UTF-8 becomes U+FFFD, control characters become
 * blanks; cut at a character's end. Returns ret. */
const char *input_clean(const char *text, size_t length, char *ret, size_t size);
