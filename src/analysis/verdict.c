/* SPDX-License-Identifier: Apache-2.0 */
/* From what an arm's lifetimes show to one class. The rules, their sources and their known failures
 * are in docs/statistics.md; the figures they turn on stand here. */
#include "analysis/verdict.h"

#include "analysis/mix.h"
#include "analysis/statistics.h"
#include "analysis/verdict_ends.h"
#include "analysis/verdict_parts.h"
#include "analysis/words.h"
#include "base/cleanup.h"
#include "base/plural.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define POINTS_MIN 8

/* The class that so many of the ends for memory show. `certainty`: of the trend that it rests on.
 */
static void decide_by_ends(struct verdict *verdict, enum verdict_class class, enum driver driver,
                           enum evidence_level level, unsigned agree, unsigned repeats,
                           double certainty)
{
    verdict_decide(verdict, class, driver, level, verdict_succession(agree, repeats) * certainty);
    verdict->agree = agree;
    verdict->repeats = repeats;
}

/* --- killed before readiness ---------------------------------------------------------------------
 */

static void judge_startup(const struct view *view, struct verdict *verdict)
{
    unsigned started = 0; /* lifetimes that got past their start speak against it */
    for (size_t i = 0; i < view->arm->count; i++)
        started += !killed_at_start(&view->arm->lifetimes[i]) && view->profiles[i].count > 0;
    unsigned kills = view->startup_kills;
    decide_by_ends(
        verdict, VERDICT_STARTUP_DEMAND, DRIVER_STARTUP,
        level_weaker(view->weakest, kills > 1 ? LEVEL_CORRELATED : LEVEL_STRONGLY_SUGGESTED), kills,
        kills + started, 1);
    verdict_say(
        verdict->summary,
        "Killed for memory %u time%s before it was ready and before any request: its start needs "
        "more than the limit of %s.",
        kills, plural((double)kills), limit_words(view->arm->limit_bytes).text);
}

/* --- killed after readiness ----------------------------------------------------------------------
 */

struct shapes {
    unsigned known, steady, burst, front;
    unsigned unanswered; /* killed with requests in flight, before they answered any */
    unsigned lifetimes;  /* killed after their start */
    double requests[3];  /* to the kill: fewest, most, sum */
};

static void count_shape(struct shapes *shapes, struct shape shape)
{
    if (isnan(shape.half) || isnan(shape.late))
        return;
    shapes->known++;
    /* Hardly any growth in the second half, and yet a long way to the top at four fifths. */
    if (shape.late < 0.3 || (shape.late < 0.6 && shape.late - shape.half < 0.15))
        shapes->burst++;
    else if (shape.half > 0.65)
        shapes->front++; /* slows down: a cache, or a demand that is nearly met */
    else if (shape.half >= 0.25 && shape.late >= 0.5 && shape.late > shape.half)
        shapes->steady++;
}

/* A request that was refused at once is not in flight. */
static bool had_requests_in_flight(const struct lifetime_series *lifetime)
{
    for (size_t i = 0; i < lifetime->count; i++)
        if (lifetime->points[i].in_flight > 0)
            return true;
    return false;
}

static struct shapes shapes_of(const struct view *view)
{
    struct shapes shapes = {.requests = {INFINITY, 0, 0}};
    for (size_t i = 0; i < view->arm->count; i++) {
        const struct lifetime_series *lifetime = &view->arm->lifetimes[i];
        if (!cause_is_memory(lifetime->cause) || killed_at_start(lifetime))
            continue;
        shapes.lifetimes++;
        shapes.unanswered +=
            !(lifetime->requests_completed >= 1) && had_requests_in_flight(lifetime);
        shapes.requests[0] = fmin(shapes.requests[0], lifetime->requests_completed);
        shapes.requests[1] = fmax(shapes.requests[1], lifetime->requests_completed);
        shapes.requests[2] += lifetime->requests_completed;
        count_shape(&shapes,
                    shape_of(&view->profiles[i], view->arm->limit_bytes, view_by_requests(view)));
    }
    return shapes;
}

