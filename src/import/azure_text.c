/* SPDX-License-Identifier: Apache-2.0 */
/* What az prints for people: tables with a dashed line under their headings (--output table), and
 * reports that put such tables and JSON into sections. Widths count characters, as az does. */
#include "import/azure.h"

#include "base/buffer.h"
#include "import/formats.h"
#include "import/input-internal.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#define COLUMNS_MAX 24

struct column {
    size_t start, end; /* characters; the last one has no end */
    char name[48];
};

struct text_reader {
    struct azure_context context;
    const struct fact_sink *sink;
    struct input *input;
    struct column columns[COLUMNS_MAX];
    size_t column_count;    /* 0: not within a table */
    struct buffer previous; /* the line before: a table's headings */
    struct buffer json;     /* a value of several lines */
    uint64_t json_line;
    bool in_json, replica_table;
};

static void reader_done(struct text_reader *reader)
{
    buffer_done(&reader->previous);
    buffer_done(&reader->json);
}

/* Where character number `count` of the line begins. */
static size_t offset_of(const char *text, size_t length, size_t count)
{
    size_t at = 0;
    while (count-- > 0 && at < length) {
        size_t bytes = input_character(text + at, length - at);
        at += bytes ? bytes : 1;
    }
    return at;
}

/* A cell's text without the blanks around it. */
static void cell_of(const struct text_reader *reader, size_t index, const char *text, size_t length,
                    const char **ret, size_t *ret_length)
{
    const struct column *column = &reader->columns[index];
    size_t from = offset_of(text, length, column->start);
    size_t to = index + 1 == reader->column_count
                    ? length
                    : offset_of(text, length, reader->columns[index + 1].start);
    while (from < to && isspace((unsigned char)text[from]))
        from++;
    while (to > from && isspace((unsigned char)text[to - 1]))
        to--;
    *ret = text + from;
    *ret_length = to - from;
}

static bool is_rule(const struct line *line)
{
    size_t dashes = 0;
    for (size_t i = 0; i < line->length; i++) {
        if (line->text[i] != '-' && line->text[i] != ' ')
            return false;
        dashes += line->text[i] == '-';
    }
    return dashes >= 4 && line->text[0] == '-';
}

/* The columns are as wide as the dashes; their names stand above. */
static void begin_table(struct text_reader *reader, const struct line *rule)
{
    reader->column_count = 0;
    for (size_t at = 0; at < rule->length && reader->column_count < COLUMNS_MAX;) {
        size_t width = strspn(rule->text + at, "-");
        if (width > 0)
            reader->columns[reader->column_count++] = (struct column){at, at + width, ""};
        at += width;
        at += strspn(rule->text + at, " ");
        if (width == 0 && rule->text[at] != '-')
            break;
    }
    for (size_t i = 0; i < reader->column_count; i++) {
        const char *name;
        size_t length;
        cell_of(reader, i, buffer_text(&reader->previous), reader->previous.length, &name, &length);
        input_clean(name, length, reader->columns[i].name, sizeof(reader->columns[i].name));
    }
}

static const char **field_of(struct azure_row *row, const char *column)
{
    static const struct {
        const char *name;
        size_t offset;
    } fields[] = {
        {"TimeGenerated", offsetof(struct azure_row, time)},
        {"TimeGenerated [UTC]", offsetof(struct azure_row, time)},
        {"TimeStamp", offsetof(struct azure_row, time)},
        {"Log_s", offsetof(struct azure_row, message)},
        {"Log", offsetof(struct azure_row, message)},
        {"Msg", offsetof(struct azure_row, message)},
        {"Reason_s", offsetof(struct azure_row, reason)},
        {"Reason", offsetof(struct azure_row, reason)},
        {"ContainerAppName_s", offsetof(struct azure_row, app)},
        {"ContainerAppName", offsetof(struct azure_row, app)},
        {"RevisionName_s", offsetof(struct azure_row, revision)},
        {"RevisionName", offsetof(struct azure_row, revision)},
        {"ReplicaName_s", offsetof(struct azure_row, replica)},
        {"ReplicaName", offsetof(struct azure_row, replica)},
        {"ContainerName_s", offsetof(struct azure_row, container)},
        {"ContainerName", offsetof(struct azure_row, container)},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (strcmp(fields[i].name, column) == 0)
            return (const char **)((char *)row + fields[i].offset);
    }
    return NULL;
}

/* "Name" of `az containerapp replica list`. */
static void remember_replica(struct text_reader *reader, const char *text, size_t length)
{
    if (length == 0 || length >= AZURE_NAME_MAX)
        return;
    memcpy(reader->context.replica, text, length);
    reader->context.replica[length] = '\0';
}

static int read_table_row(struct text_reader *reader, const struct line *line, struct error *err)
{
    AUTO_BUFFER cells = {0};
    size_t starts[COLUMNS_MAX];
    for (size_t i = 0; i < reader->column_count; i++) {
        const char *text;
        size_t length;
        cell_of(reader, i, line->text, line->length, &text, &length);
        if (reader->replica_table && i == 0)
            remember_replica(reader, text, length);
        starts[i] = cells.length;
        buffer_append(&cells, text, length);
        buffer_append(&cells, "", 1);
    }
    if (cells.failed)
        return error_errno(err, ENOMEM, "reading '%s'", input_name(reader->input));
    struct azure_row row = {.count = NAN, .line = line->number};
    for (size_t i = 0; i < reader->column_count; i++) {
        const char **field = field_of(&row, reader->columns[i].name);
        if (field)
            *field = cells.data + starts[i];
    }
    return row.time ? azure_row_read(&row, &reader->context, reader->sink, err) : 0;
}

