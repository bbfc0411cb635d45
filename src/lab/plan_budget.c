/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/plan_budget.h"

#include "base/duration.h"
#include "base/plural.h"

#include <math.h>

#define BUDGET_DEFAULT_NS (120 * NS_PER_S)
/* Of an arm's deadline; the rest is for its starts. */
#define DEADLINE_SHARE 0.9
/* What `cycles` may be at most, and outcomes that the tool keeps room for (100 bytes each). */
#define CYCLES_MAX   1000.0
#define REQUESTS_MAX 1e6
/* That of the interval by which growth is held to a budget. */
#define GROWTH_CONFIDENCE 0.95

/* Whole cycles that fit into the time. */
static double cycles_within(const struct traffic_spec *traffic, double time_ns)
{
    double cycle_ns = traffic->per_cycle / traffic->rate_per_s * 1e9;
    double rest_ns = (double)(traffic->idle_ns + traffic->cooldown_ns - traffic->gap_ns);
    double cycles = floor((time_ns - rest_ns) / (cycle_ns + (double)traffic->gap_ns));
    return fmin(cycles, fmin(CYCLES_MAX, floor(REQUESTS_MAX / traffic->per_cycle)));
}

/* A budget that is given must be one that can be kept. */
static int check_budget(const struct draft_text *given, const struct plan *plan, int64_t budget_ns,
                        double fit, unsigned least, struct error *err)
{
    if ((double)budget_ns > DEADLINE_SHARE * (double)plan->arm_deadline_ns)
        error_usage(err,
                    "%s is longer than nine tenths of an arm's deadline (%.4g s), which leave room "
                    "for its starts; raise deadline",
                    given->text, (double)plan->arm_deadline_ns / 1e9);
    else if (fit < least)
        error_usage(err,
                    "%s is too short for %u cycle%s, idle, gaps and cooldown counted; raise budget "
                    "or rate, or lower per-cycle",
                    given->text, least, plural((double)least));
    else
        return 0;
    return origin_wrap(&given->origin, err);
}

static int lay_out(const struct layers *layers, const struct plan *plan,
                   struct scenario_plan *scenario, struct error *err)
{
    const struct draft_text *budget = layers_text(layers, SETTING_BUDGET);
    bool cycles_given = layers_text(layers, SETTING_CYCLES);
    struct traffic_spec *traffic = &scenario->traffic;
    int64_t budget_ns = BUDGET_DEFAULT_NS;
    int r = layers_read(layers, SETTING_BUDGET, read_deadline, &budget_ns, err);
    if (r < 0)
        return r;
    double time_ns = fmin((double)budget_ns, DEADLINE_SHARE * (double)plan->arm_deadline_ns);
    double fit = cycles_within(traffic, time_ns);
    r = budget ? check_budget(budget, plan, budget_ns, fit, cycles_given ? 1 : traffic->cycles, err)
               : 0;
    if (r < 0)
        return r;
    if (cycles_given) /* at most so many */
        traffic->cycles = (unsigned)fmin(traffic->cycles, fmax(fit, 1));
    else /* never fewer than without the rule */
        traffic->cycles = (unsigned)fmax(traffic->cycles, fit);
    return 0;
}

static bool is_asked(const struct layers *layers, const struct plan *plan)
{
    bool budget = layers_text(layers, SETTING_BUDGET);
    bool cycles = layers_text(layers, SETTING_CYCLES);
    if (plan->trigger_only) /* ends at the first kill anyway */
        return budget || (plan->to_growth_budget && !cycles);
    bool fixed = cycles || layers_kills_given(layers);
    return budget || layers_text(layers, SETTING_CONFIDENCE) || !fixed;
}

int plan_budget_apply(const struct layers *layers, const struct plan *plan,
                      struct scenario_plan *scenario, struct error *err)
{
    if (!is_asked(layers, plan))
        return 0;
    scenario->until_settled = true;
    scenario->confidence = GROWTH_CONFIDENCE;
    int r = 0;
    if (!plan->to_growth_budget)
        r = layers_read(layers, SETTING_CONFIDENCE, read_confidence, &scenario->confidence, err);
    if (r == 0)
        r = lay_out(layers, plan, scenario, err);
    for (size_t i = 0; !layers_kills_given(layers) && i < scenario->arm_count; i++)
        scenario->arms[i].kill_stop = 0;
    return r;
}
