/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: the text exposition format. */
#include "import_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    import_target(data, size, import_cadvisor_matches, import_cadvisor_read);
    return 0;
}
