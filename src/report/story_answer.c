/* SPDX-License-Identifier: Apache-2.0 */
/* The answer in one sentence, and the five questions that a reader has first: who ended it, which
 * limit, how often, leak or not, what to do. */
#include "report/advice.h"
#include "report/story.h"

#include "base/plural.h"
#include "base/size.h"
#include "report/text.h"
#include "report/words.h"

#include <math.h>
#include <string.h>

#define KILL_CAUSES (sizeof(CAUSES) / sizeof(CAUSES[0]))

static const struct {
    const char *cause, *who, *limit, *sentence; /* the sentence continues "... at %s" or ends */
} CAUSES[] = {
    {"oom-container-limit", "The kernel's OOM killer", "Its own, %s",
     "The kernel killed it at its own %s limit"},
    {"oom-ancestor-limit", "The kernel's OOM killer", "That of a group above it, not its own %s",
     "The kernel killed it at the limit of a group above it, not at its own %s limit"},
    {"oom-host", "The kernel's OOM killer", "None: the whole machine was short, not its %s",
     "The kernel killed it because the whole machine was short of memory, not at its own %s limit"},
    {"oom-userspace-killer", "A user-space OOM killer (systemd-oomd, earlyoom)",
     "None of the kernel's; its own is %s",
     "A user-space OOM killer ended it, below its own %s limit"},
    {"runtime-out-of-memory", "Its own language runtime", "The runtime's own, below %s",
     "Its own language runtime ran out of memory, below its container's %s limit"},
};

/* Ends that were not for memory: the rest of "It ..." and who made them. */
static const struct {
    const char *cause, *sentence, *who;
} OTHER_ENDS[] = {
    {"killed-externally", "was killed by SIGKILL from somebody else, not by the kernel",
     "Somebody else, by SIGKILL; not the kernel, for memory"},
    {"signalled", "was ended by a signal, not for its memory",
     "Nobody, for memory: a signal ended it"},
    {"exited", "exited by itself, not for its memory", "Nobody: it exited by itself"},
    {"unknown", "ended, and by whom is not known", "Not known: its end was not recorded"},
};
#define OTHER_COUNT (sizeof(OTHER_ENDS) / sizeof(OTHER_ENDS[0]))

static bool is_cause(const json_t *lifetime, const char *cause)
{
    return is_text(lifetime, "end.cause", cause);
}

static unsigned count_ends(const json_t *arm, const char *cause)
{
    unsigned count = 0;
    size_t index;
    json_t *lifetime;
    json_array_foreach(json_object_get(arm, "lifetimes"), index, lifetime) count +=
        is_cause(lifetime, cause);
    return count;
}

/* In the whole run: the kernel's kills are counted, of other ends the processes' ends are. */
static double ends_in_run(const struct story *story, const char *cause)
{
    double count = 0;
    size_t index;
    json_t *arm;
    if (strncmp(cause, "oom-", 4) == 0 && strcmp(cause, "oom-userspace-killer") != 0)
        return total_kills(story);
    json_array_foreach((json_t *)story->arms, index, arm) count += count_ends(arm, cause);
    return count;
}

static const json_t *first_end(const json_t *arm, const char *cause)
{
    size_t index;
    json_t *lifetime;
    json_array_foreach(json_object_get(arm, "lifetimes"), index, lifetime)
    {
        if (is_cause(lifetime, cause))
            return lifetime;
    }
    return NULL;
}

/* The most frequent end for memory; KILL_CAUSES when there was none. */
static size_t main_cause(const json_t *arm, unsigned *ret_count)
{
    size_t found = KILL_CAUSES;
    *ret_count = 0;
    for (size_t i = 0; i < KILL_CAUSES; i++) {
        unsigned count = count_ends(arm, CAUSES[i].cause);
        if (count > *ret_count) {
            *ret_count = count;
            found = i;
        }
    }
    return found;
}

/* " [E3]": the first evidence that the arm has in this table, of one row of it unless `row` is NAN.
 */
