/* SPDX-License-Identifier: Apache-2.0 */
/* What the writers of advice share. */
#include "base/size.h"
#include "report/advice.h"
#include "report/story.h"
#include "report/text.h"
#include "report/words.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMENT_COLUMNS 96
#define COMMENT_BLANKS  " \t\n\r"

/* Words of a comment: whatever line feeds the text had, no line of it is left without its '#'. */
static void append_words(struct buffer *out, int indent, const char *text)
{
    size_t used = 0;
    for (text += strspn(text, COMMENT_BLANKS); *text; text += strspn(text, COMMENT_BLANKS)) {
        size_t length = strcspn(text, COMMENT_BLANKS);
        if (used == 0 || used + 1 + length > COMMENT_COLUMNS) {
            buffer_printf(out, "%s%*s#", used > 0 ? "\n" : "", indent, "");
            used = (size_t)indent + 1;
        }
        buffer_puts(out, " ");
        buffer_append(out, text, length);
        used += 1 + length;
        text += length;
    }
    if (used == 0)
        buffer_puts(out, "#");
    buffer_puts(out, "\n");
}

void advice_comment(struct buffer *out, int indent, const char *format, ...)
{
    AUTO_BUFFER clean = {0};
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    if (text)
        text_append_clean(&clean, text);
    out->failed = out->failed || !text || clean.failed;
    append_words(out, indent, buffer_text(&clean));
    free(text);
}

void advice_quote(struct buffer *out, const char *text)
{
    AUTO_BUFFER clean = {0};
    text_append_clean(&clean, text);
    buffer_puts(out, "\"");
    for (const char *c = buffer_text(&clean); *c; c++) {
        if (*c == '"' || *c == '\\')
            buffer_puts(out, "\\");
        if (*c == '\n' || *c == '\t')
            buffer_puts(out, *c == '\n' ? "\\n" : "\\t");
        else
            buffer_append(out, c, 1);
    }
    buffer_puts(out, "\"");
}

void advice_quantity(struct buffer *out, double bytes)
{
    char text[SIZE_TEXT_MAX];
    buffer_puts(out, size_format_quantity((uint64_t)llround(bytes), text));
}

int advice_seconds(double seconds)
{
    return seconds > 1 && seconds < 86400 ? (int)ceil(seconds) : 1;
}

/* Each piece of evidence that a verdict rests on, with the row of evidence.db behind it. */
static void append_evidence(const struct advice *advice, const json_t *arm, struct buffer *out)
{
    const json_t *ids = value_at(arm, "verdict.because");
    size_t index;
    size_t inner;
    json_t *id;
    json_t *item;
    json_array_foreach((json_t *)ids, index, id)
    {
        json_array_foreach(json_object_get(advice->result, "evidence"), inner, item)
        {
            if (json_equal(id, json_object_get(item, "id")))
                advice_comment(out, 0, "%s (%s; table %s, row %s): %s", text_or(item, "id", "?"),
                               text_or(item, "level", "?"), text_or(item, "source.table", "?"),
                               text_or(item, "source.row", "?"), text_or(item, "statement", ""));
        }
    }
}

static void append_no_size(const struct advice *advice, struct buffer *out)
{
    bool leaks = is_text(advice->result, "verdict.class", "leak");
    char limit[FIGURE_TEXT_MAX];
    char peak[FIGURE_TEXT_MAX];
    advice_comment(out, 0, "No memory limit is given: %s",
                   !leaks ? "no limit was shown to hold in this run."
                   : advice->repaired
                       ? "it leaks, and any size only delays the next kill. Ship the fix."
                       : "it leaks, and any size only delays the next kill. Fix it, and run "
                         "oomlab again on the fixed service.");
    if (!advice->repaired)
        return;
    advice_comment(out, 0,
                   "With the patch of %s/%s, a limit of %s held: no kill; the highest working set "
                   "was %s.",
                   text_or(advice->repaired, "scenario", "?"),
                   text_or(advice->repaired, "name", "?"),
                   figure_limit(number_at(advice->repaired, "memory_limit_bytes"), limit),
                   figure_bytes(advice_peak(advice->repaired), peak));
}

static void append_size(const struct advice *advice, struct buffer *out)
{
    double suggested = number_at(advice->result, "recommendation.memory_bytes");
    char limit[FIGURE_TEXT_MAX];
    char peak[FIGURE_TEXT_MAX];
    char size[FIGURE_TEXT_MAX];
    if (!advice->holder) {
        append_no_size(advice, out);
        return;
    }
    advice_comment(out, 0,
                   "%s held in %s/%s: no kill; the highest working set was %s. The request is that "
                   "and 15 %%.",
                   figure_limit(advice->limit, limit), text_or(advice->holder, "scenario", "?"),
                   text_or(advice->holder, "name", "?"), figure_bytes(advice->peak, peak));
    if (isfinite(suggested) && fabs(suggested - advice->limit) > 1)
        advice_comment(out, 0, "Reckoned, but not tried: a limit of %s.",
                       figure_bytes(suggested, size));
}

void advice_write_head(const struct advice *advice, const char *what, struct buffer *out)
{
    const json_t *result = advice->result;
    const json_t *arm = advice->holder ? advice->holder : advice->subject;
    advice_comment(out, 0, "%s, by oomlab %s from run %s.", what,
                   text_or(result, "run.tool_version", "?"), text_or(result, "run.id", "?"));
    advice_comment(out, 0, "Verdict: %s (%s, %s).",
                   words_class(text_or(result, "verdict.class", "inconclusive")),
                   text_or(result, "verdict.class", "inconclusive"),
                   text_or(result, "verdict.level", "Not Proven"));
    advice_comment(out, 0, "%s: %s", words_action(text_at(result, "recommendation.action")),
                   text_or(result, "recommendation.reason", ""));
    append_size(advice, out);
    append_evidence(advice, arm, out);
}
