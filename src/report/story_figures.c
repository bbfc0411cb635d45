/* SPDX-License-Identifier: Apache-2.0 */
/* The Observation section: charts, and the last words of a killed process. */
#include "report/story.h"

#include "base/cleanup.h"
#include "report/chart.h"
#include "report/rows.h"
#include "report/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KILLS_NAMED 5

static void describe_kills(const struct story *story, const struct chart_arm *arm,
                           struct buffer *text)
{
    unsigned kills = 0;
    unsigned children = child_kills(find_titled_arm(story, arm->title));
    for (size_t i = 0; i < arm->lifetime_count; i++)
        kills += arm->lifetimes[i].oom_killed;
    if (kills == 0) {
        buffer_puts(text, "; none was killed for memory");
        if (children > 0)
            buffer_printf(text, " itself, but %u child process%s", children,
                          children == 1 ? " was" : "es were");
        buffer_puts(text, ".");
        return;
    }
    buffer_printf(text, "; %u killed by the kernel, after", kills);
    unsigned named = 0;
    char seconds[FIGURE_TEXT_MAX];
    for (size_t i = 0; i < arm->lifetime_count && named < KILLS_NAMED; i++) {
        if (arm->lifetimes[i].oom_killed)
            buffer_printf(text, "%s %s", named++ ? "," : "",
                          figure_seconds(arm->lifetimes[i].killed_s, seconds));
    }
    buffer_puts(text, kills > named ? " and later." : ".");
}

static void describe_arm(const struct story *story, const struct chart_arm *arm,
                         struct buffer *text)
{
    char limit[FIGURE_TEXT_MAX];
    char peak[FIGURE_TEXT_MAX];
    size_t samples = 0;
    for (size_t i = 0; i < arm->lifetime_count; i++)
        samples += arm->lifetimes[i].samples;
    buffer_printf(text, "Working set against the limit of %s. ",
                  figure_limit(arm->limit_bytes, limit));
    if (samples > 0)
        buffer_printf(text, "Highest sample %s of %zu samples. ",
                      figure_bytes(arm->peak_bytes, peak), samples);
    else
        buffer_puts(text, "The working set was not measured. ");
    buffer_printf(text, "%zu %s", arm->lifetime_count,
                  arm->lifetime_count == 1 ? "process" : "processes");
    describe_kills(story, arm, text);
}

static bool has_other_ends(const struct chart_arm *arm)
{
    for (size_t i = 0; i < arm->lifetime_count; i++) {
        if (arm->lifetimes[i].ended && !arm->lifetimes[i].oom_killed)
            return true;
    }
    return false;
}

/* As the lanes of an arm's own figure show them. */
static void describe_requests(const struct chart_arm *arm, struct buffer *text)
{
    double completed = 0, failed = 0, longest_s = 0;
    char seconds[FIGURE_TEXT_MAX];
    for (size_t i = 0; i < arm->bin_count; i++) {
        completed += arm->bins[i].completed;
        failed += arm->bins[i].failed;
        longest_s = fmax(longest_s, arm->bins[i].longest_s);
    }
    if (completed + failed <= 0) {
        buffer_puts(text, " No request was sent.");
        return;
    }
    buffer_printf(text, " Requests: %.0f answered, %.0f failed", completed, failed);
    if (completed > 0)
        buffer_printf(text, "; the longest took %s", figure_seconds(longest_s, seconds));
    buffer_puts(text, ".");
}

static double kinds_sum(const struct chart_kinds *kinds)
{
    double sum = 0;
    for (size_t i = 0; i < CHART_KINDS; i++)
        sum += kinds->bytes[i];
    return sum;
}