static void append_reference(const struct story *story, const json_t *arm, const char *table,
                             double row, struct buffer *out)
{
    char source[256];
    char key[32];
    snprintf(source, sizeof(source), "%s/%s", text_or(arm, "scenario", ""),
             text_or(arm, "name", ""));
    snprintf(key, sizeof(key), "%.0f", row);
    size_t index;
    json_t *item;
    json_array_foreach((json_t *)story->evidence, index, item)
    {
        if (is_text(item, "source.arm", source) && is_text(item, "source.table", table) &&
            (!isfinite(row) || is_text(item, "source.row", key))) {
            buffer_printf(out, " " REF("%.24s"), text_or(item, "id", "?"));
            return;
        }
    }
}

const json_t *answer_subject(const struct story *story)
{
    const json_t *alike = NULL;
    const json_t *ended = NULL;
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        unsigned count = 0;
        bool same = is_text(arm, "verdict.class", text_or(story->verdict, "class", ""));
        main_cause(arm, &count);
        if (same && count > 0)
            return arm;
        alike = alike || !same ? alike : arm;
        ended = ended || count == 0 ? ended : arm;
    }
    return alike ? alike : ended ? ended : json_array_get(story->arms, 0);
}

/* "512 MiB" where that is exact. */
static const char *limit_text(double bytes, char text[static FIGURE_TEXT_MAX])
{
    double mebibytes = bytes / (double)MIB;
    if (!isfinite(bytes))
        snprintf(text, FIGURE_TEXT_MAX, "(not recorded)");
    else if (mebibytes >= 1024 && fmod(mebibytes, 1024) == 0)
        snprintf(text, FIGURE_TEXT_MAX, "%.0f GiB", mebibytes / 1024);
    else if (fmod(mebibytes, 1) == 0)
        snprintf(text, FIGURE_TEXT_MAX, "%.0f MiB", mebibytes);
    else
        figure_bytes(bytes, text);
    return text;
}

/* "once", "three times". */
static const char *times_text(unsigned count, char text[static FIGURE_TEXT_MAX])
{
    static const char *const words[] = {"never",       "once",       "twice",     "three times",
                                        "four times",  "five times", "six times", "seven times",
                                        "eight times", "nine times", "ten times"};
    if (count < sizeof(words) / sizeof(words[0]))
        return words[count];
    snprintf(text, FIGURE_TEXT_MAX, "%u times", count);
    return text;
}

struct span {
    double low, high;
    unsigned count;
};

static struct span span_of(const json_t *arm, const char *cause, const char *path)
{
    struct span span = {.low = INFINITY, .high = -INFINITY};
    size_t index;
    json_t *lifetime;
    json_array_foreach(json_object_get(arm, "lifetimes"), index, lifetime)
    {
        double value = number_at(lifetime, path);
        if (!is_cause(lifetime, cause) || !isfinite(value))
            continue;
        span.low = fmin(span.low, value);
        span.high = fmax(span.high, value);
        span.count++;
    }
    return span;
}

/* ", after 128 requests each"; nothing where it is not known. */
static void append_after(const json_t *arm, const char *cause, unsigned count, struct buffer *out)
{
    struct span requests = span_of(arm, cause, "requests_completed");
    struct span ready = span_of(arm, cause, "ready_after_s");
    struct span uptime = span_of(arm, cause, "uptime_s");
    const char *each = count > 1 ? " each" : "";
    char low[FIGURE_TEXT_MAX];
    char high[FIGURE_TEXT_MAX];
    if (requests.count > 0 && requests.high == 0 && ready.count == 0) {
        buffer_puts(out, ", before it was ready");
    } else if (requests.count > 0 && requests.high > 0) {
        buffer_printf(out, ", after %s", figure_number(requests.low, 0, low));
        if (requests.high > requests.low)
            buffer_printf(out, " to %s", figure_number(requests.high, 0, high));
        buffer_printf(out, " %s%s", requests.high == 1 ? "request" : "requests", each);
    } else if (uptime.count > 0) {
        figure_seconds(uptime.low, low);
        figure_seconds(uptime.high, high);
        buffer_printf(out, ", after %s", low);
        if (strcmp(low, high) != 0)
            buffer_printf(out, " to %s", high);
        buffer_puts(out, each);
    }
}

