/* SPDX-License-Identifier: Apache-2.0 */
/* `journalctl -k -o json`: an object a line. A MESSAGE with bytes that cannot be shown is an array
 * of numbers, and so has nothing to search for; it is looked at, too. */
#include "import/formats.h"

#include "base/cleanup.h"
#include "base/duration.h"
#include "import/kernel_kills.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define US_MAX 9e15 /* beyond this, microseconds do not fit into nanoseconds */

bool import_kernel_journal_matches(const struct head *head, const struct import_options *options)
{
    (void)options;
    return head_first(head) == '{' && head_has(head, "\"__REALTIME_TIMESTAMP\"");
}

static int64_t time_at(const json_t *entry, const char *key)
{
    double us = json_number_at(entry, key);
    return us >= 0 && us < US_MAX ? (int64_t)us * NS_PER_US : FACT_TIME_UNKNOWN;
}

static bool message_of(const json_t *entry, char text[static KMSG_TEXT_MAX])
{
    const json_t *message = json_object_get(entry, "MESSAGE");
    size_t length = 0;
    if (json_is_string(message)) {
        length = json_string_length(message);
        length = length < KMSG_TEXT_MAX ? length : KMSG_TEXT_MAX - 1;
        memcpy(text, json_string_value(message), length);
    } else if (json_is_array(message)) {
        for (; length < json_array_size(message) && length + 1 < KMSG_TEXT_MAX; length++)
            text[length] = (char)json_integer_value(json_array_get(message, length));
    } else {
        return false;
    }
    text[length] = '\0';
    return true;
}

/* A field of the journal's own (_COMM) tells the killer from a user's `logger -t`. */
static enum killer killer_of(const json_t *entry)
{
    const char *tag = json_text_at(entry, "SYSLOG_IDENTIFIER");
    const char *comm = json_text_at(entry, "_COMM");
    if (!tag || (comm && strcmp(comm, tag) != 0))
        return KILLER_NONE;
    return killer_of_name(tag, strlen(tag));
}

static int take_entry(struct kernel_kills *kills, const json_t *entry, uint64_t number,
                      const struct fact_sink *sink, struct error *err)
{
    char text[KMSG_TEXT_MAX];
    const char *transport = json_text_at(entry, "_TRANSPORT");
    bool kernel = transport && strcmp(transport, "kernel") == 0;
    enum killer killer = kernel ? KILLER_NONE : killer_of(entry);
    if ((!kernel && killer == KILLER_NONE) || !message_of(entry, text))
        return 0;
    struct kernel_log_line line = {
        .form = kernel ? KERNEL_LOG_RAW : KERNEL_LOG_KILLER,
        .killer = killer,
        .at_ns = time_at(entry, "__REALTIME_TIMESTAMP"),
        .boot_ns = time_at(entry, "_SOURCE_MONOTONIC_TIMESTAMP"),
        .text = text,
    };
    return kernel_kills_line(kills, &line, number, sink, err);
}

static void cleanup_json(json_t **json)
{
    json_decref(*json);
}

static int take_line(struct kernel_kills *kills, const struct line *line,
                     const struct fact_sink *sink, struct error *err)
{
    json_error_t fault;
    CLEANUP(cleanup_json) json_t *entry = json_loadb(line->text, line->length, 0, &fault);
    if (!entry) {
        fact_warn(sink, line->number, "column %d: this is no JSON: %s", fault.column, fault.text);
        return 0;
    }
    return take_entry(kills, entry, line->number, sink, err);
}

#define BYTES_MESSAGE "\"MESSAGE\":["
#define EARLYOOM      "sending "

/* Of a report's lines few are worth reading as JSON, and words like "still" are no kill. */
static bool may_matter(const char *text)
{
    return strstr(text, "kill") || strstr(text, "Kill") || strstr(text, "memory: usage") ||
           strstr(text, "\"MESSAGE\":\"[") || strstr(text, EARLYOOM) || strstr(text, BYTES_MESSAGE);
}

int import_kernel_journal_read(struct input *input, const struct fact_sink *sink, struct error *err)
{
    static const char *const needles[] = {"ill", EARLYOOM, BYTES_MESSAGE};
    struct kernel_kills kills;
    struct line line;
    int r;
    kernel_kills_init(&kills);
    while ((r = input_find(input, needles, 3, &line, err)) > 0) {
        if (!may_matter(line.text))
            continue;
        r = take_line(&kills, &line, sink, err);
        for (int i = 0; r >= 0 && kills.in_report && i < 256; i++) {
            r = input_line(input, &line, err);
            if (r <= 0)
                break;
            if (may_matter(line.text))
                r = take_line(&kills, &line, sink, err);
        }
        kills.in_report = false;
        if (r < 0)
            return r;
    }
    if (r == 0 && input_cut_row(input))
        fact_warn(sink, input_cut_row(input), "the file seems to be cut off in its last line");
    return r < 0 ? r : kernel_kills_end(&kills, sink, err);
}