static void describe_kinds(const struct chart_arm *arm, struct buffer *text)
{
    static const char *const names[CHART_KINDS] = {"anonymous", "shared", "file cache", "kernel"};
    const struct chart_kinds *fullest = NULL;
    char bytes[FIGURE_TEXT_MAX];
    for (size_t i = 0; i < arm->kind_count; i++) {
        if (!fullest || kinds_sum(&arm->kinds[i]) > kinds_sum(fullest))
            fullest = &arm->kinds[i];
    }
    if (!fullest)
        return;
    buffer_puts(text, " Memory at its fullest:");
    for (size_t i = 0; i < CHART_KINDS; i++)
        buffer_printf(text, "%s %s %s", i ? "," : "", names[i],
                      figure_bytes(fullest->bytes[i], bytes));
    buffer_puts(text, ".");
}

static void draw_arm(struct story *story, const struct chart_arm *arm)
{
    char title[256];
    AUTO_BUFFER text = {0};
    AUTO_BUFFER svg = {0};
    describe_arm(story, arm, &text);
    describe_kinds(arm, &text);
    describe_requests(arm, &text);
    chart_draw_arm(arm, ++story->charts, buffer_text(&text), &svg);
    snprintf(title, sizeof(title), "Figure %u. %.200s.", story->charts, arm->title);
    document_figure(story->document, buffer_steal(&svg), title, buffer_text(&text));
}

static void draw_overview(struct story *story, const char *scenario, const struct chart_arm *arms,
                          size_t count)
{
    char title[256];
    AUTO_BUFFER svg = {0};
    AUTO_BUFFER text = {0};
    buffer_puts(&text,
                "Working set over time, one panel an arm, all on the same scales: dashed is the "
                "limit, a ring with a cross is a kill, grey is the wait before a restart.");
    for (size_t i = 0; i < count; i++) {
        buffer_printf(&text, " %s: ", arms[i].title);
        describe_arm(story, &arms[i], &text);
    }
    chart_draw_overview(arms, count, ++story->charts, buffer_text(&text), &svg);
    snprintf(title, sizeof(title), "Figure %u. %.100s: the arms side by side.", story->charts,
             scenario);
    document_figure(story->document, buffer_steal(&svg), title, buffer_text(&text));
}

/* Ids of a page must differ, and the numbers of figures are few. */
#define NARROW_NUMBER 1000
#define MEDIUM_NUMBER 2000

static char *draw_narrow(const struct chart_arm *chart, const char *text)
{
    AUTO_BUFFER html = {0};
    buffer_puts(&html, "<div class=\"medium\">\n");
    chart_draw_front(chart, CHART_FRONT_MEDIUM, MEDIUM_NUMBER, text, &html);
    buffer_puts(&html, "</div>\n<div class=\"narrow\">\n");
    chart_draw_front(chart, CHART_FRONT_NARROW, NARROW_NUMBER, text, &html);
    buffer_puts(&html, "</div>\n");
    return buffer_steal(&html);
}

static void draw_front(struct story *story, const struct chart_arm *chart)
{
    AUTO_BUFFER text = {0};
    AUTO_BUFFER svg = {0};
    char title[256];
    describe_arm(story, chart, &text);
    buffer_puts(&text, " A ring with a cross is a kill");
    if (has_other_ends(chart))
        buffer_puts(&text, ", a square another end of a process");
    buffer_puts(&text, "; grey is the wait before a restart.");
    chart_draw_front(chart, CHART_FRONT_WIDE, ++story->charts, buffer_text(&text), &svg);
    snprintf(title, sizeof(title), "Figure %u. %.200s.", story->charts, chart->title);
    document_figure(story->document, buffer_steal(&svg), title, buffer_text(&text));
    document_figure_narrow(story->document, draw_narrow(chart, buffer_text(&text)));
}

int story_front_chart(struct story *story, const json_t *arm, struct error *err)
{
    story->front = calloc(1, sizeof(*story->front));
    if (!story->front) {
        story->document->failed = true;
        return 0;
    }
    int r = chart_arm_load(story->store, (int64_t)number_at(arm, "row"), story->front, err);
    if (r == 0)
        draw_front(story, story->front);
    return r;
}

