/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/caveats.h"

#include "analysis/statistics.h"
#include "base/duration.h"
#include "base/plural.h"
#include "base/size.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* Fewer give no estimate of a trend (trend.h). */
#define FEW_SAMPLES 8
/* A burst of requests, and with it a peak, can be over in seconds. */
#define COARSE_S 5.0
/* A gap is longer than so many usual distances and than a machine under pressure may stall. */
#define GAP_FACTOR 5.0
#define GAP_MIN_S  2.0
/* Shares of the time, or of the samples, from which on it is worth a word. */
#define GAP_SHARE     0.05
#define ABSENT_SHARE  0.05
#define IDLE_SHARE    0.5
#define IDLE_MIN_S    60.0
#define DISTANCES_MAX 4096
/* The kernel lets no cgroup exceed its limit by more than its batches of pages; what people write
 * down is rounded to three digits. */
#define ABOVE_LIMIT 1.05

static const char *const NAMES[CAVEAT_KINDS] = {
    [CAVEAT_FEW_SAMPLES] = "few-samples",
    [CAVEAT_COARSE_SAMPLING] = "coarse-sampling",
    [CAVEAT_GAPS] = "gaps",
    [CAVEAT_ABSENT_VALUES] = "absent-values",
    [CAVEAT_CLOCK_STEPS] = "clock-steps",
    [CAVEAT_LONG_IDLE] = "long-idle",
    [CAVEAT_CONFLICTS] = "conflicting-values",
    [CAVEAT_ABOVE_LIMIT] = "above-limit",
};

const char *caveat_kind_name(enum caveat_kind kind)
{
    return NAMES[kind];
}

struct spell {
    char text[DURATION_TEXT_MAX];
};

static struct spell spell(double seconds)
{
    struct spell ret;
    duration_format((int64_t)(seconds * 1e9), ret.text);
    return ret;
}

__attribute__((format(printf, 3, 4))) static void
add(struct caveats *caveats, enum caveat_kind kind, const char *format, ...)
{
    struct caveat *caveat = &caveats->items[caveats->count++];
    va_list args;
    va_start(args, format);
    caveat->kind = kind;
    vsnprintf(caveat->text, sizeof(caveat->text), format, args);
    va_end(args);
}

static size_t count_points(const struct arm_series *arm)
{
    size_t count = 0;
    for (size_t i = 0; i < arm->count; i++)
        count += arm->lifetimes[i].count;
    return count;
}

/* The usual distance of two samples: the median over all lifetimes, of many samples that of every
 * n-th; NAN with less than two. */
static double usual_distance(const struct arm_series *arm)
{
    double distances[DISTANCES_MAX];
    size_t stride = count_points(arm) / DISTANCES_MAX + 1, seen = 0, count = 0;
    for (size_t i = 0; i < arm->count; i++) {
        const struct lifetime_series *lifetime = &arm->lifetimes[i];
        for (size_t k = 1; k < lifetime->count; k++) {
            if (seen++ % stride == 0)
                distances[count++] = lifetime->points[k].t_s - lifetime->points[k - 1].t_s;
        }
    }
    return median_of(distances, count);
}

static void say_few(const struct arm_series *arm, struct caveats *ret)
{
    size_t most = 0;
    for (size_t i = 0; i < arm->count; i++)
        most = arm->lifetimes[i].count > most ? arm->lifetimes[i].count : most;
    if (most < FEW_SAMPLES)
        add(ret, CAVEAT_FEW_SAMPLES, "No process has more than %zu sample%s; a trend needs %d.",
            most, plural((double)most), FEW_SAMPLES);
}

/* Stretches without a sample; the time from a process's start to its first sample and from the last
 * to its end are such stretches, too. */
struct gaps {
    double threshold_s;
    size_t count;
    double total_s, longest_s, observed_s;
    double longest_from_s; /* since the start of its process */
    unsigned longest_in;   /* that process */
};

