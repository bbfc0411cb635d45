/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/view.h"

#include "analysis/rate.h"
#include "analysis/statistics.h"
#include "analysis/verdict_ends.h"
#include "base/cleanup.h"

#include <errno.h>
#include <math.h>

/* Growth in idle phases of at least this share of that in busy ones is driven by time. */
#define TIME_SHARE 0.5
/* As in the forecasts (predict.c). */
#define IN_FLIGHT_S 0.1
#define NEAR_LIMIT  0.9
/* Idle time must be so many times as long as the steps of the growth are apart, or a leak in ticks
 * passes for one that pauses. */
#define IDLE_STEPS 2
/* A rise by the larger of these is a step. */
#define STEP_SHARE       0.03
#define STEP_BYTES       65536.0
#define SHAPE_POINTS_MIN 8
#define SHAPE_RISE_MIN   1048576.0 /* less is the counters' own inaccuracy */

bool cause_is_kernel_oom(enum end_cause cause)
{
    return cause == CAUSE_OOM_CONTAINER_LIMIT || cause == CAUSE_OOM_ANCESTOR_LIMIT ||
           cause == CAUSE_OOM_HOST;
}

bool cause_is_memory(enum end_cause cause)
{
    return cause_is_kernel_oom(cause) || cause == CAUSE_OOM_USERSPACE_KILLER ||
           cause == CAUSE_RUNTIME_OUT_OF_MEMORY;
}

bool killed_at_start(const struct lifetime_series *lifetime)
{
    bool ready = !isnan(lifetime->ready_s) && lifetime->ready_s <= lifetime->uptime_s;
    return cause_is_memory(lifetime->cause) && !ready && !(lifetime->requests_completed > 0);
}

bool cause_is_other_death(enum end_cause cause)
{
    return cause == CAUSE_EXITED || cause == CAUSE_SIGNALLED || cause == CAUSE_KILLED_EXTERNALLY ||
           cause == CAUSE_UNKNOWN;
}

static void count_lifetime(struct view *view, const struct lifetime_series *lifetime)
{
    view->kills += cause_is_kernel_oom(lifetime->cause);
    view->startup_kills += killed_at_start(lifetime);
    view->other_deaths += cause_is_other_death(lifetime->cause) || ended_by_probe(lifetime);
    view->child_kills += lifetime->child_kills;
    view->runtime_deaths += lifetime->cause == CAUSE_RUNTIME_OUT_OF_MEMORY;
    view->own_limit_deaths += lifetime->cause == CAUSE_OOM_CONTAINER_LIMIT ||
                              lifetime->cause == CAUSE_RUNTIME_OUT_OF_MEMORY;
    if (cause_is_memory(lifetime->cause)) {
        view->memory_deaths++;
        view->weakest = level_weaker(view->weakest, lifetime->level);
    }
    view->requests += isnan(lifetime->requests_completed) ? 0 : lifetime->requests_completed;
    view->peak_bytes = fmax(view->peak_bytes, lifetime->peak_bytes); /* fmax() passes over NAN */
    for (size_t i = 0; i < lifetime->count; i++)
        view->working_bytes = fmax(view->working_bytes, lifetime->points[i].working_set);
    view->peak_bytes = fmax(view->peak_bytes, view->working_bytes);
}

/* The peak without what is page cache at most: the kernel's high-water mark counts it, and does not
 * say how much of it was. */
static void measure_need(struct view *view, const struct profile *profile)
{
    double cache = 0, kept = NAN, peak = profile->lifetime->peak_bytes;
    for (size_t i = 0; i < profile->lifetime->count; i++) {
        const struct point *point = &profile->lifetime->points[i];
        if (!isnan(point->file))
            cache = fmax(cache, point->file - (isnan(point->shmem) ? 0 : point->shmem));
        kept = fmax(kept, retained_bytes(point));
        peak = fmax(peak, point->working_set);
    }
    view->need_bytes = fmax(view->need_bytes, fmax(kept, peak - cache));
}

static double observed_s(const struct profile *profile)
{
    return profile->count ? profile->t[profile->count - 1] - profile->t[0] : 0;
}

/* The common slope of one kind of floor over all lifetimes that got past their start. */
static int common_slope(const struct view *view, size_t offset, const struct rate_errors *errors,
                        struct trend *ret, struct estimate *ret_rate)
{
    AUTO_FREE struct trend_series *series = calloc(view->arm->count + 1, sizeof(*series));
    if (!series)
        return -ENOMEM;
    size_t used = 0;
    for (size_t i = 0; i < view->arm->count; i++) {
        if (killed_at_start(&view->arm->lifetimes[i]))
            continue;
        const struct floor *floor =
            (const struct floor *)((const char *)&view->profiles[i] + offset);
        series[used++] = (struct trend_series){floor->x, floor->y, floor->count};
    }
    int rc = trend_common(series, used, ret);
    if (rc == 0 && ret_rate)
        rc = rate_of(series, used, ret, errors, ret_rate);
    return rc;
}

