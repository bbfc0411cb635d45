/* SPDX-License-Identifier: Apache-2.0 */
/* One lifetime's retained memory against requests, time and idle phases. Start-up is left out: what
 * happens before readiness says nothing about growth. */
#include "analysis/profile.h"
#include "analysis/rate.h"
#include "analysis/statistics.h"
#include "base/cleanup.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define MIB_BYTES 1048576.0

/* A fall of this share of the whole range counts as a release (a collection, a freed burst). */
#define RELEASE_SHARE 0.15
/* And more than noise brings about: of white noise nine in ten rises stay below 2.3 standard
 * deviations, and its largest fall, from the highest value to the lowest, of thousands of samples
 * is seven. A tooth has at least three samples. */
#define RELEASE_RISES    3.0
#define RISE_QUANTILE    0.9
#define RISES_MAX        4096
#define MUCH_CACHE_BYTES (16 * MIB_BYTES)
/* 128 bytes a page of 4 KiB. On ext4 a buffer head has 104 and its part of a tree's node 9; with
 * what the slabs leave free, 200 MiB written were seen to take 6 MiB. */
#define CACHE_KEEP_SHARE (1.0 / 32)
/* A fall at the very end by at least this share, within so many seconds, is the process's end. */
#define TEAR_DOWN_SHARE 0.05
#define TEAR_DOWN_S     2.0
/* Without complete cycles the first fifth counts as warm-up. */
#define WARM_UP_SHARE 0.2

static double known_or_zero(double value)
{
    return isnan(value) ? 0 : value;
}

double retained_bytes(const struct point *point)
{
    if (isnan(point->working_set)) {
        if (isnan(point->anon))
            return NAN;
        return point->anon + known_or_zero(point->shmem) + known_or_zero(point->kernel);
    }
    double active_file = 0;
    if (!isnan(point->file)) /* file holds shmem, which lies on the anonymous lists */
        active_file =
            point->file - known_or_zero(point->shmem) - known_or_zero(point->inactive_file);
    return fmax(0, point->working_set - fmax(0, active_file));
}

/* Page cache without shmem. */
static double cache_bytes(const struct point *point)
{
    return isnan(point->file) ? NAN : fmax(0, point->file - known_or_zero(point->shmem));
}

/* Working set and page cache are read one after the other: with much page cache in motion their
 * difference scatters by tens of MiB, and the sum of the other kinds is the better measure where
 * all are known. */
static bool sum_kinds(const struct lifetime_series *lifetime)
{
    bool much = false;
    for (size_t i = 0; i < lifetime->count; i++) {
        const struct point *point = &lifetime->points[i];
        if (isnan(point->anon) || isnan(point->shmem) || isnan(point->kernel))
            return false;
        much |= cache_bytes(point) >= MUCH_CACHE_BYTES;
    }
    return much;
}

/* Kernel memory that came with page cache and goes with it: a file's written pages have buffer
 * heads and the tree that finds them, of what the cache grew by at most CACHE_KEEP_SHARE. */
static double keeping_the_cache(const struct point *first, const struct point *point)
{
    double kernel = point->kernel - first->kernel, cache = cache_bytes(point) - cache_bytes(first);
    if (isnan(kernel) || isnan(cache))
        return 0;
    return fmax(0, fmin(kernel, CACHE_KEEP_SHARE * cache));
}

static int copy_points(struct profile *profile)
{
    const struct lifetime_series *lifetime = profile->lifetime;
    bool sum = sum_kinds(lifetime);
    const struct point *first = NULL;
    size_t room = lifetime->count + 1;
    profile->t = calloc(room, sizeof(double));
    profile->requests = calloc(room, sizeof(double));
    profile->in_flight = calloc(room, sizeof(double));
    profile->retained = calloc(room, sizeof(double));
    profile->cache = calloc(room, sizeof(double));
    if (!profile->t || !profile->requests || !profile->in_flight || !profile->retained ||
        !profile->cache)
        return -ENOMEM;
    for (size_t i = 0; i < lifetime->count; i++) {
        const struct point *point = &lifetime->points[i];
        double retained = sum ? point->anon + point->shmem + point->kernel : retained_bytes(point);
        if (isnan(retained) || (!isnan(lifetime->ready_s) && point->t_s < lifetime->ready_s))
            continue;
        first = first ? first : point;
        profile->t[profile->count] = point->t_s;
        profile->requests[profile->count] = known_or_zero(point->requests);
        profile->in_flight[profile->count] = known_or_zero(point->in_flight);
        profile->cache[profile->count] = cache_bytes(point);
        profile->retained[profile->count++] = retained - keeping_the_cache(first, point);
    }
    return 0;
}

