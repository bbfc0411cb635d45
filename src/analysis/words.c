/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/words.h"

#include "base/size.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

static struct words signed_words(const char *plus, double bytes)
{
    struct words words;
    char size[SIZE_TEXT_MAX];
    if (isnan(bytes)) {
        snprintf(words.text, sizeof(words.text), "unknown");
    } else if (fabs(bytes) >= 9e18) {
        snprintf(words.text, sizeof(words.text), "%sbeyond all bounds", bytes < 0 ? "-" : plus);
    } else {
        size_format((uint64_t)llround(fabs(bytes)), size);
        snprintf(words.text, sizeof(words.text), "%s%s", bytes <= -0.5 ? "-" : plus, size);
    }
    return words;
}

struct words bytes_words(double bytes)
{
    return signed_words("", bytes);
}

struct words growth_words(double bytes)
{
    return signed_words("+", bytes);
}

struct words most_words(double working_set_bytes, double high_water_bytes)
{
    struct words ret;
    bool seen = working_set_bytes > 0;
    snprintf(ret.text, sizeof(ret.text), "%s was %.20s",
             seen ? "highest working set" : "most memory it used",
             bytes_words(seen ? working_set_bytes : high_water_bytes).text);
    return ret;
}

struct words limit_words(double bytes)
{
    if (bytes > 0)
        return bytes_words(bytes);
    return (struct words){"no limit"};
}
