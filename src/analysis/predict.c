/* SPDX-License-Identifier: Apache-2.0 */
/* Predictions from killed lifetimes. Each lifetime is its own calibration: it went a known way
 * (requests, seconds) from its start level to the old limit, so to the new limit the way is longer
 * by (new limit - start level) / (old limit - start level). docs/statistics.md has the derivation.
 */
#include "analysis/predict.h"

#include "analysis/statistics.h"
#include "analysis/view.h"
#include "base/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The half-width with a single lifetime, as a share of the prediction: nothing is known about the
 * spread between lifetimes, so allow what separates a first, cold life from later ones. */
#define SINGLE_SHARE 0.3
/* A level is not known better than this share of the way to the limit (counter batching, warm-up).
 */
#define LEVEL_SHARE 0.01

static double known_or(double value, double otherwise)
{
    return isnan(value) ? otherwise : value;
}
/* A request that is answered so much later than it allocates is in flight at the kill; on a busy
 * machine that is so long (seen: a twentieth of the requests to the kill). */
#define IN_FLIGHT_S 0.1

/* What one killed lifetime predicts for the new limit. */
struct sample {
    double requests, seconds;
    double request_slack, second_slack; /* quantisation and the unsure start level */
    double pace;                        /* seconds for each request, without the pauses */
};

/* The longest time for which memory stood still before the kill: a leak in ticks is only known to
 * within one of them. */
static double longest_plateau(const struct profile *profile, double rise)
{
    double longest = 0, since = 0, level = 0;
    for (size_t i = 0; i < profile->count; i++) {
        if (i == 0 || fabs(profile->retained[i] - level) > 0.005 * rise) {
            level = profile->retained[i];
            since = profile->t[i];
        }
        longest = fmax(longest, profile->t[i] - since);
    }
    return longest;
}

/* The traffic's own rhythm as this lifetime saw it. */
struct rhythm {
    double first_request_s; /* NAN: none seen */
    double busy_s;          /* of its life, within cycles */
    double pause_share;     /* pause for each second within cycles, over the whole traffic */
    double pause_s;         /* the longest */
};

static struct rhythm rhythm_of(const struct profile *profile)
{
    const struct lifetime_series *lifetime = profile->lifetime;
    struct rhythm rhythm = {.first_request_s = NAN};
    double pauses = 0, cycles = 0;
    for (size_t i = 0; i < profile->count && isnan(rhythm.first_request_s); i++)
        if (profile->requests[i] > 0)
            rhythm.first_request_s = profile->t[i];
    for (size_t i = 0; i < lifetime->span_count; i++) {
        const struct span *span = &lifetime->spans[i];
        double length = span->end_s - span->start_s;
        double from = fmax(span->start_s, known_or(rhythm.first_request_s, 0));
        if (span->kind == SPAN_CYCLE) {
            cycles += length;
            rhythm.busy_s += fmax(0, fmin(span->end_s, lifetime->uptime_s) - from);
        } else if (span->kind == SPAN_GAP) {
            pauses += length;
            rhythm.pause_s = fmax(rhythm.pause_s, length);
        }
    }
    if (lifetime->span_count == 0)
        rhythm.busy_s = lifetime->uptime_s - known_or(rhythm.first_request_s, 0);
    rhythm.pause_share = cycles > 0 ? pauses / cycles : 0;
    return rhythm;
}

/* The start level by the line through the floor (its value at no request) rather than by the first
 * samples: a warm-up is then part of the start, as it will be under the other limit. */
static double intercept(const struct floor *floor, double at, double fallback)
{
    struct estimate slope;
    double p_value, levels[PROFILE_FLOOR_MAX];
    if (trend_sen(floor->x, floor->y, floor->count, &slope, &p_value) || isnan(slope.value))
        return fallback;
    for (size_t i = 0; i < floor->count; i++)
        levels[i] = floor->y[i] - slope.value * (floor->x[i] - at);
    return median_of(levels, floor->count);
}

struct stretch {
    double factor, slack; /* of the way, and how far the unsure start level could move it */
};

static struct stretch stretch_of(double measured, double fitted, double limit, double new_limit)
{
    double level = fmin(fmax(fitted, 0), 0.9 * limit);
    struct stretch stretch = {.factor = (new_limit - level) / (limit - level)};
    double other = fmin(fmax(measured, 0), 0.9 * limit);
    stretch.slack = fabs((new_limit - other) / (limit - other) - stretch.factor) +
                    LEVEL_SHARE * fabs(stretch.factor - 1);
    return stretch;
}

