/* SPDX-License-Identifier: Apache-2.0 */
/* The ends that memory does not explain, in words. Internal to src/analysis. */
#pragma once

#include "analysis/series.h"

/* Restarted by a liveness or startup probe, which the process's own memory limit had no part in. */
bool ended_by_probe(const struct lifetime_series *lifetime);

/* "exited with code 3, 3 times; ended by SIGSEGV, once": every kind of end that is neither for
 * memory nor the arm's own stop; "" without one. Cut at `size`. */
void ends_words(const struct arm_series *arm, char *text, size_t size);
