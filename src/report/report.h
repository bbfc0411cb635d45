/* SPDX-License-Identifier: Apache-2.0 */
/* Everything a person or a program reads after a run, made from the evidence file alone: running it
 * again on the same file gives the same bytes. */
#pragma once

#include "base/error.h"
#include "store/store.h"

#include <jansson.h>
#include <stdio.h>

/* The contract object, "schema": "oomlab.result/1" (docs/result.schema.json). New reference. */
int report_result(struct store *store, json_t **ret, struct error *err);

/* Write result.json, report.md, report.html, events.ndjson into the directory, then MANIFEST.sha256 over all files. */
int report_write_all(struct store *store, const char *directory, struct error *err);

/* The verdict for a terminal: a table of arms, the gates, the verdict, the recommendation. */
int report_print_summary(const json_t *result, FILE *out, struct error *err);
