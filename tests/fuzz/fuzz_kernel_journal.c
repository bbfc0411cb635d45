/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: journalctl -o json. */
#include "import_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    import_target(data, size, import_kernel_journal_matches, import_kernel_journal_read);
    return 0;
}
