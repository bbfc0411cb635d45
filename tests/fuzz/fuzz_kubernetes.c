/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: kubectl -o json. */
#include "import_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    import_target(data, size, import_kubernetes_matches, import_kubernetes_read);
    return 0;
}
