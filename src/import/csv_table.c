/* SPDX-License-Identifier: Apache-2.0 */
/* Any CSV with a column of times and one of bytes: the separator is the one that the first line has
 * most of, the columns are those of --csv-time and --csv-bytes or are found by their usual names.
 * `sadf -d` of sysstat is such a file. Units in a heading are binary ("used_mb" counts MiB), as
 * the tools that write them count; a cell may have its own ("512Mi", as everywhere else). */
#include "import/formats.h"

#include "base/cleanup.h"
#include "base/duration.h"
#include "base/size.h"
#include "import/csv.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 64

struct table {
    struct input *input;
    const struct fact_sink *sink;
    struct csv_record record;
    char separator;
    int time, bytes, pod, namespace, container, host; /* -1: no such column */
    double scale;
    enum metric metric;
    uint64_t rows, absent; /* with and without a value */
};

static const char *const TIME_NAMES[] = {
    "time",  "timestamp", "date",    "datetime",     "ts",          "@timestamp", "date_time",
    "epoch", "time_s",    "time_ms", "timestamp_ms", "timestamp_s", "unixtime",   NULL};
/* Without their units. */
static const char *const BYTES_NAMES[] = {"working_set", "workingset", "container_working_set",
                                          "rss",         "memory_rss", "memory_working_set",
                                          "memory",      "mem",        "memory_usage",
                                          "mem_usage",   "used",       "memory_used",
                                          "mem_used",    "usage",      "kbmemused",
                                          "anon",        "value",      "",
                                          NULL};

/* The heading in small letters with its unit taken off: "RSS (MiB)" is "rss", 2^20. */
static double split_unit(const char *heading, char name[static NAME_BYTES])
{
    static const struct {
        const char *word;
        double scale;
    } units[] = {{"bytes", 1}, {"byte", 1},     {"b", 1},       {"kbytes", 1024}, {"kib", 1024},
                 {"kb", 1024}, {"mib", 0x1p20}, {"mb", 0x1p20}, {"gib", 0x1p30},  {"gb", 0x1p30}};
    size_t n = 0;
    heading += strspn(heading, "# ");
    for (; *heading && n + 1 < NAME_BYTES; heading++)
        name[n++] = (char)tolower((unsigned char)*heading);
    while (n > 0 && strchr(" )]", name[n - 1]))
        n--;
    name[n] = '\0';
    size_t word = n;
    while (word > 0 && isalpha((unsigned char)name[word - 1]))
        word--;
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        if (strcmp(name + word, units[i].word) != 0)
            continue;
        while (word > 0 && strchr(" _-([.", name[word - 1]))
            word--;
        name[word] = '\0';
        return units[i].scale;
    }
    return strncmp(name, "kb", 2) == 0 ? 1024 : 1; /* sar: kbmemused */
}

static int find_by_names(const struct csv_record *header, const char *const *names, bool unit)
{
    for (size_t k = 0; names[k]; k++) {
        for (size_t i = 0; i < header->count; i++) {
            char name[NAME_BYTES];
            const char *field = csv_field(header, i);
            if (unit)
                split_unit(field, name);
            bool empty = field[strspn(field, "# ")] == '\0';
            if (unit ? !empty && strcmp(name, names[k]) == 0
                     : strcasecmp(field + strspn(field, "# "), names[k]) == 0)
                return (int)i;
        }
    }
    return -1;
}

/* By the name or the 1-based number that the person gave, else by the usual names. */
static int find_column(const struct csv_record *header, const char *chosen,
                       const char *const *names, bool unit)
{
    if (!chosen)
        return find_by_names(header, names, unit);
    for (size_t i = 0; i < header->count; i++) {
        const char *field = csv_field(header, i);
        if (strcasecmp(field + strspn(field, "# "), chosen) == 0)
            return (int)i;
    }
    char *end;
    long number = strtol(chosen, &end, 10);
    return *end == '\0' && number >= 1 && number <= (long)header->count ? (int)number - 1 : -1;
}

static enum metric metric_of(const char *heading)
{
    char name[NAME_BYTES];
    split_unit(heading, name);
    if (strstr(name, "rss") || strstr(name, "anon"))
        return METRIC_ANON;
    return strcmp(name, "kbmemused") == 0 ? METRIC_USAGE : METRIC_WORKING_SET;
}