/* "key<blanks>value" at the beginning of a line. */
static void remember_after(const char *text, const char *key, char to[AZURE_NAME_MAX])
{
    if (strncmp(text, key, strlen(key)) != 0)
        return;
    text += strlen(key) + strspn(text + strlen(key), " ");
    size_t length = strcspn(text, " ,\t");
    if (length == 0 || length >= AZURE_NAME_MAX)
        return;
    memcpy(to, text, length);
    to[length] = '\0';
}

static int give_json(struct text_reader *reader, const char *text, size_t length, uint64_t line,
                     bool tolerant, struct error *err)
{
    json_error_t fault;
    json_t *value = json_loadb(text, length, JSON_ALLOW_NUL, &fault);
    if (!value && tolerant)
        return 0;
    if (!value)
        return input_error(reader->input, line + (uint64_t)(fault.line > 0 ? fault.line - 1 : 0),
                           (uint64_t)(fault.column > 0 ? fault.column : 1), err,
                           "this is no JSON: %s", fault.text);
    int r = azure_json_read(value, line, &reader->context, reader->sink, err);
    json_decref(value);
    return r;
}

/* A JSON value over several lines ends at a bracket in the first column. */
static int read_json_line(struct text_reader *reader, const struct line *line, struct error *err)
{
    if (reader->json.length + line->length > INPUT_VALUE_MAX)
        return input_error(reader->input, reader->json_line, 1, err,
                           "this JSON value is larger than %zu MiB", INPUT_VALUE_MAX >> 20);
    buffer_append(&reader->json, line->text, line->length);
    if (buffer_append(&reader->json, "\n", 1) < 0)
        return error_errno(err, ENOMEM, "reading '%s'", input_name(reader->input));
    if (line->text[0] != '}' && line->text[0] != ']')
        return 0;
    reader->in_json = false;
    int r = give_json(reader, buffer_text(&reader->json), reader->json.length, reader->json_line,
                      false, err);
    buffer_done(&reader->json);
    return r;
}

static void begin_section(struct text_reader *reader, const char *title)
{
    reader->column_count = 0;
    reader->replica_table = false;
    reader->context.console = strcasestr(title, "console") != NULL;
}

static int read_plain_line(struct text_reader *reader, const struct line *line, struct error *err)
{
    const char *text = line->text;
    if (strncmp(text, "=== ", 4) == 0) {
        begin_section(reader, text + 4);
        return 0;
    }
    remember_after(text, "App:", reader->context.app);
    remember_after(text, "Active revisions:", reader->context.revision);
    if (strncmp(text, "--- Replicas for revision:", 26) == 0) {
        remember_after(text, "--- Replicas for revision:", reader->context.revision);
        reader->replica_table = true;
    }
    bool opens = (text[0] == '{' || text[0] == '[') && line->length > 0;
    char last = line->length ? text[line->length - 1] : '\0';
    if (opens && line->length > 1 && (last == '}' || last == ']'))
        return give_json(reader, text, line->length, line->number, true, err);
    if (opens && line->length == 1) {
        reader->in_json = true;
        reader->json_line = line->number;
        return read_json_line(reader, line, err);
    }
    return 0;
}

static int read_text_line(struct text_reader *reader, const struct line *line, struct error *err)
{
    if (reader->in_json)
        return read_json_line(reader, line, err);
    if (is_rule(line)) {
        begin_table(reader, line);
        return 0;
    }
    if (line->length == 0)
        reader->column_count = 0;
    if (reader->column_count > 0)
        return read_table_row(reader, line, err);
    buffer_done(&reader->previous);
    if (buffer_append(&reader->previous, line->text, line->length) < 0)
        return error_errno(err, ENOMEM, "reading '%s'", input_name(reader->input));
    return read_plain_line(reader, line, err);
}

int import_azure_text_read(struct input *input, const struct fact_sink *sink, struct error *err)
{
    __attribute__((cleanup(reader_done))) struct text_reader reader = {.sink = sink,
                                                                       .input = input};
    struct line line;
    int r;
    while ((r = input_line(input, &line, err)) == 1) {
        r = read_text_line(&reader, &line, err);
        if (r < 0)
            return r;
    }
    if (r == 0 && reader.in_json)
        return input_error(input, reader.json_line, 1, err,
                           "the JSON value that begins here has no end: the file is cut off");
    return r;
}

/* A rule of dashes under a heading that Azure's tables have, or a report's section. */
bool import_azure_text_matches(const struct head *head, const struct import_options *options)
{
    (void)options;
    char first = head_first(head);
    if (first == '{' || first == '[')
        return false;
    bool section =
        head_has(head, "\n=== ") && head_has(head, " ===") &&
        (head_has(head, "azure-cli") || head_has(head, "containerapp") || head_has(head, "Log_s"));
    bool table = head_has(head, "\n----") && head_has(head, "TimeGenerated") &&
                 (head_has(head, "Log_s") || head_has(head, "Log "));
    return section || table;
}
