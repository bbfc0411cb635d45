/* SPDX-License-Identifier: Apache-2.0 */
#include "base/duration.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SECONDS (100.0 * 366 * 86400)

static const struct {
    const char *name;
    double seconds;
} UNITS[] = {
    {"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1},
    {"min", 60},  {"m", 60},    {"h", 3600},  {"d", 86400},
};

/* The unit at the start of `text`, longest name first ("min" before "m" stands in the table). */
static size_t match_unit(const char *text, double *ret_seconds)
{
    for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++) {
        size_t length = strlen(UNITS[i].name);
        if (strncmp(text, UNITS[i].name, length) == 0 && !isalpha((unsigned char)text[length])) {
            *ret_seconds = UNITS[i].seconds;
            return length;
        }
    }
    return 0;
}

static bool number_parse(const char *text, double *ret, const char **ret_end)
{
    if (!isdigit((unsigned char)text[0]) && text[0] != '.')
        return false;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        return false;
    char *end = NULL;
    *ret = strtod(text, &end);
    *ret_end = end;
    return end != text;
}

int duration_parse(const char *text, int64_t *ret_ns, struct error *err)
{
    double total = 0;
    const char *at = text;
    bool first = true;
    do {
        double number = 0;
        double unit = 1;
        if (!number_parse(at, &number, &at))
            return error_usage(
                err, "'%s' is not a duration; write it like 200ms, 1.5s, 5m or 1h30m", text);
        size_t length = match_unit(at, &unit);
        if (length == 0 && (*at != '\0' || !first))
            return error_usage(err, "'%s' has no known unit of time; use ms, s, m, h", text);
        at += length;
        total += number * unit;
        first = false;
    } while (*at != '\0');
    if (!(total <= MAX_SECONDS))
        return error_usage(err, "'%s' is too long for a duration", text);
    *ret_ns = llround(total * 1e9);
    return 0;
}

int rate_parse(const char *text, double *ret_per_s, struct error *err)
{
    double number = 0;
    double seconds = 1;
    const char *at = text;
    bool ok = number_parse(text, &number, &at);
    if (ok && *at == '/') {
        size_t length = match_unit(at + 1, &seconds);
        ok = length > 0 && at[1 + length] == '\0';
    } else if (ok) {
        ok = *at == '\0';
    }
    double per_s = number / seconds;
    if (!ok || !isfinite(per_s) || per_s <= 0)
        return error_usage(err, "'%s' is not a rate; write it like 50/s or 600/m", text);
    *ret_per_s = per_s;
    return 0;
}

const char *duration_format(int64_t ns, char text[static DURATION_TEXT_MAX])
{
    double seconds = (double)ns / 1e9;
    int64_t whole = ns / NS_PER_S + (ns % NS_PER_S >= NS_PER_S / 2);
    int64_t minutes = whole / 60 + (whole % 60 >= 30);
    /* Each bound is where the printed number would round up to the next unit: no "1000 ms". */
    if (seconds < 0.0009995)
        snprintf(text, DURATION_TEXT_MAX, "%.0f us", seconds * 1e6);
    else if (seconds < 0.009995)
        snprintf(text, DURATION_TEXT_MAX, "%.2f ms", seconds * 1e3);
    else if (seconds < 0.9995)
        snprintf(text, DURATION_TEXT_MAX, "%.0f ms", seconds * 1e3);
    else if (seconds < 59.995)
        snprintf(text, DURATION_TEXT_MAX, "%.2f s", seconds);
    else if (whole < 3600)
        snprintf(text, DURATION_TEXT_MAX, "%" PRId64 " min %" PRId64 " s", whole / 60, whole % 60);
    else
        snprintf(text, DURATION_TEXT_MAX, "%" PRId64 " h %" PRId64 " min", minutes / 60,
                 minutes % 60);
    return text;
}