static double peak_of(const json_t *arm)
{
    double peak = (double)NAN;
    size_t index;
    json_t *lifetime;
    json_array_foreach(json_object_get(arm, "lifetimes"), index, lifetime) peak =
        fmax(peak, number_at(lifetime, "working_set.peak_bytes"));
    return peak;
}

static unsigned count_restarts(const json_t *arm, const char *probe)
{
    unsigned count = 0;
    size_t index;
    json_t *lifetime;
    json_array_foreach(json_object_get(arm, "lifetimes"), index, lifetime) count +=
        is_text(lifetime, "end.platform_kill", probe);
    return count;
}

static bool never_ready(const json_t *arm)
{
    return is_text(arm, "ended_because", "never-ready");
}

/* The end that was not for memory; OTHER_COUNT when there was none. */
static size_t other_end(const json_t *arm)
{
    size_t found = 0;
    while (found < OTHER_COUNT && count_ends(arm, OTHER_ENDS[found].cause) == 0)
        found++;
    return found;
}

/* What happened that was not its own end for memory, as the rest of "It ...". */
static void append_other_end(const json_t *arm, const char *limit, struct buffer *out)
{
    char times[FIGURE_TEXT_MAX];
    unsigned children = child_kills(arm);
    unsigned liveness = count_restarts(arm, "liveness-probe");
    unsigned startup = count_restarts(arm, "startup-probe");
    if (children > 0)
        buffer_printf(out,
                      "was not killed itself, but the kernel killed %u of its child processes at "
                      "the container's %s limit",
                      children, limit);
    else if (liveness > 0)
        buffer_printf(out, "was restarted by the platform %s, because its liveness probe failed",
                      times_text(liveness, times));
    else if (startup > 0)
        buffer_printf(out, "was restarted by the platform %s, because its startup probe failed",
                      times_text(startup, times));
    else
        buffer_puts(out, other_end(arm) < OTHER_COUNT ? OTHER_ENDS[other_end(arm)].sentence
                                                      : "was not killed");
    if (never_ready(arm))
        buffer_puts(out, ", and never became ready");
}

static void append_ends(const struct story *story, const json_t *arm, struct buffer *out)
{
    char limit[FIGURE_TEXT_MAX];
    char times[FIGURE_TEXT_MAX];
    char peak[FIGURE_TEXT_MAX];
    unsigned count = 0;
    size_t cause = main_cause(arm, &count);
    limit_text(number_at(arm, "memory_limit_bytes"), limit);
    if (cause < KILL_CAUSES) {
        const char *rest = strstr(CAUSES[cause].sentence, "%s");
        buffer_append(out, CAUSES[cause].sentence, (size_t)(rest - CAUSES[cause].sentence));
        buffer_printf(out, "%s%s, %s", limit, rest + 2, times_text(count, times));
        append_after(arm, CAUSES[cause].cause, count, out);
        append_reference(story, arm, "lifetime_end",
                         number_at(first_end(arm, CAUSES[cause].cause), "row"), out);
        buffer_puts(out, ".");
        return;
    }
    buffer_puts(out, "It ");
    append_other_end(arm, limit, out);
    if (isfinite(peak_of(arm)) && child_kills(arm) == 0)
        buffer_printf(out, "; it needed at most %s of its %s limit",
                      figure_bytes(peak_of(arm), peak), limit);
    append_reference(story, arm, "lifetime_end", (double)NAN, out);
    buffer_puts(out, ".");
}

