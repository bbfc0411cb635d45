/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: docker and podman inspect. */
#include "import_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    import_target(data, size, import_container_inspect_matches, import_container_inspect_read);
    return 0;
}
