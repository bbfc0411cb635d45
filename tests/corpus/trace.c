/* SPDX-License-Identifier: Apache-2.0 */
#include "trace.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIT          4096.0
#define FILE_MAX      ((size_t)4 << 20)
#define LIFETIMES_MAX 64
#define SPANS_MAX     4096
#define SAMPLES_MAX   1000000
#define LINE_MAX_SIZE 512
#define COLUMNS       8

struct reader {
    const char *at;
    unsigned line;
    char text[LINE_MAX_SIZE];
    struct error *err;
};

static int bad(const struct reader *reader, const char *what)
{
    return error_usage(reader->err, "line %u: %s: '%.80s'", reader->line, what, reader->text);
}

/* The next line without its end. Returns 1, 0 at the end of the text, or an error. */
static int next_line(struct reader *reader)
{
    if (*reader->at == '\0')
        return 0;
    const char *end = strchrnul(reader->at, '\n');
    size_t length = (size_t)(end - reader->at);
    reader->line++;
    if (length >= sizeof(reader->text)) {
        reader->text[0] = '\0';
        return bad(reader, "the line is too long");
    }
    memcpy(reader->text, reader->at, length);
    reader->text[length] = '\0';
    reader->at = *end ? end + 1 : end;
    return 1;
}

/* "-" is absent. */
static bool parse_number(const char *word, double *ret)
{
    if (strcmp(word, "-") == 0) {
        *ret = NAN;
        return true;
    }
    char *end;
    *ret = strtod(word, &end);
    return end != word && *end == '\0' && isfinite(*ret);
}

static int find_name(const char *word, int count, const char *(*name)(int))
{
    for (int i = 0; i < count; i++) {
        if (strcmp(word, name(i)) == 0)
            return i;
    }
    return -1;
}

static const char *name_of_cause(int i)
{
    return cause_name((enum end_cause)i);
}

static const char *name_of_kill(int i)
{
    return platform_kill_name((enum platform_kill)i);
}

static const char *name_of_level(int i)
{
    return level_name((enum evidence_level)i);
}

/* The levels' names have blanks, which the format writes as underscores. */
static int find_level(char *word)
{
    for (char *c = word; *c; c++) {
        if (*c == '_')
            *c = ' ';
    }
    return find_name(word, LEVEL_COUNT, name_of_level);
}

/* Room for one more element of an array that doubles at powers of two. */
static void *grow(void *array, size_t count, size_t element)
{
    if (count != 0 && (count & (count - 1)) != 0)
        return array;
    return realloc(array, (count ? count * 2 : 1) * element);
}

/* --- lifetimes ---------------------------------------------------------------------------------
 */

static int parse_lifetime(struct reader *reader, struct lifetime_series *ret)
{
    char ready[32], peak[32], code[32], cause[48], level[48], platform[48];
    double exit_code;
    *ret = (struct lifetime_series){0};
    int read = sscanf(reader->text,
                      "lifetime %u ready %31s uptime %lf requests %lf cause %47s level %47s"
                      " peak %31s exit %31s platform %47s children %u",
                      &ret->index, ready, &ret->uptime_s, &ret->requests_completed, cause, level,
                      peak, code, platform, &ret->child_kills);
    if (read != 10 || !parse_number(ready, &ret->ready_s) ||
        !parse_number(peak, &ret->peak_bytes) || !parse_number(code, &exit_code) ||
        !(ret->uptime_s >= 0) || !(ret->requests_completed >= 0))
        return bad(reader, "no lifetime");
    int cause_index = find_name(cause, CAUSE_COUNT, name_of_cause);
    int level_index = find_level(level);
    int kill_index = find_name(platform, PLATFORM_KILL_COUNT, name_of_kill);
    if (cause_index < 0 || level_index < 0 || kill_index < 0)
        return bad(reader, "an unknown cause, level or reason of the platform");
    ret->ready_s /= 1000;
    ret->uptime_s /= 1000;
    ret->cause = (enum end_cause)cause_index;
    ret->level = (enum evidence_level)level_index;
    ret->platform_kill = (enum platform_kill)kill_index;
    ret->has_exit_code = !isnan(exit_code);
    ret->exit_code = ret->has_exit_code ? (int)exit_code : 0;
    return 0;
}