static void say_kills(const struct shapes *shapes, struct verdict *verdict)
{
    verdict_say(verdict->summary, "Ended for memory %u time%s", shapes->lifetimes,
                plural((double)shapes->lifetimes));
    if (!(shapes->requests[1] > 0)) { /* of a recorded curve nobody knows them */
        verdict_say(verdict->summary, ". ");
        return;
    }
    verdict_say(verdict->summary, " after %.0f", shapes->requests[0]);
    if (shapes->requests[1] > shapes->requests[0])
        verdict_say(verdict->summary, " to %.0f", shapes->requests[1]);
    verdict_say(verdict->summary, " requests. ");
}

/* A cache keeps nothing more once it has seen every request of a cycle: a lifetime whose second
 * complete cycle added like the first had none. Growth without requests is no cache of theirs
 * either. */
static bool cache_ruled_out(const struct view *view)
{
    for (size_t i = 0; i < view->arm->count; i++) {
        const struct profile *profile = &view->profiles[i];
        if (profile->cycle_count >= 2 && profile->cycle_growth[1] > 0 &&
            profile->cycle_growth[1] >= 0.5 * profile->cycle_growth[0])
            return true;
    }
    return view->driver == DRIVER_TIME;
}

/* Idle time adds nothing of note: neither seen nor, where few pauses scatter, likely. */
static bool idle_is_still(const struct view *view)
{
    const struct estimate *idle = &view->idle_per_second.slope;
    return view->driver == DRIVER_REQUESTS &&
           idle->value < MIX_PART_SHARE * view->busy_per_second.slope.value;
}

static bool runtimes_only(const struct view *view)
{
    return view->runtime_deaths == view->memory_deaths;
}

static void judge_killed_leak(const struct view *view, const struct shapes *shapes,
                              struct verdict *verdict)
{
    const struct trend *trend = verdict_trend(view);
    bool no_cache = cache_ruled_out(view), repeated = shapes->steady > 1;
    struct mix mix;
    decide_by_ends(verdict, VERDICT_LEAK, view->driver,
                   level_weaker(view->weakest,
                                repeated && no_cache ? LEVEL_CORRELATED : LEVEL_STRONGLY_SUGGESTED),
                   shapes->steady, shapes->lifetimes, 1 - trend->p_value);
    say_kills(shapes, verdict);
    verdict_say(verdict->summary, "What it keeps grows steadily until %s, ",
                runtimes_only(view) ? "its runtime's own limit ends it" : "it is killed");
    verdict_say_growth(verdict->summary, view);
    verdict_say(verdict->summary, "%s.",
                mix_of(view, &mix)            ? ""
                : view->driver == DRIVER_TIME ? ", with or without requests"
                : idle_is_still(view)         ? ", and not while idle"
                                              : "");
    verdict_say_kind(verdict->summary, view);
    if (!no_cache)
        verdict_say(
            verdict->summary,
            " Only a cache that wants more than the limit could look the same; the same work "
            "with more memory tells.");
}

static void judge_burst(const struct view *view, const struct shapes *shapes,
                        struct verdict *verdict)
{
    decide_by_ends(verdict, VERDICT_PEAK_DEMAND, view->requests > 0 ? DRIVER_REQUESTS : DRIVER_NONE,
                   level_weaker(view->weakest,
                                shapes->burst > 1 ? LEVEL_CORRELATED : LEVEL_STRONGLY_SUGGESTED),
                   shapes->burst, shapes->lifetimes, 1);
    say_kills(shapes, verdict);
    verdict_say(verdict->summary,
                "The floor between requests stays far below the limit of %s; the last burst alone "
                "reaches it.",
                limit_words(view->arm->limit_bytes).text);
}

/* Not one answer before the kill: whatever the requests would have kept, the limit does not hold
 * those that are in flight together. */
static void judge_unanswered(const struct view *view, const struct shapes *shapes,
                             struct verdict *verdict)
{
    decide_by_ends(verdict, VERDICT_PEAK_DEMAND, DRIVER_REQUESTS,
                   level_weaker(view->weakest, LEVEL_STRONGLY_SUGGESTED), shapes->unanswered,
                   shapes->lifetimes, 1);
    verdict_say(
        verdict->summary,
        "Ended for memory %u time%s before it answered a request: those in flight together need "
        "more than the limit of %s.",
        shapes->lifetimes, plural((double)shapes->lifetimes),
        limit_words(view->arm->limit_bytes).text);
}

