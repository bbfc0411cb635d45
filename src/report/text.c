/* SPDX-License-Identifier: Apache-2.0 */
#include "report/text.h"

#include "base/duration.h"
#include "base/size.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD"

void text_append_clean(struct buffer *out, const char *text)
{
    const char *s = text;
    while (*s) {
        uint32_t point = 0;
        size_t length = utf8_decode(s, &point);
        if (length == 0 || utf8_is_harmful(point))
            buffer_puts(out, REPLACEMENT);
        else
            buffer_append(out, s, length);
        s += length ? length : 1;
    }
}

static const char *not_measured(char text[static FIGURE_TEXT_MAX])
{
    snprintf(text, FIGURE_TEXT_MAX, "not measured");
    return text;
}

const char *figure_bytes(double bytes, char text[static FIGURE_TEXT_MAX])
{
    if (!isfinite(bytes))
        return not_measured(text);
    char size[SIZE_TEXT_MAX];
    snprintf(text, FIGURE_TEXT_MAX, "%s%s", bytes < 0 ? "-" : "",
             size_format((uint64_t)llround(fabs(bytes)), size));
    return text;
}

const char *figure_growth(double bytes, char text[static FIGURE_TEXT_MAX])
{
    if (!isfinite(bytes))
        return not_measured(text);
    char size[FIGURE_TEXT_MAX - 4];
    char unsigned_text[FIGURE_TEXT_MAX];
    snprintf(size, sizeof(size), "%.40s", figure_bytes(fabs(bytes), unsigned_text));
    snprintf(text, FIGURE_TEXT_MAX, "%s%s", bytes < 0 ? "-" : "+", size);
    return text;
}

const char *figure_seconds(double seconds, char text[static FIGURE_TEXT_MAX])
{
    if (!isfinite(seconds))
        return not_measured(text);
    char duration[DURATION_TEXT_MAX];
    snprintf(text, FIGURE_TEXT_MAX, "%s%s", seconds < 0 ? "-" : "",
             duration_format(llround(fabs(seconds) * 1e9), duration));
    return text;
}

const char *figure_number(double value, int places, char text[static FIGURE_TEXT_MAX])
{
    if (!isfinite(value))
        return not_measured(text);
    snprintf(text, FIGURE_TEXT_MAX, "%.*f", places, value);
    if (strchr(text, '.')) {
        size_t length = strlen(text);
        while (text[length - 1] == '0')
            text[--length] = '\0';
        if (text[length - 1] == '.')
            text[length - 1] = '\0';
    }
    if (strcmp(text, "-0") == 0)
        snprintf(text, FIGURE_TEXT_MAX, "0");
    return text;
}

const char *figure_cores(double cores, char text[static FIGURE_TEXT_MAX])
{
    if (isfinite(cores))
        return figure_number(cores, 3, text);
    snprintf(text, FIGURE_TEXT_MAX, "no limit");
    return text;
}

const char *figure_limit(double bytes, char text[static FIGURE_TEXT_MAX])
{
    if (!isfinite(bytes) || bytes < 0)
        return not_measured(text);
    char size[SIZE_TEXT_MAX];
    snprintf(text, FIGURE_TEXT_MAX, "%s", size_format_quantity((uint64_t)llround(bytes), size));
    return text;
}
