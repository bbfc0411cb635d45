/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t utf8_decode(const char *text, uint32_t *ret)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t length = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    if (length == 0 || s[0] > 0xF4)
        return 0;
    uint32_t point = length == 1 ? s[0] : s[0] & (0xFFU >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        point = point << 6 | (s[i] & 0x3FU);
    }
    bool overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
    if (overlong || (point >= 0xD800 && point <= 0xDFFF) || point > 0x10FFFF)
        return 0;
    *ret = point;
    return length;
}

bool utf8_is_harmful(uint32_t point)
{
    if (point < 0x20)
        return point != '\t' && point != '\n';
    return (point >= 0x7F && point < 0xA0) || point == 0x200E || point == 0x200F ||
           (point >= 0x2028 && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069) ||
           point == 0xFEFF || (point & 0xFFFE) == 0xFFFE;
}

static bool must_escape(const char *at, uint32_t point, bool controls)
{
    if (at[0] == '\\')
        return at[1] == 'x';
    return controls && (point < 0x20 || utf8_is_harmful(point));
}

void utf8_escape(const char *text, bool controls, char *out, size_t size)
{
    size_t used = 0;
    for (const char *at = text; *at;) {
        uint32_t point = 0;
        size_t length = utf8_decode(at, &point);
        bool escape = length == 0 || must_escape(at, point, controls);
        length = length ? length : 1;
        if (used + (escape ? 4 * length : length) >= size)
            break;
        for (size_t i = 0; escape && i < length; i++)
            used += (size_t)snprintf(out + used, size - used, "\\x%02x", (unsigned char)at[i]);
        if (!escape) {
            memcpy(out + used, at, length);
            used += length;
        }
        at += length;
    }
    out[used] = '\0';
}

/* The byte of "\xNN"; 0: it is none. */
static char escaped_byte(const char *at)
{
    if (at[0] != '\\' || at[1] != 'x' || !isxdigit((unsigned char)at[2]) ||
        !isxdigit((unsigned char)at[3]))
        return '\0';
    const char digits[] = {at[2], at[3], '\0'};
    return (char)strtoul(digits, NULL, 16);
}

void utf8_unescape(char *text)
{
    char *to = text;
    for (const char *at = text; *at;) {
        char byte = escaped_byte(at);
        *to++ = byte ? byte : *at;
        at += byte ? 4 : 1;
    }
    *to = '\0';
}
