/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/budget.h"

#include <math.h>

const char *budget_outcome_name(enum budget_outcome outcome)
{
    static const char *const NAMES[] = {
        [BUDGET_PASS] = "pass",
        [BUDGET_FAIL] = "fail",
        [BUDGET_INCONCLUSIVE] = "inconclusive",
    };
    return NAMES[outcome];
}

enum budget_outcome budget_judge(const struct estimate *estimate, double most)
{
    if (isnan(estimate->value) || isnan(estimate->low) || isnan(estimate->high))
        return BUDGET_INCONCLUSIVE;
    if (estimate->high <= most)
        return BUDGET_PASS;
    return estimate->low > most ? BUDGET_FAIL : BUDGET_INCONCLUSIVE;
}

bool growth_budget_is_asked(const struct growth_budget *budget)
{
    return budget &&
           (!isnan(budget->most[BUDGET_PER_REQUEST]) || !isnan(budget->most[BUDGET_PER_SECOND]));
}

const struct estimate *budget_estimate(const struct verdict *verdict, enum budget_rate rate)
{
    return rate == BUDGET_PER_REQUEST ? &verdict->per_request : &verdict->per_second;
}

enum budget_outcome budget_judge_growth(const struct verdict *verdict, enum budget_rate rate,
                                        double most)
{
    enum budget_outcome outcome = budget_judge(budget_estimate(verdict, rate), most);
    bool no_growth = verdict_levels_off(verdict) || verdict->looks_level;
    return outcome == BUDGET_FAIL && no_growth ? BUDGET_INCONCLUSIVE : outcome;
}