/* Growth while no request ran: from gaps and cool-downs where they suffice, else from all idle
 * phases. */
static int idle_slope(const struct view *view, struct trend *ret)
{
    size_t total = 0, used = 0;
    for (size_t i = 0; i < view->arm->count; i++)
        total += view->profiles[i].idle_count;
    AUTO_FREE struct trend_series *series = calloc(total + 1, sizeof(*series));
    if (!series)
        return -ENOMEM;
    for (int all = 0; all < 2; all++) {
        used = 0;
        for (size_t i = 0; i < view->arm->count; i++) {
            const struct profile *profile = &view->profiles[i];
            size_t count = all ? profile->idle_count : profile->gap_count;
            for (size_t k = 0; k < count && !killed_at_start(profile->lifetime); k++)
                series[used++] = profile->idle[k];
        }
        int rc = trend_common(series, used, ret);
        if (rc || !isnan(ret->slope.value))
            return rc;
    }
    return 0;
}

/* Some lifetime was observed while requests were sent to it, answered or not. */
static bool saw_traffic(const struct view *view)
{
    for (size_t i = 0; i < view->arm->count; i++) {
        const struct lifetime_series *lifetime = &view->arm->lifetimes[i];
        for (size_t k = 0; k < lifetime->span_count; k++)
            if (lifetime->spans[k].kind == SPAN_CYCLE && lifetime->spans[k].end_s > 0 &&
                lifetime->spans[k].start_s < lifetime->uptime_s)
                return true;
    }
    return view->requests > 0;
}

/* The time between steps that stand apart while requests ran; 0 where growth is smooth, that is
 * rises from sample to sample. */
static double step_interval(const struct view *view)
{
    double seconds = 0, steps = 0;
    for (size_t i = 0; i < view->arm->count; i++) {
        const struct profile *profile = &view->profiles[i];
        double end = profile->count ? profile->retained[profile->count - 1] : NAN;
        double step = fmax(STEP_BYTES, STEP_SHARE * (end - profile->baseline));
        double since = NAN;
        bool rising = false;
        for (size_t k = 1; k < profile->count; k++) {
            bool rose = profile->retained[k] >= profile->retained[k - 1] + step;
            bool busy = busy_at(&profile->cycles, profile->t[k]);
            bool begins = rose && !rising;
            if (begins && busy && !isnan(since)) {
                seconds += profile->t[k] - since;
                steps++;
            }
            since = !busy ? NAN : begins ? profile->t[k] : since;
            rising = rose;
        }
    }
    return steps > 0 ? seconds / steps : 0;
}

/* Whether the idle phases, taken together, are long enough to miss growth that goes on without
 * requests, and did not rise. Of the first phase the first half may hold the end of the warm-up. */
static bool idle_stands_still(const struct view *view, double busy)
{
    double seconds = 0, rise = 0;
    for (size_t i = 0; i < view->arm->count; i++) {
        const struct profile *profile = &view->profiles[i];
        for (size_t k = 0; k < profile->idle_count && !killed_at_start(profile->lifetime); k++) {
            const struct trend_series *idle = &profile->idle[k];
            size_t from = k < profile->gap_count ? 0 : idle->count / 2;
            if (idle->count < 2)
                continue;
            seconds += idle->x[idle->count - 1] - idle->x[from];
            rise += idle->y[idle->count - 1] - idle->y[from];
        }
    }
    return seconds >= IDLE_STEPS * step_interval(view) &&
           rise <= fmax(TIME_SHARE * busy * seconds, SHAPE_RISE_MIN);
}

static enum driver find_driver(const struct view *view)
{
    if (!view->traffic)
        return view->arm->requests_unknown ? DRIVER_NONE : DRIVER_TIME;
    double idle = view->idle_per_second.slope.value, busy = view->busy_per_second.slope.value;
    if (isnan(idle) || isnan(busy))
        return DRIVER_NONE;
    if (idle >= TIME_SHARE * busy && view->idle_per_second.slope.low > 0)
        return DRIVER_TIME;
    return idle < TIME_SHARE * busy && idle_stands_still(view, busy) ? DRIVER_REQUESTS
                                                                     : DRIVER_NONE;
}

/* Requests in flight at the kill have allocated and never complete, so that growth by completed
 * ones overstates it: the lower end allows for one more and for those of IN_FLIGHT_S at the pace
 * seen. */
