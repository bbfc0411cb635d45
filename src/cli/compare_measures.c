/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/verdict.h"
#include "base/cleanup.h"
#include "cli/compare.h"
#include "lab/series.h"
#include "report/samples.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What every lifetime of an arm may be wrong by: the request that was under way at the kill, the
 * time until the end is noticed, and what the kernel's counters hold back (analysis/rate.h). */
static const double ERRORS[COMPARE_MEASURES] = {
    [COMPARE_KILL_REQUESTS] = 1,
    [COMPARE_KILL_SECONDS] = 0.1,
    [COMPARE_PEAK] = 262144,
};

static bool was_killed(const struct lifetime_series *lifetime)
{
    return lifetime->cause == CAUSE_OOM_CONTAINER_LIMIT ||
           lifetime->cause == CAUSE_OOM_ANCESTOR_LIMIT || lifetime->cause == CAUSE_OOM_HOST;
}

static int raise_peak(void *context, const struct sample_part *part, struct error *err)
{
    double *peak = context;
    (void)err;
    for (size_t i = 0; i < part->mark_count; i++)
        *peak = fmax(*peak, (double)part->marks[i].bytes);
    return 0;
}

static int peak_of(struct store *store, int64_t lifetime_id, double *ret, struct error *err)
{
    *ret = NAN;
    return samples_walk(store, lifetime_id, INT64_MAX, raise_peak, ret, err);
}

static void observe(struct compare_side *side, enum compare_measure measure, double value)
{
    struct compare_observations *observed = &side->observed[measure];
    if (!isnan(value))
        observed->values[observed->count++] = value;
}

/* A lifetime that was cut short is no peak of one that was not: where some were killed, the peaks
 * are theirs. */
static int observe_lifetimes(struct store *store, const struct arm_data *data,
                             struct compare_side *side, struct error *err)
{
    unsigned kills = 0;
    int r = 0;
    side->level = LEVEL_MEASURED;
    for (size_t i = 0; i < data->count; i++)
        kills += was_killed(&data->lifetimes[i]);
    for (size_t i = 0; i < data->count && r >= 0; i++) {
        const struct lifetime_series *lifetime = &data->lifetimes[i];
        double peak = NAN;
        bool killed = was_killed(lifetime);
        if (killed) {
            observe(side, COMPARE_KILL_REQUESTS, lifetime->requests_completed);
            observe(side, COMPARE_KILL_SECONDS, lifetime->uptime_s);
            side->level = level_weaker(side->level, lifetime->level);
        } else {
            side->survived_requests = fmax(side->survived_requests, lifetime->requests_completed);
            side->survived_seconds = fmax(side->survived_seconds, lifetime->uptime_s);
        }
        if (killed || kills == 0)
            r = peak_of(store, data->lifetime_ids[i], &peak, err);
        observe(side, COMPARE_PEAK, peak);
    }
    side->figures[COMPARE_KILLS] = (struct estimate){kills, NAN, NAN};
    return r;
}

/* None of these can be less than nothing, which an interval from two kills does not know. */
static void figure_of(const struct compare_observations *observed, double error,
                      struct estimate *ret)
{
    compare_mean(observed->values, observed->count, error, ret);
    if (ret->low < 0)
        ret->low = 0;
}

static int measure(struct store *store, const struct arm_data *data, struct compare_side *side,
                   struct error *err)
{
    for (size_t i = COMPARE_KILL_REQUESTS; i <= COMPARE_PEAK; i++) {
        side->observed[i].values = calloc(data->count + 1, sizeof(double));
        if (!side->observed[i].values)
            return error_errno(err, ENOMEM, "comparing the arms");
    }
    int r = observe_lifetimes(store, data, side, err);
    for (size_t i = COMPARE_KILL_REQUESTS; i <= COMPARE_PEAK; i++)
        figure_of(&side->observed[i], ERRORS[i], &side->figures[i]);
    return r;
}

/* --- growth ---------------------------------------------------------------------------------- */

static enum driver read_driver(const char *name)
{
    for (int i = 0; name && i < DRIVER_COUNT; i++) {
        const char *known = driver_name((enum driver)i);
        if (known && strcmp(known, name) == 0)
            return (enum driver)i;
    }
    return DRIVER_NONE;
}

static struct estimate read_estimate(const struct rows *rows, int column)
{
    return (struct estimate){row_real(rows, column), row_real(rows, column + 1),
                             row_real(rows, column + 2)};
}

/* As it was found at the end of the run: 1. 0: it was not kept. */
static int recorded_growth(struct store *store, int64_t arm_id, struct compare_side *side,
                           struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store,
                       "SELECT bytes_per_request, request_low, request_high, bytes_per_s,"
                       " second_low, second_high, driver, levels_off FROM arm_growth"
                       " WHERE arm_id = ?1",
                       arm_id, err);
    if (r == 0)
        r = rows_next(&rows, err);
    if (r <= 0)
        return r;
    side->figures[COMPARE_PER_REQUEST] = read_estimate(&rows, 0);
    side->figures[COMPARE_PER_SECOND] = read_estimate(&rows, 3);
    side->driver = read_driver((const char *)sqlite3_column_text(rows.statement, 6));
    side->levels_off = row_integer(&rows, 7) != 0;
    return 1;
}

