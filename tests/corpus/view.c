/* SPDX-License-Identifier: Apache-2.0 */
#include "view.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STRETCHED_S 3600.0
#define DYING_S     1.0

const char *trace_view_name(enum trace_view view)
{
    static const char *const names[VIEW_COUNT] = {
        [VIEW_FULL] = "full",
        [VIEW_TRIGGER_ONLY] = "trigger-only",
        [VIEW_EVERY_15_S] = "every-15s",
        [VIEW_EVERY_60_S] = "every-60s",
        [VIEW_HALF] = "half",
        [VIEW_ONE_LIFETIME] = "one-lifetime",
        [VIEW_NO_REQUESTS] = "no-requests",
        [VIEW_GAPS] = "gaps",
        [VIEW_MINUTE_NO_REQUESTS] = "minute-no-requests",
    };
    return names[view];
}

static double length_of(const struct arm_series *arm)
{
    double seconds = 0;
    for (size_t i = 0; i < arm->count; i++)
        seconds += arm->lifetimes[i].uptime_s;
    return seconds;
}

double trace_view_scale(enum trace_view view, const struct arm_series *trigger)
{
    bool stretched =
        view == VIEW_EVERY_15_S || view == VIEW_EVERY_60_S || view == VIEW_MINUTE_NO_REQUESTS;
    double seconds = length_of(trigger);
    return stretched && seconds > 0 ? STRETCHED_S / seconds : 1;
}

/* A process that dies, or is stopped because the arm is over, gives its memory back within half a
 * second; stretched, that would last a minute, which no process takes. So the samples after the top
 * of its last second are left out. */
static void drop_dying(struct lifetime_series *lifetime)
{
    size_t top = lifetime->count;
    for (size_t i = lifetime->count; i > 0; i--) {
        const struct point *point = &lifetime->points[i - 1];
        if (point->t_s < lifetime->uptime_s - DYING_S)
            break;
        if (top == lifetime->count || point->working_set > lifetime->points[top].working_set)
            top = i - 1;
    }
    if (top < lifetime->count)
        lifetime->count = top + 1;
}

static void stretch(struct lifetime_series *lifetime, double scale)
{
    if (scale != 1)
        drop_dying(lifetime);
    for (size_t i = 0; i < lifetime->count; i++)
        ((struct point *)lifetime->points)[i].t_s *= scale;
    for (size_t i = 0; i < lifetime->span_count; i++) {
        ((struct span *)lifetime->spans)[i].start_s *= scale;
        ((struct span *)lifetime->spans)[i].end_s *= scale;
    }
    lifetime->ready_s *= scale;
    lifetime->uptime_s *= scale;
}

/* The first sample in every `step_s`, as a scraper sees them that knows nothing of lifetimes:
 * `offset_s` is how long the arm had run when this one began. */
static void thin_out(struct lifetime_series *lifetime, double step_s, double offset_s)
{
    struct point *points = (struct point *)lifetime->points;
    double last = floor(offset_s / step_s);
    size_t kept = 0;
    for (size_t i = 0; i < lifetime->count && points[i].t_s <= lifetime->uptime_s; i++) {
        double slot = floor((offset_s + points[i].t_s) / step_s);
        if (slot <= last)
            continue;
        points[kept++] = points[i];
        last = slot;
    }
    lifetime->count = kept;
}

/* What was known at `end_s`: a process that was alive then is running. */
static void cut(struct lifetime_series *lifetime, double end_s)
{
    if (lifetime->uptime_s <= end_s)
        return;
    while (lifetime->count > 0 && lifetime->points[lifetime->count - 1].t_s > end_s)
        lifetime->count--;
    while (lifetime->span_count > 0 && lifetime->spans[lifetime->span_count - 1].start_s >= end_s)
        lifetime->span_count--;
    if (lifetime->span_count > 0) {
        struct span *last = (struct span *)&lifetime->spans[lifetime->span_count - 1];
        last->end_s = fmin(last->end_s, end_s);
    }
    if (!(lifetime->ready_s <= end_s))
        lifetime->ready_s = NAN;
    lifetime->requests_completed =
        lifetime->count > 0 ? lifetime->points[lifetime->count - 1].requests : 0;
    lifetime->uptime_s = end_s;
    lifetime->cause = CAUSE_RUNNING;
    lifetime->level = LEVEL_OBSERVED;
    lifetime->peak_bytes = NAN;
    lifetime->has_exit_code = false;
    lifetime->platform_kill = PLATFORM_KILL_NONE;
    lifetime->child_kills = 0;
}

