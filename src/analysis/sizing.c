/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/sizing.h"

#include "analysis/predict.h"
#include "analysis/view.h"
#include "analysis/words.h"
#include "base/cleanup.h"
#include "base/duration.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MIB_BYTES 1048576.0
#define GIB_BYTES (1024 * MIB_BYTES)
/* A limit further away than so many times the own one is nobody's next try. */
#define HIDING_TOLD 32

static const struct estimate UNKNOWN = {NAN, NAN, NAN};

static struct forecast forecast_of(double limit_bytes)
{
    return (struct forecast){limit_bytes, UNKNOWN, UNKNOWN, UNKNOWN};
}

static void from_predictions(const struct prediction *predictions, size_t count,
                             struct forecast *ret)
{
    for (size_t i = 0; i < count; i++) {
        const struct prediction *each = &predictions[i];
        struct estimate found = {(each->low + each->high) / 2, each->low, each->high};
        if (strcmp(each->hypothesis, "leak") != 0)
            continue;
        if (strcmp(each->metric, PREDICT_SECONDS) == 0)
            ret->seconds = found;
        else if (strcmp(each->metric, PREDICT_REQUESTS) == 0)
            ret->requests = found;
    }
}

/* A way of so many bytes at that rate; a rate that may be zero never gets there. */
static struct estimate way_over(double way, const struct estimate *rate)
{
    if (!(rate->value > 0) || !(way >= 0))
        return UNKNOWN;
    return (struct estimate){way / rate->value, way / rate->high,
                             rate->low > 0 ? way / rate->low : NAN};
}

static double last_level(const struct profile *profile)
{
    return profile->count ? profile->retained[profile->count - 1] : NAN;
}

static void from_rates(const struct view *view, struct forecast *ret)
{
    const struct profile *profile = view->longest;
    if (!profile || isnan(profile->baseline))
        return;
    double way = ret->limit_bytes - profile->baseline;
    ret->seconds = way_over(way, &view->second_rate);
    ret->seconds_left = way_over(ret->limit_bytes - last_level(profile), &view->second_rate);
    if (view_by_requests(view))
        ret->requests = way_over(way, &view->request_rate);
}

void forecast_limits(const struct arm_series *arm, const struct verdict *verdict,
                     struct forecasts *ret)
{
    double first = arm->limit_bytes > 0 ? arm->limit_bytes : GIB_BYTES;
    *ret = (struct forecasts){.count = 0};
    if (verdict->class != VERDICT_LEAK || verdict->runtime_limit)
        return;
    CLEANUP(view_done) struct view view;
    if (view_init(&view, arm) < 0)
        return;
    for (unsigned i = 0; i < FORECASTS_MAX; i++) {
        struct prediction predictions[PREDICTIONS_MAX];
        struct forecast forecast = forecast_of(first * (1U << i));
        size_t predicted =
            predict_for_limit(arm, verdict, forecast.limit_bytes, predictions, PREDICTIONS_MAX);
        if (predicted)
            from_predictions(predictions, predicted, &forecast);
        else
            from_rates(&view, &forecast);
        if (!isnan(forecast.seconds.value))
            ret->items[ret->count++] = forecast;
    }
}

double forecast_hiding_limit(const struct forecasts *forecasts)
{
    const struct forecast *a = &forecasts->items[0];
    if (forecasts->count < 2 || !(a->seconds.value < SIZING_BACKOFF_RESET_S))
        return NAN;
    const struct forecast *b = &forecasts->items[forecasts->count - 1];
    double per_byte = (b->seconds.value - a->seconds.value) / (b->limit_bytes - a->limit_bytes);
    if (!(per_byte > 0))
        return NAN;
    return a->limit_bytes + (SIZING_BACKOFF_RESET_S - a->seconds.value) / per_byte;
}

/* --- rules of today ------------------------------------------------------------------------- */

double sizing_need(const struct verdict *verdict)
{
    return verdict->need_bytes > 0 ? verdict->need_bytes : verdict->peak_bytes;
}

