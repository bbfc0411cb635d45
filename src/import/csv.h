/* SPDX-License-Identifier: Apache-2.0 */
/* One record of comma-separated values (RFC 4180), over several lines where a quoted field is. */
#pragma once

#include "base/buffer.h"
#include "import/input.h"

#define CSV_FIELDS_MAX 64

struct csv_record {
    struct buffer text;            /* the fields, each terminated; owned */
    size_t starts[CSV_FIELDS_MAX]; /* offsets in `text` */
    size_t count;                  /* further fields are passed over */
    uint64_t line;                 /* its first */
};

/* 1, 0 at the end, -errno. An unclosed quote is a usage error with its line and column. */
int csv_read(struct input *input, char separator, struct csv_record *record, struct error *err);
void csv_record_done(struct csv_record *record);
/* "" behind the last one. */
const char *csv_field(const struct csv_record *record, size_t index);
/* The index of a heading, or -1. */
int csv_find(const struct csv_record *header, const char *name);
