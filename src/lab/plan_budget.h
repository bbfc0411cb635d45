/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the stopping rule ends a scenario's arms, and for how long they may go on till then. */
#pragma once

#include "lab/plan_layers.h"

/* Without fixed cycles or kills, or with a budget or a confidence beside them, an arm ends when its
 * question is settled: its traffic becomes the longest that it may be. A trigger alone does so with
 * a budget, or with a budget of growth and no fixed cycles. The scenario's arms and the
 * traffic's other settings are read already. */
int plan_budget_apply(const struct layers *layers, const struct plan *plan,
                      struct scenario_plan *scenario, struct error *err);
