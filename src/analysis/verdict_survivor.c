/* SPDX-License-Identifier: Apache-2.0 */
/* What an arm says that was not killed for memory: the lifetime observed longest decides. */
#include "analysis/rate.h"
#include "analysis/sizing.h"
#include "analysis/statistics.h"
#include "analysis/verdict_parts.h"
#include "analysis/words.h"
#include "base/duration.h"

#include <math.h>

#define MIB_BYTES 1048576.0

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
#define RISING_TROUGHS 5
/* Shares of the whole rise in its last third; 1/3 is steady. */
#define LEVELLED_SHARE 0.15
#define STEADY_SHARE   0.27
/* Of a growth rate, the lower end of its interval. */
#define KNOWN_SHARE (1.0 / 3)
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
/* The floor's last bins, which must all lie above what was before. */
#define LATE_BINS 2
/* In a floor that has so many. */
#define LATE_FLOOR_MIN 6
#define LATE_SHARE     0.1 /* of the limit */
#define LATE_BYTES     (8 * MIB_BYTES)
/* Among so many requests one comes, with a probability of 95 %, that does what one in twenty does:
 * ln 0.05 / ln 0.95. */
#define LEVEL_REQUESTS_MIN 59
/* Page cache that grew by the larger of these is worth a word. */
#define PAGE_CACHE_SHARE 0.1
#define PAGE_CACHE_BYTES (8 * MIB_BYTES)

struct survival {
    double limit, material;
    double rise;    /* floor at the end over the baseline */
    double settled; /* lowest floor after warm-up over the baseline */
    struct thirds thirds;
    double p_value; /* of the drift */
    double scatter; /* of the floor about its line */
    double cache_growth;
    unsigned cycles, growing_cycles; /* after the first */
    unsigned noticed_cycles;         /* that grew by more than the counters' grain */
    size_t releases;
    bool troughs_rise;
};

/* A collector gave memory back at least twice, and each time less: between its last two troughs the
 * floor rose as much as it did before. That its teeth hide that in a third of the time is no
 * levelling off. */
static bool troughs_rise(const struct trend_troughs *troughs, double material)
{
    double rise = troughs->last - troughs->first;
    return troughs->count >= 2 && rise >= material &&
           troughs->last - troughs->before_last >= 0.5 * rise / (double)(troughs->count - 1);
}

