/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from the measurements: analysis and conclusion. */
#include "report/story.h"

#include "base/cleanup.h"
#include "report/text.h"
#include "report/words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_RESET_S 600.0

static void analysis_row(const struct story *story, const json_t *arm)
{
    struct document *document = story->document;
    char cited[CITE_MAX];
    double confidence = number_at(arm, "verdict.confidence");
    const char *driver = text_at(arm, "verdict.driver");
    const char *settle = text_at(arm, "verdict.would_settle");
    document_cell(document, "`%s/%s`", text_or(arm, "scenario", "?"), text_or(arm, "name", "?"));
    document_cell(document, "*%s*", text_or(arm, "verdict.class", "inconclusive"));
    document_cell(document, "%s", driver ? driver : "-");
    if (isfinite(confidence))
        document_cell(document, "%.0f %%", 100 * confidence);
    else
        document_cell(document, "-");
    document_cell(document, "%s%s%s%s", text_or(arm, "verdict.summary", ""),
                  settle && *settle ? " What would settle it: " : "",
                  settle && *settle ? settle : "",
                  cite_verdict(story, value_at(arm, "verdict"), cited));
}

static void prediction_outcome(const struct story *story, const json_t *prediction)
{
    struct document *document = story->document;
    char range[WORDS_RANGE_MAX];
    char observed[WORDS_RANGE_MAX];
    const char *metric = text_at(prediction, "metric");
    char cited[CITE_MAX];
    const json_t *holds = json_object_get(prediction, "holds");
    document_cell(document, "`%s/%s`", text_or(prediction, "scenario", "?"),
                  text_or(prediction, "for_arm", "?"));
    document_cell(document, "%s", text_or(prediction, "hypothesis", "?"));
    document_cell(document, "%s", words_metric(metric));
    document_cell(
        document, "%s",
        words_range(metric, number_at(prediction, "low"), number_at(prediction, "high"), range));
    document_cell(document, "%s",
                  words_observed(metric, number_at(prediction, "observed"), observed));
    document_cell(document, "%s%s",
                  json_is_true(holds)                           ? GOOD("holds")
                  : json_is_false(holds)                        ? BAD("refuted")
                  : isfinite(number_at(prediction, "observed")) ? "not decided"
                                                                : "not tested",
                  cite_row(story, "prediction", number_at(prediction, "row"), cited));
}

static void analysis_of_predictions(const struct story *story)
{
    if (json_array_size(story->predictions) == 0)
        return;
    document_subsection(story->document, "What was predicted, and what came");
    document_paragraph(story->document,
                       "An explanation gains when its prediction holds and loses when it is "
                       "refuted. A wrong kind of outcome (killed or not) weighs more than a number "
                       "that lies just outside its interval.");
    document_table(story->document, (const char *const[]){"Arm", "If it is", "What", ">Predicted",
                                                          ">Observed", "Outcome", NULL});
    size_t index;
    json_t *prediction;
    json_array_foreach((json_t *)story->predictions, index, prediction)
        prediction_outcome(story, prediction);
}

