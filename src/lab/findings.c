/* SPDX-License-Identifier: Apache-2.0 */
/* Verdicts and predictions: what the analysis says of an arm, written down with its reasons. */
#include "lab/scenario.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "conclude/caveats.h"
#include "conclude/kinds.h"
#include "lab/evidence.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void scenario_findings_done(struct scenario_findings *findings)
{
    for (size_t i = 0; i < ARM_KINDS; i++)
        arm_data_done(&findings->arms[i].data);
}

static int insert_verdict(struct store *store, const struct arm_findings *arm, struct error *err)
{
    const struct verdict *v = &arm->verdict;
    AUTO_FREE char *because = evidence_ids_json(arm);
    if (!because)
        return error_errno(err, ENOMEM, "recording the verdict");
    const struct estimate *driving = verdict_by_requests(v) ? &v->per_request : &v->per_second;
    const struct store_value values[] = {
        STORE_INT("arm_id", arm->data.arm_id),
        STORE_STR("class", verdict_class_name(v->class)),
        STORE_DBL("confidence", v->confidence),
        STORE_STR("driver", driver_name(v->driver)),
        STORE_STR("level", level_name(v->level)),
        STORE_STR("because", because),
        STORE_STR("summary", v->summary),
        store_real("growth_bytes_per_request", v->per_request.value),
        store_real("growth_bytes_per_s", v->per_second.value),
        store_real("growth_low", driving->low),
        store_real("growth_high", driving->high),
        STORE_STR("would_settle", v->would_settle[0] != '\0' ? v->would_settle : NULL),
        STORE_END,
    };
    return store_insert(store, "verdict", values, NULL, err);
}

/* With both intervals: to find them again takes every sample. */
static int insert_growth(struct store *store, const struct arm_findings *arm, struct error *err)
{
    const struct verdict *v = &arm->verdict;
    const struct store_value values[] = {
        STORE_INT("arm_id", arm->data.arm_id),
        STORE_STR("driver", driver_name(v->driver)),
        store_real("bytes_per_request", v->per_request.value),
        store_real("request_low", v->per_request.low),
        store_real("request_high", v->per_request.high),
        store_real("bytes_per_s", v->per_second.value),
        store_real("second_low", v->per_second.low),
        store_real("second_high", v->per_second.high),
        STORE_INT("levels_off", verdict_levels_off(v)),
        STORE_END,
    };
    return store_insert(store, "arm_growth", values, NULL, err);
}

/* The platform knows readiness alone. Where the kernel kills its child processes a container is not
 * healthy, whatever its main process answers. */
static int correct_health(struct store *store, struct arm_findings *arm, struct error *err)
{
    char *health = arm->data.health_state;
    if (arm->verdict.child_kills == 0 || strcmp(health, "Healthy") != 0)
        return 0;
    snprintf(health, sizeof(arm->data.health_state), "Unhealthy");
    const struct store_value key = STORE_INT("id", arm->data.arm_id);
    const struct store_value values[] = {STORE_STR("health_state", health), STORE_END};
    return store_update(store, "arm", &key, values, err);
}

int findings_add_arm(struct store *store, struct scenario_findings *findings, enum arm_kind kind,
                     const struct arm_result *result, unsigned *next_evidence, struct error *err)
{
    struct arm_findings *arm = &findings->arms[kind];
    arm->result = *result;
    int r = arm_data_load(store, result->arm_id, &arm->data, err);
    if (r < 0)
        return r;
    arm->ran = true;
    struct growth_kinds kinds;
    struct caveats caveats;
    if (verdict_of_arm(&arm->data.series, &arm->verdict) < 0 ||
        growth_by_kind(&arm->data.series, &arm->verdict, &kinds) < 0)
        return error_errno(err, ENOMEM, "judging the arm");
    caveats_of_arm(&arm->data.series, &caveats);
    r = correct_health(store, arm, err);
    if (r == 0)
        r = evidence_of_arm(store, arm, next_evidence, err);
    if (r == 0)
        r = insert_verdict(store, arm, err);
    if (r == 0)
        r = insert_growth(store, arm, err);
    if (r == 0)
        r = conclude_kinds(store, arm->data.arm_id, &kinds, err);
    if (r == 0)
        r = conclude_caveats(store, arm->data.arm_id, &caveats, err);
    return r;
}

