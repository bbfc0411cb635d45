/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/stopping.h"

#include "analysis/sequential.h"
#include "analysis/view.h"
#include "analysis/words.h"
#include "base/plural.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 3, 4))) static int say(struct stopping *ret, bool settled,
                                                     const char *format, ...)
{
    va_list arguments;
    ret->settled = settled;
    va_start(arguments, format);
    vsnprintf(ret->reason, sizeof(ret->reason), format, arguments);
    va_end(arguments);
    return 0;
}

static const struct lifetime_series *last_of(const struct arm_series *arm)
{
    return arm->count > 0 ? &arm->lifetimes[arm->count - 1] : NULL;
}

static bool is_alive(const struct arm_series *arm)
{
    const struct lifetime_series *last = last_of(arm);
    return last && last->cause == CAUSE_RUNNING;
}

static unsigned kills_of(const struct arm_series *arm)
{
    unsigned kills = 0;
    for (size_t i = 0; i < arm->count; i++)
        if (cause_is_kernel_oom(arm->lifetimes[i].cause))
            kills++;
    return kills;
}

static bool is_whole_cycle(const struct lifetime_series *lifetime, const struct span *span)
{
    return span->kind == SPAN_CYCLE && span->start_s >= 0 && span->end_s <= lifetime->uptime_s;
}

static unsigned cycles_of(const struct lifetime_series *lifetime)
{
    unsigned cycles = 0;
    for (size_t i = 0; i < lifetime->span_count; i++)
        if (is_whole_cycle(lifetime, &lifetime->spans[i]))
            cycles++;
    return cycles;
}

/* A process that lives: can growth of note be told from its memory? */
static int test_level(const struct arm_series *arm, const struct stopping_question *question,
                      struct stopping *ret)
{
    const struct lifetime_series *last = last_of(arm);
    if (!is_alive(arm) || cycles_of(last) < STOPPING_LEVEL_CYCLES || !(question->planned_s > 0))
        return 0;
    double growth = STOPPING_LEVEL_SHARE * arm->limit_bytes / question->planned_s;
    return sequential_growth_p(last, growth, &ret->level_p);
}

/* One process, alive, has worked long enough; its verdict is a level one, and growth of note is
 * excluded by what this look may spend. */
static int judge_level(const struct arm_series *arm, const struct stopping_question *question,
                       const struct verdict *verdict, struct stopping *ret)
{
    const struct lifetime_series *last = last_of(arm);
    unsigned cycles = is_alive(arm) ? cycles_of(last) : 0;
    const char *class = verdict_class_name(verdict->class);
    if (cycles < STOPPING_LEVEL_CYCLES)
        return say(ret, false, "%u of at least %d whole cycles of one process", cycles,
                   STOPPING_LEVEL_CYCLES);
    if (!verdict_levels_off(verdict))
        return say(ret, false, "after %u cycles, without a kill, it is %s", cycles, class);
    double share =
        sequential_share(STOPPING_SPENT_SHARE * (1 - question->confidence), question->look);
    if (!(ret->level_p <= share))
        return say(ret, false,
                   "after %u cycles it is %s, but growth by a tenth of its limit within the budget "
                   "is not excluded (p = %.2g, and look %u may use %.2g)",
                   cycles, class, ret->level_p, question->look, share);
    return say(ret, true,
               "it outlived %u cycles (%.0f requests) and is %s; growth by a tenth of its limit "
               "within the budget is excluded (p = %.2g, and look %u may use %.2g)",
               cycles, last->requests_completed, class, ret->level_p, question->look, share);
}

static bool is_pattern(enum verdict_class class)
{
    return class == VERDICT_LEAK || class == VERDICT_STARTUP_DEMAND || class == VERDICT_PEAK_DEMAND;
}

static int judge_cause(const struct arm_series *arm, const struct stopping_question *question,
                       const struct verdict *verdict, struct stopping *ret)
{
    unsigned kills = kills_of(arm);
    const char *class = verdict_class_name(verdict->class);
    if (kills == 0)
        return judge_level(arm, question, verdict, ret);
    if (!is_pattern(verdict->class))
        return say(ret, false, "%u kill%s, and the verdict is %s", kills, plural((double)kills),
                   class);
    double wanted = 1 / (1 - question->confidence);
    ret->ratio = sequential_ratio(verdict->agree, verdict->repeats);
    return say(ret, ret->ratio >= wanted,
               "%u of %u kills show %s, %.3g times likelier than by chance; confidence %g asks for "
               "%.3g times",
               verdict->agree, verdict->repeats, class, ret->ratio, question->confidence, wanted);
}

/* The last process went beyond what killed the trigger's. */
static bool is_beyond(const struct arm_series *arm, const struct stopping_question *question)
{
    const struct lifetime_series *last = last_of(arm);
    if (!is_alive(arm))
        return false;
    return question->by_time ? last->uptime_s > question->seconds_to_kill
                             : last->requests_completed > question->requests_to_kill;
}

static int judge_survival(const struct arm_series *arm, const struct stopping_question *question,
                          const struct verdict *verdict, struct stopping *ret)
{
    if (kills_of(arm) > 0)
        return say(ret, true, "it was killed for its memory: it does not survive");
    if (!is_beyond(arm, question))
        return say(ret, false, "it has not yet gone beyond what killed the trigger");
    return judge_level(arm, question, verdict, ret);
}

