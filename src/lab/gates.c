/* SPDX-License-Identifier: Apache-2.0 */
/* Which gates a scenario must pass, evaluated over its arms and written down check by check. */
#include "lab/scenario.h"

#include "base/cleanup.h"
#include "lab/evidence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How often a repeated failure must be seen where the plan does not say how many kills it stops at.
 */
#define DEFAULT_WANTED_KILLS 1

static struct gate_arm gate_arm_of(const struct arm_findings *arm, char *name, size_t size)
{
    snprintf(name, size, "%s/%s", arm->data.scenario, arm->data.name);
    return (struct gate_arm){
        .name = name,
        .limit_bytes = arm->data.series.limit_bytes,
        .lifetimes = arm->data.gate_lifetimes,
        .lifetime_count = arm->data.count,
        .restarts = arm->data.restarts,
        .revisions = arm->data.revisions,
        .health_state = arm->data.health_state,
        .requests_planned = arm->data.requests_planned,
        .requests_completed = arm->data.requests_completed,
        .verdict = &arm->verdict,
    };
}

static unsigned wanted_kills(const struct scenario_plan *plan, enum arm_kind kind)
{
    if (plan->expect == EXPECT_NOTHING) /* its kill_stop is a limit, not an expectation */
        return DEFAULT_WANTED_KILLS;
    for (size_t i = 0; i < plan->arm_count; i++) {
        if (plan->arms[i].kind == kind && plan->arms[i].kill_stop > 0)
            return plan->arms[i].kill_stop;
    }
    return DEFAULT_WANTED_KILLS;
}

static int insert_check(struct store *store, const char *gate_id, const struct gate_check *check,
                        const char *evidence, struct error *err)
{
    const struct store_value values[] = {
        STORE_STR("gate_id", gate_id),
        STORE_STR("id", check->id),
        STORE_INT("pass", check->pass),
        STORE_STR("observed", check->observed),
        STORE_STR("threshold", check->threshold),
        STORE_STR("evidence", evidence),
        STORE_END,
    };
    return store_insert(store, "gate_check", values, NULL, err);
}

static int insert_gate(struct store *store, const struct scenario_findings *findings,
                       const struct gate *gate, const struct arm_findings *arm, struct error *err)
{
    char id[128];
    AUTO_FREE char *evidence = evidence_ids_json(arm);
    if (!evidence)
        return error_errno(err, ENOMEM, "recording a gate");
    snprintf(id, sizeof(id), "%s/%s", findings->plan->name, gate->id);
    const struct store_value values[] = {
        STORE_STR("id", id),
        STORE_STR("scenario", findings->plan->name),
        STORE_STR("hypothesis", gate->hypothesis),
        STORE_INT("pass", gate->pass),
        STORE_END,
    };
    int r = store_insert(store, "gate", values, NULL, err);
    for (size_t i = 0; r == 0 && i < gate->check_count; i++)
        r = insert_check(store, id, &gate->checks[i], evidence, err);
    return r;
}

/* The leak hypothesis' own prediction: requests when there is one, else seconds. */
static const struct prediction *leak_prediction(const struct scenario_findings *findings)
{
    static const char *const metrics[] = {PREDICT_REQUESTS, PREDICT_SECONDS};
    for (size_t m = 0; m < 2; m++) {
        for (size_t i = 0; i < findings->prediction_count; i++) {
            const struct prediction *p = &findings->predictions[i];
            if (strcmp(p->hypothesis, "leak") == 0 && strcmp(p->metric, metrics[m]) == 0)
                return p;
        }
    }
    return NULL;
}

/* How this scenario's failure shows: as its plan expects, or, for one's own service, as its
 * trigger's verdict says. False: there is no failure to reproduce. */
