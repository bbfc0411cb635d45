/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: sar -r. */
#include "import_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    import_target(data, size, import_sar_matches, import_sar_read);
    return 0;
}
