/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: size_parse(). Whatever is accepted must survive being written and read again. */
#include "base/cleanup.h"
#include "base/size.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = strndup((const char *)data, size);
    if (!text)
        return 0;
    struct error err = {0};
    uint64_t bytes = 0;
    if (size_parse(text, &bytes, &err) < 0) {
        if (err.kind != ERROR_USAGE || err.text[0] == '\0')
            abort();
        return 0;
    }
    if (bytes > INT64_MAX)
        abort();

    char quantity[SIZE_TEXT_MAX];
    uint64_t again = 0;
    if (size_parse(size_format_quantity(bytes, quantity), &again, &err) < 0 || again != bytes)
        abort();
    size_format(bytes, quantity);
    return 0;
}
