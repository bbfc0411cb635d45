/* SPDX-License-Identifier: Apache-2.0 */
#include "report/job_summary.h"

#include "report/advice.h"
#include "report/story.h"
#include "report/text.h"
#include "report/words.h"

static void append_arm(struct document *document, const json_t *arm)
{
    char limit[FIGURE_TEXT_MAX], peak[FIGURE_TEXT_MAX], kills[FIGURE_TEXT_MAX];
    char restarts[FIGURE_TEXT_MAX], completed[FIGURE_TEXT_MAX], failed[FIGURE_TEXT_MAX];
    document_cell(document, "`%s/%s`", text_or(arm, "scenario", "?"), text_or(arm, "name", "?"));
    document_cell(document, "%s", figure_limit(number_at(arm, "memory_limit_bytes"), limit));
    document_cell(document, "%s", figure_bytes(advice_peak(arm), peak));
    figure_number(number_at(arm, "oom_kills"), 0, kills);
    unsigned children = child_kills(arm);
    if (children > 0)
        document_cell(document, "%s, and %u of children", kills, children);
    else
        document_cell(document, "%s", kills);
    document_cell(document, "%s", figure_number(number_at(arm, "restarts"), 0, restarts));
    document_cell(document, "%s",
                  figure_number(number_at(arm, "requests.completed"), 0, completed));
    document_cell(document, "%s", figure_number(number_at(arm, "requests.failed"), 0, failed));
    document_cell(document, "%s", words_class(text_or(arm, "verdict.class", "not judged")));
}

static void append_arms(struct document *document, const json_t *arms)
{
    size_t index;
    json_t *arm;
    if (json_array_size(arms) == 0)
        return;
    document_table(document,
                   (const char *const[]){"Arm", ">Limit", ">Highest working set", ">Kills",
                                         ">Restarts", ">Done", ">Failed", "Verdict", NULL});
    json_array_foreach((json_t *)arms, index, arm)
    {
        append_arm(document, arm);
    }
}

static void append_gate(struct document *document, const json_t *gate)
{
    size_t index;
    json_t *check;
    json_array_foreach(json_object_get(gate, "checks"), index, check)
    {
        if (!flag_at(check, "pass"))
            document_item(document, "Gate `%s`, %s: %s (must be: %s). %s", text_or(gate, "id", "?"),
                          text_or(check, "id", "?"), text_or(check, "observed", "not measured"),
                          text_or(check, "threshold", "?"), BAD("FAIL"));
    }
}

static void append_gates(struct document *document, const struct story *story)
{
    size_t all = 0;
    size_t passing = passing_gates(story, &all);
    size_t index;
    json_t *gate;
    if (all > 0)
        document_item(document, "%zu of %zu gates hold.", passing, all);
    json_array_foreach((json_t *)story->gates, index, gate)
    {
        if (!flag_at(gate, "pass"))
            append_gate(document, gate);
    }
}

void job_summary_append(const json_t *result, struct document *document)
{
    AUTO_BUFFER answer = {0};
    const struct story story = {
        .document = document,
        .result = result,
        .run = json_object_get(result, "run"),
        .arms = json_object_get(result, "arms"),
        .verdict = json_object_get(result, "verdict"),
        .gates = json_object_get(result, "gates"),
        .evidence = json_object_get(result, "evidence"),
    };
    const char *reason = text_at(result, "recommendation.reason");
    const char *settle = text_at(story.verdict, "would_settle");
    char duration[FIGURE_TEXT_MAX];
    if (flag_at(story.run, "interrupted"))
        document_note(document, TONE_BAD,
                      "*This run was interrupted;* what follows is what was recorded.");
    answer_append(&story, &answer);
    document_answer(document, TONE_NEUTRAL, "%s", buffer_text(&answer));
    document->failed = document->failed || answer.failed;
    story_facts(&story);
    append_arms(document, story.arms);
    append_gates(document, &story);
    if (reason && *reason)
        document_item(document, "%s", reason);
    if (settle && *settle)
        document_item(document, "What would settle it: %s", settle);
    document_item(
        document,
        "Run `%s` of oomlab %s took %s; " REF("E1") " and the like are rows of its report.",
        text_or(story.run, "id", "?"), text_or(story.run, "tool_version", "?"),
        figure_seconds(number_at(story.run, "duration_s"), duration));
}
