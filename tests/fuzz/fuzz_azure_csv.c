/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: Log Analytics rows as CSV. */
#include "import_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    import_target(data, size, import_azure_csv_matches, import_azure_csv_read);
    return 0;
}
