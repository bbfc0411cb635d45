/* SPDX-License-Identifier: Apache-2.0 */
/* judge TRACE...: what src/analysis says of each trace in each view, one JSON object a line.
 * Growth per second and seconds to the kill are given in the trace's own time, also where a view
 * stretches it. */
#include "trace.h"
#include "view.h"

#include "analysis/predict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void print_number(const char *key, double value)
{
    if (isfinite(value))
        printf(", \"%s\": %.10g", key, value);
    else
        printf(", \"%s\": null", key);
}

static void print_text(const char *key, const char *text)
{
    if (!text) {
        printf(", \"%s\": null", key);
        return;
    }
    printf(", \"%s\": \"", key);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar(*text == '\n' ? ' ' : *text);
    }
    putchar('"');
}

static void print_estimate(const char *key, const struct estimate *estimate, double scale)
{
    printf(", \"%s\": {\"known\": %s", key, isfinite(estimate->value) ? "true" : "false");
    print_number("value", estimate->value * scale);
    print_number("low", estimate->low * scale);
    print_number("high", estimate->high * scale);
    putchar('}');
}

static void print_predictions(const struct prediction *all, size_t count,
                              const struct arm_series *raised, double scale)
{
    printf(", \"predictions\": [");
    for (size_t i = 0; i < count; i++) {
        static const char *const words[] = {"undecided", "holds", "refuted"};
        double observed;
        enum prediction_outcome outcome = predict_settle(all, count, i, raised, &observed);
        double unit = strcmp(all[i].metric, PREDICT_SECONDS) == 0 ? 1 / scale : 1;
        printf("%s{\"hypothesis\": \"%s\"", i ? ", " : "", all[i].hypothesis);
        print_text("metric", all[i].metric);
        print_number("low", all[i].low * unit);
        print_number("high", all[i].high * unit);
        print_number("observed", observed * unit);
        print_text("outcome", words[outcome]);
        putchar('}');
    }
    printf("]");
}

static int judge(const struct trace *trace, enum trace_view view, double scale,
                 const struct arm_series *trigger, const struct arm_series *raised)
{
    struct verdict alone, more, combined;
    struct prediction predictions[PREDICTIONS_MAX];
    size_t count = 0;
    int r = verdict_of_arm(trigger, &alone);
    if (r == 0 && raised)
        r = verdict_of_arm(raised, &more);
    if (r < 0)
        return r;
    if (raised)
        count =
            predict_for_limit(trigger, &alone, raised->limit_bytes, predictions, PREDICTIONS_MAX);
    verdict_combine(&alone, raised ? &more : NULL,
                    raised ? predict_settle_leak(predictions, count, raised) : PREDICTION_UNDECIDED,
                    &combined);
    printf("{\"case\": \"%s\"", trace->id);
    print_text("view", trace_view_name(view));
    print_text("class", verdict_class_name(combined.class));
    print_text("trigger_class", verdict_class_name(alone.class));
    print_text("raise_class", raised ? verdict_class_name(more.class) : NULL);
    print_text("driver", driver_name(alone.driver));
    print_number("confidence", combined.confidence);
    print_text("level", level_name(combined.level));
    print_estimate("per_request", &alone.per_request, 1);
    print_estimate("per_second", &alone.per_second, scale);
    if (raised)
        print_predictions(predictions, count, raised, scale);
    print_text("summary", combined.summary);
    print_text("would_settle", combined.would_settle);
    puts("}");
    return 0;
}

static int judge_view(struct trace *trace, enum trace_view view)
{
    struct trace_arm *trigger = trace_find_arm(trace, "trigger");
    struct trace_arm *raise = view == VIEW_TRIGGER_ONLY ? NULL : trace_find_arm(trace, "raise");
    if (!trigger)
        return 0;
    double scale = trace_view_scale(view, &trigger->series);
    struct arm_series first = {0}, second = {0};
    int r = trace_view_apply(view, scale, &trigger->series, &first);
    if (r == 0 && raise)
        r = trace_view_apply(view, scale, &raise->series, &second);
    if (r == 0)
        r = judge(trace, view, scale, &first, raise ? &second : NULL);
    trace_view_done(&first);
    trace_view_done(&second);
    return r;
}

static int judge_file(const char *path)
{
    struct trace trace;
    struct error err = {0};
    int r = trace_read(path, &trace, &err);
    if (r < 0)
        fprintf(stderr, "judge: %s\n", err.text);
    for (int view = 0; r == 0 && view < VIEW_COUNT; view++) {
        r = judge_view(&trace, (enum trace_view)view);
        if (r < 0)
            fprintf(stderr, "judge: %s: %s\n", path, strerror(-r));
    }
    trace_done(&trace);
    return r;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: judge TRACE...\n");
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        if (judge_file(argv[i]) < 0)
            return 1;
    }
    return 0;
}
