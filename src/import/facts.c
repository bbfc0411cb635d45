/* SPDX-License-Identifier: Apache-2.0 */
/* Small tools that all parsers share. */
#include "import/facts.h"

#include "base/duration.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FORMAT_TEXT_MAX 256
#define EXIT_CODE_MAX   255

void fact_init(struct fact *fact, enum fact_kind kind, enum fact_origin origin, uint64_t line)
{
    *fact = (struct fact){
        .kind = kind,
        .origin = origin,
        .at_ns = FACT_TIME_UNKNOWN,
        .boot_ns = FACT_TIME_UNKNOWN,
        .started_ns = FACT_TIME_UNKNOWN,
        .exit_code = FACT_CODE_UNKNOWN,
        .line = line,
    };
}

int fact_give(const struct fact_sink *sink, const struct fact *fact, struct error *err)
{
    return sink->take(sink->context, fact, err);
}

void fact_warn(const struct fact_sink *sink, uint64_t line, const char *format, ...)
{
    if (!sink->warn)
        return;
    char text[FORMAT_TEXT_MAX];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    sink->warn(sink->context, line, text);
}

int fact_exit_code(double code, uint64_t line, const struct fact_sink *sink)
{
    if (code >= 0 && code <= EXIT_CODE_MAX && code == floor(code))
        return (int)code;
    if (!isnan(code))
        fact_warn(sink, line, "exit code %g is none that Linux knows (0 to %d): left out", code,
                  EXIT_CODE_MAX);
    return FACT_CODE_UNKNOWN;
}

bool head_has(const struct head *head, const char *word)
{
    return memmem(head->text, head->length, word, strlen(word)) != NULL;
}

char head_first(const struct head *head)
{
    for (size_t i = 0; i < head->length; i++) {
        if (!isspace((unsigned char)head->text[i]))
            return head->text[i];
    }
    return '\0';
}

json_t *json_at(const json_t *object, const char *path)
{
    const json_t *at = object;
    while (at && *path) {
        size_t length = strcspn(path, ".");
        at = json_object_getn(at, path, length);
        path += length + (path[length] == '.');
    }
    return (json_t *)at;
}

const char *json_text_at(const json_t *object, const char *path)
{
    return json_string_value(json_at(object, path));
}

double json_number_at(const json_t *object, const char *path)
{
    const json_t *value = json_at(object, path);
    if (json_is_number(value))
        return json_number_value(value);
    const char *text = json_string_value(value);
    char *end = NULL;
    double number = text ? strtod(text, &end) : NAN;
    return text && end != text && *end == '\0' ? number : NAN;
}

/* `count` digits at *at; -1 where there are fewer. */
static int digits(const char **at, const char *end, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (*at >= end || !isdigit((unsigned char)**at))
            return -1;
        value = 10 * value + (*(*at)++ - '0');
    }
    return value;
}

static bool skip_one_of(const char **at, const char *end, const char *set)
{
    if (*at >= end || **at == '\0' || !strchr(set, **at))
        return false;
    (*at)++;
    return true;
}

/* ".1234567": any number of digits, of which nine count. */
static int64_t fraction(const char **at, const char *end)
{
    if (*at + 1 >= end || !strchr(".,", **at) || **at == '\0' || !isdigit((unsigned char)(*at)[1]))
        return 0;
    (*at)++;
    int64_t value = 0;
    int count = 0;
    for (; *at < end && isdigit((unsigned char)**at); (*at)++) {
        if (count++ < 9)
            value = 10 * value + (**at - '0');
    }
    while (count++ < 9)
        value *= 10;
    return value;
}

/* "Z", "+09:00", "+0900", "+00", " UTC", " +0000 UTC" or nothing (UTC). */
static bool zone(const char *at, const char *end, int64_t *ret_s)
{
    while (at < end && *at == ' ')
        at++;
    *ret_s = 0;
    if (at < end && (*at == '+' || *at == '-')) {
        int sign = *at++ == '-' ? -1 : 1;
        int hours = digits(&at, end, 2);
        skip_one_of(&at, end, ":");
        int minutes = at < end && isdigit((unsigned char)*at) ? digits(&at, end, 2) : 0;
        if (hours < 0 || hours > 14 || minutes < 0 || minutes > 59)
            return false;
        *ret_s = sign * (INT64_C(3600) * hours + INT64_C(60) * minutes);
        while (at < end && *at == ' ')
            at++;
    }
    if (at < end && (*at == 'Z' || *at == 'z'))
        at++;
    else if (end - at >= 3 && (memcmp(at, "UTC", 3) == 0 || memcmp(at, "GMT", 3) == 0))
        at += 3;
    while (at < end && isspace((unsigned char)*at))
        at++;
    return at == end || *at == '\0';
}

static bool date_of(const char **at, const char *end, struct tm *ret)
{
    int year = digits(at, end, 4);
    bool a = skip_one_of(at, end, "-/");
    int month = digits(at, end, 2);
    bool b = skip_one_of(at, end, "-/");
    int day = digits(at, end, 2);
    *ret = (struct tm){.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    return a && b && year >= 1970 && year < 2200 && month >= 1 && month <= 12 && day >= 1 &&
           day <= 31;
}

bool fact_time_parse(const char *text, size_t length, int64_t *ret_ns)
{
    const char *at = text, *end = text + length;
    while (at < end && *at == ' ')
        at++;
    struct tm tm;
    if (!date_of(&at, end, &tm) || !skip_one_of(&at, end, "Tt _"))
        return false;
    tm.tm_hour = digits(&at, end, 2);
    bool colon = skip_one_of(&at, end, ":");
    tm.tm_min = digits(&at, end, 2);
    if (!colon || tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59)
        return false;
    if (skip_one_of(&at, end, ":"))
        tm.tm_sec = digits(&at, end, 2);
    if (tm.tm_sec < 0 || tm.tm_sec > 60)
        return false;
    int64_t ns = fraction(&at, end), offset_s = 0;
    if (!zone(at, end, &offset_s))
        return false;
    *ret_ns = ((int64_t)timegm(&tm) - offset_s) * NS_PER_S + ns;
    return true;
}

int64_t fact_time(const char *text)
{
    int64_t ns;
    return text && fact_time_parse(text, strlen(text), &ns) ? ns : FACT_TIME_UNKNOWN;
}