static void leave_killed_open(const struct view *view, const struct shapes *shapes,
                              struct verdict *verdict)
{
    if (runtimes_only(view)) {
        verdict_say(verdict->summary, "A runtime's own limit ended it, not the container's%s.",
                    view_near_limit(view)
                        ? ""
                        : ": that was never near, and a larger one would change nothing");
        verdict_say(
            verdict->would_settle,
            "The same requests with a higher heap limit of the runtime, and its heap after each "
            "collection.");
    } else if (shapes->known == 0) {
        verdict_say(verdict->summary,
                    "There are too few samples before the kills to see how memory rose.");
        verdict_say(
            verdict->would_settle,
            "A higher sampling rate, smaller requests or a higher limit: at least %d samples "
            "between readiness and the kill.",
            POINTS_MIN);
    } else if (verdict_two_thirds(shapes->front, shapes->known)) {
        verdict_say(verdict->summary,
                    "Memory rises fast at first and slower and slower until the kill.");
        verdict_say(
            verdict->would_settle,
            "The same requests under a higher limit: a demand levels off below it, a leak goes "
            "on to the next kill.");
    } else {
        verdict_say(verdict->summary,
                    shapes->known > 1
                        ? "Its lifetimes differ in how memory rose."
                        : "How memory rose in its one lifetime is neither a leak's way "
                          "nor a demand's.");
        verdict_say(verdict->would_settle,
                    "More kills of the same work, and the same work with more memory.");
    }
}

static void judge_killed(const struct view *view, struct verdict *verdict)
{
    struct shapes shapes = shapes_of(view);
    bool rises = verdict_trend_rises(verdict_trend(view));
    bool own_limit = view->own_limit_deaths > view->runtime_deaths;
    if (view->traffic && view->driver != DRIVER_TIME && own_limit &&
        verdict_two_thirds(shapes.unanswered, shapes.lifetimes)) {
        judge_unanswered(view, &shapes, verdict);
        return;
    }
    if (rises && verdict_two_thirds(shapes.steady, shapes.known)) {
        judge_killed_leak(view, &shapes, verdict);
        return;
    }
    if ((own_limit || (view->own_limit_deaths > 0 && view_near_limit(view))) &&
        verdict_two_thirds(shapes.burst, shapes.known)) {
        judge_burst(view, &shapes, verdict);
        return;
    }
    verdict_leave_open(verdict, level_weaker(view->weakest, LEVEL_INFERRED));
    say_kills(&shapes, verdict);
    if (view->own_limit_deaths > 0 || rises) {
        leave_killed_open(view, &shapes, verdict);
        return;
    }
    verdict_say(verdict->summary, "Its own limit was not the cause, and it did not grow.");
    verdict_say(verdict->would_settle,
                "The memory of its neighbours under the same enclosing limit or host.");
}

/* Ready or said to be, and yet nothing that was sent to it was answered. */
static void leave_unserved_open(const struct view *view, struct verdict *verdict)
{
    if (!view->traffic || verdict->class == VERDICT_LEAK)
        return;
    verdict_leave_open(verdict, LEVEL_INFERRED);
    verdict->looks_level = false;
    verdict->summary[0] = '\0';
    verdict->would_settle[0] = '\0';
    verdict_say(
        verdict->summary,
        "It answered none of the requests that were sent to it, so that its memory, at most "
        "%s of %s, says nothing about its work.",
        bytes_words(view->peak_bytes).text, limit_words(view->arm->limit_bytes).text);
    verdict_say(
        verdict->would_settle,
        "Requests that it answers: see why these failed, and check port, path and readiness.");
}

/* It ran, was not killed, and never served anything: flat memory says nothing about its work. */
static void consider_readiness(const struct view *view, struct verdict *verdict)
{
    if (view->arm->count == 0 || view->memory_deaths > 0 || view->other_deaths > 0 ||
        view->requests > 0)
        return;
    if (view_ever_ready(view)) {
        leave_unserved_open(view, verdict);
        return;
    }
    verdict->summary[0] = '\0';
    verdict->would_settle[0] = '\0';
    verdict_say(verdict->summary, "It never became ready, and it was not killed for memory: ");
    verdict_say(verdict->summary, "the %s of %s.",
                most_words(view->working_bytes, view->peak_bytes).text,
                limit_words(view->arm->limit_bytes).text);
    if (view_near_limit(view)) {
        verdict_leave_open(verdict, LEVEL_INFERRED);
        verdict_say(verdict->would_settle, "The same start under a higher limit.");
        return;
    }
    verdict_decide(verdict, VERDICT_NOT_MEMORY, DRIVER_NONE, LEVEL_CORRELATED,
                   verdict_succession(1, 1));
}

