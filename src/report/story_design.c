/* SPDX-License-Identifier: Apache-2.0 */
/* What was asked, supposed, predicted and set up: the sections that were fixed before the run. */
#include "report/story.h"

#include "base/cleanup.h"
#include "report/rows.h"
#include "report/text.h"
#include "report/words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The lab's own question; "" when the plan has none. */
static int read_question(struct story *story, char **ret, struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, story->store,
                       "SELECT CASE WHEN json_valid(lab_json) THEN"
                       " json_extract(lab_json, '$.question') END FROM run",
                       0, err);
    if (r == 0)
        r = rows_next(&rows, err);
    *ret = r == 1 ? row_text(&rows, 0) : NULL;
    return r < 0 ? r : 0;
}

int story_question(struct story *story, struct error *err)
{
    AUTO_FREE char *question = NULL;
    int r = read_question(story, &question, err);
    struct document *document = story->document;
    document_section(document, "Question");
    if (question && *question)
        document_paragraph(document, "*%s*", question);
    else
        document_paragraph(document, "*Is the process killed for its memory; is that a leak or a "
                                     "limit that is merely too small; and what cures it?*");
    document_paragraph(
        document,
        "A container that runs out of memory is reported as `exit code 137`. That number is 128 + "
        "9: the process died of signal 9, `SIGKILL`. It does not say who sent the signal. The "
        "kernel sends it when a memory limit is hit (the *OOM killer*, for out of memory), but so "
        "does a platform that stops a container, and so can anybody with `kill -9`.");
    document_paragraph(
        document, "The kernel keeps the proof: each memory-limited group of processes (a *cgroup*) "
                  "has a counter, `oom_kill`, that only the kernel raises, and only when it kills "
                  "for memory. When it goes up at the moment a process dies of signal 9, the "
                  "kernel did it. This report rests on that counter, not on the exit code.");
    return r;
}

static void setup_row(struct document *document, const char *name, const char *value)
{
    document_cell(document, "%s", name);
    document_cell(document, "%s", value);
}

static void setup_machine(struct story *story)
{
    struct document *document = story->document;
    const json_t *run = story->run;
    char text[FIGURE_TEXT_MAX];
    document_cell(document, "Kernel");
    document_cell(document, "Linux %s, cgroup version %s",
                  text_or(run, "host.kernel", "not recorded"),
                  figure_number(number_at(run, "host.cgroup_version"), 0, text));
    document_cell(document, "Machine");
    document_cell(document, "%.0f CPUs", number_at(run, "host.cpus"));
    setup_row(document, "Memory", figure_bytes(number_at(run, "host.memory_bytes"), text));
    document_cell(document, "Kernel log");
    document_cell(document, "%s",
                  flag_at(run, "kernel_log")
                      ? "readable: its OOM lines are part of the evidence"
                      : "not readable here: the proof rests on the counters alone");
}

static void setup_recording(struct story *story)
{
    struct document *document = story->document;
    const json_t *run = story->run;
    char text[FIGURE_TEXT_MAX];
    double dropped = number_at(run, "dropped_observations");
    document_cell(document, "Sampling");
    document_cell(document, "%s times a second",
                  figure_number(number_at(run, "sample_rate_hz"), 1, text));
    document_cell(document, "Lost observations");
    document_cell(document, "%s",
                  isfinite(dropped) ? figure_number(dropped, 0, text)
                                    : "not recorded (the run did not end properly)");
    document_cell(document, "Seed of the traffic");
    document_cell(document, "%.0f", number_at(run, "seed"));
}

static void setup_backoff_note(struct story *story)
{
    double scale = number_at(story->run, "backoff_scale");
    const char *name = text_or(story->run, "backoff", "not recorded");
    char first[FIGURE_TEXT_MAX];
    char longest[FIGURE_TEXT_MAX];
    if (!isfinite(scale) || fabs(scale - 1) < 1e-9) {
        document_paragraph(story->document,
                           "Restarts wait as in Kubernetes (back-off `%s`): the first is "
                           "immediate, then 10 s doubling to 300 s.",
                           name);
        return;
    }
    document_note(story->document, TONE_NEUTRAL,
                  "*Restart delays are scaled.* This run used the back-off `%s`: every wait is "
                  "Kubernetes' own times %.4g, so its 10 s became %s and its longest wait of 300 s "
                  "became %s. Memory, kills and requests are not scaled.",
                  name, scale, figure_seconds(10 * scale, first),
                  figure_seconds(300 * scale, longest));
}

