/* SPDX-License-Identifier: Apache-2.0 */
/* The live view of a run on a terminal: what the arms under way are doing, read from themselves
 * and, for the working set, from the evidence file, so that nothing is measured for its sake. For
 * the control thread. */
#pragma once

#include "lab/arm.h"

#include <stdbool.h>
#include <stddef.h>

/* True where it belongs: standard output and standard error are a terminal, whose cursor can be
 * moved. Otherwise the run is told in lines. */
bool live_possible(void);

struct live;
/* Borrows both. */
int live_new(const struct plan *plan, struct store *store, struct live **ret, struct error *err);
void live_free(struct live *live);

/* `arm` is an index into the scenario's arms. The run is borrowed until live_arm_ended(). All of
 * these take a NULL live. */
void live_arm_began(struct live *live, size_t scenario, size_t arm, const struct arm_run *run);
void live_arm_skipped(struct live *live, size_t scenario, size_t arm);
void live_arm_ended(struct live *live, size_t scenario);

/* Look, and redraw the panel (base/panel.h). Due about ten times a second. */
void live_draw(struct live *live, bool stopping);
