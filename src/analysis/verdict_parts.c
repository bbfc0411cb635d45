/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/verdict_parts.h"

#include "analysis/kinds.h"
#include "analysis/mix.h"
#include "analysis/words.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

double verdict_succession(double agree, double repeats)
{
    return (agree + 1) / (repeats + 2);
}

__attribute__((format(printf, 2, 3))) void verdict_say(char text[static VERDICT_TEXT_MAX],
                                                       const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, VERDICT_TEXT_MAX - used, format, args);
    va_end(args);
}

void verdict_decide(struct verdict *verdict, enum verdict_class class, enum driver driver,
                    enum evidence_level level, double confidence)
{
    verdict->class = class;
    verdict->driver = driver;
    verdict->level = level;
    verdict->confidence = isnan(confidence) ? 0 : fmin(1, fmax(0, confidence));
}

void verdict_leave_open(struct verdict *verdict, enum evidence_level level)
{
    verdict_decide(verdict, VERDICT_INCONCLUSIVE, DRIVER_NONE, level, 0);
}

double verdict_larger_share(double limit, double share, double bytes)
{
    return limit > 0 ? fmax(bytes, share * limit) : bytes;
}

/* "3.5 MiB per request (95 % 3.4 MiB to 3.6 MiB)". */
static void say_rate(char text[static VERDICT_TEXT_MAX], const struct estimate *rate,
                     const char *unit)
{
    verdict_say(text, "%s per %s (95 %% %s to %s)", bytes_words(rate->value).text, unit,
                bytes_words(rate->low).text, bytes_words(rate->high).text);
}

/* The last third of the way brings a third of a steady growth. */
#define SLOWING_SHARE  0.25
#define SPEEDING_SHARE 0.42
/* A sample is at most a thirtieth of the way, so that it does not move a third's share by more than
 * a tenth. */
#define CURVE_POINTS_MIN 30

static void say_curve(char text[static VERDICT_TEXT_MAX], const struct view *view)
{
    if (!view->longest)
        return;
    double last = thirds_of(view->longest, view_by_requests(view)).last;
    if (view->longest->count < CURVE_POINTS_MIN || !(last >= 0 && last <= 1))
        return; /* up and down, or too few samples for thirds: no bend of a growth */
    if (last > SPEEDING_SHARE || last < SLOWING_SHARE)
        verdict_say(text, ", %s (%.0f %% of it in the last third)",
                    last > SPEEDING_SHARE ? "speeding up" : "slowing down", 100 * last);
}

void verdict_say_growth(char text[static VERDICT_TEXT_MAX], const struct view *view)
{
    struct mix mix;
    if (view_by_requests(view))
        say_rate(text, &view->request_rate, "request");
    else
        say_rate(text, &view->second_rate, "second");
    if (mix_of(view, &mix))
        verdict_say(text,
                    " (two drivers: %s per second whether or not requests run, and %s for each "
                    "request besides)",
                    bytes_words(mix.per_second.value).text,
                    bytes_words(mix.per_request.value).text);
    say_curve(text, view);
}

void verdict_say_kind(char text[static VERDICT_TEXT_MAX], const struct view *view)
{
    char words[128] = "";
    if (view->longest) {
        struct kinds kinds = kinds_of(view->longest);
        kinds_words(&kinds, words, sizeof(words));
    }
    verdict_say(text, "%s", words);
}

const struct trend *verdict_trend(const struct view *view)
{
    return view_by_requests(view) ? &view->per_request : &view->per_second;
}

bool verdict_two_thirds(unsigned part, unsigned whole)
{
    return whole > 0 && 3 * part >= 2 * whole;
}

bool verdict_trend_rises(const struct trend *trend)
{
    return trend->p_value < TREND_P && trend->slope.low > 0;
}
