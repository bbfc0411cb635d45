/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "cli/state.h"

#include <stdbool.h>

/* Write the report's files into the run's directory; the summary, or the result object alone, goes
 * to standard output. */
int cli_report(const struct run_directory *run, bool json, struct error *err);
