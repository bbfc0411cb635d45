/* SPDX-License-Identifier: Apache-2.0 */
/* The tables by which CPython finds the line of an instruction: co_lnotab of 3.9 and co_linetable
 * of 3.10 (Objects/lnotab_notes.txt), and of 3.11 and later (Objects/locations.md, PEP 657). Reads
 * the table alone and stops at its end. */
#include "preload/python.h"

#define LAST_LINE 0xffffff

/* Kinds of an entry of 3.11's. */
#define ENTRY_LONG      14
#define ENTRY_NO_COLUMN 13
#define ENTRY_ONE_LINE  10 /* and 11, 12: by so many lines further */
#define ENTRY_NONE      15

/* Six bits a byte, the lowest first; 64: it goes on. */
static unsigned read_varint(const struct python_table *table, size_t *at)
{
    unsigned value = 0;
    for (unsigned shift = 0; *at < table->bytes; shift += 6) {
        unsigned byte = table->data[(*at)++];
        if (shift < 32)
            value |= (byte & 63) << shift;
        if (!(byte & 64))
            break;
    }
    return value;
}

/* The sign is the lowest bit. */
static int read_signed(const struct python_table *table, size_t *at)
{
    unsigned value = read_varint(table, at);
    return value & 1 ? -(int)(value >> 1) : (int)(value >> 1);
}

/* Of two's complement. */
static int read_byte(const struct python_table *table, size_t at)
{
    int value = table->data[at];
    return value < 128 ? value : value - 256;
}

static int usable(int64_t line)
{
    return line > 0 && line <= LAST_LINE ? (int)line : 0;
}

static int find_311(const struct python_table *table, int64_t offset)
{
    int64_t line = table->first_line, begin = 0;
    for (size_t at = 0; at < table->bytes;) {
        unsigned head = table->data[at++];
        unsigned kind = head >> 3 & 15;
        int64_t end = begin + 2 * (int64_t)((head & 7) + 1);
        if (kind == ENTRY_LONG || kind == ENTRY_NO_COLUMN)
            line += read_signed(table, &at);
        else if (kind >= ENTRY_ONE_LINE && kind != ENTRY_NONE)
            line += kind - ENTRY_ONE_LINE;
        if (offset < end)
            return kind == ENTRY_NONE ? 0 : usable(line);
        begin = end;
        while (at < table->bytes && !(table->data[at] & 128)) /* columns: only a head has this */
            at++;
    }
    return 0;
}

/* Pairs: bytes of code, and by how many lines they are further than the pair before. */
static int find_310(const struct python_table *table, int64_t offset)
{
    int64_t line = table->first_line, end = 0;
    for (size_t at = 0; at + 1 < table->bytes; at += 2) {
        int further = read_byte(table, at + 1);
        end += table->data[at];
        if (further != -128)
            line += further;
        if (offset < end)
            return further == -128 ? 0 : usable(line);
    }
    return 0;
}

/* Pairs: bytes until the next line begins, and by how many lines it is further. */
static int find_39(const struct python_table *table, int64_t offset)
{
    int64_t line = table->first_line, begin = 0;
    for (size_t at = 0; at + 1 < table->bytes; at += 2) {
        begin += table->data[at];
        if (begin > offset)
            break;
        line += read_byte(table, at + 1);
    }
    return usable(line);
}

int python_line_find(enum python_lines format, const struct python_table *table, int64_t offset)
{
    if (offset < 0)
        return usable(table->first_line);
    switch (format) {
    case PYTHON_LINES_39:
        return find_39(table, offset);
    case PYTHON_LINES_310:
        return find_310(table, offset);
    case PYTHON_LINES_311:
        return find_311(table, offset);
    }
    return 0;
}
