/* SPDX-License-Identifier: Apache-2.0 */
#include "import/csv.h"

#include <errno.h>
#include <string.h>

void csv_record_done(struct csv_record *record)
{
    buffer_done(&record->text);
    record->count = 0;
}

const char *csv_field(const struct csv_record *record, size_t index)
{
    return index < record->count ? record->text.data + record->starts[index] : "";
}

int csv_find(const struct csv_record *header, const char *name)
{
    for (size_t i = 0; i < header->count; i++) {
        if (strcasecmp(csv_field(header, i), name) == 0)
            return (int)i;
    }
    return -1;
}

static void begin_field(struct csv_record *record)
{
    if (record->count < CSV_FIELDS_MAX)
        record->starts[record->count++] = record->text.length;
}

/* Take one line's bytes. Returns whether a quoted field is still open at its end; `column` is where
 * that one began. */
static bool take_line(struct csv_record *record, const struct line *line, char separator,
                      bool quoted, uint64_t *column)
{
    for (size_t i = 0; i < line->length; i++) {
        char byte = line->text[i];
        if (quoted && byte == '"' && i + 1 < line->length && line->text[i + 1] == '"') {
            buffer_append(&record->text, "\"", 1);
            i++;
        } else if (byte == '"') {
            quoted = !quoted;
            *column = i + 1;
        } else if (byte == separator && !quoted) {
            buffer_append(&record->text, "", 1);
            begin_field(record);
        } else if (byte != '\0') {
            buffer_append(&record->text, &byte, 1);
        }
    }
    return quoted;
}

int csv_read(struct input *input, char separator, struct csv_record *record, struct error *err)
{
    struct line line;
    int r = input_line(input, &line, err);
    if (r <= 0)
        return r;
    record->text.length = 0;
    record->count = 0;
    record->line = line.number;
    begin_field(record);
    uint64_t column = 1, opened = line.number;
    bool quoted = take_line(record, &line, separator, false, &column);
    while (quoted) {
        if (record->text.length > INPUT_VALUE_MAX || (r = input_line(input, &line, err)) == 0)
            return input_error(input, opened, column, err, "the quote that begins here has no end");
        if (r < 0)
            return r;
        buffer_append(&record->text, "\n", 1);
        opened = line.number;
        quoted = take_line(record, &line, separator, true, &column);
    }
    if (buffer_append(&record->text, "", 1) < 0)
        return error_errno(err, ENOMEM, "reading '%s'", input_name(input));
    return 1;
}
