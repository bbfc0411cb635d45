/* SPDX-License-Identifier: Apache-2.0 */
/* A result in short, for the page that a CI service shows of a job: no pictures, no links. */
#pragma once

#include "report/document.h"

#include <jansson.h>

/* The answer, the five facts, the arms, the gates that do not hold, and what would settle an open
 * question. A failed allocation is the document's. */
void job_summary_append(const json_t *result, struct document *document);
