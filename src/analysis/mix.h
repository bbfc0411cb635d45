/* SPDX-License-Identifier: Apache-2.0 */
/* Growth with two drivers: so much per second whether or not requests run, and so much for each
 * request besides. Internal to src/analysis. */
#pragma once

#include "analysis/view.h"

/* Of the growth while requests run: a smaller part is no driver of its own. */
#define MIX_PART_SHARE 0.1

struct mix {
    struct estimate per_second;  /* the slope of the idle phases */
    struct estimate per_request; /* (busy slope - idle slope) / requests a second over the cycles */
};

/* False where one driver explains it: both parts must be significant (95 % intervals, the idle
 * slope by its own test) and at least a tenth of the growth while requests run. */
bool mix_of(const struct view *view, struct mix *ret);
