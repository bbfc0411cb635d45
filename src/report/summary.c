/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict for a terminal. */
#include "base/table.h"
#include "base/terminal.h"
#include "report/failures.h"
#include "report/report.h"
#include "report/story.h"
#include "report/text.h"
#include "report/words.h"
#include "report/wrap.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CELL_MAX 24

static const char *paint(FILE *out, enum colour colour)
{
    return terminal_colour(fileno(out), colour);
}

static void heading(FILE *out, const char *text)
{
    fprintf(out, "\n%s%s%s\n", paint(out, COLOUR_BOLD), text, paint(out, COLOUR_NONE));
}

static int add_arm(struct table *table, const json_t *arm)
{
    char limit[FIGURE_TEXT_MAX];
    char cpu[FIGURE_TEXT_MAX];
    char kills[FIGURE_TEXT_MAX];
    char restarts[FIGURE_TEXT_MAX];
    char completed[FIGURE_TEXT_MAX];
    char failed[FIGURE_TEXT_MAX];
    char name[CELL_MAX + 1];
    snprintf(name, sizeof(name), "%s", text_or(arm, "name", "?"));
    return table_add(table, (const char *const[]){
                                name,
                                figure_limit(number_at(arm, "memory_limit_bytes"), limit),
                                figure_cores(number_at(arm, "cpu_cores"), cpu),
                                figure_number(number_at(arm, "oom_kills"), 0, kills),
                                figure_number(number_at(arm, "restarts"), 0, restarts),
                                figure_number(number_at(arm, "requests.completed"), 0, completed),
                                figure_number(number_at(arm, "requests.failed"), 0, failed),
                                text_or(arm, "health_state", "-"),
                                text_or(arm, "verdict.class", "-"),
                            });
}

/* Why the stopping rule ended each arm, or what it still lacked; nothing under fixed limits. */
static void print_stop_reasons(const json_t *arms, const char *scenario, FILE *out)
{
    size_t index;
    json_t *arm;
    fputs(paint(out, COLOUR_DIM), out);
    json_array_foreach((json_t *)arms, index, arm)
    {
        const char *reason = text_at(arm, "stop_reason");
        if (reason && is_text(arm, "scenario", scenario))
            wrap_print(out, 2, "%s: %s", text_or(arm, "name", "?"), reason);
    }
    fputs(paint(out, COLOUR_NONE), out);
}

/* Kills explain failures by themselves; without one, say why there were any. */
static void print_failures(const json_t *arms, const char *scenario, FILE *out)
{
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)arms, index, arm)
    {
        AUTO_BUFFER reasons = {0};
        double not_sent = number_at(arm, "requests.not_sent");
        if (!is_text(arm, "scenario", scenario))
            continue;
        if (number_at(arm, "oom_kills") < 1)
            failures_append(arm, &reasons);
        if (reasons.length > 0)
            wrap_print(out, 2, "%s: requests failed: %s", text_or(arm, "name", "?"),
                       buffer_text(&reasons));
        if (not_sent > 0)
            wrap_print(out, 2,
                       "%s: the load generator gave up on %.0f requests (too many in flight)",
                       text_or(arm, "name", "?"), not_sent);
    }
}

static int print_scenario(const json_t *arms, const char *scenario, FILE *out)
{
    struct table *table =
        table_new((const char *const[]){"ARM", ">LIMIT", ">CPU", ">KILLS", ">RESTARTS", ">DONE",
                                        ">FAILED", "HEALTH", "VERDICT", NULL});
    int r = table ? 0 : -ENOMEM;
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)arms, index, arm)
    {
        if (r == 0 && is_text(arm, "scenario", scenario))
            r = add_arm(table, arm);
    }
    char title[128];
    snprintf(title, sizeof(title), "Scenario %.80s", scenario);
    heading(out, title);
    if (r == 0)
        table_print(table, out);
    table_free(table);
    print_stop_reasons(arms, scenario, out);
    print_failures(arms, scenario, out);
    return r;
}

static bool is_first(const json_t *arms, size_t index)
{
    const char *scenario = text_or(json_array_get(arms, index), "scenario", "?");
    for (size_t i = 0; i < index; i++) {
        if (is_text(json_array_get(arms, i), "scenario", scenario))
            return false;
    }
    return true;
}

static void print_check(const json_t *check, FILE *out)
{
    bool pass = flag_at(check, "pass");
    wrap_print(out, 6, "%s %s: %s (must be: %s)", pass ? "+" : "!", text_or(check, "id", "?"),
               text_or(check, "observed", "not measured"), text_or(check, "threshold", "?"));
}

/* A gate that holds needs its observed figures only; one that fails says of each check what was
 * wanted. */
static void print_gate(const json_t *gate, FILE *out)
{
    bool pass = flag_at(gate, "pass");
    AUTO_BUFFER figures = {0};
    fprintf(out, "%s%s%s  %.80s\n", paint(out, pass ? COLOUR_GREEN : COLOUR_RED),
            pass ? "PASS" : "FAIL", paint(out, COLOUR_NONE), text_or(gate, "id", "?"));
    wrap_print(out, 6, "%s", text_or(gate, "hypothesis", "no hypothesis was recorded"));
    size_t index;
    json_t *check;
    json_array_foreach(json_object_get(gate, "checks"), index, check)
    {
        if (!pass)
            print_check(check, out);
        buffer_printf(&figures, "%s%s: %s", index ? "; " : "", text_or(check, "id", "?"),
                      text_or(check, "observed", "not measured"));
    }
    if (pass && figures.length > 0) {
        fputs(paint(out, COLOUR_DIM), out);
        wrap_print(out, 6, "%s", buffer_text(&figures));
        fputs(paint(out, COLOUR_NONE), out);
    }
}