/* The requests that killed processes had completed when they died: the median. */
static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_requests_to_kill(const json_t *arm)
{
    double values[64];
    size_t count = 0;
    size_t index;
    json_t *lifetime;
    json_array_foreach(json_object_get(arm, "lifetimes"), index, lifetime)
    {
        const char *cause = text_or(lifetime, "end.cause", "");
        double requests = number_at(lifetime, "requests_completed");
        if (strncmp(cause, "oom-", 4) == 0 && isfinite(requests) && count < 64)
            values[count++] = requests;
    }
    if (count == 0)
        return (double)NAN;
    qsort(values, count, sizeof(values[0]), compare_doubles);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void analysis_of_raising(const struct story *story)
{
    const json_t *trigger = first_arm_of_class(story, "leak");
    if (!trigger || !(number_at(trigger, "oom_kills") > 0))
        return;
    struct document *document = story->document;
    const json_t *raise = find_arm(story, text_or(trigger, "scenario", ""), "raise");
    char limit[FIGURE_TEXT_MAX];
    char higher[FIGURE_TEXT_MAX];
    char growth[FIGURE_TEXT_MAX];
    char requests[FIGURE_TEXT_MAX];
    char later[FIGURE_TEXT_MAX];
    char cited[CITE_MAX];
    double per_request = number_at(trigger, "verdict.growth.bytes_per_request");
    document_subsection(document, "Why more memory only delays a leak");
    document_paragraph(document,
                       "A leak fills whatever room it is given. With a limit L and a growth g, the "
                       "process lives for about L / g more requests, then it is killed: a higher L "
                       "makes that later, no L makes it never.");
    if (isfinite(per_request))
        document_paragraph(document, "Here `%s/%s` kept about %s for each request.%s",
                           text_or(trigger, "scenario", "?"), text_or(trigger, "name", "?"),
                           figure_bytes(per_request, growth),
                           cite_verdict(story, value_at(trigger, "verdict"), cited));
    if (!raise || !(number_at(raise, "oom_kills") > 0))
        return;
    document_paragraph(
        document,
        "Killed processes had served %s requests (median) under %s and %s under %s; each time the "
        "kernel's own counter says why they died.%s",
        figure_number(median_requests_to_kill(trigger), 1, requests),
        figure_limit(number_at(trigger, "memory_limit_bytes"), limit),
        figure_number(median_requests_to_kill(raise), 1, later),
        figure_limit(number_at(raise, "memory_limit_bytes"), higher),
        cite_verdict(story, value_at(raise, "verdict"), cited));
}

/* A process that lives longer than the reset never builds up any back-off. */
static const json_t *find_reset_lifetime(const struct story *story, double reset_s,
                                         const json_t **ret_arm)
{
    size_t index;
    size_t inner;
    json_t *arm;
    json_t *lifetime;
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        json_array_foreach(json_object_get(arm, "lifetimes"), inner, lifetime)
        {
            *ret_arm = arm;
            if (strncmp(text_or(lifetime, "end.cause", ""), "oom-", 4) == 0 &&
                number_at(lifetime, "uptime_s") >= reset_s)
                return lifetime;
        }
    }
    return NULL;
}

/* The growth below which a process of this arm fills the highest limit of its scenario in no less
 * than the reset time. NAN: not known. */
static double hidden_growth(const struct story *story, const json_t *arm, double *ret_limit)
{
    const json_t *lifetime = json_array_get(json_object_get(arm, "lifetimes"), 0);
    size_t index;
    json_t *other;
    *ret_limit = 0;
    json_array_foreach((json_t *)story->arms, index, other)
    {
        if (is_text(other, "scenario", text_or(arm, "scenario", "")))
            *ret_limit = fmax(*ret_limit, number_at(other, "memory_limit_bytes"));
    }
    return (*ret_limit - number_at(lifetime, "working_set.first_bytes")) / BACKOFF_RESET_S;
}

static void analysis_of_backoff(const struct story *story)
{
    struct document *document = story->document;
    double scale = number_at(story->run, "backoff_scale");
    double reset_s = BACKOFF_RESET_S * (isfinite(scale) ? scale : 1);
    const json_t *arm = NULL;
    const json_t *lifetime = find_reset_lifetime(story, reset_s, &arm);
    char text[FIGURE_TEXT_MAX];
    char limit[FIGURE_TEXT_MAX];
    char slow[FIGURE_TEXT_MAX];
    char cited[CITE_MAX];
    if (lifetime) {
        document_note(document, TONE_BAD,
                      "*CrashLoopBackOff hides here.* A process of `%s/%s` lived for %s before it "
                      "was killed. Kubernetes resets the restart delay once a container has run "
                      "for 10 minutes (%s in this run's time): the crash loop never shows, though "
                      "every process is still killed.%s",
                      text_or(arm, "scenario", "?"), text_or(arm, "name", "?"),
                      figure_seconds(number_at(lifetime, "uptime_s"), text),
                      figure_seconds(reset_s, limit), cite_end(story, lifetime, cited));
        return;
    }
    arm = first_arm_of_class(story, "leak");
    double highest = 0;
    double hidden = hidden_growth(story, arm, &highest);
    double per_s = number_at(arm, "verdict.growth.bytes_per_second");
    if (!arm || !(per_s > hidden) || !(hidden > 0))
        return;
    document_note(
        document, TONE_NEUTRAL,
        "*More memory can hide the crash loop.* Kubernetes resets the restart delay once "
        "a container has run for 10 minutes. Under %s every leak slower than about %s a "
        "second lives that long: CrashLoopBackOff then never shows, with the leak intact. "
        "Here `%s/%s` grew by %s a second, so the loop was plain to see.%s",
        figure_limit(highest, limit), figure_bytes(hidden, slow), text_or(arm, "scenario", "?"),
        text_or(arm, "name", "?"), figure_bytes(per_s, text),
        cite_verdict(story, value_at(arm, "verdict"), cited));
}

