/* SPDX-License-Identifier: Apache-2.0 */
/* What to do and what to remember: the summary on top and the sections after the evidence. */
#include "report/story.h"

#include "base/plural.h"
#include "report/text.h"
#include "report/words.h"

#include <math.h>
#include <string.h>

/* The answer's colour tells how the service fares, not whether the lab went as expected. */
static enum tone tone_of(const struct story *story)
{
    if (flag_at(story->run, "interrupted"))
        return TONE_BAD;
    return words_class_is_bad(text_at(story->verdict, "class")) ? TONE_BAD : TONE_GOOD;
}

/* Where the kills of the whole run were: " in 2 of 4 arms", " in 2 arms together". */
static const char *in_arms(const json_t *arms, char text[static FIGURE_TEXT_MAX])
{
    size_t index;
    size_t with = 0;
    const json_t *arm;
    size_t all = json_array_size(arms);
    json_array_foreach(arms, index, arm) with += number_at(arm, "oom_kills") > 0;
    if (with == 0 || all == 1)
        return "";
    snprintf(text, FIGURE_TEXT_MAX, with == all ? " in %zu arms together" : " in %zu of %zu arms",
             with, all);
    return text;
}

static const char *proof(const struct story *story, char text[static FIGURE_TEXT_MAX])
{
    unsigned proven = proven_kills(story->arms);
    if (proven == total_kills(story))
        return ", proven by the kernel's counter.";
    snprintf(text, FIGURE_TEXT_MAX, ", %u proven by the kernel's counter.", proven);
    return text;
}

static void summary_kills(const struct story *story)
{
    char kills[FIGURE_TEXT_MAX];
    char where[FIGURE_TEXT_MAX];
    char shown[FIGURE_TEXT_MAX];
    unsigned children = 0;
    size_t index;
    const json_t *arm;
    double total = total_kills(story);
    json_array_foreach(story->arms, index, arm) children += child_kills(arm);
    if (total > 0)
        document_item(story->document, "%s kill%s for memory%s%s", figure_number(total, 0, kills),
                      plural(total), in_arms(story->arms, where), proof(story, shown));
    else if (children == 0)
        document_item(story->document, "No kill for memory.");
    if (children > 0)
        document_item(story->document,
                      "The kernel killed %u child process%s for memory in containers that went on.",
                      children, children == 1 ? "" : "es");
}

static void summary_figures(struct story *story)
{
    struct document *document = story->document;
    size_t all = 0;
    size_t passing = passing_gates(story, &all);
    char duration[FIGURE_TEXT_MAX];
    char cited[CITE_MAX];
    document_item(document, "*Verdict: %s.* %s%s",
                  words_class(text_or(story->verdict, "class", "inconclusive")),
                  text_or(story->verdict, "summary", ""),
                  cite_verdict(story, story->verdict, cited));
    document_item(document, "*%s.* %s",
                  words_action(text_at(story->result, "recommendation.action")),
                  text_or(story->result, "recommendation.reason", ""));
    summary_kills(story);
    if (all > 0)
        document_item(document, "%zu of %zu gates hold. %s", passing, all,
                      passing == all ? GOOD("PASS") : BAD("FAIL"));
    double took = number_at(story->run, "duration_s");
    document_item(document, "Run `%s`, started %s%s%s.", text_or(story->run, "id", "?"),
                  text_or(story->run, "started_at", "?"), isfinite(took) ? ", took " : "",
                  isfinite(took) ? figure_seconds(took, duration) : "");
}

int story_summary(struct story *story, struct error *err)
{
    const json_t *subject = answer_subject(story);
    AUTO_BUFFER answer = {0};
    int r = 0;
    if (flag_at(story->run, "interrupted"))
        document_note(story->document, TONE_BAD,
                      "*This run was interrupted;* what follows is what was recorded.");
    else if (!isfinite(number_at(story->run, "exit_status")))
        document_note(story->document, TONE_BAD,
                      "*This run did not come to its end:* oomlab was killed, or the machine went "
                      "down. What follows is what was recorded.");
    answer_append(story, &answer);
    document_answer(story->document, tone_of(story), "%s", buffer_text(&answer));
    story_facts(story);
    if (subject)
        r = story_front_chart(story, subject, err);
    summary_figures(story);
    return r;
}

static void solution_arm(const struct story *story, const json_t *arm)
{
    struct document *document = story->document;
    char completed[FIGURE_TEXT_MAX];
    char planned[FIGURE_TEXT_MAX];
    char kills[FIGURE_TEXT_MAX];
    char limit[FIGURE_TEXT_MAX];
    char cited[CITE_MAX];
    document_item(document, "`%s/%s` (%s): %s, %s kill%s, %s of %s requests completed.%s",
                  text_or(arm, "scenario", "?"), text_or(arm, "name", "?"),
                  figure_limit(number_at(arm, "memory_limit_bytes"), limit),
                  text_or(arm, "health_state", "health not recorded"),
                  figure_number(number_at(arm, "oom_kills"), 0, kills),
                  plural(number_at(arm, "oom_kills")),
                  figure_number(number_at(arm, "requests.completed"), 0, completed),
                  figure_number(number_at(arm, "requests.planned"), 0, planned),
                  cite_verdict(story, value_at(arm, "verdict"), cited));
}