static void forget_requests(struct lifetime_series *lifetime)
{
    for (size_t i = 0; i < lifetime->count; i++)
        ((struct point *)lifetime->points)[i].requests = 0;
    lifetime->requests_completed = 0;
    lifetime->span_count = 0;
    lifetime->ready_s = 0;
}

static void make_gaps(struct lifetime_series *lifetime)
{
    static const double starts[] = {0.2, 0.5, 0.8};
    size_t kept = 0;
    for (size_t i = 0; i < lifetime->count; i++) {
        double way = lifetime->points[i].t_s / lifetime->uptime_s;
        bool missing = false;
        for (size_t k = 0; k < sizeof(starts) / sizeof(*starts); k++)
            missing |= way >= starts[k] && way < starts[k] + 0.1;
        if (!missing)
            ((struct point *)lifetime->points)[kept++] = lifetime->points[i];
    }
    lifetime->count = kept;
}

static void show(enum trace_view view, struct arm_series *arm, struct lifetime_series *lifetimes)
{
    double half = length_of(arm) / 2;
    double offset = 0;
    if (view == VIEW_ONE_LIFETIME && arm->count > 1)
        arm->count = 1;
    for (size_t i = 0; i < arm->count; i++) {
        double uptime = lifetimes[i].uptime_s;
        if (view == VIEW_HALF && offset >= half) {
            arm->count = i;
            return;
        }
        if (view == VIEW_HALF)
            cut(&lifetimes[i], half - offset);
        else if (view == VIEW_EVERY_15_S)
            thin_out(&lifetimes[i], 15, offset);
        else if (view == VIEW_EVERY_60_S || view == VIEW_MINUTE_NO_REQUESTS)
            thin_out(&lifetimes[i], 60, offset);
        else if (view == VIEW_GAPS)
            make_gaps(&lifetimes[i]);
        if (view == VIEW_NO_REQUESTS || view == VIEW_MINUTE_NO_REQUESTS)
            forget_requests(&lifetimes[i]);
        offset += uptime;
    }
}

static void *copy_of(const void *from, size_t count, size_t size)
{
    void *copy = calloc(count ? count : 1, size);
    if (copy && count)
        memcpy(copy, from, count * size);
    return copy;
}

/* Every lifetime is in the copy, also one that the view then hides: trace_view_done() frees by the
 * array's end marker. */
static struct lifetime_series *copy_lifetimes(const struct arm_series *arm)
{
    struct lifetime_series *copy = calloc(arm->count + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < arm->count; i++) {
        const struct lifetime_series *from = &arm->lifetimes[i];
        copy[i] = *from;
        copy[i].points = copy_of(from->points, from->count, sizeof(*from->points));
        copy[i].spans = copy_of(from->spans, from->span_count, sizeof(*from->spans));
        if (!copy[i].points || !copy[i].spans) {
            trace_view_done(&(struct arm_series){.lifetimes = copy});
            return NULL;
        }
    }
    return copy;
}

int trace_view_apply(enum trace_view view, double scale, const struct arm_series *arm,
                     struct arm_series *ret)
{
    *ret = *arm;
    struct lifetime_series *lifetimes = copy_lifetimes(arm);
    ret->lifetimes = lifetimes;
    if (!lifetimes)
        return -ENOMEM;
    for (size_t i = 0; i < arm->count; i++)
        stretch(&lifetimes[i], scale);
    show(view, ret, lifetimes);
    return 0;
}

void trace_view_done(struct arm_series *arm)
{
    /* Points are never NULL in a copy, but for the end marker and where memory ran out. */
    for (const struct lifetime_series *l = arm->lifetimes; l && (l->points || l->spans); l++) {
        free((void *)l->points);
        free((void *)l->spans);
    }
    free((void *)arm->lifetimes);
    *arm = (struct arm_series){0};
}
