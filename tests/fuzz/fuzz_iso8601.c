/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: iso8601_parse_time() and iso8601_parse_duration(). What is accepted lies inside the
 * contract, and what is written of it is read as the same. */
#include "base/cleanup.h"
#include "base/duration.h"
#include "base/iso8601.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = strndup((const char *)data, size);
    char shown[ISO8601_TEXT_MAX];
    int64_t ns = 0;
    int64_t again = 0;
    bool zoned = false;
    if (!text)
        return 0;
    if (iso8601_parse_time(text, &ns, &zoned) == 0) {
        iso8601_format_time(ns / NS_PER_S, shown);
        if (ns < 0 || iso8601_parse_time(shown, &again, &zoned) != 0 || !zoned ||
            again != ns / NS_PER_S * NS_PER_S)
            abort();
    }
    if (iso8601_parse_duration(text, &ns) == 0) {
        if (ns <= 0)
            abort();
        if (ns >= NS_PER_S &&
            (iso8601_parse_duration(iso8601_format_duration(ns / NS_PER_S, shown), &again) != 0 ||
             again != ns / NS_PER_S * NS_PER_S))
            abort();
    }
    return 0;
}