/* "3.5 s (95 % 3.2 s to 3.9 s)". */
static const char *interval_text(const json_t *interval, const char *(*figure)(double, char *),
                                 char text[3 * FIGURE_TEXT_MAX])
{
    char value[FIGURE_TEXT_MAX], low[FIGURE_TEXT_MAX], high[FIGURE_TEXT_MAX];
    bool open = !isfinite(number_at(interval, "high"));
    snprintf(text, (size_t)3 * FIGURE_TEXT_MAX, "%s (95 %% %s to %s)",
             figure(number_at(interval, "value"), value), figure(number_at(interval, "low"), low),
             open ? "never" : figure(number_at(interval, "high"), high));
    return text;
}

static const char *count_figure(double value, char *text)
{
    return figure_number(value, 0, text);
}

/* How long each limit lasts, for a leak. */
static void solution_forecasts(const struct story *story)
{
    struct document *document = story->document;
    char limit[FIGURE_TEXT_MAX], seconds[3 * FIGURE_TEXT_MAX], requests[3 * FIGURE_TEXT_MAX];
    size_t index;
    json_t *forecast;
    json_array_foreach(value_at(story->result, "recommendation.forecasts"), index, forecast)
    {
        const json_t *way = value_at(forecast, "requests");
        document_item(document,
                      "Under %s a process lasts %s%s%s at this traffic (table `forecast`).",
                      figure_bytes(number_at(forecast, "limit_bytes"), limit),
                      interval_text(value_at(forecast, "seconds"), figure_seconds, seconds),
                      json_is_object(way) ? ", requests: " : "",
                      json_is_object(way) ? interval_text(way, count_figure, requests) : "");
    }
}

/* What rules of today would set, for what can be sized. */
static void solution_rules(const struct story *story)
{
    char size[FIGURE_TEXT_MAX];
    size_t index;
    json_t *rule;
    json_array_foreach(value_at(story->result, "recommendation.rules"), index, rule) document_item(
        story->document, "%s would set %s: %s.",
        is_text(rule, "name", "krr") ? "Robusta's KRR" : "Kubernetes' Vertical Pod Autoscaler",
        figure_bytes(number_at(rule, "memory_bytes"), size), text_or(rule, "formula", ""));
}

void story_solution(struct story *story)
{
    struct document *document = story->document;
    double memory = number_at(story->result, "recommendation.memory_bytes");
    char size[FIGURE_TEXT_MAX];
    document_section(document, "Solution");
    document_paragraph(document, "*%s.* %s",
                       words_action(text_at(story->result, "recommendation.action")),
                       text_or(story->result, "recommendation.reason", ""));
    if (isfinite(memory))
        document_paragraph(document,
                           answer_is_a_guess(story)
                               ? "The limit to try next: %s. It was not shown to hold."
                               : "Suggested limit: %s.",
                           figure_bytes(memory, size));
    else
        document_paragraph(
            document, "No memory size is suggested%s.",
            is_text(story->verdict, "class", "leak") ? ": no size is enough for a leak" : "");
    solution_forecasts(story);
    solution_rules(story);
    bool tried = false;
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)story->arms, index, arm) tried =
        tried || is_text(arm, "name", "patch") || is_text(arm, "name", "fix");
    document_paragraph(document, "%s",
                       tried ? "What was tried, and what came of it:"
                             : "No fix was tried in this run.");
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        if (is_text(arm, "name", "patch") || is_text(arm, "name", "fix"))
            solution_arm(story, arm);
    }
}

/* The highest sample of an arm that was not killed: what the healthy service needs. */
static const json_t *healthy_peak(const struct story *story, double *ret_peak)
{
    const json_t *found = NULL;
    *ret_peak = (double)NAN;
    size_t index;
    size_t inner;
    json_t *arm;
    json_t *lifetime;
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        if (found || number_at(arm, "oom_kills") > 0 ||
            !(is_text(arm, "name", "patch") || is_text(arm, "name", "fix")))
            continue;
        json_array_foreach(json_object_get(arm, "lifetimes"), inner, lifetime) *ret_peak =
            fmax(*ret_peak, number_at(lifetime, "working_set.peak_bytes"));
        found = isfinite(*ret_peak) ? arm : NULL;
    }
    return found;
}

void story_prevention(struct story *story)
{
    struct document *document = story->document;
    double peak = 0;
    const json_t *healthy = healthy_peak(story, &peak);
    char text[FIGURE_TEXT_MAX];
    document_section(document, "Prevention");
    if (healthy)
        document_item(document,
                      "Give the service a memory budget in CI. Under this traffic `%s/%s` peaked "
                      "at %s (Measured, table `sample`); a build that needs much more has changed.",
                      text_or(healthy, "scenario", "?"), text_or(healthy, "name", "?"),
                      figure_bytes(peak, text));
    document_item(document, "Run `oomlab run --memory LIMIT -- COMMAND` in CI: exit status 3 says "
                            "that the service leaks or does not fit.");
    document_item(
        document,
        "Alert on the trend of the working set, not only on its level: a working set that "
        "rises with every cycle of equal work predicts the kill long before the limit.");
    document_item(document,
                  "Alert on the kernel's kill counter (`container_oom_events_total`, or `oom_kill` "
                  "in `memory.events`), not on exit code 137 and not on CrashLoopBackOff.");
    document_item(document,
                  "Bound every cache and every queue, and release what a request allocated "
                  "on all of its paths, the error paths too.");
}