/* --- predictions ----------------------------------------------------------------------------- */

/* The text that is hashed: whoever has the row can check that it was not changed afterwards. */
static char *canonical_text(const struct scenario_findings *findings, const struct arm_plan *arm,
                            const struct prediction *prediction, const char *made_at)
{
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:f, s:f}", "made_at", made_at, "scenario",
                  findings->plan->name, "for_arm", arm_kind_name(arm->kind), "hypothesis",
                  prediction->hypothesis, "memory_limit_bytes", (json_int_t)arm->memory_bytes,
                  "metric", prediction->metric, "low", prediction->low, "high", prediction->high);
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(object);
    return text;
}

static int insert_prediction(struct store *store, const struct scenario_findings *findings,
                             const struct arm_plan *arm, const struct prediction *prediction,
                             int64_t *ret_id, struct error *err)
{
    int64_t now = clock_realtime_ns();
    char made_at[TIMESTAMP_TEXT_MAX];
    char sha256[SHA256_TEXT_MAX];
    AUTO_FREE char *text =
        canonical_text(findings, arm, prediction, timestamp_format(now, made_at));
    if (!text)
        return error_errno(err, ENOMEM, "recording a prediction");
    sha256_hex(text, strlen(text), sha256);
    const struct store_value values[] = {
        STORE_STR("scenario", findings->plan->name),
        STORE_STR("for_arm", arm_kind_name(arm->kind)),
        STORE_STR("hypothesis", prediction->hypothesis),
        STORE_STR("metric", prediction->metric),
        STORE_DBL("low", prediction->low),
        STORE_DBL("high", prediction->high),
        STORE_INT("made_ns", clock_monotonic_ns()),
        STORE_INT("made_at_ns", now),
        STORE_STR("text", text),
        STORE_STR("sha256", sha256),
        STORE_END,
    };
    return store_insert(store, "prediction", values, ret_id, err);
}

int findings_predict(struct store *store, struct scenario_findings *findings,
                     const struct arm_plan *arm, struct error *err)
{
    const struct arm_findings *trigger = &findings->arms[ARM_TRIGGER];
    if (!trigger->ran)
        return 0;
    findings->prediction_count =
        predict_for_limit(&trigger->data.series, &trigger->verdict, (double)arm->memory_bytes,
                          findings->predictions, PREDICTIONS_MAX);
    for (size_t i = 0; i < findings->prediction_count; i++) {
        int r = insert_prediction(store, findings, arm, &findings->predictions[i],
                                  &findings->prediction_ids[i], err);
        if (r < 0)
            return r;
    }
    return store_flush(store, err);
}

int findings_settle_predictions(struct store *store, struct scenario_findings *findings,
                                enum arm_kind kind, struct error *err)
{
    const struct arm_findings *arm = &findings->arms[kind];
    for (size_t i = 0; i < findings->prediction_count; i++) {
        double observed;
        enum prediction_outcome outcome = predict_settle(
            findings->predictions, findings->prediction_count, i, &arm->data.series, &observed);
        const struct store_value key = STORE_INT("id", findings->prediction_ids[i]);
        const struct store_value values[] = {
            STORE_INT("arm_id", arm->data.arm_id),
            store_real("observed", observed),
            outcome == PREDICTION_UNDECIDED
                ? (struct store_value)STORE_NIL("holds")
                : (struct store_value)STORE_INT("holds", outcome == PREDICTION_HOLDS),
            STORE_END,
        };
        int r = store_update(store, "prediction", &key, values, err);
        if (r < 0)
            return r;
    }
    return 0;
}