void story_setup(struct story *story)
{
    struct document *document = story->document;
    document_section(document, "Setup");
    document_table(document, (const char *const[]){"What", "Value", NULL});
    setup_row(document, "Run", text_or(story->run, "id", "not recorded"));
    setup_row(document, "Started", text_or(story->run, "started_at", "not recorded"));
    document_cell(document, "Command");
    document_cell(document, "`%s`", text_or(story->run, "command", "not recorded"));
    setup_row(document, "oomlab", text_or(story->run, "tool_version", "not recorded"));
    setup_machine(story);
    setup_recording(story);
    setup_backoff_note(story);
    document_paragraph(
        document, "Every process ran in a cgroup of its own with the memory limit of its arm and "
                  "without swap, as a container does.");
}

static void hypothesis_row(struct document *document, const char *name, const char *says,
                           const char *shows)
{
    document_cell(document, "*%s*", name);
    document_cell(document, "%s", says);
    document_cell(document, "%s", shows);
}

void story_hypothesis(struct story *story)
{
    struct document *document = story->document;
    document_section(document, "Hypothesis");
    document_paragraph(document, "Three explanations compete. Each one says what should be seen:");
    document_table(document, (const char *const[]){"Explanation", "It says", "Then", NULL});
    hypothesis_row(document, "Leak", "each request, or each second, leaves memory behind",
                   "more memory only delays the next kill; removing the leak cures it at the old "
                   "limit");
    hypothesis_row(document, "Limit too small",
                   "starting, or the heaviest moment, needs more than the limit",
                   "no kill under a higher limit, where memory levels off");
    hypothesis_row(document, "Not memory", "something else ends the process",
                   "it ends, and the kernel's counter does not move");
    if (json_array_size(story->gates) == 0)
        return;
    document_paragraph(
        document, "%s",
        story->service
            ? "Nothing was expected of this service beforehand. These gates follow from what its "
              "trigger showed, and were checked when all arms were over (under Conclusion); what "
              "stands under Prediction was written down before the arm that it is about:"
            : "This lab commits itself to the following, checked by gates under Conclusion:");
    size_t index;
    json_t *gate;
    json_array_foreach((json_t *)story->gates, index, gate)
        document_item(document, "`%s`: %s", text_or(gate, "id", "?"),
                      text_or(gate, "hypothesis", "not recorded"));
}

static void prediction_row(const struct story *story, const json_t *prediction)
{
    struct document *document = story->document;
    char range[WORDS_RANGE_MAX];
    char before[FIGURE_TEXT_MAX];
    char cited[CITE_MAX];
    double lead = number_at(prediction, "made_before_arm_s");
    document_cell(document, "`%s/%s`", text_or(prediction, "scenario", "?"),
                  text_or(prediction, "for_arm", "?"));
    document_cell(document, "%s", text_or(prediction, "hypothesis", "?"));
    document_cell(document, "%s", words_metric(text_at(prediction, "metric")));
    document_cell(document, "%s",
                  words_range(text_at(prediction, "metric"), number_at(prediction, "low"),
                              number_at(prediction, "high"), range));
    if (isfinite(lead))
        document_cell(document, "%s, %s before the arm", text_or(prediction, "made_at", "?"),
                      figure_seconds(lead, before));
    else
        document_cell(document, "%s; the arm did not start", text_or(prediction, "made_at", "?"));
    document_cell(document, "`%.16s`%s", text_or(prediction, "sha256", "?"),
                  cite_row(story, "prediction", number_at(prediction, "row"), cited));
}

