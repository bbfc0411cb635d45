/* SPDX-License-Identifier: Apache-2.0 */
/* From recorded facts to the rows that a report is made from: an arm for each container, its
 * lifetimes and how each ended, the verdict, and the statements with the rows they rest on. */
#pragma once

#include "import/facts.h"
#include "store/store.h"

struct conclusion {
    unsigned containers, kills;
    bool negative; /* a leak, or a limit that does not fit */
};

/* `command`: the command line, quoted. `id`: the run's. Facts must be complete; nothing is added to
 * them. */
int conclude(struct store *store, const struct import_options *options, const char *id,
             const char *command, struct conclusion *ret, struct error *err);