static int add_lifetime(struct reader *reader, struct trace *trace)
{
    if (trace->count == 0)
        return bad(reader, "a lifetime before the first arm");
    struct trace_arm *arm = &trace->arms[trace->count - 1];
    if (arm->series.count == LIFETIMES_MAX)
        return bad(reader, "too many lifetimes");
    struct lifetime_series *grown =
        grow(arm->lifetimes, arm->series.count, sizeof(*arm->lifetimes));
    if (!grown)
        return error_errno(reader->err, ENOMEM, "reading a trace");
    arm->lifetimes = grown;
    arm->series.lifetimes = grown;
    int r = parse_lifetime(reader, &grown[arm->series.count]);
    if (r == 0)
        arm->series.count++;
    return r;
}

static struct lifetime_series *last_lifetime(struct trace *trace)
{
    if (trace->count == 0 || trace->arms[trace->count - 1].series.count == 0)
        return NULL;
    struct trace_arm *arm = &trace->arms[trace->count - 1];
    return &arm->lifetimes[arm->series.count - 1];
}

static int add_span(struct reader *reader, struct trace *trace)
{
    static const char *const kinds[] = {"idle", "cycle", "gap", "cooldown"};
    struct lifetime_series *lifetime = last_lifetime(trace);
    char kind[16];
    struct span span = {0};
    if (!lifetime || sscanf(reader->text, "span %15s %u %lf %lf", kind, &span.cycle, &span.start_s,
                            &span.end_s) != 4)
        return bad(reader, "no span");
    if (lifetime->span_count == SPANS_MAX)
        return bad(reader, "too many spans");
    size_t index = 0;
    while (index < 4 && strcmp(kinds[index], kind) != 0)
        index++;
    if (index == 4 || !(span.start_s < span.end_s))
        return bad(reader, "a span of unknown kind, or one that does not end after it began");
    span.kind = (typeof(span.kind))index;
    span.start_s /= 1000;
    span.end_s /= 1000;
    struct span *spans = grow((struct span *)lifetime->spans, lifetime->span_count, sizeof(*spans));
    if (!spans)
        return error_errno(reader->err, ENOMEM, "reading a trace");
    spans[lifetime->span_count++] = span;
    lifetime->spans = spans;
    return 0;
}

/* --- samples -----------------------------------------------------------------------------------
 */

/* Each number is the difference to the last one that was there. */
static int parse_sample(struct reader *reader, double now[COLUMNS], struct point *ret)
{
    double value[COLUMNS];
    char *rest = reader->text;
    for (size_t i = 0; i < COLUMNS; i++) {
        char *word = strsep(&rest, " ");
        if (!word || !parse_number(word, &value[i]))
            return bad(reader, "no sample of eight differences");
        if (!isnan(value[i]))
            now[i] += value[i];
        value[i] = isnan(value[i]) ? NAN : now[i];
    }
    if (rest || isnan(value[0]) || isnan(value[1]))
        return bad(reader, "no sample of eight differences, the first two of them present");
    *ret = (struct point){
        .t_s = value[0] / 1000,
        .requests = value[1],
        .working_set = value[2] * UNIT,
        .anon = value[3] * UNIT,
        .file = value[4] * UNIT,
        .inactive_file = value[5] * UNIT,
        .shmem = value[6] * UNIT,
        .kernel = value[7] * UNIT,
    };
    return 0;
}