static bool failure_of(const struct scenario_findings *findings, enum gate_failure *ret)
{
    switch (findings->plan->expect) {
    case EXPECT_LEAK:
        *ret = GATE_FAILS_BY_LEAK;
        return true;
    case EXPECT_STARTUP_DEMAND:
        *ret = GATE_FAILS_AT_START;
        return true;
    case EXPECT_HEALTHY:
        return false;
    case EXPECT_NOTHING:
        break;
    }
    const struct arm_findings *trigger = &findings->arms[ARM_TRIGGER];
    if (!trigger->ran || trigger->verdict.kills == 0)
        return false;
    *ret = trigger->verdict.class == VERDICT_STARTUP_DEMAND ? GATE_FAILS_AT_START
                                                            : GATE_FAILS_IN_SERVICE;
    return trigger->verdict.class == VERDICT_LEAK || *ret == GATE_FAILS_AT_START;
}

struct gates_run {
    struct store *store;
    const struct scenario_findings *findings;
    struct gate_arm arms[ARM_KINDS];
    char names[ARM_KINDS][128];
    unsigned failed;
};

static bool ran(const struct gates_run *run, enum arm_kind kind)
{
    return run->findings->arms[kind].ran;
}

static int record(struct gates_run *run, const struct gate *gate, enum arm_kind kind,
                  struct error *err)
{
    if (!gate->pass)
        run->failed++;
    return insert_gate(run->store, run->findings, gate, &run->findings->arms[kind], err);
}

static int gate_failure_arms(struct gates_run *run, enum gate_failure failure, struct error *err)
{
    const struct scenario_plan *plan = run->findings->plan;
    const struct gate_arm *trigger = &run->arms[ARM_TRIGGER];
    struct gate gate;
    int r = 0;
    if (ran(run, ARM_TRIGGER)) {
        gate_trigger_reproduces(trigger, failure, plan->expect != EXPECT_NOTHING,
                                wanted_kills(plan, ARM_TRIGGER), &gate);
        r = record(run, &gate, ARM_TRIGGER, err);
    }
    if (r == 0 && ran(run, ARM_RAISE)) {
        if (failure != GATE_FAILS_AT_START)
            gate_raise_only_delays(trigger, &run->arms[ARM_RAISE], leak_prediction(run->findings),
                                   wanted_kills(plan, ARM_RAISE), &gate);
        else
            gate_raise_cures(trigger, &run->arms[ARM_RAISE], &gate);
        r = record(run, &gate, ARM_RAISE, err);
    }
    if (r == 0 && ran(run, ARM_PATCH)) {
        gate_patch_cures(trigger, &run->arms[ARM_PATCH], &gate);
        r = record(run, &gate, ARM_PATCH, err);
    }
    if (r == 0 && ran(run, ARM_REVERT)) {
        gate_revert_brings_it_back(trigger, &run->arms[ARM_REVERT], failure,
                                   wanted_kills(plan, ARM_REVERT), &gate);
        r = record(run, &gate, ARM_REVERT, err);
    }
    return r;
}

int findings_gates(struct store *store, const struct scenario_findings *findings, unsigned *failed,
                   struct error *err)
{
    struct gates_run run = {.store = store, .findings = findings};
    for (size_t i = 0; i < ARM_KINDS; i++) {
        if (findings->arms[i].ran)
            run.arms[i] = gate_arm_of(&findings->arms[i], run.names[i], sizeof(run.names[i]));
    }
    enum gate_failure failure = GATE_FAILS_BY_LEAK;
    struct gate gate;
    int r = 0;
    if (failure_of(findings, &failure))
        r = gate_failure_arms(&run, failure, err);
    if (r == 0 && ran(&run, ARM_FIX)) {
        gate_fix_reaches_healthy(&run.arms[ARM_FIX], &gate);
        r = record(&run, &gate, ARM_FIX, err);
    }
    if (r == 0 && ran(&run, ARM_CONTROL)) {
        gate_control_stays_flat(&run.arms[ARM_CONTROL], &gate);
        r = record(&run, &gate, ARM_CONTROL, err);
    }
    *failed += run.failed;
    return r;
}
