/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: query results. */
#include "import_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    import_target(data, size, import_prometheus_matches, import_prometheus_read);
    return 0;
}
