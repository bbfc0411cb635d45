/* SPDX-License-Identifier: Apache-2.0 */
/* `sar -r` of sysstat as printed: the date stands in the first line, the columns are named in the
 * lines with "kbmemused". It is the memory of a whole host. Dates and clocks of the C, ISO and
 * US-English locales are read; times are taken for UTC. */
#include "import/formats.h"

#include "base/duration.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORDS_MAX 40
#define DAY_S     86400
#define YEARS_END 300 /* since 1900: beyond, nanoseconds since 1970 do not fit */

bool import_sar_matches(const struct head *head, const struct import_options *options)
{
    (void)options;
    return head->length > 6 && memcmp(head->text, "Linux ", 6) == 0 && head_has(head, " kbmemused");
}

struct reader {
    struct input *input;
    const struct fact_sink *sink;
    int64_t day_s;  /* midnight of the first line's date; -1 unknown */
    int64_t last_s; /* the time of day before: a smaller one is the next day's */
    char host[128];
    int column; /* of kbmemused, among the words behind the clock; -1 unknown */
    uint64_t samples;
};

static size_t split_words(char *text, char *words[static WORDS_MAX])
{
    size_t count = 0;
    char *rest = text, *word;
    while (count < WORDS_MAX && (word = strtok_r(rest, " \t", &rest)))
        words[count++] = word;
    return count;
}

/* "11/22/26", "11/22/2026" or "2026-11-22". */
static bool read_date(const char *word, int64_t *ret_s)
{
    int a, b, c, used = 0;
    struct tm tm = {0};
    if (sscanf(word, "%4d-%2d-%2d%n", &a, &b, &c, &used) == 3 && word[used] == '\0')
        tm = (struct tm){.tm_year = a - 1900, .tm_mon = b - 1, .tm_mday = c};
    else if (sscanf(word, "%2d/%2d/%4d%n", &a, &b, &c, &used) == 3 && word[used] == '\0')
        tm = (struct tm){.tm_year = c < 100 ? c + 100 : c - 1900, .tm_mon = a - 1, .tm_mday = b};
    else
        return false;
    if (tm.tm_mon < 0 || tm.tm_mon > 11 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_year < 70 ||
        tm.tm_year >= YEARS_END)
        return false;
    *ret_s = (int64_t)timegm(&tm);
    return true;
}

/* "Linux 6.1.0 (host) 11/22/26 _x86_64_ (2 CPU)" */
static void read_banner(struct reader *reader, char *words[static WORDS_MAX], size_t count)
{
    reader->day_s = reader->last_s = -1;
    reader->column = -1;
    for (size_t i = 2; i < count; i++) {
        size_t length = strlen(words[i]);
        if (words[i][0] == '(' && words[i][length - 1] == ')' && i == 2)
            snprintf(reader->host, sizeof(reader->host), "%.*s", (int)length - 2, words[i] + 1);
        else if (read_date(words[i], &reader->day_s))
            return;
    }
}

/* "14:55:05" and, in US English, "PM" behind it. The number of words taken; 0 for none. */
static size_t read_clock(char *words[static WORDS_MAX], size_t count, int64_t *ret_s)
{
    int hour, minute, second, used = 0;
    if (count < 2 || sscanf(words[0], "%2d:%2d:%2d%n", &hour, &minute, &second, &used) != 3 ||
        words[0][used] || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 ||
        second > 60)
        return 0;
    bool am = strcmp(words[1], "AM") == 0, pm = strcmp(words[1], "PM") == 0;
    if (am || pm)
        hour = hour % 12 + (pm ? 12 : 0);
    *ret_s = (int64_t)hour * 3600 + (int64_t)minute * 60 + second;
    return am || pm ? 2 : 1;
}

static int find_word(char *words[static WORDS_MAX], size_t from, size_t count, const char *word)
{
    for (size_t i = from; i < count; i++) {
        if (strcmp(words[i], word) == 0)
            return (int)(i - from);
    }
    return -1;
}

static int give_sample(struct reader *reader, const char *word, int64_t clock_s, uint64_t line,
                       uint64_t column, struct error *err)
{
    struct fact fact;
    char *end;
    fact_init(&fact, FACT_SAMPLE, ORIGIN_CSV, line);
    double kib = strtod(word, &end);
    if (end == word || *end || !isfinite(kib) || kib < 0)
        return input_error(reader->input, line, column, err, "'%.40s' is no amount of KiB", word);
    if (reader->day_s >= 0 && reader->last_s > clock_s)
        reader->day_s += DAY_S;
    reader->last_s = clock_s;
    if (reader->day_s >= 0)
        fact.at_ns = (reader->day_s + clock_s) * NS_PER_S;
    fact.place.replica = reader->host[0] ? reader->host : NULL;
    fact.metric = METRIC_USAGE;
    fact.value = kib * 1024;
    reader->samples++;
    return fact_give(reader->sink, &fact, err);
}

static int take_line(struct reader *reader, struct line *line, struct error *err)
{
    char *words[WORDS_MAX];
    int64_t clock_s;
    bool banner = strncmp(line->text, "Linux ", 6) == 0;
    const char *start = line->text;
    size_t count = split_words(line->text, words);
    if (banner) {
        read_banner(reader, words, count);
        return 0;
    }
    size_t from = read_clock(words, count, &clock_s);
    if (from == 0) /* blank, "Average:" */
        return 0;
    if (!isdigit((unsigned char)words[from < count ? from : 0][0])) {
        /* A heading, of this or of another report; "LINUX RESTART" has neither. */
        reader->column = find_word(words, from, count, "kbmemused");
        return 0;
    }
    size_t at = from + (size_t)reader->column;
    if (reader->column < 0)
        return 0;
    if (at >= count) {
        fact_warn(reader->sink, line->number, "a cut row was passed over");
        return 0;
    }
    return give_sample(reader, words[at], clock_s, line->number, (uint64_t)(words[at] - start) + 1,
                       err);
}

int import_sar_read(struct input *input, const struct fact_sink *sink, struct error *err)
{
    struct reader reader = {.input = input, .sink = sink, .day_s = -1, .last_s = -1, .column = -1};
    struct line line;
    int r;
    while ((r = input_line(input, &line, err)) > 0) {
        r = take_line(&reader, &line, err);
        if (r < 0)
            return r;
    }
    if (r >= 0 && reader.samples > 0 && reader.day_s < 0)
        fact_warn(sink, 1,
                  "the first line's date cannot be read: the rows have no times; print it "
                  "with LC_ALL=C S_TIME_FORMAT=ISO sar -r");
    return r;
}
