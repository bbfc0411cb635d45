/* SPDX-License-Identifier: Apache-2.0 */
/* Characters of unknown origin, made fit for a screen. */
#include "import/input-internal.h"

#include <string.h>

/* The smallest code point that a sequence of so many bytes may spell (RFC 3629). */
static uint32_t smallest(size_t length)
{
    return length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
}

size_t input_character(const char *text, size_t length)
{
    const unsigned char *byte = (const unsigned char *)text;
    if (length == 0)
        return 0;
    if (byte[0] < 0x80)
        return 1;
    size_t need = (byte[0] & 0xE0) == 0xC0   ? 2
                  : (byte[0] & 0xF0) == 0xE0 ? 3
                  : (byte[0] & 0xF8) == 0xF0 ? 4
                                             : 0;
    if (need == 0 || need > length)
        return 0;
    uint32_t code = byte[0] & (0xFFU >> (need + 1));
    for (size_t i = 1; i < need; i++) {
        if ((byte[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (byte[i] & 0x3FU);
    }
    bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    return code < smallest(need) || code > 0x10FFFF || surrogate ? 0 : need;
}

void input_make_utf8(char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        size_t good = input_character(text + at, length - at);
        if (good == 0)
            text[at] = '?';
        at += good ? good : 1;
    }
}

const char *input_clean(const char *text, size_t length, char *ret, size_t size)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    size_t used = 0;
    for (size_t at = 0; at < length;) {
        size_t good = input_character(text + at, length - at);
        bool control = good == 1 && ((unsigned char)text[at] < 0x20 || text[at] == 0x7F);
        const char *from = good == 0 ? replacement : control ? " " : text + at;
        size_t bytes = good == 0 ? sizeof(replacement) - 1 : good;
        if (used + bytes >= size)
            break;
        memcpy(ret + used, from, bytes);
        used += bytes;
        at += good ? good : 1;
    }
    ret[used] = '\0';
    return ret;
}
