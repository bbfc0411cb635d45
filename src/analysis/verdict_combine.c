/* SPDX-License-Identifier: Apache-2.0 */
/* One verdict from two arms: the trigger, and the same work with more memory. The second arm is the
 * experiment that the first one's doubts ask for, so it has the last word. */
#include "analysis/verdict_parts.h"

#include "analysis/words.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

bool verdict_by_requests(const struct verdict *verdict)
{
    return verdict->driver != DRIVER_TIME && !isnan(verdict->per_request.value);
}

bool verdict_did_not_hold(const struct verdict *verdict)
{
    return verdict->kills + verdict->child_kills > 0;
}

bool verdict_levels_off(const struct verdict *verdict)
{
    return verdict->kills == 0 &&
           (verdict->class == VERDICT_STABLE || verdict->class == VERDICT_BOUNDED_CACHE ||
            verdict->class == VERDICT_RECLAIMABLE_CACHE);
}

static bool is_demand(const struct verdict *verdict)
{
    return verdict->class == VERDICT_PEAK_DEMAND || verdict->class == VERDICT_STARTUP_DEMAND;
}

struct phrase {
    char text[64];
};

/* "With 128.0 MiB" */
static struct phrase with_limit(const struct verdict *raised)
{
    struct phrase words = {"With more memory"};
    if (raised->limit_bytes > 0)
        snprintf(words.text, sizeof(words.text), "With %s", bytes_words(raised->limit_bytes).text);
    return words;
}

static void open_again(const struct verdict *raised, struct verdict *ret)
{
    ret->class = VERDICT_INCONCLUSIVE;
    ret->driver = DRIVER_NONE;
    ret->confidence = 0;
    ret->level = level_weaker(ret->level, LEVEL_INFERRED);
    snprintf(ret->would_settle, sizeof(ret->would_settle), "%s",
             raised->would_settle[0] ? raised->would_settle
                                     : "More kills under the higher limit, with the same work.");
}

/* The raise saw what the trigger could not tell. */
static void take_class(const struct verdict *raised, struct verdict *ret)
{
    ret->class = raised->class;
    ret->driver = raised->driver;
    ret->confidence = raised->confidence;
    ret->level = level_weaker(ret->level, raised->level);
    ret->per_request = raised->per_request;
    ret->per_second = raised->per_second;
    ret->would_settle[0] = '\0';
}

static void become_leak(const struct verdict *raised, bool leak_held, struct verdict *ret)
{
    if (raised->class == VERDICT_LEAK) {
        take_class(raised, ret);
    } else { /* only the forecast speaks for it */
        ret->class = VERDICT_LEAK;
        ret->confidence = 0.5;
        ret->level = level_weaker(ret->level, LEVEL_STRONGLY_SUGGESTED);
        ret->would_settle[0] = '\0';
    }
    ret->summary[0] = '\0';
    verdict_say(ret->summary, "%s the same work %s", with_limit(raised).text,
                raised->kills > 0 ? "was killed again" : "went on growing");
    if (leak_held)
        verdict_say(ret->summary, ", when steady growth said it would be");
    verdict_say(ret->summary, ". ");
    verdict_say(ret->summary, "%s", raised->summary);
}

static void killed_again(const struct verdict *raised, bool leak_held, struct verdict *ret)
{
    if (ret->class == VERDICT_LEAK) {
        if (!leak_held && is_demand(raised)) {
            verdict_say(ret->summary, " %s it looks like %s instead.", with_limit(raised).text,
                        verdict_class_name(raised->class));
            open_again(raised, ret);
        }
    } else if (raised->class == VERDICT_LEAK || leak_held) {
        become_leak(raised, leak_held, ret);
    } else if (is_demand(raised)) {
        if (!is_demand(ret))
            take_class(raised, ret);
        verdict_say(ret->summary, " %s it was killed as well: it needs more than that.",
                    with_limit(raised).text);
    } else {
        verdict_say(ret->summary, " %s it was killed again. %s", with_limit(raised).text,
                    raised->summary);
        open_again(raised, ret);
    }
}

