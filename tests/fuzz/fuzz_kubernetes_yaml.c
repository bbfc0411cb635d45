/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: kubectl -o yaml. */
#include "import_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    import_target(data, size, import_kubernetes_yaml_matches, import_kubernetes_yaml_read);
    return 0;
}
