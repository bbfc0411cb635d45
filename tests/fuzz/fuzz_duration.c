/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: duration_parse() and rate_parse(). What is accepted must lie inside the contract. */
#include "base/cleanup.h"
#include "base/duration.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = strndup((const char *)data, size);
    if (!text)
        return 0;
    struct error err = {0};
    int64_t ns = 0;
    if (duration_parse(text, &ns, &err) == 0) {
        char shown[DURATION_TEXT_MAX];
        if (ns < 0 || strlen(duration_format(ns, shown)) == 0)
            abort();
    } else if (err.kind != ERROR_USAGE || err.text[0] == '\0') {
        abort();
    }
    double per_s = 0;
    if (rate_parse(text, &per_s, &err) == 0 && (!isfinite(per_s) || per_s <= 0))
        abort();
    return 0;
}
