/* SPDX-License-Identifier: Apache-2.0 */
/* The table of formats. */
#include "import/formats.h"

/* clang-format off */
/* X-line: ENTRY(kubernetes_pod, "kubectl get pod"), */
#define ENTRY(id, text) {.name = text, .matches = import_##id##_matches, .read = import_##id##_read}

const struct import_format IMPORT_FORMATS[] = {
    /* Most specific first; one line a format. */
    {.name = NULL},
};
/* clang-format on */

const struct import_format *import_recognise(const struct head *head,
                                             const struct import_options *options)
{
    for (const struct import_format *format = IMPORT_FORMATS; format->name; format++) {
        if (format->matches(head, options))
            return format;
    }
    return NULL;
}
