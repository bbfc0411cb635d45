/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: tables of times and bytes. */
#include "import_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    import_target(data, size, import_csv_table_matches, import_csv_table_read);
    return 0;
}
