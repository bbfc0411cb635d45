/* SPDX-License-Identifier: Apache-2.0 */
/* Statements with a level and the row that they rest on. */
#pragma once

#include "base/terms.h"
#include "lab/scenario.h"

/* Write the evidence rows of an arm that is loaded and judged; their numbers go into `arm`. */
int evidence_of_arm(struct store *store, struct arm_findings *arm, unsigned *next,
                    struct error *err);

/* The same for what its heap profile says (arm->leading). */
int evidence_of_heap(struct store *store, struct arm_findings *arm, unsigned *next,
                     struct error *err);

/* ["E1","E2"]: the arm's evidence ids as JSON; free() it. NULL on failed allocation. */
char *evidence_ids_json(const struct arm_findings *arm);
