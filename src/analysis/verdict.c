/* SPDX-License-Identifier: Apache-2.0 */
/* From what an arm's lifetimes show to one class. The rules, their sources and their known failures
 * are in docs/statistics.md; the figures they turn on stand here. */
#include "analysis/verdict.h"

#include "analysis/statistics.h"
#include "analysis/verdict_ends.h"
#include "analysis/view.h"
#include "analysis/words.h"
#include "base/cleanup.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MIB_BYTES 1048576.0

/* A trend counts below this p-value; 5 % would alarm too often over many arms. */
#define TREND_P 0.01
/* Growth below the larger of these is not material: counters are batched per CPU (some hundred
 * KiB). */
#define MATERIAL_BYTES MIB_BYTES
#define MATERIAL_SHARE 0.01 /* of the limit */
/* A process under a garbage collector grows by tens of MiB before the first collections show on its
 * working set. Unbroken growth is a leak only beyond the larger of these, or over so many cycles.
 */
#define COLLECTOR_BYTES  (64 * MIB_BYTES)
#define COLLECTOR_SHARE  0.25
#define COLLECTOR_CYCLES 8
/* So many releases with a floor that still rises show that collections do not bring it back. */
#define RISING_TROUGHS 3
/* Shares of the whole rise in its last third; 1/3 is steady. */
#define LEVELLED_SHARE 0.15
#define STEADY_SHARE   0.27
/* And the last third against the middle one; 1 is steady. */
#define STEADY_RATIO 0.75
/* Growth must stand out of the floor's scatter about its line by this factor. */
#define SCATTER_FACTOR 4
/* Growth that stopped is called a cache rather than warm-up beyond the largest of these: of the
 * limit, of the start level, in bytes. */
#define CACHE_LIMIT_SHARE 0.1
#define CACHE_BASE_SHARE  0.5
#define CACHE_BYTES       (16 * MIB_BYTES)
/* Less than the larger of these is warm-up wherever it levels off: no cache of note. */
#define WARM_UP_LIMIT_SHARE 0.05
#define WARM_UP_BYTES       (4 * MIB_BYTES)
/* Page cache that grew by the larger of these is worth a word. */
#define PAGE_CACHE_SHARE 0.1
#define PAGE_CACHE_BYTES (8 * MIB_BYTES)
#define POINTS_MIN       8

/* The rule of succession (Laplace): after `agree` of `repeats` like outcomes, the chance that the
 * next is like them. Few repeats keep it low, however clear each one is. */
static double succession(double agree, double repeats)
{
    return (agree + 1) / (repeats + 2);
}

__attribute__((format(printf, 2, 3))) static void say(char text[static VERDICT_TEXT_MAX],
                                                      const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, VERDICT_TEXT_MAX - used, format, args);
    va_end(args);
}

static void decide(struct verdict *verdict, enum verdict_class class, enum driver driver,
                   enum evidence_level level, double confidence)
{
    verdict->class = class;
    verdict->driver = driver;
    verdict->level = level;
    verdict->confidence = isnan(confidence) ? 0 : fmin(1, fmax(0, confidence));
}

static void undecided(struct verdict *verdict, enum evidence_level level)
{
    decide(verdict, VERDICT_INCONCLUSIVE, DRIVER_NONE, level, 0);
}

static double larger_share(double limit, double share, double bytes)
{
    return limit > 0 ? fmax(bytes, share * limit) : bytes;
}

/* "3.5 MiB per request (95 % 3.4 MiB to 3.6 MiB)". */
static void say_rate(char text[static VERDICT_TEXT_MAX], const struct estimate *rate,
                     const char *unit)
{
    say(text, "%s per %s (95 %% %s to %s)", bytes_words(rate->value).text, unit,
        bytes_words(rate->low).text, bytes_words(rate->high).text);
}

static const struct trend *main_trend(const struct view *view)
{
    return view_by_requests(view) ? &view->per_request : &view->per_second;
}

/* --- killed before readiness ---------------------------------------------------------------------
 */