static void note_stretch(struct gaps *gaps, const struct lifetime_series *lifetime, double from,
                         double to)
{
    double length = to - from;
    if (!(length > gaps->threshold_s))
        return;
    gaps->count++;
    gaps->total_s += length;
    if (length > gaps->longest_s) {
        gaps->longest_s = length;
        gaps->longest_from_s = from;
        gaps->longest_in = lifetime->index;
    }
}

static void note_gaps(struct gaps *gaps, const struct lifetime_series *lifetime)
{
    const struct point *points = lifetime->points;
    if (lifetime->count == 0)
        return;
    double last = points[lifetime->count - 1].t_s;
    double end = isfinite(lifetime->uptime_s) ? fmax(lifetime->uptime_s, last) : last;
    gaps->observed_s += end - fmin(0, points[0].t_s);
    note_stretch(gaps, lifetime, 0, points[0].t_s);
    for (size_t i = 1; i < lifetime->count; i++)
        note_stretch(gaps, lifetime, points[i - 1].t_s, points[i].t_s);
    note_stretch(gaps, lifetime, last, end);
}

static void say_gaps(const struct arm_series *arm, double distance, struct caveats *ret)
{
    struct gaps gaps = {.threshold_s = fmax(GAP_FACTOR * distance, GAP_MIN_S)};
    for (size_t i = 0; i < arm->count; i++)
        note_gaps(&gaps, &arm->lifetimes[i]);
    if (gaps.count == 0 || gaps.total_s < GAP_SHARE * gaps.observed_s)
        return;
    char process[32] = "";
    if (arm->count > 1)
        snprintf(process, sizeof(process), " of process %u", gaps.longest_in);
    if (gaps.count == 1)
        add(ret, CAVEAT_GAPS,
            "No sample for %s (%.0f %% of the time), from second %.0f%s on; what happened in there "
            "is "
            "in no figure.",
            spell(gaps.longest_s).text, 100 * gaps.total_s / gaps.observed_s, gaps.longest_from_s,
            process);
    else
        add(ret, CAVEAT_GAPS,
            "No samples in %zu stretches of altogether %s (%.0f %% of the time), the longest %s "
            "from "
            "second %.0f%s on; what happened in there is in no figure.",
            gaps.count, spell(gaps.total_s).text, 100 * gaps.total_s / gaps.observed_s,
            spell(gaps.longest_s).text, gaps.longest_from_s, process);
}

static void say_absent(const struct arm_series *arm, struct caveats *ret)
{
    size_t absent = 0, all = count_points(arm);
    for (size_t i = 0; i < arm->count; i++) {
        const struct lifetime_series *lifetime = &arm->lifetimes[i];
        for (size_t k = 0; k < lifetime->count; k++)
            absent += isnan(lifetime->points[k].working_set) && isnan(lifetime->points[k].anon);
    }
    if ((double)absent >= ABSENT_SHARE * (double)all && absent > 0)
        add(ret, CAVEAT_ABSENT_VALUES,
            "%zu of %zu samples have neither a working set nor anonymous memory; they are left "
            "out.",
            absent, all);
}

static void say_clock(const struct arm_series *arm, struct caveats *ret)
{
    const struct clock_steps *steps = &arm->clock_steps;
    if (steps->count == 0)
        return;
    char times[32] = "once, by", line[32] = "";
    if (steps->count > 1)
        snprintf(times, sizeof(times), "%u times, by up to", steps->count);
    if (steps->line > 0)
        snprintf(line, sizeof(line), " (line %ju)", (uintmax_t)steps->line);
    add(ret, CAVEAT_CLOCK_STEPS,
        "The samples' clock went back %s %s%s. Only the longest stretch between two such steps is "
        "judged; "
        "%zu sample%s on the other side of one %s left out.",
        times, spell(steps->largest_s).text, line, steps->left_out, plural((double)steps->left_out),
        steps->left_out == 1 ? "is" : "are");
}

