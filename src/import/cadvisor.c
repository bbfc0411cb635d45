/* SPDX-License-Identifier: Apache-2.0 */
/* The text exposition format (Prometheus 0.0.4 and OpenMetrics) of cAdvisor, the kubelet and
 * kube-state-metrics: one scrape or several behind one another. A sample without a time stamp has
 * no time: when a file was recorded is not in it. */
#include "import/formats.h"

#include "base/duration.h"
#include "import/series.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_LINES_MAX 400
/* OpenMetrics counts seconds, the older format milliseconds. */
#define SECONDS_MAX  1e11
#define EPOCH_MS_MAX 9e12

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == ':';
}

static size_t name_length(const char *text, size_t most)
{
    size_t n = 0;
    while (n < most && is_name(text[n]))
        n++;
    return n;
}

bool import_cadvisor_matches(const struct head *head, const struct import_options *options)
{
    (void)options;
    const char *at = head->text, *end = head->text + head->length;
    for (int i = 0; at < end && i < HEAD_LINES_MAX; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((newline ? newline : end) - at);
        size_t name = name_length(at, length);
        if (name > 0 && name < length && (at[name] == '{' || at[name] == ' ') &&
            series_known(at, name))
            return true;
        if (length > 7 && (memcmp(at, "# HELP ", 7) == 0 || memcmp(at, "# TYPE ", 7) == 0))
            return true;
        at += length + 1;
    }
    return false;
}

/* A label's value in place: \\, \" and \n are undone. NULL without a closing quote. */
static char *unescape_value(char **at)
{
    char *from = *at, *start = from, *to = from;
    for (; *from && *from != '"'; from++) {
        if (*from == '\\' && from[1]) {
            from++;
            *to++ = (char)(*from == 'n' ? '\n' : *from);
        } else {
            *to++ = *from;
        }
    }
    if (*from != '"')
        return NULL;
    *at = from + 1;
    *to = '\0';
    return start;
}

static char *skip_blanks(char *at)
{
    return at + strspn(at, " \t");
}

/* `name="value",...}`; *at is left behind the brace, or where the fault is. */
static bool read_labels(char **at, struct series *series)
{
    for (;;) {
        *at = skip_blanks(*at);
        if (**at == '}') {
            ++*at;
            return true;
        }
        char *name = *at;
        size_t length = name_length(name, strlen(name));
        char *p = skip_blanks(name + length);
        if (length == 0 || *p != '=' || *(p = skip_blanks(p + 1)) != '"') {
            *at = p;
            return false;
        }
        name[length] = '\0';
        *at = p + 1;
        char *value = unescape_value(at);
        if (!value)
            return false;
        if (series->count < SERIES_LABELS_MAX)
            series->labels[series->count++] = (struct series_label){name, value};
        *at = skip_blanks(*at);
        if (**at == ',')
            ++*at;
    }
}

static bool read_number(char **at, double *ret)
{
    char *end;
    *at = skip_blanks(*at);
    *ret = strtod(*at, &end);
    if (end == *at || (*end && !isspace((unsigned char)*end)))
        return false;
    *at = end;
    return true;
}

static int64_t read_time(char *at)
{
    double stamp;
    if (!read_number(&at, &stamp))
        return FACT_TIME_UNKNOWN;
    double ms = stamp < SECONDS_MAX ? stamp * 1000 : stamp;
    return ms > 0 && ms < EPOCH_MS_MAX ? (int64_t)llround(ms) * NS_PER_MS : FACT_TIME_UNKNOWN;
}

struct reader {
    const struct fact_sink *sink;
    uint64_t samples, broken, timeless;
};

static int give_sample(struct reader *reader, struct line *line, struct error *err)
{
    char *at = line->text;
    size_t length = name_length(at, line->length);
    if (length == 0 || !series_known(at, length))
        return 0;
    struct series series = {.name = at};
    at = skip_blanks(at + length);
    bool labels = *at == '{';
    double value;
    line->text[length] = '\0';
    at += labels;
    if ((labels && !read_labels(&at, &series)) || !read_number(&at, &value)) {
        reader->broken++;
        fact_warn(reader->sink, line->number, "column %zu: no sample of the text format",
                  (size_t)(at - line->text) + 1);
        return 0;
    }
    int64_t at_ns = read_time(at);
    reader->samples++;
    reader->timeless += at_ns == FACT_TIME_UNKNOWN;
    return series_give(&series, NAN, value, at_ns, line->number, reader->sink, err);
}

int import_cadvisor_read(struct input *input, const struct fact_sink *sink, struct error *err)
{
    struct reader reader = {.sink = sink};
    struct line line;
    int r;
    while ((r = input_line(input, &line, err)) > 0) {
        r = give_sample(&reader, &line, err);
        if (r < 0)
            return r;
    }
    if (r < 0)
        return r;
    if (reader.samples == 0)
        return input_error(input, 0, 0, err,
                           reader.broken ? "no line of this is a sample of the text format"
                                         : "none of these metrics is about a container's memory; "
                                           "wanted is the kubelet's /metrics/cadvisor");
    if (reader.timeless == reader.samples)
        fact_warn(sink, 0, "the samples have no time stamps: only their order is known");
    return 0;
}
