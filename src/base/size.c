/* SPDX-License-Identifier: Apache-2.0 */
#include "base/size.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    long double factor;
} UNITS[] = {
    {"", 1},         {"B", 1},        {"Ki", 0x1p10},  {"Mi", 0x1p20},  {"Gi", 0x1p30},
    {"Ti", 0x1p40},  {"Pi", 0x1p50},  {"k", 1e3},      {"K", 1e3},      {"M", 1e6},
    {"G", 1e9},      {"T", 1e12},     {"P", 1e15},     {"KiB", 0x1p10}, {"MiB", 0x1p20},
    {"GiB", 0x1p30}, {"TiB", 0x1p40}, {"PiB", 0x1p50}, {"kB", 1e3},     {"KB", 1e3},
    {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12},    {"PB", 1e15},
};

int size_parse(const char *text, uint64_t *ret_bytes, struct error *err)
{
    /* strtold also takes hexadecimal, "inf" and "nan": only digits and a point may start a size. */
    if (!isdigit((unsigned char)text[0]) && text[0] != '.')
        return error_usage(err, "'%s' is not a size; write it like 512Mi, 0.5Gi or 500M", text);
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        return error_usage(err, "'%s' is not a size: hexadecimal is not taken", text);
    char *end = NULL;
    /* Its 64 bits of mantissa hold every size exactly; a double would round from 2^53 on. */
    long double number = strtold(text, &end);
    for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++) {
        if (strcmp(end, UNITS[i].name) != 0)
            continue;
        long double bytes = roundl(number * UNITS[i].factor);
        if (!(bytes < 0x1p63L))
            return error_usage(err, "'%s' is too large for a size", text);
        *ret_bytes = (uint64_t)bytes;
        return 0;
    }
    return error_usage(err, "'%s' has no known unit; use Ki, Mi, Gi (1024) or k, M, G (1000)",
                       text);
}

const char *size_format(uint64_t bytes, char text[static SIZE_TEXT_MAX])
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    /* 1023.95 would be rounded up to a fourth digit. */
    while (value >= 1023.95 && unit + 1 < sizeof(names) / sizeof(names[0])) {
        value /= 1024;
        unit++;
    }
    if (unit == 0)
        snprintf(text, SIZE_TEXT_MAX, "%" PRIu64 " B", bytes);
    else
        snprintf(text, SIZE_TEXT_MAX, "%.1f %s", value, names[unit]);
    return text;
}

const char *size_format_quantity(uint64_t bytes, char text[static SIZE_TEXT_MAX])
{
    static const char *const names[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi"};
    size_t unit = 0;
    while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < sizeof(names) / sizeof(names[0])) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, SIZE_TEXT_MAX, "%" PRIu64 "%s", bytes, names[unit]);
    return text;
}