static void print_gates(const json_t *gates, FILE *out)
{
    if (json_array_size(gates) == 0)
        return;
    heading(out, "Gates (what this lab says must happen)");
    size_t index;
    json_t *gate;
    json_array_foreach((json_t *)gates, index, gate) print_gate(gate, out);
}

static void print_prediction(const json_t *prediction, FILE *out)
{
    char range[WORDS_RANGE_MAX];
    char observed[WORDS_RANGE_MAX];
    const char *metric = text_at(prediction, "metric");
    const json_t *holds = json_object_get(prediction, "holds");
    wrap_print(
        out, 2, "%s  %s/%s, if it is %s: %s%s%s; observed: %s",
        json_is_true(holds)    ? "holds  "
        : json_is_false(holds) ? "refuted"
                               : "not decided",
        text_or(prediction, "scenario", "?"), text_or(prediction, "for_arm", "?"),
        text_or(prediction, "hypothesis", "?"),
        words_range(metric, number_at(prediction, "low"), number_at(prediction, "high"), range),
        metric && strcmp(metric, "killed") == 0 ? "" : " ",
        metric && strcmp(metric, "killed") == 0 ? "" : words_metric(metric),
        words_observed(metric, number_at(prediction, "observed"), observed));
}

static void print_predictions(const json_t *predictions, FILE *out)
{
    if (json_array_size(predictions) == 0)
        return;
    heading(out, "Predictions (stored before the arm ran)");
    size_t index;
    json_t *prediction;
    json_array_foreach((json_t *)predictions, index, prediction)
    {
        print_prediction(prediction, out);
    }
}

static void print_verdict(const json_t *result, FILE *out)
{
    const char *class = text_or(result, "verdict.class", "inconclusive");
    const char *settle = text_at(result, "verdict.would_settle");
    const char *action = text_at(result, "recommendation.action");
    double confidence = number_at(result, "verdict.confidence");
    fprintf(out, "\n%sVERDICT: %s%s", paint(out, COLOUR_BOLD), words_class(class),
            paint(out, COLOUR_NONE));
    if (confidence > 0)
        fprintf(out, " (confidence %.0f %%, %s)", 100 * confidence,
                text_or(result, "verdict.level", "Not Proven"));
    fputc('\n', out);
    wrap_print(out, 2, "%s", text_or(result, "verdict.summary", ""));
    wrap_print(out, 2, "%s", words_class_meaning(class));
    if (settle && *settle)
        wrap_print(out, 2, "What would settle it: %s", settle);
    fprintf(out, "\n%sWHAT TO DO: %s%s\n", paint(out, COLOUR_BOLD), words_action(action),
            paint(out, COLOUR_NONE));
    wrap_print(out, 2, "%s", text_or(result, "recommendation.reason", ""));
}

/* Of each arm's kills the first: its counter and its exit code. */
static unsigned print_proof_of(const json_t *arm, FILE *out)
{
    size_t index;
    json_t *lifetime;
    json_array_foreach(json_object_get(arm, "lifetimes"), index, lifetime)
    {
        if (!is_proven_kill(lifetime))
            continue;
        const json_t *counter = value_at(lifetime, "end.counters.oom_kill");
        char code[FIGURE_TEXT_MAX];
        wrap_print(out, 2, "%s/%s, process %lld: oom_kill %lld -> %lld, exit code %s at %s",
                   text_or(arm, "scenario", "?"), text_or(arm, "name", "?"),
                   (long long)json_integer_value(json_object_get(lifetime, "index")),
                   (long long)json_integer_value(json_array_get(counter, 0)),
                   (long long)json_integer_value(json_array_get(counter, 1)),
                   figure_number(number_at(lifetime, "end.exit_code"), 0, code),
                   text_or(lifetime, "end.at", "?"));
        return 1;
    }
    return 0;
}

static void print_proof(const json_t *arms, FILE *out)
{
    unsigned kills = proven_kills(arms);
    unsigned shown = 0;
    if (kills == 0)
        return;
    heading(out, "Proof (the kernel raises its counter oom_kill only when it kills for memory)");
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)arms, index, arm) shown += print_proof_of(arm, out);
    if (kills > shown)
        wrap_print(out, 2, "and %u more, each with its counters, in result.json", kills - shown);
}

int report_print_summary(const json_t *result, FILE *out, struct error *err)
{
    const json_t *arms = json_object_get(result, "arms");
    char duration[FIGURE_TEXT_MAX];
    int r = 0;
    wrap_print(out, 0, "oomlab %s, lab %s", text_or(result, "run.tool_version", "?"),
               text_or(result, "run.lab", "?"));
    wrap_print(out, 0, "Run %s, duration %s", text_or(result, "run.id", "?"),
               figure_seconds(number_at(result, "run.duration_s"), duration));
    if (flag_at(result, "run.interrupted"))
        wrap_print(out, 0, "%sThis run was interrupted; what follows is what was recorded.%s",
                   paint(out, COLOUR_YELLOW), paint(out, COLOUR_NONE));
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)arms, index, arm)
    {
        if (r == 0 && is_first(arms, index))
            r = print_scenario(arms, text_or(arm, "scenario", "?"), out);
    }
    if (r < 0)
        return error_errno(err, -r, "printing the summary");
    print_gates(json_object_get(result, "gates"), out);
    print_predictions(json_object_get(result, "predictions"), out);
    print_proof(arms, out);
    print_verdict(result, out);
    return ferror(out) ? error_errno(err, EIO, "printing the summary") : 0;
}
