/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: an expression is refused with a usage error, or can be evaluated. */
#include "base/cleanup.h"
#include "jmespath/jmespath.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = strndup((const char *)data, size);
    struct error err = {0};
    struct jmespath *expression = NULL;
    if (!text)
        return 0;
    if (jmespath_compile(text, &expression, &err) < 0) {
        if (err.kind != ERROR_USAGE || err.text[0] == '\0')
            abort();
        return 0;
    }
    json_t *document = json_pack("{s:[i,s,n,{s:i}], s:s}", "a", 1, "x", "b", 2, "c", "text");
    json_t *result = NULL;
    if (jmespath_search(expression, document, &result, &err) == 0)
        json_decref(result);
    else if (err.kind != ERROR_USAGE)
        abort();
    json_decref(document);
    jmespath_free(expression);
    return 0;
}
