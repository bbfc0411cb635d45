/* SPDX-License-Identifier: Apache-2.0 */
/* Size advice. A leak gets no size: any number would only be a delay. */
#include "analysis/recommend.h"

#include "analysis/words.h"

#include <math.h>
#include <stdio.h>

static void advise(struct recommendation *ret, int action, double bytes)
{
    ret->action = (__typeof__(ret->action))action;
    ret->memory_bytes = bytes;
}

/* Killed under both limits: the need is above the higher one, and nobody has seen it met. */
static void advise_beyond(const struct verdict *raised, double limit, struct recommendation *ret)
{
    double tried = fmax(limit, raised->limit_bytes > 0 ? raised->limit_bytes : raised->peak_bytes);
    advise(ret, ADVISE_RAISE_LIMIT, sizing_after_oom(tried));
    char children[96] = "";
    if (raised->kills == 0)
        snprintf(children, sizeof(children), " (%u of its child processes %s)", raised->child_kills,
                 raised->child_kills == 1 ? "was" : "were");
    snprintf(
        ret->reason, sizeof(ret->reason),
        "It needs more than %s: it was killed with %s and with %s as well%s. No limit that holds "
        "was found yet; this is the next size to try, and the kill to look at is the last.",
        bytes_words(tried).text, limit_words(limit).text, bytes_words(tried).text, children);
}

static void advise_raise(const struct verdict *raised, double limit, struct recommendation *ret)
{
    if (raised && verdict_did_not_hold(raised)) {
        advise_beyond(raised, limit, ret);
        return;
    }
    bool held = raised && (verdict_levels_off(raised) || raised->looks_level);
    bool measured = held && !isnan(sizing_need(raised));
    double peak = measured ? fmax(sizing_need(raised), limit) : limit;
    advise(ret, ADVISE_RAISE_LIMIT, sizing_after_oom(peak));
    snprintf(
        ret->reason, sizeof(ret->reason),
        "The limit of %s is too small for the work. %s %s. That and 100 MiB more, or 20 %% where "
        "that is more, is %s.",
        limit_words(limit).text,
        measured ? "With more memory no kill came, and the need was"
                 : "The need is not known; it was more than",
        bytes_words(peak).text, bytes_words(sizing_after_oom(peak)).text);
}

static void advise_survivor(const struct verdict *verdict, double limit, struct recommendation *ret)
{
    double need = sizing_need(verdict), size = sizing_in_peace(need);
    bool fits = !(limit > 0) || isnan(size) || size <= limit;
    bool cache = verdict->class == VERDICT_RECLAIMABLE_CACHE || need < 0.9 * verdict->peak_bytes;
    advise(ret, fits ? ADVISE_KEEP_LIMIT : ADVISE_RAISE_LIMIT, fits ? limit : size);
    if (!(ret->memory_bytes > 0))
        ret->memory_bytes = NAN;
    char without[96] = "";
    if (cache && !isnan(need))
        snprintf(without, sizeof(without), ", %s without page cache, which is given back",
                 bytes_words(need).text);
    snprintf(ret->reason, sizeof(ret->reason), "No kill; the %s of %s%s%s.",
             most_words(verdict->working_bytes, verdict->peak_bytes).text, limit_words(limit).text,
             without, fits ? "" : ", which leaves less than 15 % of headroom");
}

static void advise_leak(const struct verdict *verdict, const struct verdict *raised,
                        struct recommendation *ret)
{
    char lasts[VERDICT_TEXT_MAX - 128];
    advise(ret, ADVISE_FIX_LEAK, NAN);
    forecast_sentence(&ret->forecasts, verdict, lasts, sizeof(lasts));
    snprintf(ret->reason, sizeof(ret->reason),
             "Memory is kept and never given back%s. %s Find and fix what keeps it.",
             raised && raised->kills > 0 ? "; with more memory it was killed again" : "",
             lasts[0]                 ? lasts
             : verdict->runtime_limit ? "Its runtime's own limit ends it, not the container's: a "
                                        "larger limit of the container changes nothing, and a "
                                        "larger one of the runtime only delays its next end."
                                      : "A larger limit only delays the next kill, so no size is "
                                        "given.");
}

void recommend(const struct verdict *verdict, const struct verdict *raised, double limit_bytes,
               const struct forecasts *forecasts, struct recommendation *ret)
{
    *ret = (struct recommendation){.action = ADVISE_INVESTIGATE, .memory_bytes = NAN};
    if (forecasts)
        ret->forecasts = *forecasts;
    ret->rule_count = size_rules(verdict, raised, limit_bytes, ret->rules);
    bool demand = verdict->class == VERDICT_STARTUP_DEMAND || verdict->class == VERDICT_PEAK_DEMAND;
    if (verdict->class == VERDICT_LEAK) {
        advise_leak(verdict, raised, ret);
    } else if (demand || (verdict->kills > 0 && verdict->class == VERDICT_BOUNDED_CACHE) ||
               (verdict_did_not_hold(verdict) && raised && verdict_levels_off(raised))) {
        advise_raise(raised, limit_bytes, ret);
    } else if (verdict_levels_off(verdict)) {
        advise_survivor(verdict, limit_bytes, ret);
    } else if (verdict->class == VERDICT_NOT_MEMORY) {
        advise(ret, ADVISE_KEEP_LIMIT, limit_bytes > 0 ? limit_bytes : NAN);
        snprintf(ret->reason, sizeof(ret->reason),
                 "It did not end for memory; another limit would change nothing.");
    } else {
        snprintf(ret->reason, sizeof(ret->reason), "The evidence does not settle it. %.440s",
                 verdict->would_settle);
    }
}

const char *recommendation_action_name(int action)
{
    switch (action) {
    case ADVISE_FIX_LEAK:
        return "fix-leak";
    case ADVISE_RAISE_LIMIT:
        return "raise-limit";
    case ADVISE_KEEP_LIMIT:
        return "keep-limit";
    default:
        return "investigate";
    }
}
