/* SPDX-License-Identifier: Apache-2.0 */
/* The questions that a reader has first: who ended it, which limit, how often, leak or not, what to
 * do. */
#include "report/advice.h"
#include "report/story_ends.h"

#include "base/plural.h"
#include "report/text.h"
#include "report/words.h"

#include <math.h>
#include <string.h>

/* Processes of a container that went on. */
static void fact_children(const struct story *story, const json_t *arm, const char *limit)
{
    unsigned children = child_kills(arm);
    char cited[CITE_MAX] = "";
    size_t index;
    json_t *lifetime;
    json_array_foreach(json_object_get(arm, "lifetimes"), index, lifetime)
    {
        if (cited[0] == '\0' && child_kills_of(lifetime) > 0)
            cite_end(story, lifetime, cited);
    }
    document_fact(story->document, "Who killed it",
                  "The kernel's OOM killer: child processes, not the main one");
    document_fact(story->document, "Which limit", "The container's own, %s", limit);
    document_fact(story->document, "How often", "%u child process%s in `%s/%s`%s", children,
                  children == 1 ? "" : "es", text_or(arm, "scenario", "?"),
                  text_or(arm, "name", "?"), cited);
}

/* `count` in this arm, `in_run` in all, with the first of the ends: NULL without any. */
static void fact_times(const struct story *story, const json_t *arm, unsigned count, double in_run,
                       const json_t *first)
{
    char cited[CITE_MAX];
    document_fact(story->document, "How often", "%u %s in `%s/%s`, %.0f in the whole run%s", count,
                  count == 1 ? "time" : "times", text_or(arm, "scenario", "?"),
                  text_or(arm, "name", "?"), in_run, first ? cite_end(story, first, cited) : "");
}

/* Not for memory: by its probes, from outside, by itself. */
static void fact_other_end(const struct story *story, const json_t *arm, const char *limit)
{
    const struct other_end *other = ends_other(arm);
    unsigned probes = 0;
    double in_run = 0;
    size_t index;
    json_t *each;
    json_array_foreach((json_t *)story->arms, index, each)
    {
        unsigned restarts =
            ends_restarts(each, "liveness-probe") + ends_restarts(each, "startup-probe");
        probes += each == arm ? restarts : 0;
        in_run += restarts;
    }
    document_fact(story->document, "Who killed it", "%s",
                  probes > 0 ? "The platform, for its probes; nobody for memory"
                  : other    ? other->who
                             : "Nobody, for memory");
    document_fact(story->document, "Which limit", "It has %s", limit);
    if (probes > 0 || !other)
        fact_times(story, arm, probes, probes > 0 ? in_run : total_kills(story), NULL);
    else
        fact_times(story, arm, ends_count(arm, other->cause), ends_in_run(story, other->cause),
                   ends_first(arm, other->cause));
}

static void fact_ends(const struct story *story, const json_t *arm)
{
    char limit[FIGURE_TEXT_MAX];
    unsigned count = 0;
    const struct memory_end *end = ends_main(arm, &count);
    AUTO_BUFFER which = {0};
    ends_limit_text(number_at(arm, "memory_limit_bytes"), limit);
    if (!end && child_kills(arm) > 0) {
        fact_children(story, arm, limit);
        return;
    }
    if (!end) {
        fact_other_end(story, arm, limit);
        return;
    }
    const char *rest = strstr(end->limit, "%s");
    buffer_append(&which, end->limit, (size_t)(rest - end->limit));
    buffer_printf(&which, "%s%s", limit, rest + 2);
    document_fact(story->document, "Who killed it", "%s", end->who);
    document_fact(story->document, "Which limit", "%s", buffer_text(&which));
    fact_times(story, arm, count, ends_in_run(story, end->cause), ends_first(arm, end->cause));
}

bool answer_is_a_guess(const struct story *story)
{
    return is_text(story->result, "recommendation.action", "raise-limit") &&
           !advice_was_seen_to_hold(story->result, answer_subject(story));
}

/* "Raise the memory limit: 606.0 MiB", or that this is the next one to try. */
static void fact_action(const struct story *story)
{
    double memory = number_at(story->result, "recommendation.memory_bytes");
    const char *action = words_action(text_at(story->result, "recommendation.action"));
    char size[FIGURE_TEXT_MAX];
    if (!isfinite(memory))
        document_fact(story->document, "What to do", "*%s*", action);
    else if (answer_is_a_guess(story))
        document_fact(story->document, "What to do", "*%s*: try %s next (not shown to hold)",
                      action, figure_bytes(memory, size));
    else
        document_fact(story->document, "What to do", "*%s*: %s", action,
                      figure_bytes(memory, size));
}

/* What the rest of a lab showed, of which the answer does not tell: each scenario's first arm. */
static void fact_other_scenarios(const struct story *story, const json_t *subject)
{
    AUTO_BUFFER text = {0};
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        const char *scenario = text_or(arm, "scenario", "?");
        double kills = number_at(arm, "oom_kills");
        if (!is_first_of_scenario(story, index) || is_text(subject, "scenario", scenario))
            continue;
        buffer_printf(&text, "%s%s/%s: %s, %.0f kill%s", text.length ? "; " : "", scenario,
                      text_or(arm, "name", "?"), words_class(text_at(arm, "verdict.class")),
                      fmax(kills, 0), plural(fmax(kills, 0)));
    }
    if (text.length > 0)
        document_fact(story->document, "Other scenarios", "%s", buffer_text(&text));
}

void story_facts(const struct story *story)
{
    struct document *document = story->document;
    const json_t *arm = answer_subject(story);
    const json_t *verdict = story->verdict;
    const char *class = text_or(verdict, "class", "inconclusive");
    double confidence = number_at(verdict, "confidence");
    if (arm)
        fact_ends(story, arm);
    bool leak = strcmp(class, "leak") == 0;
    bool open = strcmp(class, "inconclusive") == 0;
    if (isfinite(confidence))
        document_fact(document, "Leak or not", "*%s* (`%s`): confidence %.0f %%, %s",
                      open                              ? "Not settled"
                      : leak && answer_is_unsure(story) ? "Probably a leak"
                      : leak                            ? "Leak"
                      : answer_is_unsure(story)         ? "Probably no leak"
                                                        : "No leak",
                      class, 100 * confidence, text_or(verdict, "level", "Not Proven"));
    else
        document_fact(document, "Leak or not", "Not judged");
    fact_action(story);
    if (arm)
        fact_other_scenarios(story, arm);
}
