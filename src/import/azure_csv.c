/* SPDX-License-Identifier: Apache-2.0 */
/* Log Analytics rows as CSV: the portal's export and `--output tsv` with headings. */
#include "import/azure.h"
#include "import/csv.h"
#include "import/formats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The head's first line. */
static size_t first_line(const struct head *head)
{
    const char *end = memchr(head->text, '\n', head->length);
    return end ? (size_t)(end - head->text) : head->length;
}

bool import_azure_csv_matches(const struct head *head, const struct import_options *options)
{
    (void)options;
    const struct head line = {.text = head->text, .length = first_line(head)};
    char first = head_first(head);
    if (first == '{' || first == '[' || !(head_has(&line, ",") || head_has(&line, "\t")))
        return false;
    return head_has(&line, "TimeGenerated") && (head_has(&line, "Log_s") || head_has(&line, "Log"));
}

struct headings {
    int time, message, reason, app, revision, replica, container, count;
};

static int either(const struct csv_record *header, const char *first, const char *second)
{
    int found = csv_find(header, first);
    return found >= 0 ? found : csv_find(header, second);
}

static void find_headings(const struct csv_record *header, struct headings *ret)
{
    *ret = (struct headings){
        .time = either(header, "TimeGenerated", "TimeGenerated [UTC]"),
        .message = either(header, "Log_s", "Log"),
        .reason = either(header, "Reason_s", "Reason"),
        .app = either(header, "ContainerAppName_s", "ContainerAppName"),
        .revision = either(header, "RevisionName_s", "RevisionName"),
        .replica = either(header, "ReplicaName_s", "ReplicaName"),
        .container = either(header, "ContainerName_s", "ContainerName"),
        .count = either(header, "Count_d", "Count"),
    };
}

static const char *field(const struct csv_record *record, int index)
{
    return index < 0 ? NULL : csv_field(record, (size_t)index);
}

static int give_row(const struct headings *at, const struct csv_record *record,
                    struct azure_context *context, const struct fact_sink *sink, struct error *err)
{
    const char *count = field(record, at->count);
    const struct azure_row row = {
        .time = field(record, at->time),
        .message = field(record, at->message),
        .reason = field(record, at->reason),
        .app = field(record, at->app),
        .revision = field(record, at->revision),
        .replica = field(record, at->replica),
        .container = field(record, at->container),
        .count = count && *count ? strtod(count, NULL) : NAN,
        .line = record->line,
    };
    return azure_row_read(&row, context, sink, err);
}

int import_azure_csv_read(struct input *input, const struct fact_sink *sink, struct error *err)
{
    struct head head;
    int r = input_head(input, &head, err);
    if (r < 0)
        return r;
    const struct head line = {.text = head.text, .length = first_line(&head)};
    char separator = head_has(&line, ",") ? ',' : '\t';
    __attribute__((cleanup(csv_record_done))) struct csv_record record = {0};
    r = csv_read(input, separator, &record, err);
    if (r <= 0)
        return r;
    struct headings at;
    find_headings(&record, &at);
    struct azure_context context = {.console = at.reason < 0 && at.container >= 0};
    while ((r = csv_read(input, separator, &record, err)) == 1) {
        r = give_row(&at, &record, &context, sink, err);
        if (r < 0)
            return r;
    }
    return r;
}
