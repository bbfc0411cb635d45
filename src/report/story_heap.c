/* SPDX-License-Identifier: Apache-2.0 */
/* Which code kept the memory, of runs with a heap profile: what leads in each arm, and of one arm a
 * flame graph and the stacks by growth. */
#include "report/story.h"

#include "base/cleanup.h"
#include "base/flamegraph.h"
#include "report/rows.h"
#include "report/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define STACKS_SHOWN 10

static void lead_item(const struct story *story, const json_t *arm)
{
    const json_t *stack = value_at(arm, "verdict.leading_stack");
    char lifetime[FIGURE_TEXT_MAX];
    if (stack)
        document_item(story->document, "`%s`, process %s: %s", text_or(stack, "arm", "?"),
                      figure_number(number_at(stack, "lifetime"), 0, lifetime),
                      text_or(stack, "sentence", ""));
}

/* The profile that the run's verdict rests on, or else that of the first arm with one. */
static const json_t *shown_stack(const struct story *story)
{
    const json_t *stack = value_at(story->verdict, "leading_stack");
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        if (!stack)
            stack = value_at(arm, "verdict.leading_stack");
    }
    return stack;
}

static void put_growth(struct document *document, double bytes)
{
    char text[FIGURE_TEXT_MAX];
    document_cell(document, "%s", isfinite(bytes) ? figure_growth(bytes, text) : "not known");
}

/* function, file, line, caller, bytes, low, high, share, per request, per cycle, kind */
static int put_row(struct document *document, const struct rows *rows)
{
    AUTO_FREE char *function = row_text(rows, 0);
    AUTO_FREE char *file = row_text(rows, 1);
    AUTO_FREE char *caller = row_text(rows, 3);
    AUTO_FREE char *kind = row_text(rows, 10);
    char held[FIGURE_TEXT_MAX], low[FIGURE_TEXT_MAX], high[FIGURE_TEXT_MAX];
    double share = row_real(rows, 7);
    if (!function || !file || !caller || !kind)
        return -1;
    if (row_is_null(rows, 2))
        document_cell(document, "`%s`%s%s", function, *file ? ", " : "", file);
    else
        document_cell(document, "`%s` at %s:%lld", function, file, (long long)row_integer(rows, 2));
    if (*caller)
        document_cell(document, "`%s`", caller);
    else
        document_cell(document, "-");
    document_cell(document, "%s", kind);
    put_growth(document, row_real(rows, 8));
    put_growth(document, row_real(rows, 9));
    document_cell(document, "%s (%s to %s)", figure_bytes(row_real(rows, 4), held),
                  figure_bytes(row_real(rows, 5), low), figure_bytes(row_real(rows, 6), high));
    if (isfinite(share))
        document_cell(document, "%.1f %%", 100 * share);
    else
        document_cell(document, "not known");
    return 0;
}

static int put_table(struct story *story, int64_t lifetime, struct error *err)
{
    struct document *document = story->document;
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, story->store,
                       "SELECT function, file, line, caller, bytes, low_bytes, high_bytes, share,"
                       " bytes_per_request, bytes_per_cycle, kind FROM heap_stack"
                       " WHERE lifetime_id = ?1 ORDER BY rank",
                       lifetime, err);
    if (r < 0)
        return r;
    document_table(document,
                   (const char *const[]){"Where", "Called from", "Kind", ">Growth per request",
                                         ">per cycle", "Held (95 %)", ">Share", NULL});
    for (unsigned i = 0; i < STACKS_SHOWN && (r = rows_next(&rows, err)) == 1; i++) {
        if (put_row(document, &rows) < 0)
            document->failed = true;
    }
    return r < 0 ? r : 0;
}

static const char *when(const json_t *stack)
{
    return strcmp(text_or(stack, "moment", "end"), "kill") == 0
               ? "when a child process was killed for memory"
               : "at the end";
}