static void judge_startup(const struct view *view, struct verdict *verdict)
{
    unsigned started = 0; /* lifetimes that got past their start speak against it */
    for (size_t i = 0; i < view->arm->count; i++)
        started += !killed_at_start(&view->arm->lifetimes[i]) && view->profiles[i].count > 0;
    unsigned kills = view->startup_kills;
    decide(verdict, VERDICT_STARTUP_DEMAND, DRIVER_STARTUP,
           level_weaker(view->weakest, kills > 1 ? LEVEL_CORRELATED : LEVEL_STRONGLY_SUGGESTED),
           succession(kills, kills + started));
    say(verdict->summary,
        "Killed for memory %u time%s before it was ready and before any request: its start needs "
        "more than the limit of %s.",
        kills, kills == 1 ? "" : "s", limit_words(view->arm->limit_bytes).text);
}

/* --- killed after readiness ----------------------------------------------------------------------
 */

struct shapes {
    unsigned known, steady, burst, front;
    unsigned unanswered; /* killed before they answered any request */
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

static struct shapes shapes_of(const struct view *view)
{
    struct shapes shapes = {.requests = {INFINITY, 0, 0}};
    for (size_t i = 0; i < view->arm->count; i++) {
        const struct lifetime_series *lifetime = &view->arm->lifetimes[i];
        if (!cause_is_memory(lifetime->cause) || killed_at_start(lifetime))
            continue;
        shapes.lifetimes++;
        shapes.unanswered += !(lifetime->requests_completed >= 1);
        shapes.requests[0] = fmin(shapes.requests[0], lifetime->requests_completed);
        shapes.requests[1] = fmax(shapes.requests[1], lifetime->requests_completed);
        shapes.requests[2] += lifetime->requests_completed;
        count_shape(&shapes,
                    shape_of(&view->profiles[i], view->arm->limit_bytes, view_by_requests(view)));
    }
    return shapes;
}

static bool two_thirds(unsigned part, unsigned whole)
{
    return whole > 0 && 3 * part >= 2 * whole;
}

static bool trend_rises(const struct trend *trend)
{
    return trend->p_value < TREND_P && trend->slope.low > 0;
}

static void say_kills(const struct shapes *shapes, struct verdict *verdict)
{
    say(verdict->summary, "Ended for memory %u time%s after %.0f", shapes->lifetimes,
        shapes->lifetimes == 1 ? "" : "s", shapes->requests[0]);
    if (shapes->requests[1] > shapes->requests[0])
        say(verdict->summary, " to %.0f", shapes->requests[1]);
    say(verdict->summary, " requests. ");
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

static void judge_killed_leak(const struct view *view, const struct shapes *shapes,
                              struct verdict *verdict)
{
    const struct trend *trend = main_trend(view);
    bool no_cache = cache_ruled_out(view), repeated = shapes->steady > 1;
    decide(verdict, VERDICT_LEAK, view->driver,
           level_weaker(view->weakest,
                        repeated && no_cache ? LEVEL_CORRELATED : LEVEL_STRONGLY_SUGGESTED),
           succession(shapes->steady, shapes->lifetimes) * (1 - trend->p_value));
    say_kills(shapes, verdict);
    say(verdict->summary, "What it keeps grows steadily, ");
    say_rate(verdict->summary, &trend->slope, view_by_requests(view) ? "request" : "second");
    say(verdict->summary, "%s, up to the kill.",
        view->driver == DRIVER_TIME       ? ", with or without requests"
        : view->driver == DRIVER_REQUESTS ? ", and not while idle"
                                          : "");
    if (!no_cache)
        say(verdict->summary,
            " Only a cache that wants more than the limit could look the same; the same work "
            "with more memory tells.");
}

static void judge_burst(const struct view *view, const struct shapes *shapes,
                        struct verdict *verdict)
{
    decide(verdict, VERDICT_PEAK_DEMAND, view->requests > 0 ? DRIVER_REQUESTS : DRIVER_NONE,
           level_weaker(view->weakest,
                        shapes->burst > 1 ? LEVEL_CORRELATED : LEVEL_STRONGLY_SUGGESTED),
           succession(shapes->burst, shapes->lifetimes));
    say_kills(shapes, verdict);
    say(verdict->summary,
        "The floor between requests stays far below the limit of %s; the last burst alone "
        "reaches it.",
        limit_words(view->arm->limit_bytes).text);
}

/* Not one answer before the kill: whatever the requests would have kept, the limit does not hold
 * those that are in flight together. */
static void judge_unanswered(const struct view *view, const struct shapes *shapes,
                             struct verdict *verdict)
{
    decide(verdict, VERDICT_PEAK_DEMAND, DRIVER_REQUESTS,
           level_weaker(view->weakest, LEVEL_STRONGLY_SUGGESTED),
           succession(shapes->unanswered, shapes->lifetimes));
    say(verdict->summary,
        "Ended for memory %u time%s before it answered a request: those in flight together need "
        "more than the limit of %s.",
        shapes->lifetimes, shapes->lifetimes == 1 ? "" : "s",
        limit_words(view->arm->limit_bytes).text);
}

static void leave_killed_open(const struct view *view, const struct shapes *shapes,
                              struct verdict *verdict)
{
    if (view->runtime_deaths == view->memory_deaths) {
        say(verdict->summary,
            "A runtime's own limit ended it; its heap may have filled without showing on the "
            "container's memory.");
        say(verdict->would_settle,
            "The same requests with a higher heap limit of the runtime, and its heap after each "
            "collection.");
    } else if (shapes->known == 0) {
        say(verdict->summary, "There are too few samples before the kills to see how memory rose.");
        say(verdict->would_settle,
            "A higher sampling rate, smaller requests or a higher limit: at least %d samples "
            "between readiness and the kill.",
            POINTS_MIN);
    } else if (two_thirds(shapes->front, shapes->known)) {
        say(verdict->summary, "Memory rises fast at first and slower and slower until the kill.");
        say(verdict->would_settle,
            "The same requests under a higher limit: a demand levels off below it, a leak goes "
            "on to the next kill.");
    } else {
        say(verdict->summary, "Its lifetimes differ in how memory rose.");
        say(verdict->would_settle,
            "More kills of the same work, and the same work with more memory.");
    }
}

static void judge_killed(const struct view *view, struct verdict *verdict)
{
    struct shapes shapes = shapes_of(view);
    bool rises = trend_rises(main_trend(view));
    if (view->traffic && view->driver != DRIVER_TIME && view->own_limit_deaths > 0 &&
        two_thirds(shapes.unanswered, shapes.lifetimes)) {
        judge_unanswered(view, &shapes, verdict);
        return;
    }
    if (rises && two_thirds(shapes.steady, shapes.known)) {
        judge_killed_leak(view, &shapes, verdict);
        return;
    }
    if (view->own_limit_deaths > 0 && two_thirds(shapes.burst, shapes.known)) {
        judge_burst(view, &shapes, verdict);
        return;
    }
    undecided(verdict, level_weaker(view->weakest, LEVEL_INFERRED));
    say_kills(&shapes, verdict);
    if (view->own_limit_deaths > 0 || rises) {
        leave_killed_open(view, &shapes, verdict);
        return;
    }
    say(verdict->summary, "Its own limit was not the cause, and it did not grow.");
    say(verdict->would_settle,
        "The memory of its neighbours under the same enclosing limit or host.");
}

/* --- not killed ----------------------------------------------------------------------------------
 */

struct survival {
    double limit, material;
    double rise;    /* floor at the end over the baseline */
    double settled; /* lowest floor after warm-up over the baseline */
    struct thirds thirds;
    double p_value; /* of the drift */
    double scatter; /* of the floor about its line */
    double cache_growth;
    unsigned cycles, growing_cycles; /* after the first */
    double growths[GROWTH_CYCLES_MAX];
    size_t releases;
};

static double page_cache_growth(const struct profile *profile)
{
    size_t count = profile->count;
    return count ? profile->cache[count - 1] - profile->cache[0] : NAN;
}

/* The floor's way along its line, with the test's p-value and the spread about the line. */
static int drift_of(const struct profile *profile, struct verdict *verdict,
                    struct survival *survival)
{
    const struct floor *floor = &profile->by_time;
    struct estimate slope;
    double rests[PROFILE_FLOOR_MAX];
    int rc = trend_sen(floor->x, floor->y, floor->count, &slope, &survival->p_value);
    if (rc || isnan(slope.value))
        return rc;
    double span = floor->x[floor->count - 1] - floor->x[0];
    verdict->drift_bytes =
        (struct estimate){slope.value * span, slope.low * span, slope.high * span};
    for (size_t i = 0; i < floor->count; i++)
        rests[i] = floor->y[i] - slope.value * floor->x[i];
    double middle = median_of(rests, floor->count);
    for (size_t i = 0; i < floor->count; i++)
        rests[i] = fabs(rests[i] - middle);
    survival->scatter = median_of(rests, floor->count);
    return 0;
}

static double lowest_of(const struct floor *floor)
{
    double low = floor->y[0];
    for (size_t i = 1; i < floor->count; i++)
        low = fmin(low, floor->y[i]);
    return low;
}

static void survey(const struct view *view, const struct verdict *verdict,
                   struct survival *survival)
{
    const struct profile *profile = view->longest;
    double end = profile_end(profile, false), start = profile->t[0];
    survival->limit = view->arm->limit_bytes;
    survival->material = larger_share(survival->limit, MATERIAL_SHARE, MATERIAL_BYTES);
    survival->rise =
        profile_floor_at(profile, false, end - 0.05 * (end - start), end) - profile->baseline;
    survival->settled = lowest_of(&profile->by_time) - profile->baseline;
    survival->thirds = thirds_of(profile, view_by_requests(view));
    survival->cache_growth = page_cache_growth(profile);
    survival->releases = profile->releases;
    double per_cycle = verdict->drift_bytes.value / fmax(1, (double)profile->cycle_count - 1);
    for (size_t i = 1; i < profile->cycle_count; i++, survival->cycles++)
        survival->growing_cycles += profile->cycle_growth[i] > 0.5 * per_cycle && per_cycle > 0;
}

/* Unbroken growth could still be a heap before its first collections; see COLLECTOR_BYTES. */
static bool beyond_a_collector(const struct survival *survival)
{
    if (survival->releases >= RISING_TROUGHS)
        return true;
    if (survival->cycles >= COLLECTOR_CYCLES &&
        two_thirds(survival->growing_cycles, survival->cycles))
        return true;
    return survival->rise >= larger_share(survival->limit, COLLECTOR_SHARE, COLLECTOR_BYTES);
}

static bool grows_steadily(const struct survival *survival)
{
    return survival->thirds.last >= STEADY_SHARE &&
           survival->thirds.last >= STEADY_RATIO * survival->thirds.middle;
}

static double cycle_confidence(const struct survival *survival, unsigned agree)
{
    return survival->cycles ? succession(agree, survival->cycles) : succession(1, 1);
}

static void judge_growing(const struct view *view, const struct survival *survival,
                          struct verdict *verdict)
{
    const struct trend *trend = main_trend(view);
    const char *unit = view_by_requests(view) ? "request" : "second";
    if (survival->thirds.last <= LEVELLED_SHARE &&
        survival->rise < larger_share(survival->limit, WARM_UP_LIMIT_SHARE, WARM_UP_BYTES)) {
        decide(verdict, VERDICT_STABLE, DRIVER_NONE, LEVEL_STRONGLY_SUGGESTED,
               cycle_confidence(survival, survival->cycles - survival->growing_cycles));
        say(verdict->summary, "Grew by %s while it warmed up, and no further.",
            bytes_words(fmax(0, survival->rise)).text);
        return;
    }
    if (survival->thirds.last <= LEVELLED_SHARE) {
        decide(verdict, VERDICT_BOUNDED_CACHE, view->driver, LEVEL_STRONGLY_SUGGESTED,
               cycle_confidence(survival, survival->cycles - survival->growing_cycles));
        say(verdict->summary, "Grew by %s and is levelling off: %.0f %% of that in the last third.",
            bytes_words(survival->rise).text, 100 * fmax(0, survival->thirds.last));
        return;
    }
    say(verdict->summary, "What it keeps grew by %s, ", bytes_words(survival->rise).text);
    say_rate(verdict->summary, &trend->slope, unit);
    if (grows_steadily(survival) && beyond_a_collector(survival)) {
        decide(verdict, VERDICT_LEAK, view->driver,
               survival->cycles > 1 ? LEVEL_CORRELATED : LEVEL_STRONGLY_SUGGESTED,
               cycle_confidence(survival, survival->growing_cycles) * (1 - survival->p_value));
        say(verdict->summary, ", in each part alike%s. No kill yet.",
            survival->releases >= RISING_TROUGHS ? ", between releases too" : "");
        return;
    }
    undecided(verdict, LEVEL_INFERRED);
    say(verdict->summary,
        "; a cache that still fills or a heap before its collections does so too.");
    say(verdict->would_settle,
        "More cycles of the same requests (at least %d after the first, or growth beyond %s), or "
        "a limit low enough to be reached.",
        COLLECTOR_CYCLES,
        bytes_words(larger_share(survival->limit, COLLECTOR_SHARE, COLLECTOR_BYTES)).text);
}

static void judge_flat(const struct view *view, const struct survival *survival,
                       struct verdict *verdict)
{
    const struct estimate *drift = &verdict->drift_bytes;
    double noticeable = larger_share(survival->limit, PAGE_CACHE_SHARE, PAGE_CACHE_BYTES);
    double confidence = cycle_confidence(survival, survival->cycles - survival->growing_cycles);
    enum evidence_level level = survival->cycles > 1 ? LEVEL_CORRELATED : LEVEL_STRONGLY_SUGGESTED;
    if (survival->cache_growth >= noticeable && survival->rise < 0.5 * survival->cache_growth) {
        decide(verdict, VERDICT_RECLAIMABLE_CACHE, DRIVER_NONE, level, confidence);
        say(verdict->summary,
            "Page cache grew by %s, which the kernel takes back when it needs it; the process "
            "itself kept %s.",
            bytes_words(survival->cache_growth).text, growth_words(drift->value).text);
    } else if (survival->settled >=
               fmax(larger_share(survival->limit, CACHE_LIMIT_SHARE, CACHE_BYTES),
                    CACHE_BASE_SHARE * view->longest->baseline)) {
        decide(verdict, VERDICT_BOUNDED_CACHE, view->driver, level, confidence);
        say(verdict->summary, "Grew by %s at first and then levelled off (%s after the warm-up).",
            bytes_words(survival->settled).text, growth_words(drift->value).text);
    } else {
        decide(verdict, VERDICT_STABLE, DRIVER_NONE, level, confidence);
        say(verdict->summary, "The retained floor is flat: %s after the warm-up (95 %% %s to %s).",
            growth_words(drift->value).text, growth_words(drift->low).text,
            growth_words(drift->high).text);
    }
}

static int judge_survivor(const struct view *view, struct verdict *verdict)
{
    struct survival survival = {.p_value = NAN, .scatter = NAN};
    int rc = view->longest ? drift_of(view->longest, verdict, &survival) : 0;
    if (rc)
        return rc;
    if (!view->longest || isnan(verdict->drift_bytes.value)) {
        undecided(verdict, LEVEL_NOT_PROVEN);
        say(verdict->summary, "There are too few samples after readiness to judge memory.");
        say(verdict->would_settle, "A longer run or a higher sampling rate.");
        return 0;
    }
    survey(view, verdict, &survival);
    const struct estimate *drift = &verdict->drift_bytes;
    if (survival.p_value < TREND_P && drift->low > 0 && drift->value >= survival.material &&
        drift->value >= SCATTER_FACTOR * survival.scatter) {
        judge_growing(view, &survival, verdict);
    } else if (drift->value >= 2 * survival.material &&
               drift->value >= larger_share(survival.limit, 0.05, 2 * MATERIAL_BYTES)) {
        undecided(verdict, LEVEL_INFERRED);
        say(verdict->summary,
            "The floor moved by %s after the warm-up, within its own scatter (95 %% %s to %s, p "
            "= %.2g).",
            growth_words(drift->value).text, growth_words(drift->low).text,
            growth_words(drift->high).text, survival.p_value);
        say(verdict->would_settle, "%s",
            view_near_limit(view) && survival.releases > 0
                ? "It reached the limit and fell back without an end of the main process: was a "
                  "child OOM-killed? Then that child's memory on its own."
                : "More cycles of the same requests.");
    } else {
        judge_flat(view, &survival, verdict);
    }
    return 0;
}

/* It ran, was not killed, and never served anything: flat memory says nothing about its work. */
static void consider_readiness(const struct view *view, struct verdict *verdict)
{
    if (view->arm->count == 0 || view->memory_deaths > 0 || view->other_deaths > 0 ||
        view->requests > 0 || view_ever_ready(view))
        return;
    verdict->summary[0] = '\0';
    verdict->would_settle[0] = '\0';
    say(verdict->summary, "It never became ready, and it was not killed for memory: ");
    say(verdict->summary, "the highest working set was %s of %s.",
        bytes_words(view->peak_bytes).text, limit_words(view->arm->limit_bytes).text);
    if (view_near_limit(view)) {
        undecided(verdict, LEVEL_INFERRED);
        say(verdict->would_settle, "The same start under a higher limit.");
        return;
    }
    decide(verdict, VERDICT_NOT_MEMORY, DRIVER_NONE, LEVEL_CORRELATED, succession(1, 1));
}

/* Deaths that memory does not explain, on top of flat memory. */
static void consider_other_deaths(const struct view *view, struct verdict *verdict)
{
    if (view->other_deaths == 0 || view->memory_deaths > 0 || verdict->class == VERDICT_LEAK)
        return;
    if (view_near_limit(view)) {
        undecided(verdict, LEVEL_NOT_PROVEN);
        say(verdict->would_settle,
            "The kernel's OOM counter or log at the time of the deaths: memory was within 10 %% "
            "of the limit.");
        return;
    }
    enum evidence_level level = LEVEL_MEASURED;
    for (size_t i = 0; i < view->arm->count; i++)
        level = level_weaker(level, view->arm->lifetimes[i].level);
    decide(verdict, VERDICT_NOT_MEMORY, DRIVER_NONE, level,
           succession(view->other_deaths, view->other_deaths));
    verdict->would_settle[0] = '\0';
    char ends[256];
    ends_words(view->arm, ends, sizeof(ends));
    snprintf(verdict->summary, sizeof(verdict->summary),
             "It ended %u time%s, and not for memory: %s. The highest working set was %s of %s.",
             view->other_deaths, view->other_deaths == 1 ? "" : "s", ends,
             bytes_words(view->peak_bytes).text, limit_words(view->arm->limit_bytes).text);
}

/* The main process lived, and others of its container were killed for memory. */
static void consider_children(const struct view *view, struct verdict *verdict)
{
    if (view->child_kills == 0)
        return;
    if (view->memory_deaths == 0 && verdict->class != VERDICT_LEAK) {
        undecided(verdict, LEVEL_INFERRED);
        verdict->summary[0] = '\0';
        verdict->would_settle[0] = '\0';
        say(verdict->would_settle,
            "What those children hold, each on its own, and the same work with more memory.");
    }
    say(verdict->summary, "%s%u child process%s killed for memory at the limit of %s%s",
        verdict->summary[0] ? " " : "", view->child_kills,
        view->child_kills == 1 ? " was" : "es were", limit_words(view->arm->limit_bytes).text,
        view->memory_deaths ? "." : "; the main process lived on.");
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
    ret->per_request = view.per_request.slope;
    ret->per_second = view.per_second.slope;
    ret->peak_bytes = view.peak_bytes;
    ret->need_bytes = view.need_bytes;
    ret->limit_bytes = arm->limit_bytes;
    ret->kills = view.kills;
    ret->child_kills = view.child_kills;
    if (view.memory_deaths > 0 && 2 * view.startup_kills > view.memory_deaths)
        judge_startup(&view, ret);
    else if (view.memory_deaths > 0)
        judge_killed(&view, ret);
    else
        rc = judge_survivor(&view, ret);
    consider_readiness(&view, ret);
    consider_other_deaths(&view, ret);
    consider_children(&view, ret);
    return rc;
}