void story_takeaway(struct story *story)
{
    struct document *document = story->document;
    const char *class = text_or(story->verdict, "class", "inconclusive");
    char kills[FIGURE_TEXT_MAX];
    document_section(document, "Takeaway");
    document_paragraph(document, "*%s* %s kill%s for memory %s recorded in this run.",
                       words_class_meaning(class), figure_number(total_kills(story), 0, kills),
                       plural(total_kills(story)), total_kills(story) == 1 ? "was" : "were");
}

void story_support(struct story *story)
{
    struct document *document = story->document;
    document_section(document, "Support takeaway");
    document_item(document,
                  "Exit code 137 is a question, not an answer. Ask for the kernel's counter or "
                  "the kernel log before you say \"out of memory\".");
    document_item(document,
                  "Ask whether it dies at the start or after traffic, and whether more memory "
                  "made it die later or not at all. That tells a limit from a leak.");
    document_item(document,
                  "Count kills, not rows: a platform may tell one kill twice, and repeat it.");
    document_item(document,
                  "No restart loop does not mean no kill: a process that lives for more than 10 "
                  "minutes resets the back-off each time.");
    if (first_arm_of_class(story, "leak"))
        document_item(document,
                      "Raising the limit buys time for the fix. Say so, and do not close the "
                      "case with it.");
    document_item(document, "Hand over this directory: `MANIFEST.sha256` lets anybody check that "
                            "it is complete and unchanged.");
}

/* What this way of looking cannot see. */
static void story_limits(struct story *story)
{
    struct document *document = story->document;
    double rate = number_at(story->run, "sample_rate_hz");
    char gap[FIGURE_TEXT_MAX];
    document_section(document, "Limits of the method");
    if (isfinite(rate) && rate > 0)
        document_item(document,
                      "Memory was sampled every %s. A spike that came and went in between shows in "
                      "the kernel's own high-water mark at most, not in the curve.",
                      figure_seconds(1 / rate, gap));
    else
        document_item(document, "Nothing was sampled here: the figures are as dense as the sources "
                                "that were read.");
    if (!flag_at(story->run, "kernel_log"))
        document_item(document, "The kernel log could not be read: which cgroup's limit was hit "
                                "rests on the counters alone.");
    document_item(document, "The traffic is this lab's. A path that it does not take is not "
                            "judged, and a leak that is too slow for this run is not seen.");
    document_item(document, "Container limits are as in production; CPU, disk, network and "
                            "neighbours are this machine's.");
    document_item(document, "The requests were sent on schedule, whether or not earlier ones were "
                            "answered: latency counts from when a request was due.");
}

static unsigned open_lifetimes(const struct story *story, unsigned *ret_all)
{
    unsigned open = 0;
    *ret_all = 0;
    size_t index;
    size_t inner;
    json_t *arm;
    json_t *lifetime;
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        json_array_foreach(json_object_get(arm, "lifetimes"), inner, lifetime)
        {
            (*ret_all)++;
            open += json_is_null(value_at(lifetime, "end.at"));
        }
    }
    return open;
}

void story_cleanup(struct story *story)
{
    struct document *document = story->document;
    unsigned all = 0;
    unsigned open = open_lifetimes(story, &all);
    story_limits(story);
    document_section(document, "Reproduce it");
    document_paragraph(document, "On a Linux machine with the same oomlab (%s):",
                       text_or(story->run, "tool_version", "?"));
    document_code(document, text_or(story->run, "command", "not recorded"));
    document_paragraph(document,
                       "What this needs is beside this report, and in the archive that `oomlab "
                       "export` makes: `configuration.json` has the command, environment and "
                       "limits of each arm, what differs from arm to arm, the probes and the "
                       "requests. A lab file or program that the command names is the machine's "
                       "on which it was run; without that lab file, give what stands there as "
                       "options (`--memory`, `--env`, `--request`, `--arms`).");
    document_paragraph(document,
                       "The seed (%.0f) gives the same requests, byte for byte; their SHA-256 is "
                       "under Experiment. "
                       "What stands as `[redacted]` has to be put in again. `oomlab compare` shows "
                       "two runs side by "
                       "side.",
                       number_at(story->run, "seed"));
    document_section(document, "Clean up");
    if (open == 0)
        document_paragraph(document,
                           "The end of every one of the %u processes is on record (Measured, table "
                           "`lifetime_end`); their cgroups are removed when a run ends.",
                           all);
    else
        document_paragraph(
            document,
            "The end of %u of %u processes is not on record. Processes die with oomlab, and "
            "the next start removes the cgroups that were left behind.",
            open, all);
    document_paragraph(document,
                       "What remains is this directory. `oomlab clean` removes old runs.");
}