static struct sample sample_of(const struct view *view, const struct profile *profile,
                               double new_limit)
{
    const struct lifetime_series *lifetime = profile->lifetime;
    double limit = view->arm->limit_bytes, base = profile->baseline;
    double start_s = profile->count ? profile->t[0] : 0;
    struct stretch by_requests =
        stretch_of(base, intercept(&profile->by_requests, 0, base), limit, new_limit);
    struct stretch by_time =
        stretch_of(base, intercept(&profile->by_time, start_s, base), limit, new_limit);
    struct sample sample = {.requests = lifetime->requests_completed * by_requests.factor};
    struct rhythm rhythm = rhythm_of(profile);
    double pace = rhythm.busy_s / lifetime->requests_completed;
    sample.pace = pace;
    /* One request more or less at either kill, and those in flight that have allocated already and
     * never complete. */
    sample.request_slack = 1 + by_requests.factor + IN_FLIGHT_S / pace +
                           lifetime->requests_completed * by_requests.slack;
    if (view->driver == DRIVER_TIME || sample.requests <= 0) {
        double way = lifetime->uptime_s - start_s;
        sample.seconds = start_s + way * by_time.factor;
        sample.second_slack =
            longest_plateau(profile, limit - base) * (1 + by_time.factor) + way * by_time.slack;
    } else { /* as long as that many requests take: the pace seen, with the traffic's pauses */
        pace *= 1 + rhythm.pause_share;
        double wait_s = rhythm_of(&view->profiles[0]).first_request_s; /* as the next arm will */
        sample.seconds = known_or(wait_s, start_s) + pace * sample.requests;
        sample.second_slack = pace * sample.request_slack + 2 * rhythm.pause_s;
    }
    return sample;
}

/* Student's t prediction interval for one new observation, widened by the independent `slack`. */
static void interval(const double *values, size_t count, double slack, struct prediction *ret)
{
    double mean = mean_of(values, count), half = SINGLE_SHARE * fabs(mean);
    if (count > 1)
        half = student_975((double)count - 1) * deviation_of(values, count) *
               sqrt(1 + 1 / (double)count);
    half = hypot(half, slack);
    ret->low = fmax(0, mean - half);
    ret->high = mean + half;
}

static void name_prediction(struct prediction *prediction, const char *hypothesis,
                            const char *metric)
{
    snprintf(prediction->hypothesis, sizeof(prediction->hypothesis), "%s", hypothesis);
    snprintf(prediction->metric, sizeof(prediction->metric), "%s", metric);
}

static size_t predict_killed(const char *hypothesis, double killed, struct prediction *ret,
                             size_t max)
{
    if (max == 0)
        return 0;
    name_prediction(ret, hypothesis, PREDICT_KILLED);
    ret->low = ret->high = killed;
    return 1;
}

static bool usable(const struct lifetime_series *lifetime)
{
    return lifetime->cause == CAUSE_OOM_CONTAINER_LIMIT && !killed_at_start(lifetime);
}

/* Requests first when they drive the growth; seconds alone when time does. Returns how many. */
static size_t predict_leak(const struct view *view, double new_limit, double *values,
                           struct prediction *ret, size_t max)
{
    size_t count = view->arm->count, used = 0, written = 0;
    double *requests = values, *seconds = values + count, request_slack = 0, second_slack = 0;
    double pace = INFINITY;
    for (size_t i = 0; i < count; i++) {
        if (!usable(&view->arm->lifetimes[i]) || isnan(view->profiles[i].baseline))
            continue;
        struct sample sample = sample_of(view, &view->profiles[i], new_limit);
        requests[used] = sample.requests;
        seconds[used++] = sample.seconds;
        request_slack = fmax(request_slack, sample.request_slack);
        second_slack = fmax(second_slack, sample.second_slack);
        pace = fmin(pace, sample.pace);
    }
    if (used == 0)
        return 0;
    if (view_by_requests(view) && written < max) {
        name_prediction(&ret[written], "leak", PREDICT_REQUESTS);
        interval(requests, used, request_slack, &ret[written++]);
    }
    if (written < max) {
        name_prediction(&ret[written], "leak", PREDICT_SECONDS);
        interval(seconds, used, second_slack, &ret[written]);
        /* Where pauses fall is not known, but they only add to the time of the requests. */
        if (written == 1 && view->driver != DRIVER_TIME && isfinite(pace))
            ret[1].low = fmin(fmax(ret[1].low, ret[0].low * pace), ret[1].high);
        written++;
    }
    return written;
}