static void find_columns(struct table *table, const struct import_options *options)
{
    static const char *const pods[] = {"pod", "pod_name", "replica", "container_id", NULL};
    static const char *const containers[] = {"container", "container_name", NULL};
    static const char *const namespaces[] = {"namespace", NULL};
    static const char *const hosts[] = {"hostname", "host", NULL};
    const struct csv_record *header = &table->record;
    table->time = find_column(header, options->csv_time, TIME_NAMES, false);
    table->bytes = find_column(header, options->csv_bytes, BYTES_NAMES, true);
    table->pod = find_by_names(header, pods, false);
    table->container = find_by_names(header, containers, false);
    table->namespace = find_by_names(header, namespaces, false);
    table->host = find_by_names(header, hosts, false);
    table->scale = 1;
    if (table->bytes >= 0) {
        char name[NAME_BYTES];
        table->scale = split_unit(csv_field(header, (size_t)table->bytes), name);
        table->metric = metric_of(csv_field(header, (size_t)table->bytes));
    }
}

static char separator_of(const char *text, size_t length)
{
    static const char candidates[] = {',', ';', '\t', '|'};
    char best = ',';
    size_t most = 0;
    for (size_t k = 0; k < sizeof(candidates); k++) {
        size_t count = 0;
        for (size_t i = 0; i < length && text[i] != '\n'; i++)
            count += text[i] == candidates[k];
        if (count > most) {
            most = count;
            best = candidates[k];
        }
    }
    return best;
}

/* Epochs in seconds, milli-, micro- or nanoseconds are told apart by their size. */
static bool read_time(const char *text, int64_t *ret_ns)
{
    char *end;
    if (fact_time_parse(text, strlen(text), ret_ns))
        return true;
    double number = strtod(text, &end);
    end += strspn(end, " ");
    if (end == text || *end || !(number >= 1e8) || number > 9e18)
        return false;
    double to_ns = number < 1e11 ? 1e9 : number < 1e14 ? 1e6 : number < 1e17 ? 1e3 : 1;
    *ret_ns = number * to_ns < 9e18 ? (int64_t)(number * to_ns) : INT64_MAX;
    return *ret_ns != INT64_MAX;
}

/* False: no number. *ret is NAN for a number that can be no size: negative, infinite, above 2^63.
 */
static bool read_bytes(const char *text, double scale, double *ret)
{
    char *end;
    struct error ignored = {0};
    uint64_t bytes;
    double number = strtod(text, &end);
    end += strspn(end, " ");
    if (end != text && *end == '\0') {
        bool possible = number >= 0 && number * scale <= 0x1p63;
        *ret = possible ? number * scale : NAN;
        return true;
    }
    if (size_parse(text, &bytes, &ignored) < 0)
        return false;
    *ret = (double)bytes;
    return true;
}

/* Exact where the fields before it are not quoted. */
static uint64_t column_of(const struct csv_record *record, int index)
{
    return (size_t)index < record->count ? record->starts[index] + 1 : record->text.length;
}

static const char *cell(const struct table *table, int index)
{
    const char *text = index < 0 ? "" : csv_field(&table->record, (size_t)index);
    return text + strspn(text, " ");
}

static const char *filled(const char *text)
{
    return *text ? text : NULL;
}

static int refuse(const struct table *table, int index, const char *what, struct error *err)
{
    char shown[64];
    const char *text = cell(table, index);
    return input_error(table->input, table->record.line, column_of(&table->record, index), err,
                       "'%s' is no %s", input_clean(text, strlen(text), shown, sizeof(shown)),
                       what);
}

static int give_row(struct table *table, struct error *err)
{
    const char *time = cell(table, table->time), *bytes = cell(table, table->bytes);
    struct fact fact;
    if (table->record.count == 1 && cell(table, 0)[0] == '\0')
        return 0;
    if (cell(table, 0)[0] == '#') /* sadf repeats its heading after a restart */
        return 0;
    fact_init(&fact, FACT_SAMPLE, ORIGIN_CSV, table->record.line);
    fact.metric = table->metric;
    if (*time == '\0' || (size_t)table->bytes >= table->record.count) {
        fact_warn(table->sink, table->record.line, "a row without a time or a value: passed over");
        return 0;
    }
    if (!read_time(time, &fact.at_ns))
        return refuse(table, table->time,
                      strspn(time, "0123456789. ") == strlen(time)
                          ? "time: to seconds since a start of their own add that start's epoch"
                          : "time (RFC 3339, YYYY-MM-DD HH:MM:SS or an epoch)",
                      err);
    fact.value = NAN;
    if (*bytes != '\0' && strcasecmp(bytes, "null") != 0 &&
        !read_bytes(bytes, table->scale, &fact.value))
        return refuse(table, table->bytes, "amount of bytes", err);
    if (isnan(fact.value)) {
        table->absent++;
        return 0;
    }
    const char *pod = cell(table, table->pod), *host = cell(table, table->host);
    fact.place.replica = filled(*pod ? pod : host);
    fact.place.container = filled(cell(table, table->container));
    fact.place.app = filled(cell(table, table->namespace));
    table->rows++;
    return fact_give(table->sink, &fact, err);
}