/* What the leak predicts, in requests where it does. */
static bool leak_forecast(const struct stopping_question *question, size_t *ret_index)
{
    for (size_t i = 0; i < question->prediction_count; i++) {
        if (strcmp(question->predictions[i].metric, PREDICT_KILLED) != 0) {
            *ret_index = i; /* requests come first */
            return true;
        }
    }
    return false;
}

static int judge_raise(const struct arm_series *arm, const struct stopping_question *question,
                       const struct verdict *verdict, struct stopping *ret)
{
    size_t index;
    if (!leak_forecast(question, &index)) {
        if (kills_of(arm) == 0)
            return judge_survival(arm, question, verdict, ret);
        return say(ret, true, "it was killed with more memory too");
    }
    const struct prediction *forecast = &question->predictions[index];
    const char *unit = strcmp(forecast->metric, PREDICT_REQUESTS) == 0 ? "requests" : "s";
    double observed;
    enum prediction_outcome outcome =
        predict_settle(question->predictions, question->prediction_count, index, arm, &observed);
    if (outcome == PREDICTION_UNDECIDED)
        return say(ret, false, "neither a kill yet nor beyond %.0f %s, where a leak had died",
                   forecast->high, unit);
    if (kills_of(arm) == 0) {
        bool open = verdict->class == VERDICT_INCONCLUSIVE;
        return say(ret, !open, "it outlived the %.0f to %.0f %s to a leak's kill%s", forecast->low,
                   forecast->high, unit, open ? ", and has not yet levelled off" : "");
    }
    return say(ret, true, "it was killed after %.0f %s; a leak was to be within %.0f to %.0f",
               observed, unit, forecast->low, forecast->high);
}

static int judge_return(const struct arm_series *arm, const struct stopping_question *question,
                        const struct verdict *verdict, struct stopping *ret)
{
    if (kills_of(arm) == 0)
        return judge_survival(arm, question, verdict, ret);
    bool alike = question->cause == VERDICT_STARTUP_DEMAND
                     ? verdict->class == VERDICT_STARTUP_DEMAND
                     : verdict->class != VERDICT_STARTUP_DEMAND;
    if (alike)
        return say(ret, true, "it was killed again, as the trigger was");
    return say(ret, false, "it was killed, but not as the trigger was: %s",
               verdict_class_name(verdict->class));
}

static int say_growth(const struct verdict *verdict, enum budget_rate rate, double most,
                      bool settled, const char *what, struct stopping *ret)
{
    const struct estimate *estimate = budget_estimate(verdict, rate);
    const char *unit = rate == BUDGET_PER_REQUEST ? "request" : "second";
    if (isnan(estimate->low) || isnan(estimate->high))
        return say(ret, false, "growth per %s could not be estimated yet", unit);
    return say(ret, settled, "growth per %s, %s (95 %%: %s to %s), %s the budget of %s", unit,
               bytes_words(estimate->value).text, bytes_words(estimate->low).text,
               bytes_words(estimate->high).text, what, bytes_words(most).text);
}

/* Whole intervals within the budget and a verdict, or a leak above it. Above it without a leak may
 * be a warm-up that ends: it goes on. */
static int judge_budget(const struct arm_series *arm, const struct stopping_question *question,
                        const struct verdict *verdict, struct stopping *ret)
{
    unsigned cycles = is_alive(arm) ? cycles_of(last_of(arm)) : 0;
    if (cycles < STOPPING_LEVEL_CYCLES)
        return say(ret, false, "%u of at least %d whole cycles of one process", cycles,
                   STOPPING_LEVEL_CYCLES);
    for (enum budget_rate rate = 0; rate < BUDGET_RATES; rate++) {
        double most = question->growth.most[rate];
        double margin = STOPPING_BUDGET_MARGIN * most;
        if (isnan(most))
            continue;
        if (verdict->class == VERDICT_LEAK &&
            budget_judge_growth(verdict, rate, most + margin) == BUDGET_FAIL)
            return say_growth(verdict, rate, most, true, "is above", ret);
        if (budget_judge_growth(verdict, rate, most - margin) != BUDGET_PASS)
            return say_growth(verdict, rate, most, false, "is not clear of", ret);
        say_growth(verdict, rate, most, true, "is within", ret);
    }
    if (verdict->class == VERDICT_INCONCLUSIVE)
        return say(ret, false, "growth is within the budget, but the verdict is %s",
                   verdict_class_name(verdict->class));
    return 0;
}

int stopping_judge(const struct arm_series *arm, const struct stopping_question *question,
                   struct stopping *ret)
{
    struct verdict verdict;
    *ret = (struct stopping){.ratio = 1, .level_p = NAN};
    if (arm->count == 0)
        return say(ret, false, "nothing has run yet");
    if (verdict_of_arm(arm, &verdict) < 0 || test_level(arm, question, ret) < 0)
        return -ENOMEM;
    switch (question->kind) {
    case STOPPING_CAUSE:
        return judge_cause(arm, question, &verdict, ret);
    case STOPPING_RAISE:
        return judge_raise(arm, question, &verdict, ret);
    case STOPPING_SURVIVES:
        return judge_survival(arm, question, &verdict, ret);
    case STOPPING_RETURNS:
        return judge_return(arm, question, &verdict, ret);
    case STOPPING_BUDGET:
        return judge_budget(arm, question, &verdict, ret);
    }
    return 0;
}

unsigned stopping_next_look(unsigned cycle)
{
    unsigned next = cycle + cycle / 4;
    next = next > cycle ? next : cycle + 1;
    return next > STOPPING_LEVEL_CYCLES ? next : STOPPING_LEVEL_CYCLES;
}