size_t predict_for_limit(const struct arm_series *trigger, const struct verdict *verdict,
                         double limit_bytes, struct prediction *ret, size_t max)
{
    if (verdict->kills == 0 || !(trigger->limit_bytes > 0) || !(limit_bytes > 0))
        return 0;
    if (verdict->class == VERDICT_STARTUP_DEMAND || verdict->class == VERDICT_PEAK_DEMAND) {
        size_t own = predict_killed(verdict_class_name(verdict->class), 0, ret, max);
        return own + predict_killed("leak", 1, ret + own, max - own);
    }
    CLEANUP(view_done) struct view view;
    AUTO_FREE double *values = calloc(2 * trigger->count + 1, sizeof(*values));
    if (view_init(&view, trigger) || !values)
        return 0;
    size_t written = predict_leak(&view, limit_bytes, values, ret, max);
    if (written)
        written += predict_killed("peak-demand", 0, ret + written, max - written);
    return written;
}

/* The main process may outlive them: the limit did not hold its container all the same. */
static bool any_child_killed(const struct arm_series *arm)
{
    for (size_t i = 0; i < arm->count; i++)
        if (arm->lifetimes[i].child_kills > 0)
            return true;
    return false;
}

double predict_observed(const struct arm_series *arm, const char *metric)
{
    if (strcmp(metric, PREDICT_KILLED) == 0 && any_child_killed(arm))
        return 1;
    for (size_t i = 0; i < arm->count; i++) {
        const struct lifetime_series *lifetime = &arm->lifetimes[i];
        if (!cause_is_kernel_oom(lifetime->cause))
            continue;
        if (strcmp(metric, PREDICT_KILLED) == 0)
            return 1;
        return strcmp(metric, PREDICT_REQUESTS) == 0  ? lifetime->requests_completed
               : strcmp(metric, PREDICT_SECONDS) == 0 ? lifetime->uptime_s
                                                      : NAN;
    }
    return strcmp(metric, PREDICT_KILLED) == 0 ? 0 : NAN;
}

bool predict_holds(const struct prediction *prediction, double observed)
{
    return observed >= prediction->low && observed <= prediction->high;
}

/* How far the process came that came furthest without a kill. */
static double unharmed(const struct arm_series *arm, const char *metric)
{
    double most = 0;
    for (size_t i = 0; i < arm->count; i++)
        most =
            fmax(most, strcmp(metric, PREDICT_SECONDS) == 0 ? arm->lifetimes[i].uptime_s
                                                            : arm->lifetimes[i].requests_completed);
    return most;
}

/* The leak's own forecast of when: in requests where there is one, for those do not come while idle
 * seconds go by. */
static const struct prediction *forecast_of(const struct prediction *all, size_t count)
{
    const struct prediction *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i].metric, PREDICT_KILLED) != 0 &&
            (!best || strcmp(all[i].metric, PREDICT_REQUESTS) == 0))
            best = &all[i];
    }
    return best;
}

enum prediction_outcome predict_settle(const struct prediction *all, size_t count, size_t index,
                                       const struct arm_series *arm, double *ret_observed)
{
    const struct prediction *prediction = &all[index], *forecast = forecast_of(all, count);
    bool killed = predict_observed(arm, PREDICT_KILLED) > 0;
    *ret_observed = NAN;
    if (!killed && forecast && !(unharmed(arm, forecast->metric) > forecast->high))
        return PREDICTION_UNDECIDED;
    *ret_observed = predict_observed(arm, prediction->metric);
    if (isnan(*ret_observed)) { /* no kill, and the leak's forecast is refuted */
        *ret_observed = unharmed(arm, prediction->metric);
        if (*ret_observed > prediction->high)
            return PREDICTION_REFUTED;
        *ret_observed = NAN;
        return PREDICTION_UNDECIDED;
    }
    return predict_holds(prediction, *ret_observed) ? PREDICTION_HOLDS : PREDICTION_REFUTED;
}

enum prediction_outcome predict_settle_leak(const struct prediction *all, size_t count,
                                            const struct arm_series *arm)
{
    enum prediction_outcome ret = PREDICTION_UNDECIDED;
    for (size_t i = 0; i < count; i++) {
        double observed;
        if (strcmp(all[i].hypothesis, "leak") != 0 || strcmp(all[i].metric, PREDICT_KILLED) == 0)
            continue;
        if (all[i].low > 0 && predict_holds(&all[i], predict_observed(arm, all[i].metric)))
            return PREDICTION_HOLDS;
        if (predict_settle(all, count, i, arm, &observed) == PREDICTION_REFUTED)
            ret = PREDICTION_REFUTED;
    }
    return ret;
}
