/* SPDX-License-Identifier: Apache-2.0 */
/* The arms of one scenario: what each runs, what it is compared with, and what it differs in. */
#pragma once

#include "lab/plan_layers.h"

/* Fill in scenario->arms. `order` chooses and orders them; NULL: all that the layers say how to run
 * (trigger, raise; patch and fix where a patch is known; revert after these). Refused: an arm
 * before the one it is compared with, one that nobody said how to run, one that differs in more,
 * less or other things than its kind promises. Faults of the order are shown at `order_place`,
 * those that belong to no single value at `place` (either may be NULL). On error the arms made so
 * far are left for arm_plan_done(). */
int plan_arms_build(const struct layers *layers, const struct arm_order *order,
                    const struct origin *order_place, const struct origin *place,
                    struct scenario_plan *scenario, struct error *err);

/* What `arm` differs in from `reference`, as a NULL-terminated vector for strv_free():
 * "memory: 512Mi -> 1Gi", "cpu: 0.25 -> 0.5", "env MODE: leak -> healthy", "command: a b -> c".
 * NULL: out of memory. */
enum difference { DIFFERS_MEMORY = 1, DIFFERS_CPU = 2, DIFFERS_LEAK_PATH = 4 };
char **arm_differences(const struct arm_plan *arm, const struct arm_plan *reference,
                       unsigned *ret_kinds);

void arm_plan_done(struct arm_plan *arm);