static int add_samples(struct reader *reader, struct trace *trace)
{
    struct lifetime_series *lifetime = last_lifetime(trace);
    size_t count;
    if (!lifetime || lifetime->points || sscanf(reader->text, "samples %zu", &count) != 1 ||
        count > SAMPLES_MAX)
        return bad(reader, "no number of samples of a lifetime");
    struct point *points = calloc(count ? count : 1, sizeof(*points));
    if (!points)
        return error_errno(reader->err, ENOMEM, "reading a trace");
    lifetime->points = points;
    double now[COLUMNS] = {0};
    for (size_t i = 0; i < count; i++) {
        int r = next_line(reader);
        if (r == 0)
            return error_usage(reader->err, "the trace ends after %zu of %zu samples", i, count);
        if (r > 0)
            r = parse_sample(reader, now, &points[i]);
        if (r < 0)
            return r;
        if (i > 0 && points[i].t_s < points[i - 1].t_s)
            return bad(reader, "time runs backwards");
        lifetime->count++;
    }
    return 0;
}

/* --- the whole ---------------------------------------------------------------------------------
 */

static int add_arm(struct reader *reader, struct trace *trace)
{
    if (trace->count == TRACE_ARMS_MAX)
        return bad(reader, "more than two arms");
    struct trace_arm *arm = &trace->arms[trace->count];
    if (sscanf(reader->text, "arm %15s limit %lf", arm->name, &arm->series.limit_bytes) != 2 ||
        !(arm->series.limit_bytes > 0))
        return bad(reader, "no arm with its limit");
    trace->count++;
    return 0;
}

static bool starts(const struct reader *reader, const char *word)
{
    return strncmp(reader->text, word, strlen(word)) == 0;
}

static int parse_line(struct reader *reader, struct trace *trace)
{
    if (starts(reader, "arm "))
        return add_arm(reader, trace);
    if (starts(reader, "lifetime "))
        return add_lifetime(reader, trace);
    if (starts(reader, "span "))
        return add_span(reader, trace);
    if (starts(reader, "samples "))
        return add_samples(reader, trace);
    if (starts(reader, "case "))
        return sscanf(reader->text, "case %63s", trace->id) == 1 ? 0 : bad(reader, "no case");
    if (starts(reader, "recorded ") || starts(reader, "truth "))
        return 0; /* for people and for accuracy.py */
    return bad(reader, "unknown line");
}

int trace_parse(const char *text, struct trace *ret, struct error *err)
{
    *ret = (struct trace){0};
    struct reader reader = {.at = text, .err = err};
    int r = next_line(&reader);
    if (r >= 0 && strcmp(reader.text, "oomlab-trace 1") != 0)
        return bad(&reader, "this is no trace of version 1");
    while (r >= 0) {
        r = next_line(&reader);
        if (r == 0)
            return error_usage(err, "line %u: the trace is cut off: no 'end'", reader.line);
        if (r > 0 && strcmp(reader.text, "end") == 0)
            return 0;
        if (r > 0)
            r = parse_line(&reader, ret);
    }
    return r;
}

int trace_read(const char *path, struct trace *ret, struct error *err)
{
    *ret = (struct trace){0};
    AUTO_BUFFER text = {0};
    int r = file_read_all(AT_FDCWD, path, FILE_MAX, &text, err);
    if (r == 0)
        r = trace_parse(text.data ? text.data : "", ret, err);
    return r < 0 ? error_wrap(err, "%s", path) : 0;
}

void trace_done(struct trace *trace)
{
    for (size_t i = 0; i < TRACE_ARMS_MAX; i++) {
        struct trace_arm *arm = &trace->arms[i];
        for (size_t k = 0; k < arm->series.count; k++) {
            free((void *)arm->lifetimes[k].points);
            free((void *)arm->lifetimes[k].spans);
        }
        free(arm->lifetimes);
    }
    *trace = (struct trace){0};
}

struct trace_arm *trace_find_arm(struct trace *trace, const char *name)
{
    for (size_t i = 0; i < trace->count; i++) {
        if (strcmp(trace->arms[i].name, name) == 0)
            return &trace->arms[i];
    }
    return NULL;
}
