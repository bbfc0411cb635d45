/* SPDX-License-Identifier: Apache-2.0 */
/* A plan carried out into a run's directory, for the verbs that do so. */
#pragma once

#include "cli/state.h"
#include "cli/verb.h"
#include "lab/run.h"

/* lab_run() with the invocation's words, shell-quoted, as the run's command. */
int cli_run_lab(const struct invocation *invocation, const struct plan *plan,
                const struct run_directory *run, bool quiet, struct lab_outcome *ret,
                struct error *err);