/* Forget the samples taken while the process was being torn down: the fall that ends the series.
 * Gigabytes take a good part of a second. */
static void drop_tear_down(struct profile *profile)
{
    size_t from = profile->count;
    if (from == 0)
        return;
    double end = profile->t[profile->count - 1];
    while (--from > 0 && profile->retained[from - 1] >= profile->retained[from] &&
           profile->t[from - 1] >= end - TEAR_DOWN_S)
        ;
    double fall = profile->retained[from] - profile->retained[profile->count - 1];
    if (fall >= fmax(MIB_BYTES, TEAR_DOWN_SHARE * profile->retained[from]))
        profile->count = from + 1;
}

/* Forget how long it lay at its limit before the kill: the OOM killer waits as long as something
 * can be reclaimed, be it the program's own code. Memory cannot rise there, whatever the program
 * asks for, and so its way ended when it arrived. */
static void drop_stall(struct profile *profile)
{
    double limit = profile->lifetime->peak_bytes;
    if (profile->lifetime->cause != CAUSE_OOM_CONTAINER_LIMIT || !(limit > 0))
        return;
    while (profile->count > 1 &&
           profile->retained[profile->count - 2] >= PROFILE_AT_LIMIT * limit) {
        profile->count--;
        profile->end_s = profile->t[profile->count - 1];
    }
}

/* Few bins where the curve is a sawtooth (each then holds a trough), many where it is smooth. */
size_t profile_floor_bins(size_t points, size_t releases)
{
    size_t bins = points / 4;
    if (releases >= 3 && releases < bins)
        bins = releases;
    bins = bins < 8 ? 8 : bins;
    return bins < PROFILE_FLOOR_MAX ? bins : PROFILE_FLOOR_MAX;
}

static int make_floor(struct floor *floor, const double *x, const double *y, size_t count,
                      size_t releases)
{
    floor->x = malloc(PROFILE_FLOOR_MAX * sizeof(double));
    floor->y = malloc(PROFILE_FLOOR_MAX * sizeof(double));
    if (!floor->x || !floor->y)
        return -ENOMEM;
    floor->count =
        trend_floor(x, y, count, profile_floor_bins(count, releases), floor->x, floor->y);
    return 0;
}

/* The floors over all samples and over those taken during cycles; without the first of three or
 * more complete cycles, which is warm-up. */
static int make_floors(struct profile *profile)
{
    size_t skip = 0;
    while (profile->cycle_count >= 3 && skip < profile->count &&
           profile->t[skip] < profile->settled_s)
        skip++;
    AUTO_FREE double *t = malloc((profile->count + 1) * sizeof(double));
    AUTO_FREE double *requests = malloc((profile->count + 1) * sizeof(double));
    AUTO_FREE double *retained = malloc((profile->count + 1) * sizeof(double));
    if (!t || !requests || !retained)
        return -ENOMEM;
    size_t busy = 0;
    for (size_t i = skip; i < profile->count; i++) {
        if (!busy_at(&profile->cycles, profile->t[i]))
            continue;
        t[busy] = profile->t[i];
        requests[busy] = profile->requests[i];
        retained[busy++] = profile->retained[i];
    }
    int rc = make_floor(&profile->by_time, profile->t + skip, profile->retained + skip,
                        profile->count - skip, profile->releases);
    if (rc == 0)
        rc = make_floor(&profile->busy, t, retained, busy, profile->releases);
    if (rc == 0)
        rc = make_floor(&profile->by_requests, requests, retained, busy, profile->releases);
    return rc;
}