void story_front_chart_done(struct story *story)
{
    if (story->front)
        chart_arm_done(story->front);
    free(story->front);
    story->front = NULL;
}

/* What the first screen has shown need not be read again. */
static int load_arm(struct story *story, const json_t *arm, struct chart_arm *ret,
                    struct error *err)
{
    int64_t row = (int64_t)number_at(arm, "row");
    if (!story->front || story->front->arm_id != row)
        return chart_arm_load(story->store, row, ret, err);
    *ret = *story->front;
    *story->front = (struct chart_arm){0};
    return 0;
}

struct chart_list {
    struct chart_arm *arms;
    size_t count;
};

static void chart_list_done(struct chart_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        chart_arm_done(&list->arms[i]);
    free(list->arms);
}

static int load_scenario(struct story *story, const char *scenario, struct chart_list *list,
                         struct error *err)
{
    int r = 0;
    size_t index;
    json_t *arm;
    list->arms = calloc(json_array_size(story->arms), sizeof(*list->arms));
    if (!list->arms) {
        story->document->failed = true;
        return 0;
    }
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        if (r < 0 || !is_text(arm, "scenario", scenario))
            continue;
        r = load_arm(story, arm, &list->arms[list->count], err);
        list->count += r >= 0;
    }
    return r;
}

static int observe_scenario(struct story *story, const char *scenario, struct error *err)
{
    __attribute__((cleanup(chart_list_done))) struct chart_list list = {0};
    int r = load_scenario(story, scenario, &list, err);
    if (r < 0)
        return r;
    document_subsection(story->document, "Scenario %s", scenario);
    if (list.count > 1)
        draw_overview(story, scenario, list.arms, list.count);
    for (size_t i = 0; i < list.count; i++)
        draw_arm(story, &list.arms[i]);
    return 0;
}

/* The end of the console of the first process that the kernel killed: it did not see it coming. */
static int last_words(struct story *story, struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, story->store,
                       "SELECT a.scenario || '/' || a.name, l.idx, e.console_tail, l.id"
                       " FROM lifetime_end e JOIN lifetime l ON l.id = e.lifetime_id"
                       " JOIN arm a ON a.id = l.arm_id WHERE e.cause LIKE 'oom-%'"
                       " AND length(trim(e.console_tail, char(10, 32))) > 0 ORDER BY l.id LIMIT 1",
                       0, err);
    if (r == 0)
        r = rows_next(&rows, err);
    if (r <= 0)
        return r;
    AUTO_FREE char *arm = row_text(&rows, 0);
    AUTO_FREE char *tail = row_text(&rows, 2);
    char cited[CITE_MAX];
    if (!arm || !tail)
        return 0;
    document_paragraph(story->document,
                       "The last lines that process %lld of `%s` wrote before the kernel killed "
                       "it. `SIGKILL` cannot be caught, so there is no message about it:%s",
                       (long long)row_integer(&rows, 1), arm,
                       cite_row(story, "lifetime_end", row_real(&rows, 3), cited));
    size_t length = strlen(tail);
    size_t start = 0;
    for (unsigned lines = 0; length > 0 && start == 0; length--) {
        if (tail[length - 1] == '\n' && ++lines == 9)
            start = length;
        if (length == 1)
            break;
    }
    document_code(story->document, tail + start);
    return 0;
}

int story_observation(struct story *story, struct error *err)
{
    document_section(story->document, "Observation");
    int r = 0;
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        if (r == 0 && is_first_of_scenario(story, index))
            r = observe_scenario(story, text_or(arm, "scenario", "?"), err);
    }
    if (json_array_size(story->arms) == 0)
        document_paragraph(story->document, "Nothing was observed: no arm was started.");
    if (r == 0)
        r = last_words(story, err);
    return r < 0 ? r : story_events(story, err);
}