/* Time in which no request was answered or on its way; the longest of such stretches. */
static void say_idle(const struct arm_series *arm, struct caveats *ret)
{
    double idle = 0, longest = 0, observed = 0;
    bool requests = false;
    for (size_t i = 0; i < arm->count; i++) {
        const struct lifetime_series *lifetime = &arm->lifetimes[i];
        double stretch = 0;
        requests |= lifetime->requests_completed > 0;
        for (size_t k = 1; k < lifetime->count; k++) {
            const struct point *before = &lifetime->points[k - 1], *point = &lifetime->points[k];
            double length = point->t_s - before->t_s;
            bool busy =
                point->requests > before->requests || point->in_flight > 0 || before->in_flight > 0;
            stretch = busy ? 0 : stretch + length;
            idle += busy ? 0 : length;
            observed += length;
            longest = fmax(longest, stretch);
        }
    }
    if (requests && longest >= IDLE_MIN_S && idle > IDLE_SHARE * observed)
        add(ret, CAVEAT_LONG_IDLE,
            "No request in %.0f %% of the time (the longest pause %s): growth per request rests on "
            "the "
            "rest, growth per second is diluted by the pauses.",
            100 * idle / observed, spell(longest).text);
}

static void say_conflicts(const struct arm_series *arm, struct caveats *ret)
{
    const struct conflicts *conflicts = &arm->conflicts;
    char low[SIZE_TEXT_MAX], high[SIZE_TEXT_MAX];
    if (conflicts->count == 0)
        return;
    size_format((uint64_t)conflicts->low, low);
    size_format((uint64_t)conflicts->high, high);
    if (conflicts->count == 1)
        add(ret, CAVEAT_CONFLICTS,
            "The moment at second %.0f has two sizes, %s and %s; the higher is used. They may be "
            "of two containers.",
            conflicts->first_s, low, high);
    else
        add(ret, CAVEAT_CONFLICTS,
            "%zu moments have two sizes each, the first (second %.0f) %s and %s; of each the "
            "higher is used. They may be of two containers.",
            conflicts->count, conflicts->first_s, low, high);
}

double caveats_above_limit(const struct arm_series *arm)
{
    double peak = NAN;
    for (size_t i = 0; i < arm->count; i++) {
        const struct lifetime_series *lifetime = &arm->lifetimes[i];
        for (size_t k = 0; k < lifetime->count; k++)
            peak = fmax(peak, lifetime->points[k].working_set);
    }
    return arm->limit_bytes > 0 && peak > ABOVE_LIMIT * arm->limit_bytes ? peak : NAN;
}

static void say_above_limit(const struct arm_series *arm, struct caveats *ret)
{
    double peak = caveats_above_limit(arm);
    char size[SIZE_TEXT_MAX], limit[SIZE_TEXT_MAX];
    if (isnan(peak))
        return;
    add(ret, CAVEAT_ABOVE_LIMIT,
        "The samples reach %s, above the limit of %s: they are of more than this container, or "
        "another limit held then. Nothing is said of the time to that limit.",
        size_format((uint64_t)peak, size), size_format((uint64_t)arm->limit_bytes, limit));
}

void caveats_of_arm(const struct arm_series *arm, struct caveats *ret)
{
    *ret = (struct caveats){0};
    if (count_points(arm) == 0)
        return;
    double distance = usual_distance(arm);
    say_few(arm, ret);
    if (distance >= COARSE_S)
        add(ret, CAVEAT_COARSE_SAMPLING,
            "One sample in %s: what rose and fell in between is not in it, and the highest value "
            "may "
            "have been higher.",
            spell(distance).text);
    say_gaps(arm, distance, ret);
    say_absent(arm, ret);
    say_clock(arm, ret);
    say_idle(arm, ret);
    say_conflicts(arm, ret);
    say_above_limit(arm, ret);
}