/* Steady growth to the kill that more memory met: no leak. Without requests and readiness on record
 * nobody knows whether the start asked for it, a cache, or the work. */
static void met_unknown_demand(const struct verdict *raised, struct verdict *ret)
{
    verdict_say(ret->summary,
                " %s no kill came, and memory levelled off: no leak, but a need of its start, its "
                "caches or its work.",
                with_limit(raised).text);
    open_again(raised, ret);
    snprintf(ret->would_settle, sizeof(ret->would_settle),
             "When it became ready, and which requests it had answered before the kills.");
}

static void not_killed(const struct verdict *raised, bool leak_refuted, struct verdict *ret)
{
    if (verdict_levels_off(raised) && !is_demand(ret) && !ret->watched) {
        met_unknown_demand(raised, ret);
    } else if (verdict_levels_off(raised)) {
        if (!is_demand(ret)) { /* it stopped growing: what it wants was just more than the limit */
            take_class(raised, ret);
            ret->class = raised->class == VERDICT_BOUNDED_CACHE ? VERDICT_BOUNDED_CACHE
                                                                : VERDICT_PEAK_DEMAND;
        }
        verdict_say(ret->summary, " %s no kill came, and memory levelled off.",
                    with_limit(raised).text);
    } else if (raised->class == VERDICT_LEAK && ret->class != VERDICT_LEAK) {
        become_leak(raised, false, ret);
    } else if (ret->class == VERDICT_LEAK && leak_refuted &&
               raised->class == VERDICT_INCONCLUSIVE) {
        verdict_say(ret->summary,
                    " %s no kill came, although it went on for longer than such growth would have "
                    "needed.",
                    with_limit(raised).text);
        open_again(raised, ret);
    } else if (is_demand(ret) && raised->class == VERDICT_INCONCLUSIVE && !raised->looks_level &&
               raised->drift_bytes.low > 0) {
        verdict_say(ret->summary, " %s no kill came, but memory still grew.",
                    with_limit(raised).text);
        open_again(raised, ret);
    }
}

/* The main process outlived it, and children of its did not: that limit held no more than the
 * first.
 */
static void children_killed_again(const struct verdict *raised, struct verdict *ret)
{
    verdict_say(ret->summary, " %s the kernel killed %u of its child processes for memory%s.",
                with_limit(raised).text, raised->child_kills,
                ret->class == VERDICT_LEAK ? "" : ": that is not enough either");
    if (ret->class == VERDICT_LEAK || is_demand(ret))
        return;
    open_again(raised, ret);
    snprintf(ret->would_settle, sizeof(ret->would_settle),
             ASKS_CHILDREN "the same work with more than %s.",
             bytes_words(raised->limit_bytes > 0 ? raised->limit_bytes : raised->peak_bytes).text);
}

void verdict_children_seen(struct verdict *verdict)
{
    char *text = verdict->would_settle;
    size_t asked = strlen(ASKS_CHILDREN);
    if (strncmp(text, ASKS_CHILDREN, asked) != 0)
        return;
    memmove(text, text + asked, strlen(text + asked) + 1);
    text[0] = (char)toupper((unsigned char)text[0]);
}

/* Only children were killed at the first limit. */
static void children_met(const struct verdict *raised, struct verdict *ret)
{
    if (ret->class == VERDICT_LEAK || !verdict_levels_off(raised))
        return;
    take_class(raised, ret);
    ret->class = VERDICT_PEAK_DEMAND;
    verdict_say(ret->summary, " %s none was, and memory levelled off.", with_limit(raised).text);
}

void verdict_combine(const struct verdict *trigger, const struct verdict *raised,
                     enum prediction_outcome leak, struct verdict *ret)
{
    *ret = *trigger;
    if (!raised || !verdict_did_not_hold(trigger))
        return;
    if (trigger->kills == 0 && !verdict_did_not_hold(raised))
        children_met(raised, ret);
    else if (raised->kills > 0)
        killed_again(raised, leak == PREDICTION_HOLDS, ret);
    else if (raised->child_kills > 0)
        children_killed_again(raised, ret);
    else
        not_killed(raised, leak == PREDICTION_REFUTED, ret);
}
