/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "cli/state.h"

#include <jansson.h>
#include <stdbool.h>

/* Write the report's files into the run's directory. The result object is a new reference. */
int cli_report_write(const struct run_directory *run, json_t **ret, struct error *err);
/* The summary, or the result object alone, to standard output. */
int cli_report_print(const struct run_directory *run, const json_t *result, bool json,
                     struct error *err);
/* Both. */
int cli_report(const struct run_directory *run, bool json, struct error *err);
