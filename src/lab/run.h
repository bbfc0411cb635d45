/* SPDX-License-Identifier: Apache-2.0 */
/* Executes a plan: every arm of every scenario on the local platform with the same traffic,
 * predictions before the arms they are about, then verdicts and gates. Everything ends up in the
 * evidence file; src/report reads it there. */
#pragma once

#include "base/error.h"
#include "lab/plan.h"

#include <stdbool.h>

struct lab_options {
    const char *directory; /* exists and is empty; evidence.db and console logs go here */
    const char *run_id;
    const char *command_line; /* for the record, shell-quoted */
    bool quiet;               /* no progress on stderr */
};

struct lab_outcome {
    bool negative; /* a leak, a limit that does not fit, a refuted lab hypothesis: exit status 3 */
    int interrupted_by; /* SIGINT, SIGTERM, SIGHUP or SIGQUIT; 0: none. The evidence so far is
                           stored. */
};

/* Run the whole plan. SIGINT, SIGTERM, SIGHUP and SIGQUIT are taken over while it runs: everything
 * is stopped, stored and removed, and `interrupted_by` says which it was; a second one does not
 * wait for grace periods. A service that cannot be started, never becomes ready or dies by itself
 * is an outcome (0, with its arms' record), not an error. */
int lab_run(const struct plan *plan, const struct lab_options *options, struct lab_outcome *ret,
            struct error *err);
