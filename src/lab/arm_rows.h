/* SPDX-License-Identifier: Apache-2.0 */
/* What an arm writes into the evidence file: its own row, its phases, its requests. */
#pragma once

#include "lab/plan.h"
#include "platform/platform.h"
#include "store/store.h"
#include "traffic/traffic.h"

int arm_rows_started(struct store *store, const struct scenario_plan *scenario,
                     const struct arm_plan *arm, const struct revision_template *template,
                     const struct traffic_plan *traffic, int64_t *ret_arm_id, struct error *err);

/* The phases' planned rows, and the arm's traffic_started_ns. */
int arm_rows_traffic_started(struct store *store, int64_t arm_id,
                             const struct traffic_plan *traffic, int64_t started_ns,
                             struct error *err);

/* Writer's callback: a struct traffic_outcome becomes a request row. */
int arm_rows_apply_outcome(struct store_batch *batch, const void *record, void *context,
                           bool *durable, struct error *err);

/* Give each response that has none yet the lifetime that answered it. */
int arm_rows_answered_by(struct store *store, int64_t arm_id, int64_t now_ns, struct error *err);

/* Where fewer cycles of `spec` were begun than planned, the phases and the number of requests
 * become those of the cycles that were. The requests' outcomes are stored. */
int arm_rows_shorten(struct store *store, int64_t arm_id, struct traffic_spec spec,
                     int64_t started_ns, struct error *err);

/* `stop_reason`: the stopping rule's, or NULL. The arm's end and states; phases that were never
 * reached are cut; requests get the lifetime that answered them. */
int arm_rows_ended(struct store *store, int64_t arm_id, const char *because,
                   const char *stop_reason, const struct revision_states *states,
                   struct error *err);
