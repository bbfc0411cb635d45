/* SPDX-License-Identifier: Apache-2.0 */
/* The answer in a few sentences. */
#include "report/story_ends.h"

#include "report/text.h"

#include <math.h>
#include <string.h>

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
        ends_main(arm, &count);
        if (same && count > 0)
            return arm;
        alike = alike || !same ? alike : arm;
        ended = ended || count == 0 ? ended : arm;
    }
    return alike ? alike : ended ? ended : json_array_get(story->arms, 0);
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
        if (!ends_is(lifetime, cause) || !isfinite(value))
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

static bool never_ready(const json_t *arm)
{
    return is_text(arm, "ended_because", "never-ready");
}

/* What happened that was not its own end for memory, as the rest of "It ...". */
static void append_other_end(const json_t *arm, const char *limit, struct buffer *out)
{
    char times[FIGURE_TEXT_MAX];
    unsigned children = child_kills(arm);
    unsigned liveness = ends_restarts(arm, "liveness-probe");
    unsigned startup = ends_restarts(arm, "startup-probe");
    const struct other_end *other = ends_other(arm);
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
        buffer_puts(out, other ? other->sentence : "was not killed");
    if (never_ready(arm))
        buffer_puts(out, ", and never became ready");
}

static void append_ends(const struct story *story, const json_t *arm, struct buffer *out)
{
    char limit[FIGURE_TEXT_MAX];
    char times[FIGURE_TEXT_MAX];
    char peak[FIGURE_TEXT_MAX];
    unsigned count = 0;
    const struct memory_end *end = ends_main(arm, &count);
    ends_limit_text(number_at(arm, "memory_limit_bytes"), limit);
    if (end) {
        const char *rest = strstr(end->sentence, "%s");
        buffer_append(out, end->sentence, (size_t)(rest - end->sentence));
        buffer_printf(out, "%s%s, %s", limit, rest + 2, times_text(count, times));
        append_after(arm, end->cause, count, out);
        append_reference(story, arm, "lifetime_end", number_at(ends_first(arm, end->cause), "row"),
                         out);
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
    const struct memory_end *end = ends_main(arm, &count);
    return end && strcmp(end->cause, "runtime-out-of-memory") == 0;
}

/* Less sure than that the next repeat shows the same, or a deduction from assumptions alone. */
bool answer_is_unsure(const struct story *story)
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
    buffer_puts(out, answer_is_unsure(story) ? " It seems to keep " : " It keeps ");
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
    bool unsure = answer_is_unsure(story);
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
