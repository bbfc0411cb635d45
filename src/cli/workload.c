/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab workload: the built-in leaky server. It reads its own options. */
#include "workload.h"

#include "cli/verb.h"

static int run_workload(const struct invocation *invocation, struct error *err)
{
    (void)err;
    return workload_main(invocation->argc - 1, invocation->argv + 1);
}

const struct verb VERB_WORKLOAD = {
    .name = "workload",
    .summary = "run the built-in leaky HTTP server",
    .operands = "[OPTION...]",
    .raw = true,
    .run = run_workload,
};
