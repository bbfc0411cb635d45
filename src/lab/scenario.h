/* SPDX-License-Identifier: Apache-2.0 */
/* What a scenario's arms have shown, while the run goes on: loaded series, verdicts, predictions.
 */
#pragma once

#include "analysis/predict.h"
#include "heap/keep.h"
#include "lab/arm.h"
#include "lab/series.h"

#define EVIDENCE_PER_ARM_MAX 64

/* An arm that ran. */
struct arm_findings {
    bool ran;
    struct arm_result result;
    struct arm_data data;
    struct verdict verdict;
    unsigned evidence[EVIDENCE_PER_ARM_MAX]; /* numbers n of the evidence ids "En" */
    size_t evidence_count;
    struct heap_leading leading; /* of its heap profile; without one the sentence is "" */
};

struct scenario_findings {
    const struct scenario_plan *plan;
    struct arm_findings arms[ARM_KINDS];
    struct prediction predictions[PREDICTIONS_MAX]; /* about the arm `raise`, from the trigger */
    int64_t prediction_ids[PREDICTIONS_MAX];
    size_t prediction_count;
};

void scenario_findings_done(struct scenario_findings *findings);

/* Load the arm back from the store, judge it, and write its growth, evidence and verdict rows.
 * `*next_evidence` is the number of the next evidence id. */
int findings_add_arm(struct store *store, struct scenario_findings *findings, enum arm_kind kind,
                     const struct arm_result *result, unsigned *next_evidence, struct error *err);

/* Write down, durably, what each hypothesis predicts for an arm that has not run yet. */
int findings_predict(struct store *store, struct scenario_findings *findings,
                     const struct arm_plan *arm, struct error *err);
/* Compare the predictions with what the arm showed. */
int findings_settle_predictions(struct store *store, struct scenario_findings *findings,
                                enum arm_kind kind, struct error *err);

/* Evaluate and store the scenario's gates. `*failed` counts those that do not hold. */
int findings_gates(struct store *store, const struct scenario_findings *findings, unsigned *failed,
                   struct error *err);

/* All arms are over: keep what their heap profiles say, each with its evidence. A profile that
 * cannot be read costs a warning, not the run. */
int findings_keep_profiles(const struct lab *lab, struct scenario_findings *findings,
                           unsigned *next_evidence, struct error *err);

/* The run's own verdict and recommendation, from all scenarios. */
int findings_conclude(struct store *store, const struct plan *plan,
                      const struct scenario_findings *findings, unsigned gates_failed,
                      bool *ret_negative, struct error *err);
