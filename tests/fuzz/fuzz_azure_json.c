/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: what az prints as JSON, in lists and in streams. */
#include "import_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    import_target(data, size, import_azure_json_matches, import_azure_json_read);
    return 0;
}