/* Deaths that memory does not explain, on top of flat memory. */
static void consider_other_deaths(const struct view *view, struct verdict *verdict)
{
    if (view->other_deaths == 0 || view->memory_deaths > 0 || verdict->class == VERDICT_LEAK)
        return;
    if (view_near_limit(view)) {
        verdict_leave_open(verdict, LEVEL_NOT_PROVEN);
        verdict_say(
            verdict->would_settle,
            "The kernel's OOM counter or log at the time of the deaths: memory was within 10 %% "
            "of the limit.");
        return;
    }
    enum evidence_level level = LEVEL_MEASURED;
    for (size_t i = 0; i < view->arm->count; i++)
        level = level_weaker(level, view->arm->lifetimes[i].level);
    verdict_decide(verdict, VERDICT_NOT_MEMORY, DRIVER_NONE, level,
                   verdict_succession(view->other_deaths, view->other_deaths));
    verdict->would_settle[0] = '\0';
    char ends[256];
    ends_words(view->arm, ends, sizeof(ends));
    snprintf(verdict->summary, sizeof(verdict->summary),
             "It ended %u time%s, and not for memory: %s. The %s of %s.", view->other_deaths,
             plural((double)view->other_deaths), ends,
             most_words(view->working_bytes, view->peak_bytes).text,
             limit_words(view->arm->limit_bytes).text);
}

/* The main process lived, and others of its container were killed for memory. */
static void consider_children(const struct view *view, struct verdict *verdict)
{
    if (view->child_kills == 0)
        return;
    if (view->memory_deaths == 0 && verdict->class != VERDICT_LEAK) {
        verdict_leave_open(verdict, LEVEL_INFERRED);
        verdict->summary[0] = '\0';
        verdict->would_settle[0] = '\0';
        verdict_say(verdict->would_settle, ASKS_CHILDREN "the same work with more memory.");
    }
    verdict_say(verdict->summary, "%s%u child process%s killed for memory at the limit of %s%s",
                verdict->summary[0] ? " " : "", view->child_kills,
                view->child_kills == 1 ? " was" : "es were",
                limit_words(view->arm->limit_bytes).text,
                view->memory_deaths ? "." : "; the main process was not.");
}

static bool readiness_watched(const struct arm_series *arm)
{
    for (size_t i = 0; i < arm->count; i++)
        if (arm->lifetimes[i].ready_s > 0)
            return true;
    return false;
}

int verdict_of_arm(const struct arm_series *arm, struct verdict *ret)
{
    const struct estimate none = {NAN, NAN, NAN};
    *ret = (struct verdict){.class = VERDICT_INCONCLUSIVE,
                            .level = LEVEL_NOT_PROVEN,
                            .per_request = none,
                            .per_second = none,
                            .drift_bytes = none,
                            .peak_bytes = NAN,
                            .need_bytes = NAN};
    CLEANUP(view_done) struct view view;
    int rc = view_init(&view, arm);
    if (rc)
        return rc;
    ret->per_request = view.request_rate;
    ret->per_second = view.second_rate;
    ret->peak_bytes = view.peak_bytes;
    ret->working_bytes = view.working_bytes;
    ret->need_bytes = view.need_bytes;
    ret->limit_bytes = arm->limit_bytes;
    ret->kills = view.kills;
    ret->watched = view.traffic || readiness_watched(arm);
    ret->child_kills = view.child_kills;
    ret->runtime_limit = view.memory_deaths > 0 && runtimes_only(&view);
    if (view.memory_deaths > view.runtime_deaths && 2 * view.startup_kills > view.memory_deaths)
        judge_startup(&view, ret);
    else if (view.memory_deaths > 0)
        judge_killed(&view, ret);
    else
        rc = verdict_of_survivor(&view, ret);
    consider_readiness(&view, ret);
    consider_other_deaths(&view, ret);
    consider_children(&view, ret);
    return rc;
}
