/* SPDX-License-Identifier: Apache-2.0 */
#include "base/iso8601.h"

#include "base/duration.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY_S        INT64_C(86400)
#define DURATION_MAX (INT64_C(100) * 366 * DAY_S * NS_PER_S)
#define YEAR_2200_S  INT64_C(7258118400)

/* Exactly `count` digits at `*at`, or -1. */
static int digits(const char **at, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (!isdigit((unsigned char)**at))
            return -1;
        value = 10 * value + (**at - '0');
    }
    return value;
}

static bool skip(const char **at, const char *any_of)
{
    bool found = **at && strchr(any_of, **at);
    *at += found;
    return found;
}

/* Digits after a point, in nanoseconds; what is finer is dropped. */
static bool fraction(const char **at, int64_t *ret_ns)
{
    int64_t unit = NS_PER_S / 10;
    *ret_ns = 0;
    if (!skip(at, ".,"))
        return true;
    if (!isdigit((unsigned char)**at))
        return false;
    for (; isdigit((unsigned char)**at); (*at)++, unit /= 10)
        *ret_ns += unit * (**at - '0');
    return true;
}

/* --- moments -------------------------------------------------------------------------------- */

static bool parse_date(const char **at, struct tm *ret)
{
    int year = digits(at, 4);
    bool dashes = skip(at, "-");
    int month = digits(at, 2);
    dashes = skip(at, "-") && dashes;
    int day = digits(at, 2);
    *ret = (struct tm){.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    return dashes && year >= 1970 && year < 2200 && month >= 1 && month <= 12 && day >= 1 &&
           day <= 31;
}

static bool parse_clock(const char **at, struct tm *ret, int64_t *ret_ns)
{
    ret->tm_hour = digits(at, 2);
    if (skip(at, ":"))
        ret->tm_min = digits(at, 2);
    else
        return ret->tm_hour >= 0 && ret->tm_hour < 24;
    if (skip(at, ":"))
        ret->tm_sec = digits(at, 2);
    return ret->tm_hour >= 0 && ret->tm_hour < 24 && ret->tm_min >= 0 && ret->tm_min < 60 &&
           ret->tm_sec >= 0 && ret->tm_sec < 60 && fraction(at, ret_ns);
}

static bool parse_zone(const char **at, int64_t *ret_s, bool *ret_zoned)
{
    *ret_s = 0;
    *ret_zoned = **at != '\0';
    if (!*ret_zoned || skip(at, "Zz"))
        return true;
    if (**at == ' ' && ((*at)[1] == '+' || (*at)[1] == '-'))
        (*at)++;
    int64_t sign = **at == '-' ? -1 : 1;
    if (!skip(at, "+- "))
        return false;
    int hours = digits(at, 2);
    bool more = skip(at, ":") || **at;
    int minutes = more ? digits(at, 2) : 0;
    *ret_s = sign * (hours * INT64_C(3600) + minutes * INT64_C(60));
    return hours >= 0 && hours <= 14 && minutes >= 0 && minutes < 60;
}

int iso8601_parse_time(const char *text, int64_t *ret_ns, bool *ret_zoned)
{
    struct tm tm;
    int64_t ns = 0;
    int64_t offset_s = 0;
    bool zoned = false;
    if (!parse_date(&text, &tm))
        return -EINVAL;
    int day = tm.tm_mday;
    if (*text && (!skip(&text, "Tt ") || !parse_clock(&text, &tm, &ns) ||
                  !parse_zone(&text, &offset_s, &zoned) || *text))
        return -EINVAL;
    int64_t seconds = (int64_t)timegm(&tm) - offset_s;
    /* 31 April became 1 May */
    if (tm.tm_mday != day || seconds < 0 || seconds >= YEAR_2200_S)
        return -EINVAL;
    *ret_ns = seconds * NS_PER_S + ns;
    *ret_zoned = zoned;
    return 0;
}

const char *iso8601_format_time(int64_t seconds, char text[static ISO8601_TEXT_MAX])
{
    time_t at = (time_t)seconds;
    struct tm parts;
    if (!gmtime_r(&at, &parts) ||
        strftime(text, ISO8601_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        text[0] = '\0';
    return text;
}

/* --- durations ------------------------------------------------------------------------------ */

/* One "30M". Each unit stands once: `*seen` has those before. */
static bool parse_part(const char **at, bool clock, unsigned *seen, int64_t *total_ns)
{
    static const char names[] = "DHMS";
    static const int64_t units[] = {DAY_S * NS_PER_S, 3600 * NS_PER_S, 60 * NS_PER_S, NS_PER_S};
    int64_t value = 0;
    int64_t ns = 0;
    if (!isdigit((unsigned char)**at))
        return false;
    for (; isdigit((unsigned char)**at) && value < DURATION_MAX / 10; (*at)++)
        value = 10 * value + (**at - '0');
    bool whole = **at != '.' && **at != ',';
    const char *name = NULL;
    if (fraction(at, &ns) && **at)
        name = strchr(names, toupper((unsigned char)**at));
    size_t unit = name ? (size_t)(name - names) : 0;
    if (!name || (unit > 0) != clock || (*seen & 1U << unit) || (!whole && *name != 'S') ||
        value > (DURATION_MAX - *total_ns) / units[unit])
        return false;
    (*at)++;
    *seen |= 1U << unit;
    *total_ns += value * units[unit] + ns;
    return true;
}

int iso8601_parse_duration(const char *text, int64_t *ret_ns)
{
    bool clock = false;
    unsigned seen = 0;
    int64_t total_ns = 0;
    if (!skip(&text, "Pp"))
        return -EINVAL;
    while (*text) {
        if (!clock && skip(&text, "Tt"))
            clock = true;
        else if (!parse_part(&text, clock, &seen, &total_ns))
            return -EINVAL;
    }
    if (total_ns <= 0 || total_ns > DURATION_MAX)
        return -EINVAL;
    *ret_ns = total_ns;
    return 0;
}

const char *iso8601_format_duration(int64_t seconds, char text[static ISO8601_TEXT_MAX])
{
    const int64_t parts[] = {seconds / 3600 % 24, seconds / 60 % 60, seconds % 60};
    static const char units[] = "HMS";
    int used = snprintf(text, ISO8601_TEXT_MAX, "P");
    if (seconds >= DAY_S)
        used +=
            snprintf(text + used, ISO8601_TEXT_MAX - (size_t)used, "%" PRId64 "D", seconds / DAY_S);
    if (seconds % DAY_S != 0)
        used += snprintf(text + used, ISO8601_TEXT_MAX - (size_t)used, "T");
    for (size_t i = 0; i < 3; i++) {
        if (parts[i] > 0)
            used += snprintf(text + used, ISO8601_TEXT_MAX - (size_t)used, "%" PRId64 "%c",
                             parts[i], units[i]);
    }
    return text;
}
