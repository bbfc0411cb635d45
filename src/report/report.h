/* SPDX-License-Identifier: Apache-2.0 */
/* Everything a person or a program reads after a run, made from the evidence file alone: running it
 * again on the same file gives the same bytes. */
#pragma once

#include "base/error.h"
#include "store/store.h"

#include <jansson.h>
#include <stdio.h>

#define REPORT_SCHEMA "oomlab.result/1"
/* What each arm was started with: {schema, run, tool_version, command_line, plan}. The plan is the
 * lab file after defaults, arm by arm; secrets stand in it as "[redacted]". */
#define CONFIGURATION_FILE   "configuration.json"
#define CONFIGURATION_SCHEMA "oomlab.configuration/1"

/* The contract object, "schema": "oomlab.result/1" (docs/result.schema.json). New reference. */
int report_result(struct store *store, json_t **ret, struct error *err);

/* Write a result as text: indented, with the precision that the files have. */
int report_dump(const json_t *result, FILE *out, struct error *err);

/* The lifecycle events, one JSON object a line, with Azure Container Apps' fields; what Azure
 * cannot say stands under "oomlab". */
int report_events(struct store *store, FILE *out, struct error *err);

/* Write result.json, report.md, report.html, events.ndjson, configuration.json and the figures of
 * the Markdown into the directory, then MANIFEST.sha256 over all files. Seals the store
 * (store_seal()) first: the writer must have been stopped. `ret_result`: the contract object, a new
 * reference; may be NULL. */
int report_write_all(struct store *store, const char *directory, json_t **ret_result,
                     struct error *err);

/* The verdict for a terminal, at most 100 columns: tables of arms, the gates, the predictions, the
 * verdict, the recommendation, and the counters that prove the kills. */
int report_print_summary(const json_t *result, FILE *out, struct error *err);