static void analysis_of_samples(const struct story *story, const json_t *arm)
{
    size_t index;
    json_t *caveat;
    AUTO_BUFFER text = {0};
    json_array_foreach(value_at(arm, "verdict.caveats"), index, caveat)
        buffer_printf(&text, " %s", text_or(caveat, "text", ""));
    if (text.length > 0)
        document_paragraph(
            story->document, "What the samples of `%s/%s` do not show:%s (Table `caveat`)",
            text_or(arm, "scenario", "?"), text_or(arm, "name", "?"), buffer_text(&text));
}

void story_analysis(struct story *story)
{
    struct document *document = story->document;
    document_section(document, "Analysis");
    document_paragraph(document, "Each arm was judged on its own evidence:");
    document_table(document, (const char *const[]){"Arm", "Verdict", "Grows with", ">Confidence",
                                                   "Because", NULL});
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)story->arms, index, arm) analysis_row(story, arm);
    json_array_foreach((json_t *)story->arms, index, arm) analysis_of_samples(story, arm);
    analysis_of_predictions(story);
    analysis_of_raising(story);
    analysis_of_backoff(story);
}

/* One row a check. A gate's checks mostly rest on the same evidence, which then stands in its first
 * row alone. */
static void gate_rows(const struct story *story, const json_t *gate)
{
    struct document *document = story->document;
    const json_t *checks = json_object_get(gate, "checks");
    const json_t *before = NULL;
    char cited[CITE_MAX];
    size_t index;
    json_t *check;
    json_array_foreach((json_t *)checks, index, check)
    {
        const json_t *evidence = json_object_get(check, "evidence");
        document_cell(document, index == 0 ? "`%s`" : "%s",
                      index == 0 ? text_or(gate, "id", "?") : "");
        document_cell(document, "%s", flag_at(check, "pass") ? GOOD("PASS") : BAD("FAIL"));
        document_cell(document, "%s", text_or(check, "id", "?"));
        document_cell(document, "%s", text_or(check, "observed", "not measured"));
        document_cell(document, "%s", text_or(check, "threshold", "?"));
        cite_ids(story, evidence, cited);
        document_cell(document, "%s",
                      before && json_equal(before, evidence) ? "as above"
                                                             : cited + strspn(cited, " "));
        before = evidence;
    }
    if (json_array_size(checks) > 0)
        return;
    document_cell(document, "`%s`", text_or(gate, "id", "?"));
    document_cell(document, "%s", flag_at(gate, "pass") ? GOOD("PASS") : BAD("FAIL"));
    document_cell(document, "-");
    document_cell(document, "not measured");
    document_cell(document, "-");
    document_cell(document, "-");
}

void story_conclusion(struct story *story)
{
    struct document *document = story->document;
    const json_t *verdict = story->verdict;
    const char *class = text_or(verdict, "class", "inconclusive");
    const char *settle = text_at(verdict, "would_settle");
    char cited[CITE_MAX];
    document_section(document, "Conclusion");
    document_paragraph(document, "*Verdict: %s* (`%s`). %s%s", words_class(class), class,
                       text_or(verdict, "summary", ""), cite_verdict(story, verdict, cited));
    document_paragraph(document, "%s", words_class_meaning(class));
    document_paragraph(document, "Confidence %.0f %%; level of the weakest source: %s.",
                       100 * fmax(number_at(verdict, "confidence"), 0),
                       text_or(verdict, "level", "Not Proven"));
    if (settle && *settle)
        document_paragraph(document, "*What would settle it:* %s", settle);
    size_t all = 0;
    size_t passing = passing_gates(story, &all);
    if (all == 0) {
        document_paragraph(document, "This run has no gates%s.",
                           story->service ? ": nothing was expected of this service beforehand"
                                          : "");
        return;
    }
    document_paragraph(document, "%s %zu of %zu.",
                       passing == all ? GOOD("All gates hold:") : BAD("Not every gate holds:"),
                       passing, all);
    document_table(document, (const char *const[]){"Gate", "Result", "Check", "Observed", "Must be",
                                                   "Evidence", NULL});
    size_t index;
    json_t *gate;
    json_array_foreach((json_t *)story->gates, index, gate) gate_rows(story, gate);
}