/* "645.2 KiB per request"; false: it is not known what it grows with. */
static bool growth_text(const json_t *verdict, char text[static 2 * FIGURE_TEXT_MAX])
{
    char figure[FIGURE_TEXT_MAX];
    double per_request = number_at(verdict, "growth.bytes_per_request");
    double per_s = number_at(verdict, "growth.bytes_per_second");
    bool by_time = is_text(verdict, "driver", "time");
    if (isfinite(per_request) && !by_time)
        snprintf(text, 2UL * FIGURE_TEXT_MAX, "%s per request", figure_bytes(per_request, figure));
    else if (isfinite(per_s))
        snprintf(text, 2UL * FIGURE_TEXT_MAX, "%s per second", figure_bytes(per_s, figure));
    else
        return false;
    return true;
}

/* Of all its ends for memory the most are by its runtime's own limit. */
static bool ended_by_its_runtime(const json_t *arm)
{
    unsigned count = 0;
    size_t cause = main_cause(arm, &count);
    return cause < KILL_CAUSES && strcmp(CAUSES[cause].cause, "runtime-out-of-memory") == 0;
}

/* Less sure than that the next repeat shows the same, or a deduction from assumptions alone. */
static bool is_unsure(const struct story *story)
{
    const char *level = text_or(story->verdict, "level", "");
    return number_at(story->verdict, "confidence") <= 0.5 || strcmp(level, "Inferred") == 0 ||
           strcmp(level, "Not Proven") == 0;
}

static void append_leak(const struct story *story, const json_t *arm, struct buffer *out)
{
    char growth[2 * FIGURE_TEXT_MAX];
    const json_t *raise = find_arm(story, text_or(arm, "scenario", ""), "raise");
    double kills = number_at(raise, "oom_kills");
    buffer_puts(out, is_unsure(story) ? " It seems to keep " : " It keeps ");
    buffer_puts(out, growth_text(value_at(arm, "verdict"), growth)
                         ? growth
                         : "memory that it should release");
    append_reference(story, arm, "growth", (double)NAN, out);
    buffer_puts(out, ended_by_its_runtime(arm) ? ": a larger limit of the container changes nothing"
                     : kills > 0               ? ": more memory only delayed the next kill"
                     : kills == 0 ? ": more memory only delays the kill, past the end of this run"
                                  : ": more memory would only delay the next kill");
    if (raise)
        append_reference(story, raise, "lifetime_end", (double)NAN, out);
    buffer_puts(out, ".");
}

#define LEAK_DENIED "It does not leak", "It does not seem to leak"

static void append_class(const struct story *story, const json_t *arm, struct buffer *out)
{
    static const char *const words[][4] = {
        {"startup-demand", LEAK_DENIED, "its start needs more than the limit"},
        {"peak-demand", LEAK_DENIED, "its peak needs more than the limit"},
        {"bounded-cache", LEAK_DENIED, "a cache fills and then stays level"},
        {"reclaimable-cache", LEAK_DENIED, "the growth is page cache, which the kernel takes back"},
        {"stable", LEAK_DENIED, "memory stays level under this traffic"},
        {"not-memory", "Memory is not the cause", "Memory does not seem to be the cause",
         "a larger limit will not help"},
    };
    bool unsure = is_unsure(story);
    const char *class = text_or(story->verdict, "class", "inconclusive");
    if (strcmp(class, "leak") == 0) {
        append_leak(story, arm, out);
        return;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(class, words[i][0]) == 0) {
            buffer_printf(out, " %s: %s", words[i][unsure ? 2 : 1], words[i][3]);
            append_reference(story, arm, "growth", (double)NAN, out);
            buffer_puts(out, ".");
            return;
        }
    }
    buffer_puts(out, " Whether it leaks is not settled by this evidence.");
}

/* Which code it is, with a heap profile. */
static void append_stack(const struct story *story, struct buffer *out)
{
    const char *sentence = text_at(story->verdict, "leading_stack.sentence");
    if (sentence)
        buffer_printf(out, " %s", sentence);
}