/* The first sample at or after `t`: bisected, as there are many samples and many spans. */
static size_t first_sample_at(const struct profile *profile, double t)
{
    size_t low = 0, high = profile->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (profile->t[middle] < t)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Samples within a span, as a range of indices. */
static size_t samples_in(const struct profile *profile, const struct span *span, size_t *ret_from)
{
    *ret_from = first_sample_at(profile, span->start_s);
    size_t to = first_sample_at(profile, span->end_s);
    return to > *ret_from ? to - *ret_from : 0;
}

/* A busy machine still answers the requests of a cycle in the pause after it, and their growth is
 * not that of idle time: only what comes after the last answer, with nothing in flight, is idle. */
static size_t quiet_part(const struct profile *profile, size_t *from, size_t count)
{
    size_t end = *from + count, quiet = end;
    while (quiet > *from && !(profile->in_flight[quiet - 1] > 0) &&
           profile->requests[quiet - 1] == profile->requests[end - 1])
        quiet--;
    *from = quiet;
    return end - quiet;
}

static void add_idle(struct profile *profile, const struct span *span)
{
    size_t from, count = samples_in(profile, span, &from);
    count = quiet_part(profile, &from, count);
    double *x = profile->idle_values + profile->idle_count * PROFILE_IDLE_MAX * 2;
    double *y = x + PROFILE_IDLE_MAX;
    size_t bins = count < PROFILE_IDLE_MAX ? count : PROFILE_IDLE_MAX;
    size_t used = trend_floor(profile->t + from, profile->retained + from, count, bins, x, y);
    profile->idle[profile->idle_count++] = (struct trend_series){x, y, used};
}

/* Gaps and cool-down first: the first idle phase may hold the end of the warm-up. */
static int make_idle(struct profile *profile)
{
    const struct lifetime_series *lifetime = profile->lifetime;
    profile->idle = calloc(lifetime->span_count + 1, sizeof(*profile->idle));
    profile->idle_values =
        calloc((lifetime->span_count + 1) * 2 * PROFILE_IDLE_MAX, sizeof(double));
    if (!profile->idle || !profile->idle_values)
        return -ENOMEM;
    for (size_t i = 0; i < lifetime->span_count; i++)
        if (lifetime->spans[i].kind == SPAN_GAP || lifetime->spans[i].kind == SPAN_COOLDOWN)
            add_idle(profile, &lifetime->spans[i]);
    profile->gap_count = profile->idle_count;
    for (size_t i = 0; i < lifetime->span_count; i++)
        if (lifetime->spans[i].kind == SPAN_IDLE)
            add_idle(profile, &lifetime->spans[i]);
    return 0;
}

static double lowest(const double *values, size_t count)
{
    double low = NAN;
    for (size_t i = 0; i < count; i++)
        low = isnan(low) || values[i] < low ? values[i] : low;
    return low;
}

/* The lowest retained value before the first request; where the process was never seen idle, the
 * first value. */
static double find_baseline(const struct profile *profile)
{
    size_t idle = 0;
    while (idle < profile->count && profile->requests[idle] <= 0)
        idle++;
    /* Without any request the whole life is idle, and growth must not hide in its minimum. */
    if (idle == profile->count)
        idle = idle < 4 ? idle : 4;
    return idle ? lowest(profile->retained, idle) : profile->count ? profile->retained[0] : NAN;
}

/* The floor in the idle phase that touches a cycle, or next to its edge where there is none. */
static double floor_beside(const struct profile *profile, const struct span *cycle, bool after)
{
    const struct lifetime_series *lifetime = profile->lifetime;
    double slack = (cycle->end_s - cycle->start_s) / 20;
    for (size_t i = 0; i < lifetime->span_count; i++) {
        const struct span *span = &lifetime->spans[i];
        bool touches = after ? fabs(span->start_s - cycle->end_s) <= slack
                             : fabs(span->end_s - cycle->start_s) <= slack;
        if (span->kind == SPAN_CYCLE || !touches)
            continue;
        size_t from, count = samples_in(profile, span, &from);
        if (count > 0)
            return lowest(profile->retained + from, count);
    }
    double edge = after ? cycle->end_s : cycle->start_s;
    return profile_floor_at(profile, false, edge - slack, edge + slack);
}

static void measure_cycles(struct profile *profile)
{
    const struct lifetime_series *lifetime = profile->lifetime;
    double start = profile->count ? profile->t[0] : INFINITY, first_end = NAN;
    for (size_t i = 0; i < lifetime->span_count; i++) {
        const struct span *span = &lifetime->spans[i];
        if (span->kind != SPAN_CYCLE || span->start_s < start || span->end_s > profile->end_s)
            continue;
        profile->cycle_total++;
        if (profile->cycle_count == GROWTH_CYCLES_MAX)
            continue;
        double growth = floor_beside(profile, span, true) - floor_beside(profile, span, false);
        if (isnan(growth))
            continue;
        first_end = profile->cycle_count == 0 ? span->end_s : first_end;
        profile->cycle_growth[profile->cycle_count++] = growth;
    }
    double end = profile->count ? profile->t[profile->count - 1] : 0;
    profile->settled_s = profile->cycle_count >= 3 ? first_end
                         : profile->count          ? start + WARM_UP_SHARE * (end - start)
                                                   : NAN;
}

/* How far a curve rises from one sample to the next, where it rises: nine in ten rise by less. Of a
 * sawtooth that is a tooth's height through its samples, of noise about its own height. */
static double usual_rise(const struct profile *profile)
{
    double rises[RISES_MAX];
    size_t stride = profile->count / RISES_MAX + 1, count = 0;
    for (size_t i = 1; i < profile->count; i += stride) {
        double rise = profile->retained[i] - profile->retained[i - 1];
        if (rise > 0)
            rises[count++] = rise;
    }
    sort_doubles(rises, count);
    return count ? rises[(size_t)(RISE_QUANTILE * (double)(count - 1))] : 0;
}

static size_t count_releases(struct profile *profile)
{
    double low = lowest(profile->retained, profile->count), high = low;
    for (size_t i = 0; i < profile->count; i++)
        high = fmax(high, profile->retained[i]);
    double share = fmax(MIB_BYTES, RELEASE_SHARE * (high - low));
    return trend_releases(profile->retained, profile->count,
                          fmax(share, RELEASE_RISES * usual_rise(profile)), &profile->troughs);
}

int profile_init(struct profile *profile, const struct lifetime_series *lifetime)
{
    *profile = (struct profile){
        .lifetime = lifetime, .end_s = lifetime->uptime_s, .baseline = NAN, .settled_s = NAN};
    int rc = busy_init(&profile->cycles, lifetime);
    if (rc == 0)
        rc = copy_points(profile);
    if (rc)
        return rc;
    drop_tear_down(profile);
    drop_stall(profile);
    profile->baseline = find_baseline(profile);
    profile->releases = count_releases(profile);
    measure_cycles(profile);
    rc = make_floors(profile);
    if (rc == 0)
        rc = make_idle(profile);
    return rc;
}

static void floor_done(struct floor *floor)
{
    free(floor->x);
    free(floor->y);
}

void profile_done(struct profile *profile)
{
    free(profile->t);
    free(profile->requests);
    free(profile->in_flight);
    free(profile->retained);
    free(profile->cache);
    free(profile->idle);
    free(profile->idle_values);
    floor_done(&profile->by_requests);
    floor_done(&profile->by_time);
    floor_done(&profile->busy);
    busy_done(&profile->cycles);
    *profile = (struct profile){0};
}

double profile_floor_at(const struct profile *profile, bool by_requests, double from, double to)
{
    const double *x = by_requests ? profile->requests : profile->t;
    double low = NAN, earlier = NAN;
    for (size_t i = 0; i < profile->count; i++) {
        if (x[i] > to)
            break;
        if (x[i] >= from)
            low = isnan(low) ? profile->retained[i] : fmin(low, profile->retained[i]);
        earlier = profile->retained[i];
    }
    return isnan(low) ? earlier : low;
}

double profile_end(const struct profile *profile, bool by_requests)
{
    if (profile->count == 0)
        return NAN;
    return (by_requests ? profile->requests : profile->t)[profile->count - 1];
}

/* `end_s`: samples after it show the process's end. */
static void working_set_of(const struct lifetime_series *lifetime, double end_s, struct growth *ret)
{
    ret->first_bytes = ret->last_bytes = ret->peak_bytes = NAN;
    for (size_t i = 0; i < lifetime->count; i++) {
        double value = lifetime->points[i].working_set;
        if (isnan(value))
            continue;
        if (isnan(ret->first_bytes))
            ret->first_bytes = value;
        if (isnan(ret->last_bytes) || !(lifetime->points[i].t_s > end_s))
            ret->last_bytes = value;
        ret->peak_bytes = fmax(value, known_or_zero(ret->peak_bytes));
    }
}

static int rate_of_floor(const struct floor *floor, double x_error, struct estimate *ret)
{
    struct trend_series series = {floor->x, floor->y, floor->count};
    struct rate_errors errors = {RATE_COUNTER_BYTES, x_error};
    struct trend trend;
    int rc = trend_common(&series, 1, &trend);
    return rc ? rc : rate_of(&series, 1, &trend, &errors, ret);
}

int growth_of_lifetime(const struct lifetime_series *lifetime, struct growth *ret)
{
    const struct estimate none = {NAN, NAN, NAN};
    *ret = (struct growth){.per_request = none, .per_second = none, .idle_per_second = none};
    CLEANUP(profile_done) struct profile profile;
    int rc = profile_init(&profile, lifetime);
    working_set_of(lifetime, profile.count ? profile_end(&profile, false) : NAN, ret);
    struct trend idle = {.slope = none};
    if (rc == 0)
        rc = rate_of_floor(&profile.by_requests, RATE_REQUEST, &ret->per_request);
    if (rc == 0)
        rc = rate_of_floor(&profile.by_time, 0, &ret->per_second);
    if (rc == 0)
        rc = trend_common(profile.idle, profile.idle_count, &idle);
    if (rc)
        return rc;
    ret->idle_per_second = idle.slope;
    ret->baseline_bytes = profile.baseline;
    ret->cycle_count = profile.cycle_count;
    memcpy(ret->cycle_growth, profile.cycle_growth, sizeof(ret->cycle_growth));
    return 0;
}