double sizing_after_oom(double peak)
{
    return fmax(peak + 100 * MIB_BYTES, 1.2 * peak);
}

double sizing_in_peace(double peak)
{
    return 1.15 * peak;
}

size_t size_rules(const struct verdict *verdict, const struct verdict *raised, double limit_bytes,
                  struct size_rule ret[SIZE_RULES_MAX])
{
    double need = raised && !(sizing_need(verdict) > sizing_need(raised)) ? sizing_need(raised)
                                                                          : sizing_need(verdict);
    bool killed = verdict_did_not_hold(verdict),
         killed_again = raised && verdict_did_not_hold(raised);
    double oom_limit = killed_again && raised->limit_bytes > 0 ? raised->limit_bytes : limit_bytes;
    if (verdict->class == VERDICT_LEAK || verdict->class == VERDICT_INCONCLUSIVE || !(need > 0))
        return 0;
    double seen = killed ? sizing_after_oom(need) : need;
    ret[0] = (struct size_rule){
        "vertical-pod-autoscaler",
        killed
            ? "1.15 x max(peak + 100 MiB, 1.2 x peak), at least 250 MiB: the peak at an OOM kill "
              "is bumped up, and the recommendation has a margin of 15 %"
            : "1.15 x peak, at least 250 MiB: the 90th percentile of the peaks (here there is "
              "one) with a margin of 15 %",
        fmax(1.15 * seen, 250 * MIB_BYTES)};
    ret[1] = (struct size_rule){
        "krr",
        killed ? "max(1.15 x peak, 1.25 x the limit at the OOM kill) (with --use-oomkill-data)"
               : "1.15 x peak",
        fmax(sizing_in_peace(need), killed && oom_limit > 0 ? 1.25 * oom_limit : 0)};
    return SIZE_RULES_MAX;
}

/* --- in words ------------------------------------------------------------------------------- */

struct span_words {
    char text[DURATION_TEXT_MAX];
};

static struct span_words span_words(double seconds)
{
    struct span_words words = {"never"};
    if (isfinite(seconds) && seconds < 3e9)
        duration_format((int64_t)(fmax(seconds, 0) * 1e9), words.text);
    return words;
}

__attribute__((format(printf, 3, 4))) static void add(char *text, size_t size, const char *format,
                                                      ...)
{
    size_t used = strlen(text);
    va_list list;
    va_start(list, format);
    vsnprintf(text + used, size - used, format, list);
    va_end(list);
}

/* "3.9 s at 512.0 MiB (95 % 3.5 s to 4.2 s)". */
static void add_span(char *text, size_t size, const struct forecast *forecast)
{
    add(text, size, "%s at %s", span_words(forecast->seconds.value).text,
        bytes_words(forecast->limit_bytes).text);
    if (isfinite(forecast->seconds.high))
        add(text, size, " (95 %% %s to %s)", span_words(forecast->seconds.low).text,
            span_words(forecast->seconds.high).text);
}

void forecast_sentence(const struct forecasts *forecasts, const struct verdict *verdict, char *text,
                       size_t size)
{
    text[0] = '\0';
    if (forecasts->count == 0)
        return;
    const struct forecast *first = &forecasts->items[0];
    const struct forecast *last = &forecasts->items[forecasts->count - 1];
    const char *how = verdict->kills > 0 ? "growth like this kills it every" : "it would die every";
    add(text, size, "No limit holds: at this traffic %s ", how);
    add_span(text, size, first);
    if (last != first) {
        add(text, size, ", every ");
        add_span(text, size, last);
    }
    add(text, size, ".");
    double hiding = forecast_hiding_limit(forecasts);
    if (first->seconds.value >= SIZING_BACKOFF_RESET_S)
        add(text, size,
            " It lives for more than 10 minutes each time, so CrashLoopBackOff does not show, with "
            "the leak intact.");
    else if (hiding <= HIDING_TOLD * first->limit_bytes)
        add(text, size,
            " From %s on it would live for more than 10 minutes, and CrashLoopBackOff would "
            "disappear with the leak intact.",
            bytes_words(hiding).text);
}
