/* SPDX-License-Identifier: Apache-2.0 */
/* The run as a whole: one verdict, one recommendation, and whether the outcome is negative. */
#include "lab/scenario.h"

#include "base/cleanup.h"
#include "conclude/advice.h"
#include "lab/evidence.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The scenario that the run is about: the one with a leak to show, else the first with a trigger,
 * else the first that ran at all. */
static const struct scenario_findings *main_scenario(const struct plan *plan,
                                                     const struct scenario_findings *findings)
{
    const struct scenario_findings *best = NULL;
    for (size_t i = 0; i < plan->scenario_count; i++) {
        const struct arm_findings *trigger = &findings[i].arms[ARM_TRIGGER];
        if (!trigger->ran)
            continue;
        if (!best || (trigger->verdict.class == VERDICT_LEAK &&
                      best->arms[ARM_TRIGGER].verdict.class != VERDICT_LEAK))
            best = &findings[i];
    }
    return best;
}

/* The arm whose verdict stands for its scenario. */
static const struct arm_findings *leading_arm(const struct plan *plan,
                                              const struct scenario_findings *findings)
{
    const struct scenario_findings *scenario = main_scenario(plan, findings);
    if (scenario)
        return &scenario->arms[ARM_TRIGGER];
    for (size_t i = 0; i < plan->scenario_count; i++) {
        for (size_t k = 0; k < ARM_KINDS; k++) {
            if (findings[i].arms[k].ran)
                return &findings[i].arms[k];
        }
    }
    return NULL;
}

/* What the raise made of the leak's forecast. */
static enum prediction_outcome leak_outcome(const struct scenario_findings *scenario)
{
    if (!scenario || !scenario->arms[ARM_RAISE].ran)
        return PREDICTION_UNDECIDED;
    return predict_settle_leak(scenario->predictions, scenario->prediction_count,
                               &scenario->arms[ARM_RAISE].data.series);
}

static void summarise(const struct plan *plan, const struct scenario_findings *findings,
                      const struct arm_findings *leading, const struct verdict *verdict,
                      unsigned gates_failed, char *text, size_t size)
{
    const struct scenario_findings *scenario = main_scenario(plan, findings);
    size_t used = (size_t)snprintf(text, size, "%s", verdict->summary);
    if (used < size && leading->leading.sentence[0] != '\0')
        used += (size_t)snprintf(text + used, size - used, " %s", leading->leading.sentence);
    if (used < size && leading->verdict.class == VERDICT_LEAK &&
        leak_outcome(scenario) == PREDICTION_HOLDS)
        used += (size_t)snprintf(text + used, size - used,
                                 " More memory only delayed the kill, as predicted before it was "
                                 "tried.");
    if (used < size && scenario && scenario->arms[ARM_PATCH].ran &&
        scenario->arms[ARM_PATCH].verdict.kills == 0)
        used += (size_t)snprintf(text + used, size - used,
                                 " With the patch the same requests at the old limit caused no "
                                 "kill.");
    if (used < size && gates_failed > 0)
        snprintf(text + used, size - used, " %u of the run's gates did not hold.", gates_failed);
}

static int insert_run_verdict(struct store *store, const struct arm_findings *leading,
                              const struct verdict *v, const char *summary, struct error *err)
{
    AUTO_FREE char *because = evidence_ids_json(leading);
    if (!because)
        return error_errno(err, ENOMEM, "recording the verdict");
    const struct estimate *driving = verdict_by_requests(v) ? &v->per_request : &v->per_second;
    const struct store_value values[] = {
        STORE_STR("class", verdict_class_name(v->class)),
        STORE_DBL("confidence", v->confidence),
        STORE_STR("driver", driver_name(v->driver)),
        STORE_STR("level", level_name(v->level)),
        STORE_STR("because", because),
        STORE_STR("summary", summary),
        store_real("growth_bytes_per_request", v->per_request.value),
        store_real("growth_bytes_per_s", v->per_second.value),
        store_real("growth_low", driving->low),
        store_real("growth_high", driving->high),
        STORE_STR("would_settle", v->would_settle[0] != '\0' ? v->would_settle : NULL),
        STORE_END,
    };
    return store_insert(store, "verdict", values, NULL, err);
}

static const struct verdict *raised_verdict(const struct scenario_findings *scenario)
{
    return scenario && scenario->arms[ARM_RAISE].ran ? &scenario->arms[ARM_RAISE].verdict : NULL;
}

static int insert_recommendation(struct store *store, const struct scenario_findings *scenario,
                                 const struct arm_findings *leading, const struct verdict *verdict,
                                 struct error *err)
{
    const struct arm_series *series = &leading->data.series;
    struct recommendation advice;
    struct forecasts forecasts;
    forecast_limits(series, verdict, &forecasts);
    recommend(verdict, raised_verdict(scenario), series->limit_bytes, &forecasts, &advice);
    return conclude_advice(store, &advice, err);
}

/* One's own service: a leak, a limit that does not fit, a service that does not run. */
static bool is_negative(const struct arm_findings *trigger)
{
    const struct verdict *v = &trigger->verdict;
    return v->class == VERDICT_LEAK || v->class == VERDICT_NOT_MEMORY || v->kills > 0 ||
           v->child_kills > 0 || v->held_at_limit || trigger->result.end == ARM_CRASH_LOOP ||
           trigger->result.end == ARM_NEVER_READY;
}

int findings_conclude(struct store *store, const struct plan *plan,
                      const struct scenario_findings *findings, unsigned gates_failed,
                      bool *ret_negative, struct error *err)
{
    *ret_negative = gates_failed > 0;
    const struct arm_findings *leading = leading_arm(plan, findings);
    if (!leading)
        return 0; /* interrupted before the first arm was over */
    for (size_t i = 0; i < plan->scenario_count; i++) {
        if (plan->scenarios[i].expect == EXPECT_NOTHING && findings[i].arms[ARM_TRIGGER].ran &&
            is_negative(&findings[i].arms[ARM_TRIGGER]))
            *ret_negative = true;
    }
    const struct scenario_findings *scenario = main_scenario(plan, findings);
    struct verdict verdict;
    verdict_combine(&leading->verdict, raised_verdict(scenario), leak_outcome(scenario), &verdict);
    if (leading->leading.children_seen)
        verdict_children_seen(&verdict);
    if (scenario && scenario->arms[ARM_PATCH].ran)
        verdict_against_good(&scenario->arms[ARM_PATCH].verdict, &verdict);
    if (scenario && scenario->plan->expect == EXPECT_NOTHING && verdict.class == VERDICT_LEAK)
        *ret_negative = true; /* two arms together may tell what the trigger alone does not */
    char summary[2 * VERDICT_TEXT_MAX + HEAP_SENTENCE_MAX];
    summarise(plan, findings, leading, &verdict, gates_failed, summary, sizeof(summary));
    int r = insert_run_verdict(store, leading, &verdict, summary, err);
    if (r == 0)
        r = insert_recommendation(store, scenario, leading, &verdict, err);
    return r;
}
