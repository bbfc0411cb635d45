/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary text through the redactor: a value that it knows never comes out. */
#include "base/redact.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_BUFFER out = {0};
    struct redactor *redactor = redactor_new();
    char *text = malloc(size + 1);
    if (!redactor || !text || redactor_learn(redactor, "PASSWORD=hunter2", '=') < 0)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    if (redactor_apply(redactor, text, &out) && strstr(buffer_text(&out), "hunter2"))
        abort();
    memcpy(text, data, size);
    size_t held = redactor_mask(redactor, text, size, true);
    if (held > size || memmem(text, size - held, "hunter2", 7))
        abort();
    if (redactor_mask(redactor, text + size - held, held, false) != 0 ||
        memmem(text, size, "hunter2", 7))
        abort();
    free(text);
    redactor_free(redactor);
    return 0;
}