static double page_cache_growth(const struct profile *profile)
{
    double most = NAN; /* at the limit the kernel has taken some of it back already */
    for (size_t i = 0; i < profile->count; i++)
        most = fmax(most, profile->cache[i]);
    return profile->count ? most - profile->cache[0] : NAN;
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

/* The later cycles, and those of them that grew by at least half of the average. The kernel charges
 * in batches, so that of slow growth most cycles show nothing and some show all: then so many are
 * taken together that their growth is twice such a batch's. */
static void count_cycles(const struct profile *profile, double drift, struct survival *survival)
{
    size_t later = profile->cycle_count > 1 ? profile->cycle_count - 1 : 0, together = 1;
    double per_cycle = drift / fmax(1, (double)profile->cycle_total - 1);
    double needed = per_cycle > 0 ? ceil(2 * RATE_COUNTER_BYTES / per_cycle) : 1;
    size_t most = later / COLLECTOR_CYCLES; /* slower: too few groups, and so one by one */
    if (needed > 1 && needed <= (double)most)
        together = (size_t)needed;
    for (size_t i = 1; i + together <= profile->cycle_count; i += together, survival->cycles++) {
        double growth = 0;
        for (size_t k = 0; k < together; k++)
            growth += profile->cycle_growth[i + k];
        survival->growing_cycles += growth > 0.5 * per_cycle * (double)together && per_cycle > 0;
        survival->noticed_cycles += growth > RATE_COUNTER_BYTES;
    }
}

static void survey(const struct view *view, const struct verdict *verdict,
                   struct survival *survival)
{
    const struct profile *profile = view->longest;
    double end = profile_end(profile, false), start = profile->t[0];
    survival->limit = view->arm->limit_bytes;
    survival->material = verdict_larger_share(survival->limit, MATERIAL_SHARE, MATERIAL_BYTES);
    survival->rise =
        profile_floor_at(profile, false, end - 0.05 * (end - start), end) - profile->baseline;
    survival->settled = lowest_of(&profile->by_time) - profile->baseline;
    survival->thirds = thirds_of(profile, view_by_requests(view));
    survival->cache_growth = page_cache_growth(profile);
    survival->releases = profile->releases;
    survival->troughs_rise = troughs_rise(&profile->troughs, survival->material);
    count_cycles(profile, verdict->drift_bytes.value, survival);
}

/* Unbroken growth could still be a heap before its first collections; see COLLECTOR_BYTES. */
static bool beyond_a_collector(const struct survival *survival)
{
    if (survival->releases >= RISING_TROUGHS)
        return true;
    if (survival->cycles >= COLLECTOR_CYCLES &&
        verdict_two_thirds(survival->growing_cycles, survival->cycles))
        return true;
    return survival->rise >=
           verdict_larger_share(survival->limit, COLLECTOR_SHARE, COLLECTOR_BYTES);
}

static bool grows_steadily(const struct survival *survival)
{
    return survival->thirds.last >= STEADY_SHARE &&
           survival->thirds.last >= STEADY_RATIO * survival->thirds.middle;
}

/* Steady growth has a rate: one that may as well be next to nothing is a chance of few samples, or
 * of peaks that lie one behind the other. */
static bool rate_is_known(const struct view *view)
{
    const struct estimate *rate = &verdict_trend(view)->slope;
    return rate->low >= KNOWN_SHARE * rate->value;
}

static double cycle_confidence(const struct survival *survival, unsigned agree)
{
    return survival->cycles ? verdict_succession(agree, survival->cycles)
                            : verdict_succession(1, 1);
}

/* A cycle that added no more than the counters are wrong by does not speak against a level. */
static double cycles_without_growth(const struct survival *survival)
{
    unsigned growing = survival->growing_cycles < survival->noticed_cycles
                           ? survival->growing_cycles
                           : survival->noticed_cycles;
    return cycle_confidence(survival, survival->cycles - growing);
}

/* Page cache grew, and more than twice as much as all that the process may have kept. */
static bool page_cache_explains(const struct survival *survival)
{
    double noticeable = verdict_larger_share(survival->limit, PAGE_CACHE_SHARE, PAGE_CACHE_BYTES);
    return survival->cache_growth >= noticeable && survival->rise < 0.5 * survival->cache_growth;
}

static void judge_page_cache(const struct survival *survival, struct verdict *verdict)
{
    verdict_decide(verdict, VERDICT_RECLAIMABLE_CACHE, DRIVER_NONE,
                   survival->cycles > 1 ? LEVEL_CORRELATED : LEVEL_STRONGLY_SUGGESTED,
                   cycles_without_growth(survival));
    verdict_say(verdict->summary,
                "Page cache grew by %s, which the kernel takes back when it needs it; the process "
                "itself kept %s.",
                bytes_words(survival->cache_growth).text,
                growth_words(verdict->drift_bytes.value).text);
}

/* Hardly anything came in the last third, or something went. */
static bool levels_off(const struct survival *survival)
{
    return survival->thirds.last <= LEVELLED_SHARE && !survival->troughs_rise;
}

static void judge_levelled(const struct view *view, const struct survival *survival,
                           struct verdict *verdict)
{
    if (page_cache_explains(survival)) {
        judge_page_cache(survival, verdict);
    } else if (survival->rise <
               verdict_larger_share(survival->limit, WARM_UP_LIMIT_SHARE, WARM_UP_BYTES)) {
        verdict_decide(verdict, VERDICT_STABLE, DRIVER_NONE, LEVEL_STRONGLY_SUGGESTED,
                       cycles_without_growth(survival));
        verdict_say(verdict->summary, "Grew by %s while it warmed up, and no further.",
                    bytes_words(fmax(0, survival->rise)).text);
    } else {
        verdict_decide(verdict, VERDICT_BOUNDED_CACHE, view->driver, LEVEL_STRONGLY_SUGGESTED,
                       cycles_without_growth(survival));
        verdict_say(verdict->summary,
                    "Grew by %s and is levelling off: %.0f %% of that in the last third.",
                    bytes_words(survival->rise).text, 100 * fmax(0, survival->thirds.last));
    }
}

static void judge_growing(const struct view *view, const struct survival *survival,
                          struct verdict *verdict)
{
    if (levels_off(survival)) {
        judge_levelled(view, survival, verdict);
        return;
    }
    verdict_say(verdict->summary, "What it keeps grew by %s, ",
                bytes_words(verdict->drift_bytes.value).text);
    verdict_say_growth(verdict->summary, view);
    if (grows_steadily(survival) && beyond_a_collector(survival) && rate_is_known(view)) {
        verdict_decide(verdict, VERDICT_LEAK, view->driver,
                       survival->cycles > 1 ? LEVEL_CORRELATED : LEVEL_STRONGLY_SUGGESTED,
                       cycle_confidence(survival, survival->growing_cycles) *
                           (1 - survival->p_value));
        bool releases = survival->releases >= RISING_TROUGHS;
        verdict_say(verdict->summary, "%s. No kill yet.", releases ? ", between releases too" : "");
        verdict_say_kind(verdict->summary, view);
        if (!view->traffic && !releases) {
            verdict->level = level_weaker(verdict->level, LEVEL_INFERRED);
            verdict_say(verdict->summary, " A heap before its first collection, or a day's rise "
                                          "that is not over, looks the same.");
        }
        return;
    }
    verdict_leave_open(verdict, LEVEL_INFERRED);
    verdict_say(verdict->summary,
                "; a cache that still fills or a heap before its collections does so too.");
    struct words beyond =
        bytes_words(verdict_larger_share(survival->limit, COLLECTOR_SHARE, COLLECTOR_BYTES));
    if (view->traffic && survival->cycles < COLLECTOR_CYCLES)
        verdict_say(verdict->would_settle,
                    "More cycles of the same requests (at least %d after the first, or growth "
                    "beyond %s), or a limit low enough to be reached.",
                    COLLECTOR_CYCLES, beyond.text);
    else if (view->traffic)
        verdict_say(verdict->would_settle,
                    "Growth beyond %s (a longer run), or a limit low enough to be reached.",
                    beyond.text);
    else
        verdict_say(verdict->would_settle,
                    "A longer curve: growth beyond %s, or %d falls between which it still rises.",
                    beyond.text, RISING_TROUGHS);
}

static const struct estimate *rate_told(const struct view *view)
{
    return view_by_requests(view) ? &view->request_rate : &view->second_rate;
}

/* What so short a look could not have seen: the upper end of the rate's interval. */
static void say_horizon(const struct view *view, struct verdict *verdict)
{
    bool by_requests = view_by_requests(view);
    const struct estimate *rate = rate_told(view);
    char seconds[DURATION_TEXT_MAX];
    double end = profile_end(view->longest, false);
    if (!(rate->high > 0) || !(end > 0))
        return;
    duration_format((int64_t)(end * 1e9), seconds);
    if (by_requests)
        verdict_say(verdict->summary,
                    " Growth of up to %s per request would not have shown in %.0f requests and %s.",
                    bytes_words(rate->high).text, profile_end(view->longest, true), seconds);
    else
        verdict_say(verdict->summary, " Growth of up to %s per second would not have shown in %s.",
                    bytes_words(rate->high).text, seconds);
}

static void leave_level_open(struct verdict *verdict)
{
    verdict_leave_open(verdict, LEVEL_INFERRED);
    verdict->looks_level = true;
}

/* "Stable" says that the limit holds, and not only for as long as was watched: what both intervals,
 * the rate's and the drift's, still allow must not fill the rest of the limit within as long again.
 */
static void consider_room(const struct view *view, struct verdict *verdict)
{
    double watched = profile_end(view->longest, view_by_requests(view));
    double allowed = fmin(rate_told(view)->high * watched, verdict->drift_bytes.high);
    double room = view->arm->limit_bytes - sizing_need(verdict);
    if (!(view->arm->limit_bytes > 0) || !(allowed >= room))
        return;
    leave_level_open(verdict);
    verdict_say(verdict->summary,
                " That may be up to %s in all, and going on for as long again it would fill the "
                "%s that are left below the limit.",
                bytes_words(allowed).text, bytes_words(fmax(0, room)).text);
    verdict_say(verdict->would_settle,
                "More cycles of the same requests, which narrow the interval, or a higher limit.");
}

static void judge_flat(const struct view *view, const struct survival *survival,
                       struct verdict *verdict)
{
    const struct estimate *drift = &verdict->drift_bytes;
    double confidence = cycles_without_growth(survival);
    enum evidence_level level = survival->cycles > 1 ? LEVEL_CORRELATED : LEVEL_STRONGLY_SUGGESTED;
    if (page_cache_explains(survival)) {
        judge_page_cache(survival, verdict);
    } else if (survival->settled >=
               fmax(verdict_larger_share(survival->limit, CACHE_LIMIT_SHARE, CACHE_BYTES),
                    CACHE_BASE_SHARE * view->longest->baseline)) {
        verdict_decide(verdict, VERDICT_BOUNDED_CACHE, view->driver, level, confidence);
        verdict_say(verdict->summary,
                    "Grew by %s at first and then levelled off (%s after the warm-up).",
                    bytes_words(survival->settled).text, growth_words(drift->value).text);
    } else {
        bool vague = drift->high - drift->low >
                     2 * verdict_larger_share(survival->limit, CACHE_LIMIT_SHARE, CACHE_BYTES);
        verdict_decide(verdict, VERDICT_STABLE, DRIVER_NONE,
                       vague ? level_weaker(level, LEVEL_INFERRED) : level, confidence);
        verdict_say(verdict->summary,
                    "The retained floor %s: %s after the warm-up (95 %% %s to %s).",
                    vague ? "goes up and down, and no trend stands out"
                    : drift->high < -survival->material ? "fell"
                    : drift->low > survival->material   ? "rose, and too little to tell"
                                                        : "is flat",
                    growth_words(drift->value).text, growth_words(drift->low).text,
                    growth_words(drift->high).text);
        say_horizon(view, verdict);
        if (view->traffic)
            consider_room(view, verdict);
    }
}

/* Level for two thirds of its life and then above all that was: a line through the whole hardly
 * rises. */
static double late_rise(const struct profile *profile)
{
    const struct floor *floor = &profile->by_time;
    double highest = -INFINITY, last = floor->y[floor->count - 1];
    for (size_t i = 0; i < floor->count * 2 / 3; i++)
        highest = fmax(highest, floor->y[i]);
    for (size_t i = floor->count - LATE_BINS; i < floor->count; i++)
        last = fmin(last, floor->y[i]);
    return last - highest;
}

static bool rose_late(const struct view *view, const struct survival *survival)
{
    return view->longest->by_time.count >= LATE_FLOOR_MIN &&
           late_rise(view->longest) >=
               verdict_larger_share(survival->limit, LATE_SHARE, LATE_BYTES);
}

static void judge_late(const struct view *view, struct verdict *verdict)
{
    verdict_leave_open(verdict, LEVEL_INFERRED);
    verdict_say(verdict->summary,
                "Level for two thirds of the time, and then it rose by %s to the end: so begins a "
                "leak on a path that is taken late, and so does a cache or a single large job.",
                bytes_words(late_rise(view->longest)).text);
    verdict_say(verdict->would_settle, "%s: whether it goes on to rise.",
                view->traffic ? "More of the same requests" : "A longer curve");
}

/* A drift of note that no line fits. A fill that slowed down bends so much that it scatters about
 * every line, and is none the less clear for that. */
static void judge_unsure(const struct view *view, const struct survival *survival,
                         struct verdict *verdict)
{
    const struct estimate *drift = &verdict->drift_bytes;
    bool fell_back = view_near_limit(view) && survival->releases > 0;
    if (!fell_back && fabs(survival->thirds.last) <= LEVELLED_SHARE && !survival->troughs_rise) {
        judge_levelled(view, survival, verdict);
        return;
    }
    if (!fell_back && page_cache_explains(survival)) {
        judge_page_cache(survival, verdict);
        return;
    }
    verdict_leave_open(verdict, LEVEL_INFERRED);
    verdict_say(
        verdict->summary,
        "The floor moved by %s after the warm-up, within its own scatter (95 %% %s to %s, p "
        "= %.2g).",
        growth_words(drift->value).text, growth_words(drift->low).text,
        growth_words(drift->high).text, survival->p_value);
    verdict_say(verdict->would_settle, "%s",
                fell_back       ? "It reached the limit and fell back without an end of the main "
                                  "process: was a child OOM-killed? Then that child's memory on its own."
                : view->traffic ? "More cycles of the same requests."
                                : "A longer curve.");
}

/* In its last third. A level there is the limit's. */
static bool is_held_at_limit(const struct view *view)
{
    const struct floor *floor = &view->longest->by_time;
    double limit = view->arm->limit_bytes, lowest = INFINITY;
    for (size_t i = floor->count * 2 / 3; i < floor->count; i++)
        lowest = fmin(lowest, floor->y[i]);
    return limit > 0 && isfinite(lowest) && lowest >= PROFILE_AT_LIMIT * limit;
}

/* The OOM killer waits as long as something can be reclaimed, be it the program's own code, which
 * is read again at once: the process stalls instead of being killed. */
static void judge_held(const struct view *view, struct verdict *verdict)
{
    verdict_leave_open(verdict, LEVEL_INFERRED);
    verdict->held_at_limit = true;
    verdict_say(verdict->summary,
                "It filled its limit (%s of %s) and stayed there without being killed: it is the "
                "limit that keeps it level, and a process there stalls while the kernel takes its "
                "pages away and reads them again. Whether it would grow on does not show.",
                bytes_words(view->need_bytes).text, limit_words(view->arm->limit_bytes).text);
    verdict_say(verdict->would_settle, "%s under a higher limit.",
                view->traffic ? "The same requests" : "The same work");
}

/* A level is a claim about the requests to come, too, and so it takes enough of them. Where nobody
 * recorded any the curve itself is all there is to judge. */
static void consider_requests(const struct view *view, struct verdict *verdict)
{
    double answered = view->longest->lifetime->requests_completed;
    if (!view->traffic || !verdict_levels_off(verdict) || answered >= LEVEL_REQUESTS_MIN)
        return;
    leave_level_open(verdict);
    verdict_say(verdict->summary,
                " %.0f request%s too few to call that level: what one in twenty does may not have "
                "been among them.",
                answered, answered == 1 ? " is" : "s are");
    verdict_say(verdict->would_settle,
                "More cycles of the same requests: at least %d answered by one process.",
                LEVEL_REQUESTS_MIN);
}

int verdict_of_survivor(const struct view *view, struct verdict *verdict)
{
    struct survival survival = {.p_value = NAN, .scatter = NAN};
    int rc = view->longest ? drift_of(view->longest, verdict, &survival) : 0;
    if (rc)
        return rc;
    if (!view->longest || isnan(verdict->drift_bytes.value)) {
        verdict_leave_open(verdict, LEVEL_NOT_PROVEN);
        verdict_say(verdict->summary, "There are too few samples after readiness to judge memory.");
        verdict_say(verdict->would_settle, "A longer run or a higher sampling rate.");
        return 0;
    }
    survey(view, verdict, &survival);
    const struct estimate *drift = &verdict->drift_bytes;
    if (is_held_at_limit(view)) {
        judge_held(view, verdict);
    } else if (survival.p_value < TREND_P && drift->low > 0 && drift->value >= survival.material &&
               drift->value >= SCATTER_FACTOR * survival.scatter) {
        judge_growing(view, &survival, verdict);
    } else if (drift->value >= 2 * survival.material &&
               drift->value >= verdict_larger_share(survival.limit, 0.05, 2 * MATERIAL_BYTES)) {
        judge_unsure(view, &survival, verdict);
    } else if (rose_late(view, &survival) && !page_cache_explains(&survival)) {
        judge_late(view, verdict);
    } else {
        judge_flat(view, &survival, verdict);
    }
    consider_requests(view, verdict);
    return 0;
}