/* What the cure that was tried did; nothing where none was. */
static void append_cure(const struct story *story, const json_t *subject, struct buffer *out)
{
    static const char *const cures[][2] = {{"patch", "Patched"}, {"fix", "Fixed"}};
    const char *scenario = text_or(subject, "scenario", "");
    for (size_t i = 0; i < 2; i++) {
        const json_t *arm = find_arm(story, scenario, cures[i][0]);
        char peak[FIGURE_TEXT_MAX];
        double bytes = peak_of(arm);
        if (!arm || arm == subject || !isfinite(bytes))
            continue;
        if (number_at(arm, "oom_kills") > 0)
            buffer_printf(out, " %s, it was still killed", cures[i][1]);
        else
            buffer_printf(out, " %s, it stays at %s", cures[i][1], figure_bytes(bytes, peak));
        append_reference(story, arm, "lifetime_end", (double)NAN, out);
        buffer_puts(out, ".");
        return;
    }
}

void answer_append(const struct story *story, struct buffer *out)
{
    const json_t *arm = answer_subject(story);
    if (!arm) {
        buffer_puts(out, "No process was started: there is nothing to judge.");
        return;
    }
    append_ends(story, arm, out);
    append_class(story, arm, out);
    append_stack(story, out);
    append_cure(story, arm, out);
}

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
    size_t other = other_end(arm);
    unsigned probes = 0;
    double in_run = 0;
    size_t index;
    json_t *each;
    json_array_foreach((json_t *)story->arms, index, each)
    {
        unsigned restarts =
            count_restarts(each, "liveness-probe") + count_restarts(each, "startup-probe");
        probes += each == arm ? restarts : 0;
        in_run += restarts;
    }
    const char *cause = other < OTHER_COUNT ? OTHER_ENDS[other].cause : NULL;
    document_fact(story->document, "Who killed it", "%s",
                  probes > 0 ? "The platform, for its probes; nobody for memory"
                  : cause    ? OTHER_ENDS[other].who
                             : "Nobody, for memory");
    document_fact(story->document, "Which limit", "It has %s", limit);
    if (probes > 0 || !cause)
        fact_times(story, arm, probes, probes > 0 ? in_run : total_kills(story), NULL);
    else
        fact_times(story, arm, count_ends(arm, cause), ends_in_run(story, cause),
                   first_end(arm, cause));
}

static void fact_ends(const struct story *story, const json_t *arm)
{
    char limit[FIGURE_TEXT_MAX];
    unsigned count = 0;
    size_t cause = main_cause(arm, &count);
    AUTO_BUFFER which = {0};
    limit_text(number_at(arm, "memory_limit_bytes"), limit);
    if (cause == KILL_CAUSES && child_kills(arm) > 0) {
        fact_children(story, arm, limit);
        return;
    }
    if (cause == KILL_CAUSES) {
        fact_other_end(story, arm, limit);
        return;
    }
    const char *rest = strstr(CAUSES[cause].limit, "%s");
    buffer_append(&which, CAUSES[cause].limit, (size_t)(rest - CAUSES[cause].limit));
    buffer_printf(&which, "%s%s", limit, rest + 2);
    document_fact(story->document, "Who killed it", "%s", CAUSES[cause].who);
    document_fact(story->document, "Which limit", "%s", buffer_text(&which));
    fact_times(story, arm, count, ends_in_run(story, CAUSES[cause].cause),
               first_end(arm, CAUSES[cause].cause));
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
                      open                       ? "Not settled"
                      : leak && is_unsure(story) ? "Probably a leak"
                      : leak                     ? "Leak"
                      : is_unsure(story)         ? "Probably no leak"
                                                 : "No leak",
                      class, 100 * confidence, text_or(verdict, "level", "Not Proven"));
    else
        document_fact(document, "Leak or not", "Not judged");
    fact_action(story);
    if (arm)
        fact_other_scenarios(story, arm);
}
