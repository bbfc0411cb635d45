/* SPDX-License-Identifier: Apache-2.0 */
/* --summary FILE: Markdown for a CI service's page of a job, as GitHub takes it from the file that
 * GITHUB_STEP_SUMMARY names. Steps share such a file, so it is appended to. */
#pragma once

#include "base/error.h"
#include "report/document.h"

#include <jansson.h>
#include <stdio.h>

/* A row of a verb's table of options; its arguments have a member `const char *summary`. */
#define RUN_OPTION_SUMMARY                                                                         \
    {                                                                                              \
        .name = "summary", .kind = OPTION_TEXT, .argument = "FILE",                                \
        .help = "append a summary in Markdown, as for $GITHUB_STEP_SUMMARY", .values = "@file",    \
        .offset = offsetof(RUN_ARGUMENTS, summary)                                                 \
    }

/* Before anything runs, so that a file that cannot be written is told now. NULL: none is asked. */
int job_summary_open(const char *path, FILE **ret, struct error *err);
/* `out` may be NULL (nothing is written) in the following. Takes `document` over. */
int job_summary_write(struct document *document, FILE *out, struct error *err);
/* What a run showed; of one that failed, why. */
int job_summary_write_run(const char *lab, const json_t *result, FILE *out, struct error *err);
void job_summary_write_failure(const char *verb, const char *lab, const char *why, FILE *out);
/* The document's first lines: what was done, to what. NULL on failed allocation. */
struct document *job_summary_begin(const char *verb, const char *lab, const char *outcome);