void story_prediction(struct story *story)
{
    struct document *document = story->document;
    document_section(document, "Prediction");
    if (json_array_size(story->predictions) == 0) {
        document_paragraph(document,
                           "Nothing was predicted: no arm with more memory was run after a "
                           "trigger that could be measured.");
        return;
    }
    document_paragraph(
        document,
        "From the first arm alone, each explanation was made to say what a higher limit would do. "
        "This was stored with its time and its SHA-256 before that arm ran, because a prediction "
        "made afterwards is worth nothing. The interval covers 95 %% of what the explanation "
        "expects. What came is under Analysis.");
    document_table(document, (const char *const[]){"Arm", "If it is", "What", ">95 % interval",
                                                   "Made", "SHA-256", NULL});
    size_t index;
    json_t *prediction;
    json_array_foreach((json_t *)story->predictions, index, prediction)
        prediction_row(story, prediction);
}

static void differs_cell(struct document *document, const json_t *arm)
{
    AUTO_BUFFER text = {0};
    size_t index;
    json_t *item;
    json_array_foreach(json_object_get(arm, "differs_in"), index, item)
        buffer_printf(&text, "%s%s", index ? "; " : "", json_string_value(item));
    const char *reference = text_at(arm, "reference");
    if (text.length == 0)
        document_cell(document, "%s", reference ? "nothing" : "(the starting point)");
    else
        document_cell(document, "%s", buffer_text(&text));
}

static void experiment_row(struct document *document, const json_t *arm)
{
    char limit[FIGURE_TEXT_MAX];
    char cpu[FIGURE_TEXT_MAX];
    document_cell(document, "`%s/%s`", text_or(arm, "scenario", "?"), text_or(arm, "name", "?"));
    document_cell(document, "%s", text_or(arm, "reference", "-"));
    differs_cell(document, arm);
    document_cell(document, "%s", figure_limit(number_at(arm, "memory_limit_bytes"), limit));
    document_cell(document, "%s", figure_cores(number_at(arm, "cpu_cores"), cpu));
    document_cell(document, "%s", text_or(arm, "purpose", ""));
}

/* Whether all arms of a scenario were planned with the same request sequence. */
static void sequence_item(struct story *story, const json_t *first)
{
    const char *scenario = text_or(first, "scenario", "?");
    const char *sequence = text_or(first, "requests.sequence_sha256", "");
    char planned[FIGURE_TEXT_MAX];
    bool same = true;
    bool until_settled = false;
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        if (!is_text(arm, "scenario", scenario))
            continue;
        same = same && is_text(arm, "requests.sequence_sha256", sequence);
        until_settled = until_settled || text_at(arm, "stop_reason");
    }
    figure_number(number_at(first, "requests.planned"), 0, planned);
    if (same && until_settled)
        document_item(story->document,
                      "Scenario `%s`: every arm got the identical sequence from its beginning "
                      "(SHA-256 of the longest `%.16s`), as many cycles as its question took.",
                      scenario, sequence);
    else if (same)
        document_item(
            story->document,
            "Scenario `%s`: every arm got the identical sequence of %s requests (SHA-256 `%.16s`).",
            scenario, planned, sequence);
    else
        document_item(story->document, "Scenario `%s`: %s; comparisons between them are weak.",
                      scenario, BAD("the arms got different request sequences"));
}

void story_experiment(struct story *story)
{
    struct document *document = story->document;
    document_section(document, "Experiment");
    if (json_array_size(story->arms) == 0) {
        document_paragraph(document, "No arm was started.");
        return;
    }
    document_paragraph(
        document,
        "Each *arm* is one revision of the same app. It differs from the arm it is compared with "
        "in exactly what is named, so that a difference in what happens has one explanation.");
    document_table(document, (const char *const[]){"Arm", "Compared with", "Differs in", ">Memory",
                                                   ">CPU", "Tests", NULL});
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)story->arms, index, arm) experiment_row(document, arm);
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        if (is_first_of_scenario(story, index))
            sequence_item(story, arm);
    }
    document_paragraph(
        document, "Traffic runs in phases: idle, then cycles of the same requests with short "
                  "gaps, then a cool-down. Growth while idle speaks for time, growth in cycles "
                  "for requests; cycles that each add the same speak for a leak, cycles that add "
                  "less and less for a cache that fills. Requests keep their schedule whatever "
                  "the server does: while it is down, they fail.");
}
