/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a run that failed: its error in words, and its directory. */
#pragma once

#include "base/error.h"
#include "cli/state.h"

/* `err` holds why; returns its code. A run that could not begin (its input is wrong, or this
 * machine cannot run it) and measured nothing leaves nothing; any other keeps its evidence and is
 * named. A directory that was removed meanwhile is named as the cause. */
int run_failure(const struct run_directory *run, struct error *err);
