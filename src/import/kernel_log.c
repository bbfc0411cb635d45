/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel logs as text: /dev/kmsg, dmesg, journalctl and syslog files. Of a gigabyte of log a few
 * lines matter; every one of them but the report's figures and earlyoom's words has "kill" or
 * "Kill" in it, so two plain searches find them, and only behind "invoked oom-killer" is every line
 * read.
 */
#include "import/formats.h"

#include "base/clock.h"
#include "import/kernel_kills.h"
#include "import/kernel_log_line.h"

#include <string.h>

#define NEEDLE          "ill"
#define NEEDLE_EARLYOOM "sending "
/* A report of a busy host lists every task; what comes behind so many lines is found by NEEDLE. */
#define REPORT_LINES_MAX 256
#define HEAD_LINES_MAX   200
#define HEAD_LINE_MAX    4096
/* So many lines with the prefix of a kernel log, where no OOM line is in sight. */
#define HEAD_LINES_ENOUGH 3

static int read_report(struct input *input, struct kernel_kills *kills, int64_t now_ns,
                       const struct fact_sink *sink, struct error *err)
{
    struct line line;
    struct kernel_log_line parsed;
    for (int i = 0; i < REPORT_LINES_MAX && kills->in_report; i++) {
        int r = input_line(input, &line, err);
        if (r <= 0)
            return r;
        kernel_log_line_read(line.text, now_ns, &parsed);
        r = kernel_kills_line(kills, &parsed, line.number, sink, err);
        if (r < 0)
            return r;
    }
    kills->in_report = false;
    return 0;
}

/* One search for NEEDLE is faster than two for these; words like "still" are sorted out here. */
static bool may_matter(const char *text)
{
    return strstr(text, "kill") || strstr(text, "Kill") || strstr(text, NEEDLE_EARLYOOM);
}

int import_kernel_log_read(struct input *input, const struct fact_sink *sink, struct error *err)
{
    static const char *const needles[] = {NEEDLE, NEEDLE_EARLYOOM};
    int64_t now_ns = clock_realtime_ns();
    struct kernel_kills kills;
    struct kernel_log_line parsed;
    struct line line;
    int r;
    kernel_kills_init(&kills);
    while ((r = input_find(input, needles, 2, &line, err)) > 0) {
        if (!may_matter(line.text))
            continue;
        kernel_log_line_read(line.text, now_ns, &parsed);
        r = kernel_kills_line(&kills, &parsed, line.number, sink, err);
        if (r >= 0 && kills.in_report)
            r = read_report(input, &kills, now_ns, sink, err);
        if (r < 0)
            return r;
    }
    return r < 0 ? r : kernel_kills_end(&kills, sink, err);
}

/* A bare or bracketed line may be anything; these are what only a kernel log has. */
static bool is_log_prefix(const struct kernel_log_line *line)
{
    return line->form == KERNEL_LOG_RAW || line->form == KERNEL_LOG_SYSLOG ||
           (line->form == KERNEL_LOG_STAMPED && line->text[0] != '\0');
}

bool import_kernel_log_matches(const struct head *head, const struct import_options *options)
{
    (void)options;
    const char *at = head->text, *end = head->text + head->length;
    int prefixes = 0, foreign = 0, lines = 0;
    for (; at < end && lines < HEAD_LINES_MAX; lines++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((newline ? newline : end) - at);
        char text[HEAD_LINE_MAX];
        size_t copied = length < sizeof(text) ? length : sizeof(text) - 1;
        memcpy(text, at, copied);
        text[copied] = '\0';
        struct kernel_log_line parsed;
        struct kmsg_oom oom;
        kernel_log_line_read(text, 0, &parsed);
        prefixes += is_log_prefix(&parsed);
        foreign += parsed.form == KERNEL_LOG_FOREIGN;
        if (parsed.form == KERNEL_LOG_KILLER)
            prefixes++;
        else if (parsed.form != KERNEL_LOG_FOREIGN && kmsg_parse_oom(parsed.text, &oom))
            return true;
        at += length + 1;
    }
    return prefixes >= HEAD_LINES_ENOUGH || (prefixes > 0 && prefixes + foreign == lines);
}
