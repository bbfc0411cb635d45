/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: kernel logs as text. */
#include "import_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    import_target(data, size, import_kernel_log_matches, import_kernel_log_read);
    return 0;
}
