/* SPDX-License-Identifier: Apache-2.0 */
/* An estimate against the most that is allowed of it: what a check in CI decides. */
#pragma once

#include "analysis/verdict.h"

enum budget_outcome { BUDGET_PASS, BUDGET_FAIL, BUDGET_INCONCLUSIVE };
const char *budget_outcome_name(enum budget_outcome outcome); /* "pass", ... */

/* What growth is counted against. */
enum budget_rate { BUDGET_PER_REQUEST, BUDGET_PER_SECOND, BUDGET_RATES };

/* The most that a service may keep, in bytes per request and per second; NAN: not asked. */
struct growth_budget {
    double most[BUDGET_RATES];
};
/* Whether either is asked; false for NULL. */
bool growth_budget_is_asked(const struct growth_budget *budget);

/* Passes when the whole interval is at or below `most`, fails when the whole of it is above. In
 * between, and where nothing could be estimated, the measurement does not settle it. */
enum budget_outcome budget_judge(const struct estimate *estimate, double most);

/* What the verdict estimates of this growth. */
const struct estimate *budget_estimate(const struct verdict *verdict, enum budget_rate rate);
/* The same for a growth. A whole interval above the budget is growth only where the verdict knows
 * of any: the first seconds of a sound service, and the steps in which the kernel counts, look like
 * some. */
enum budget_outcome budget_judge_growth(const struct verdict *verdict, enum budget_rate rate,
                                        double most);
