/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: tables and reports of az. */
#include "import_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    import_target(data, size, import_azure_text_matches, import_azure_text_read);
    return 0;
}