static int give_limit(const struct fact_sink *sink, struct error *err)
{
    struct fact fact;
    if (isnan(sink->options->limit_bytes))
        return 0;
    fact_init(&fact, FACT_LIMIT, ORIGIN_CSV, 0);
    fact.value = sink->options->limit_bytes;
    return fact_give(sink, &fact, err);
}

/* Columns that were chosen by number need no heading. */
static bool is_heading(const struct table *table)
{
    int64_t at_ns;
    const char *time = cell(table, table->time);
    return !read_time(time, &at_ns);
}

static int refuse_columns(const struct table *table, const struct import_options *options,
                          struct error *err)
{
    bool time = table->time < 0;
    const char *chosen = time ? options->csv_time : options->csv_bytes;
    char name[64];
    if (chosen)
        return input_error(table->input, table->record.line, 1, err,
                           "there is no column '%s'; name one of the first line, or its number",
                           input_clean(chosen, strlen(chosen), name, sizeof(name)));
    return input_error(table->input, table->record.line, 1, err,
                       "which column has the %s? Say --csv-%s NAME", time ? "time" : "bytes",
                       time ? "time" : "bytes");
}

static int read_table(struct table *table, struct error *err)
{
    const struct import_options *options = table->sink->options;
    int r = csv_read(table->input, table->separator, &table->record, err);
    if (r <= 0)
        return r;
    find_columns(table, options);
    if (table->time < 0 || table->bytes < 0)
        return refuse_columns(table, options, err);
    if (!is_heading(table)) {
        table->scale = 1;
        table->metric = METRIC_WORKING_SET;
        r = give_row(table, err);
    }
    while (r >= 0 && (r = csv_read(table->input, table->separator, &table->record, err)) > 0)
        r = give_row(table, err);
    if (r < 0)
        return r;
    if (table->absent > 0)
        fact_warn(table->sink, 0,
                  "%ju of %ju rows have no value, or one that can be no size: passed over",
                  (uintmax_t)table->absent, (uintmax_t)(table->absent + table->rows));
    if (table->rows == 0)
        fact_warn(table->sink, 0, "the table has no row with a time and a value");
    return give_limit(table->sink, err);
}

static size_t first_line(const struct head *head)
{
    const char *newline = memchr(head->text, '\n', head->length);
    return newline ? (size_t)(newline - head->text) : head->length;
}

bool import_csv_table_matches(const struct head *head, const struct import_options *options)
{
    char first = head_first(head);
    size_t length = first_line(head);
    if (first == '{' || first == '[' || length == 0 || length > INPUT_LINE_MAX / 2)
        return false;
    struct error ignored = {0};
    AUTO_INPUT *input = NULL;
    if (input_open_memory("head", head->text, length, &input, &ignored) < 0)
        return false;
    struct table table = {.input = input, .separator = separator_of(head->text, length)};
    int r = csv_read(input, table.separator, &table.record, &ignored);
    if (r > 0)
        find_columns(&table, options);
    bool found = r > 0 && table.record.count > 1 && table.time >= 0 && table.bytes >= 0;
    csv_record_done(&table.record);
    /* Who names both columns means this format, and gets an error when one is not there. */
    return found || (options->csv_time && options->csv_bytes);
}

int import_csv_table_read(struct input *input, const struct fact_sink *sink, struct error *err)
{
    struct head head;
    int r = input_head(input, &head, err);
    if (r < 0)
        return r;
    struct table table = {.input = input,
                          .sink = sink,
                          .separator = separator_of(head.text, first_line(&head)),
                          .metric = METRIC_WORKING_SET};
    r = read_table(&table, err);
    csv_record_done(&table.record);
    return r;
}
