/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: dmesg --json. */
#include "import_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    import_target(data, size, import_kernel_dmesg_json_matches, import_kernel_dmesg_json_read);
    return 0;
}