static void put_figure(struct story *story, const json_t *stack, const char *folded)
{
    AUTO_BUFFER svg = {0};
    char title[320], label[256];
    snprintf(label, sizeof(label), "Memory held %s, by process %.0f of %.160s, by stack",
             when(stack), number_at(stack, "lifetime"), text_or(stack, "arm", "?"));
    flamegraph_draw(folded, label, true, &svg);
    snprintf(title, sizeof(title), "Figure %u. %s.", ++story->charts, label);
    document_figure(story->document, buffer_steal(&svg), title,
                    "The wider, the more; callers stand below what they call. Point at a box for "
                    "its figures.");
}

/* rate_bytes, samples, dropped, total_bytes, memory_bytes, stacks, folded */
static int put_profile(struct story *story, const json_t *stack, struct error *err)
{
    AUTO_ROWS rows = {0};
    double lifetime = number_at(stack, "row");
    char total[FIGURE_TEXT_MAX], memory[FIGURE_TEXT_MAX], rate[FIGURE_TEXT_MAX];
    char cited[CITE_MAX];
    int r = rows_query(&rows, story->store,
                       "SELECT rate_bytes, samples, dropped, total_bytes, memory_bytes, stacks,"
                       " folded FROM heap_profile WHERE lifetime_id = ?1",
                       (int64_t)lifetime, err);
    if (r == 0)
        r = rows_next(&rows, err);
    if (r <= 0)
        return r;
    AUTO_FREE char *folded = row_text(&rows, 6);
    bool known = isfinite(row_real(&rows, 4));
    document_paragraph(
        story->document,
        "The profile of `%s`, process %.0f, %s, explains %s%s%s%s, from %lld samples of one in %s "
        "where "
        "memory stays; "
        "%lld %s dropped.%s",
        text_or(stack, "arm", "?"), number_at(stack, "lifetime"), when(stack),
        figure_bytes(row_real(&rows, 3), total), known ? " of " : "",
        known ? figure_bytes(row_real(&rows, 4), memory) : "",
        known ? " of anonymous and shared memory that the container had then" : "",
        (long long)row_integer(&rows, 1), figure_bytes(row_real(&rows, 0), rate),
        (long long)row_integer(&rows, 2), row_integer(&rows, 2) == 1 ? "was" : "were",
        cite_row(story, "heap_profile", lifetime, cited));
    put_figure(story, stack, folded ? folded : "");
    long long stacks = (long long)row_integer(&rows, 5);
    if (stacks > STACKS_SHOWN)
        document_paragraph(story->document,
                           "By growth, the first %d of %lld stacks; all of them: `oomlab heap RUN "
                           "--top 0`.",
                           STACKS_SHOWN, stacks);
    else
        document_paragraph(story->document, "The stacks by growth:");
    return put_table(story, (int64_t)lifetime, err);
}

static void begin_section(struct story *story, bool *begun)
{
    if (!*begun)
        document_subsection(story->document, "Which code kept the memory");
    *begun = true;
}

/* What could not be profiled in each arm, and why: its event says so. */
static int put_gaps(struct story *story, bool *begun, struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, story->store,
                       "SELECT a.scenario || '/' || a.name, e.msg, EXISTS (SELECT 1 FROM"
                       " heap_profile p JOIN lifetime l ON l.id = p.lifetime_id"
                       " WHERE l.arm_id = a.id) FROM event e JOIN arm a ON a.id = e.arm_id"
                       " WHERE e.reason = 'HeapProfileMissing' ORDER BY e.id",
                       0, err);
    while (r >= 0 && (r = rows_next(&rows, err)) == 1) {
        AUTO_FREE char *arm = row_text(&rows, 0);
        AUTO_FREE char *reason = row_text(&rows, 1);
        begin_section(story, begun);
        document_item(story->document, "`%s`: %s: %s.", arm ? arm : "?",
                      row_integer(&rows, 2) ? "not all of it was profiled"
                                            : "there is no heap profile",
                      reason ? reason : "?");
    }
    return r;
}

int story_heap(struct story *story, struct error *err)
{
    const json_t *stack = shown_stack(story);
    bool begun = false;
    size_t index;
    json_t *arm;
    if (stack)
        begin_section(story, &begun);
    json_array_foreach((json_t *)story->arms, index, arm) lead_item(story, arm);
    int r = put_gaps(story, &begun, err);
    return r < 0 || !stack ? r : put_profile(story, stack, err);
}
