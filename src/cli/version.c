/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/verb.h"

#include <stdio.h>

static int run_version(const struct invocation *invocation, struct error *err)
{
    (void)invocation;
    (void)err;
    puts("oomlab " OOMLAB_VERSION);
    return STATUS_DONE;
}

const struct verb VERB_VERSION = {
    .name = "version",
    .summary = "print the version",
    .operands = "",
    .run = run_version,
};