/* A diagnosis, or a run from before growth was kept: every sample is judged again. */
static int judge_growth(struct store *store, int64_t arm_id, struct compare_side *side,
                        struct error *err)
{
    struct arm_data data = {0};
    struct verdict verdict;
    int r = arm_data_load(store, arm_id, &data, err);
    if (r < 0)
        return r;
    r = verdict_of_arm(&data.series, &verdict);
    arm_data_done(&data);
    if (r < 0)
        return error_errno(err, -r, "comparing the arms");
    side->figures[COMPARE_PER_REQUEST] = verdict.per_request;
    side->figures[COMPARE_PER_SECOND] = verdict.per_second;
    side->levels_off = verdict_levels_off(&verdict);
    side->driver = verdict.driver;
    return 0;
}

static int load_side(struct store *store, int64_t arm_id, struct compare_side *side,
                     struct error *err)
{
    struct arm_data data = {0};
    int r = arm_data_load_outline(store, arm_id, &data, err);
    if (r == 0)
        r = measure(store, &data, side, err);
    arm_data_done(&data);
    if (r >= 0)
        r = recorded_growth(store, arm_id, side, err);
    return r == 0 ? judge_growth(store, arm_id, side, err) : r;
}

int compare_side_load(struct store *store, const char *run, const json_t *arm,
                      struct compare_side *ret, struct error *err)
{
    struct compare_side side = {0};
    const json_t *row = json_object_get(arm, "row");
    if (!json_is_integer(row))
        return error_usage(err,
                           "the run '%s' does not say where the samples of its arm '%s' are, so "
                           "its growth has no interval; 'oomlab report %s' makes its result again",
                           run, json_string_value(json_object_get(arm, "name")), run);
    int r = load_side(store, (int64_t)json_integer_value(row), &side, err);
    if (r < 0) {
        compare_side_done(&side);
        return error_wrap(err, "the run '%s'", run);
    }
    *ret = side;
    return 0;
}

void compare_side_done(struct compare_side *side)
{
    for (size_t i = 0; i < COMPARE_MEASURES; i++)
        free(side->observed[i].values);
    *side = (struct compare_side){0};
}

/* --- the difference -------------------------------------------------------------------------- */

static enum comparison judge(const struct compare_pair *pair, enum compare_measure measure)
{
    const struct estimate *difference = &pair->differences[measure];
    enum comparison outcome = comparison_of(difference);
    bool growth = measure == COMPARE_PER_REQUEST || measure == COMPARE_PER_SECOND;
    /* The first seconds of a sound service look like growth: it is some only where the verdict
     * knows of any. */
    if (growth && ((outcome == COMPARISON_LESS && pair->a.levels_off) ||
                   (outcome == COMPARISON_MORE && pair->b.levels_off)))
        return COMPARISON_OPEN;
    return outcome;
}

/* That one arm keeps more than the other coincides with what differs between them; other requests,
 * or a second thing that differs, may explain it as well. */
static enum evidence_level level_of(const struct compare_pair *pair, enum compare_measure measure)
{
    enum evidence_level ends = level_weaker(pair->a.level, pair->b.level);
    if (measure == COMPARE_KILLS)
        return ends;
    if (pair->outcomes[measure] == COMPARISON_UNKNOWN || pair->outcomes[measure] == COMPARISON_OPEN)
        return LEVEL_NOT_PROVEN;
    bool alike = pair->same_requests && pair->differs.factors <= 1;
    return level_weaker(alike ? LEVEL_CORRELATED : LEVEL_STRONGLY_SUGGESTED, ends);
}

static bool is_same(const json_t *a, const json_t *b)
{
    return a && b && json_equal(a, b);
}

static void name_sides(const json_t *a, const json_t *b, struct compare_pair *pair)
{
    pair->a_name = json_string_value(json_object_get(a, "name"));
    pair->b_name = json_string_value(json_object_get(b, "name"));
    if (pair->a_name && pair->b_name && strcmp(pair->a_name, pair->b_name) != 0)
        return;
    pair->a_name = "A";
    pair->b_name = "B";
}

int compare_pair_judge(const json_t *a, const json_t *b, const struct compare_setup *setup_a,
                       const struct compare_setup *setup_b, struct compare_pair *pair)
{
    name_sides(a, b, pair);
    bool same_digest = is_same(json_object_get(json_object_get(a, "requests"), "sequence_sha256"),
                               json_object_get(json_object_get(b, "requests"), "sequence_sha256"));
    int r = compare_differences_find(setup_a, setup_b, same_digest, &pair->differs);
    if (r < 0)
        return r;
    pair->same_requests =
        same_digest || (pair->differs.known && !(pair->differs.kinds & FACTOR_REQUESTS));
    pair->same_limit =
        is_same(json_object_get(a, "memory_limit_bytes"), json_object_get(b, "memory_limit_bytes"));
    for (enum compare_measure i = 0; i < COMPARE_MEASURES; i++) {
        const struct compare_observations *of_a = &pair->a.observed[i];
        const struct compare_observations *of_b = &pair->b.observed[i];
        if (of_a->values)
            compare_means(of_a->values, of_a->count, of_b->values, of_b->count, ERRORS[i],
                          &pair->differences[i]);
        else
            compare_estimates(&pair->a.figures[i], &pair->b.figures[i], &pair->differences[i]);
        pair->outcomes[i] = judge(pair, i);
        pair->levels[i] = level_of(pair, i);
    }
    return 0;
}

void compare_pair_done(struct compare_pair *pair)
{
    compare_side_done(&pair->a);
    compare_side_done(&pair->b);
    json_decref(pair->differs.texts);
}