static void allow_for_requests_in_flight(struct view *view)
{
    for (size_t i = 0; i < view->arm->count; i++) {
        const struct lifetime_series *lifetime = &view->arm->lifetimes[i];
        double done = lifetime->requests_completed;
        if (lifetime->cause != CAUSE_OOM_CONTAINER_LIMIT || !(done >= 1))
            continue;
        double in_flight = 1 + IN_FLIGHT_S * done / fmax(lifetime->uptime_s, IN_FLIGHT_S);
        double least = (view->arm->limit_bytes - view->profiles[i].baseline) / (done + in_flight);
        if (least > 0 && least < view->per_request.slope.low)
            view->per_request.slope.low = least;
        if (least > 0 && least < view->request_rate.low)
            view->request_rate.low = least;
    }
}

static int measure_slopes(struct view *view)
{
    const struct rate_errors per_request = {RATE_COUNTER_BYTES, RATE_REQUEST};
    const struct rate_errors per_second = {RATE_COUNTER_BYTES, 0};
    int rc = common_slope(view, offsetof(struct profile, by_requests), &per_request,
                          &view->per_request, &view->request_rate);
    if (rc == 0)
        rc = common_slope(view, offsetof(struct profile, by_time), &per_second, &view->per_second,
                          &view->second_rate);
    if (rc == 0)
        rc = common_slope(view, offsetof(struct profile, busy), NULL, &view->busy_per_second, NULL);
    return rc;
}

int view_init(struct view *view, const struct arm_series *arm)
{
    *view = (struct view){.arm = arm,
                          .peak_bytes = NAN,
                          .working_bytes = NAN,
                          .need_bytes = NAN,
                          .weakest = LEVEL_MEASURED};
    view->profiles = calloc(arm->count + 1, sizeof(*view->profiles));
    if (!view->profiles)
        return -ENOMEM;
    for (size_t i = 0; i < arm->count; i++) {
        int rc = profile_init(&view->profiles[i], &arm->lifetimes[i]);
        if (rc)
            return rc;
        count_lifetime(view, &arm->lifetimes[i]);
        measure_need(view, &view->profiles[i]);
        if (!view->longest || observed_s(&view->profiles[i]) > observed_s(view->longest))
            view->longest = &view->profiles[i];
    }
    int rc = measure_slopes(view);
    if (rc == 0)
        rc = idle_slope(view, &view->idle_per_second);
    allow_for_requests_in_flight(view);
    view->traffic = saw_traffic(view);
    view->driver = find_driver(view);
    return rc;
}

void view_done(struct view *view)
{
    for (size_t i = 0; view->profiles && i < view->arm->count; i++)
        profile_done(&view->profiles[i]);
    free(view->profiles);
    view->profiles = NULL;
}

bool view_ever_ready(const struct view *view)
{
    for (size_t i = 0; i < view->arm->count; i++) {
        if (!isnan(view->arm->lifetimes[i].ready_s))
            return true;
    }
    return false;
}

bool view_near_limit(const struct view *view)
{
    return view->arm->limit_bytes > 0 && view->need_bytes >= NEAR_LIMIT * view->arm->limit_bytes;
}

bool view_by_requests(const struct view *view)
{
    return view->requests > 0 && view->driver != DRIVER_TIME;
}

struct shape shape_of(const struct profile *profile, double limit_bytes, bool by_requests)
{
    struct shape shape = {NAN, NAN};
    const struct lifetime_series *lifetime = profile->lifetime;
    if (profile->count < SHAPE_POINTS_MIN)
        return shape;
    double top = fmax(lifetime->peak_bytes, profile->retained[profile->count - 1]);
    if (lifetime->cause == CAUSE_OOM_CONTAINER_LIMIT && limit_bytes > 0)
        top = limit_bytes;
    double start = by_requests ? 0 : profile->t[0];
    double way = profile_end(profile, by_requests) - start, rise = top - profile->baseline;
    if (!(way > 0) || !(rise > SHAPE_RISE_MIN))
        return shape;
    double half = profile_floor_at(profile, by_requests, start + 0.45 * way, start + 0.55 * way);
    double late = profile_floor_at(profile, by_requests, start + 0.75 * way, start + 0.85 * way);
    shape.half = (half - profile->baseline) / rise;
    shape.late = (late - profile->baseline) / rise;
    return shape;
}

struct thirds thirds_of(const struct profile *profile, bool by_requests)
{
    struct thirds thirds = {NAN, NAN};
    double end = profile_end(profile, by_requests);
    double start = by_requests || profile->count == 0 ? 0 : profile->t[0];
    double way = end - start;
    if (isnan(end) || !(way > 0))
        return thirds;
    double last = profile_floor_at(profile, by_requests, end - 0.05 * way, end);
    double second = profile_floor_at(profile, by_requests, start + 0.62 * way, start + 0.70 * way);
    double first = profile_floor_at(profile, by_requests, start + 0.28 * way, start + 0.36 * way);
    double rise = last - profile->baseline;
    if (rise > 0)
        thirds = (struct thirds){(second - first) / rise, (last - second) / rise};
    return thirds;
}
