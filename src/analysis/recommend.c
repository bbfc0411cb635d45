/* SPDX-License-Identifier: Apache-2.0 */
/* Size advice. A leak gets no size: any number would only be a delay. */
#include "analysis/verdict.h"
#include "analysis/words.h"

#include <math.h>
#include <stdio.h>

#define MIB_BYTES 1048576.0

/* Vertical Pod Autoscaler after an OOM: 100 MiB or 20 % on top of the peak. */
static double size_after_oom(double peak)
{
    return fmax(peak + 100 * MIB_BYTES, 1.2 * peak);
}

/* Kubernetes Resource Recommender: 15 % on top of the peak. */
static double size_in_peace(double peak)
{
    return 1.15 * peak;
}

static bool levels_off(const struct verdict *verdict)
{
    return verdict->kills == 0 &&
           (verdict->class == VERDICT_STABLE || verdict->class == VERDICT_BOUNDED_CACHE ||
            verdict->class == VERDICT_RECLAIMABLE_CACHE);
}

static void advise(struct recommendation *ret, int action, double bytes)
{
    ret->action = (__typeof__(ret->action))action;
    ret->memory_bytes = bytes;
}

static void advise_raise(const struct verdict *raised, double limit, struct recommendation *ret)
{
    bool measured = raised && levels_off(raised) && !isnan(raised->peak_bytes);
    double peak = measured ? fmax(raised->peak_bytes, limit) : limit;
    advise(ret, ADVISE_RAISE_LIMIT, size_after_oom(peak));
    snprintf(
        ret->reason, sizeof(ret->reason),
        "The limit of %s is too small for the work. %s %s: at least 100 MiB or 20 %% above that.",
        limit_words(limit).text,
        measured ? "With more memory no kill came, and the need was"
                 : "The need is not known; it was more than",
        bytes_words(peak).text);
}

static void advise_survivor(const struct verdict *trigger, double limit, struct recommendation *ret)
{
    double size = size_in_peace(trigger->peak_bytes);
    bool fits =
        !(limit > 0) || isnan(size) || size <= limit || trigger->class == VERDICT_RECLAIMABLE_CACHE;
    advise(ret, fits ? ADVISE_KEEP_LIMIT : ADVISE_RAISE_LIMIT, fits ? limit : size);
    if (!(ret->memory_bytes > 0))
        ret->memory_bytes = NAN;
    snprintf(ret->reason, sizeof(ret->reason), "No kill; the highest working set was %s of %s%s.",
             bytes_words(trigger->peak_bytes).text, limit_words(limit).text,
             !fits ? ", which leaves less than 15 % of headroom"
             : trigger->class == VERDICT_RECLAIMABLE_CACHE
                 ? ", of which the page cache is given back when needed"
                 : "");
}

static void advise_leak(const struct verdict *raised, struct recommendation *ret)
{
    advise(ret, ADVISE_FIX_LEAK, NAN);
    snprintf(
        ret->reason, sizeof(ret->reason),
        "Memory is kept and never given back%s. A larger limit only delays the next kill, so no "
        "size is given: find and fix what keeps it.",
        raised && raised->kills > 0 ? "; with more memory it was killed again" : "");
}

/* Killed, and with more memory not: the raise has refuted a leak or found the demand. */
static bool raise_cured(const struct verdict *trigger, const struct verdict *raised)
{
    return trigger->kills > 0 && raised && levels_off(raised);
}

void recommend(const struct verdict *trigger, const struct verdict *raised, double limit_bytes,
               struct recommendation *ret)
{
    *ret = (struct recommendation){.action = ADVISE_INVESTIGATE, .memory_bytes = NAN};
    bool demand = trigger->class == VERDICT_STARTUP_DEMAND || trigger->class == VERDICT_PEAK_DEMAND;
    bool cured = raise_cured(trigger, raised);
    bool leak = trigger->class == VERDICT_LEAK || (raised && raised->class == VERDICT_LEAK);
    if (cured || (demand && !leak)) {
        advise_raise(raised, limit_bytes, ret);
    } else if (leak) {
        advise_leak(raised, ret);
    } else if (levels_off(trigger)) {
        advise_survivor(trigger, limit_bytes, ret);
    } else if (trigger->class == VERDICT_NOT_MEMORY) {
        advise(ret, ADVISE_KEEP_LIMIT, limit_bytes > 0 ? limit_bytes : NAN);
        snprintf(ret->reason, sizeof(ret->reason),
                 "It did not end for memory; another limit would change nothing.");
    } else {
        snprintf(ret->reason, sizeof(ret->reason), "The evidence does not settle it. %.440s",
                 trigger->would_settle);
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
