/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/live_view.h"

#include "base/plural.h"
#include "base/size.h"
#include "base/terminal.h"
#include "lab/live_line.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS_LEAST    40
#define ROWS_LEAST       5
#define GRAPH_ROWS_LEAST 2
#define GRAPH_ROWS_MOST  8
/* What an arm under way needs without its graph. */
#define CURRENT_ROWS  2
#define LABEL_COLUMNS 10
#define BAR_COLUMNS   30
/* Beside the bar: the share, two clocks with hours, and their words; the second without "at most".
 */
#define FIGURES_COLUMNS        38
#define FIGURES_COLUMNS_NARROW 28
#define COLUMNS_NARROW         60 /* below, words are left out */
/* Of the limit: look at it now. */
#define SHARE_HIGH 0.8
#define PARTS      8 /* of a character's height */

#define CLOCK_TEXT_MAX 32

/* "4:07", "1:02:30". */
static const char *clock_text(double seconds, char text[static CLOCK_TEXT_MAX])
{
    unsigned long whole = (unsigned long)ceil(fmax(seconds, 0));
    if (whole >= 3600)
        snprintf(text, CLOCK_TEXT_MAX, "%lu:%02lu:%02lu", whole / 3600, whole / 60 % 60,
                 whole % 60);
    else
        snprintf(text, CLOCK_TEXT_MAX, "%lu:%02lu", whole / 60, whole % 60);
    return text;
}

static void render_progress(const struct live_view *view, struct live_line *line)
{
    double whole = view->elapsed_s + view->remaining_s;
    double share = whole > 0 ? view->elapsed_s / whole : 0;
    char elapsed[CLOCK_TEXT_MAX], remaining[CLOCK_TEXT_MAX];
    bool narrow = line->screen->columns < COLUMNS_NARROW;
    unsigned free = line->screen->columns - (narrow ? FIGURES_COLUMNS_NARROW : FIGURES_COLUMNS);
    unsigned bar = free < BAR_COLUMNS ? free : BAR_COLUMNS;
    if (view->stopping) {
        live_line_put(line, COLOUR_YELLOW,
                      " stopping: containers end, what was seen is kept; once more to hurry");
        return;
    }
    live_line_put(line, COLOUR_NONE, " ");
    for (unsigned i = 0; i < bar; i++) {
        bool full = (i + 0.5) / bar < share;
        live_line_put(line, full ? COLOUR_GREEN : COLOUR_DIM,
                      line->screen->utf8 ? (full ? "█" : "░") : (full ? "#" : "."));
    }
    /* Rounded down: what goes on is not at 100 %. */
    live_line_printf(line, COLOUR_BOLD, " %3.0f %%", floor(100 * share));
    live_line_printf(line, COLOUR_NONE, "  %s, %s%s left", clock_text(view->elapsed_s, elapsed),
                     narrow ? "" : "at most ", clock_text(view->remaining_s, remaining));
}

static void render_arm(const struct live_arm *arm, struct live_line *line)
{
    static const struct {
        enum colour colour;
        const char *mark, *plain;
    } states[] = {
        [LIVE_PENDING] = {COLOUR_DIM, "·", "-"},
        [LIVE_CURRENT] = {COLOUR_BOLD, "▶", ">"},
        [LIVE_DONE] = {COLOUR_GREEN, "✓", "+"},
        [LIVE_SKIPPED] = {COLOUR_DIM, "–", "/"},
    };
    enum colour colour = states[arm->state].colour;
    live_line_printf(line, colour, "  %s %s",
                     line->screen->utf8 ? states[arm->state].mark : states[arm->state].plain,
                     arm_kind_name(arm->kind));
    if (arm->kills > 0)
        live_line_printf(line, COLOUR_RED, " %s%u", line->screen->utf8 ? "✗" : "x", arm->kills);
}

static void render_arms(const struct live_scenario *scenario, struct live_line *line)
{
    live_line_printf(line, COLOUR_BOLD, " %-9.20s", scenario->name);
    for (size_t i = 0; i < scenario->arm_count; i++)
        render_arm(&scenario->arms[i], line);
}

/* Of the memory line; each is "" where there is nothing to say. */
struct memory_words {
    char share[64], growth[64], forecast[64];
    enum colour growth_colour, forecast_colour;
};

static void word_forecast(const struct live_growth *growth, bool wide, struct memory_words *ret)
{
    char time[CLOCK_TEXT_MAX];
    const char *when = wide ? "at the limit" : "full";
    ret->forecast_colour = COLOUR_YELLOW;
    if (!isfinite(growth->until_limit)) {
        ret->forecast_colour = COLOUR_NONE;
        snprintf(ret->forecast, sizeof(ret->forecast), ", not %s %s", when,
                 wide ? "before this arm ends" : "in this arm");
    } else if (growth->kind == LIVE_PER_REQUEST) {
        snprintf(ret->forecast, sizeof(ret->forecast), ", %s in about %.0f request%s", when,
                 growth->until_limit, plural(round(growth->until_limit)));
    } else {
        snprintf(ret->forecast, sizeof(ret->forecast), ", %s in about %s", when,
                 clock_text(growth->until_limit, time));
    }
}

static void word_memory(const struct live_scenario *scenario, bool wide, struct memory_words *ret)
{
    const struct live_growth *growth = &scenario->growth;
    char size[SIZE_TEXT_MAX];
    *ret = (struct memory_words){.growth_colour = COLOUR_YELLOW};
    if (isfinite(scenario->working_set_bytes))
        snprintf(ret->share, sizeof(ret->share), "%s, %.0f %%%s",
                 size_format((uint64_t)scenario->working_set_bytes, size),
                 100 * scenario->working_set_bytes / scenario->limit_bytes,
                 wide ? " of the limit" : "");
    if (growth->kind == LIVE_MEASURING)
        return;
    if (growth->kind == LIVE_LEVEL) {
        ret->growth_colour = COLOUR_GREEN;
        snprintf(ret->growth, sizeof(ret->growth), "  no growth seen");
        return;
    }
    snprintf(ret->growth, sizeof(ret->growth), "  +%s%s%s",
             size_format((uint64_t)growth->bytes, size), wide ? " per " : "/",
             growth->kind == LIVE_PER_REQUEST ? "request" : "second");
    word_forecast(growth, wide, ret);
}

static unsigned memory_columns(const struct memory_words *words)
{
    return (unsigned)(strlen(words->share) + strlen(words->growth) + strlen(words->forecast));
}

/* The growth, at least, is to be read: the words become fewer where the line is short. */
static void render_memory(const struct live_scenario *scenario, struct live_line *line)
{
    struct memory_words words;
    bool high = scenario->working_set_bytes / scenario->limit_bytes > SHARE_HIGH;
    unsigned indent = LABEL_COLUMNS;
    word_memory(scenario, true, &words);
    if (indent + memory_columns(&words) > line->left)
        word_memory(scenario, false, &words);
    if (indent + memory_columns(&words) > line->left)
        words.forecast[0] = '\0';
    if (indent + memory_columns(&words) > line->left)
        indent = 1;
    live_line_printf(line, COLOUR_NONE, "%*s", (int)indent, "");
    live_line_put(line, high ? COLOUR_RED : COLOUR_NONE, words.share);
    live_line_put(line, words.growth_colour, words.growth);
    live_line_put(line, words.forecast_colour, words.forecast);
}

static void render_status(const struct live_scenario *scenario, struct live_line *line)
{
    live_line_printf(line, COLOUR_BOLD, " %.20s/%s", scenario->name,
                     arm_kind_name(scenario->current->kind));
    live_line_printf(line, COLOUR_NONE, "  %s, %u/%u%s", scenario->phase, scenario->due,
                     scenario->planned, line->screen->columns < COLUMNS_NARROW ? "" : " requests");
    if (scenario->failed > 0)
        live_line_printf(line, COLOUR_RED, ", %u failed", scenario->failed);
    if (scenario->child_kills > 0)
        live_line_printf(line, COLOUR_RED, ", %u child process%s killed", scenario->child_kills,
                         scenario->child_kills == 1 ? "" : "es");
}

/* --- the graph ------------------------------------------------------------------------------- */

struct column {
    double share; /* of the limit; 0: nothing was seen */
    unsigned kills;
};

/* `width` is at most LIVE_BINS. */
static struct column column_of(const struct live_scenario *scenario, unsigned index, unsigned width)
{
    struct column column = {0};
    unsigned end = (index + 1) * LIVE_BINS / width;
    for (unsigned i = index * LIVE_BINS / width; i < end; i++) {
        column.share = fmax(column.share, scenario->trace.peak_bytes[i] / scenario->limit_bytes);
        column.kills += scenario->trace.kills[i];
    }
    return column;
}

static void render_limit(const struct live_scenario *scenario, unsigned width,
                         struct live_line *line)
{
    char size[SIZE_TEXT_MAX];
    bool utf8 = line->screen->utf8;
    live_line_printf(line, COLOUR_NONE, "%*s ", LABEL_COLUMNS - 1,
                     size_format_quantity((uint64_t)scenario->limit_bytes, size));
    for (unsigned i = 0; i < width; i++) {
        if (column_of(scenario, i, width).kills > 0)
            live_line_put(line, COLOUR_RED, utf8 ? "✗" : "x");
        else
            live_line_put(line, COLOUR_DIM, utf8 ? "─" : "-");
    }
}

/* Row 0 is the lowest. */
static void render_bars(const struct live_scenario *scenario, unsigned row, unsigned rows,
                        unsigned width, struct live_line *line)
{
    static const char *const parts[PARTS + 1] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    live_line_printf(line, COLOUR_NONE, "%*s ", LABEL_COLUMNS - 1, row == 0 ? "0" : "");
    for (unsigned i = 0; i < width; i++) {
        double share = fmin(column_of(scenario, i, width).share, 1);
        double height = share * rows - row;
        unsigned filled = height <= 0 ? 0 : (unsigned)fmin(ceil(height * PARTS), PARTS);
        const char *plain = filled > PARTS / 2 ? "#" : filled > 0 ? "." : " ";
        live_line_put(line, share > SHARE_HIGH ? COLOUR_RED : COLOUR_BLUE,
                      line->screen->utf8 ? parts[filled] : plain);
    }
}

static void render_graph(const struct live_scenario *scenario, unsigned rows,
                         const struct live_screen *screen, struct buffer *out)
{
    unsigned width = screen->columns - LABEL_COLUMNS - 1;
    width = width < LIVE_BINS ? width : LIVE_BINS;
    for (unsigned row = rows; row <= rows; row--) {
        struct live_line line;
        live_line_begin(&line, screen, out);
        if (row == rows)
            render_limit(scenario, width, &line);
        else
            render_bars(scenario, row, rows, width, &line);
        live_line_end(&line);
    }
}

static unsigned count_current(const struct live_view *view)
{
    unsigned current = 0;
    for (size_t i = 0; i < view->count; i++)
        current += view->scenarios[i].current != NULL;
    return current;
}

/* Rows of bars that each arm under way gets; 0: no graph. */
static unsigned graph_rows(const struct live_view *view, const struct live_screen *screen)
{
    unsigned current = count_current(view);
    unsigned used = 1 + (unsigned)view->count + CURRENT_ROWS * current;
    if (current == 0 || screen->rows - 1 <= used)
        return 0;
    unsigned each = (screen->rows - 1 - used) / current;
    if (each < GRAPH_ROWS_LEAST + 1)
        return 0;
    return each - 1 < GRAPH_ROWS_MOST ? each - 1 : GRAPH_ROWS_MOST;
}

typedef void (*render_part)(const struct live_scenario *scenario, struct live_line *line);

static void render_line(render_part part, const struct live_scenario *scenario,
                        const struct live_screen *screen, struct buffer *out)
{
    struct live_line line;
    live_line_begin(&line, screen, out);
    part(scenario, &line);
    live_line_end(&line);
}

bool live_render(const struct live_view *view, const struct live_screen *screen, struct buffer *out)
{
    unsigned left = screen->rows - 1; /* one stays for the log */
    unsigned least = 1 + CURRENT_ROWS * count_current(view);
    struct live_line progress;
    if (screen->columns < COLUMNS_LEAST || screen->rows < ROWS_LEAST || least > left)
        return false;
    live_line_begin(&progress, screen, out);
    render_progress(view, &progress);
    live_line_end(&progress);
    bool arms = least + view->count <= left;
    for (size_t i = 0; arms && i < view->count; i++)
        render_line(render_arms, &view->scenarios[i], screen, out);
    unsigned rows = arms ? graph_rows(view, screen) : 0;
    for (size_t i = 0; i < view->count; i++) {
        if (!view->scenarios[i].current)
            continue;
        render_line(render_status, &view->scenarios[i], screen, out);
        render_line(render_memory, &view->scenarios[i], screen, out);
        if (rows > 0)
            render_graph(&view->scenarios[i], rows, screen, out);
    }
    return true;
}

/* --- the trace ------------------------------------------------------------------------------- */

static void widen(struct live_trace *trace)
{
    for (size_t i = 0; i < LIVE_BINS / 2; i++) {
        trace->peak_bytes[i] = fmax(trace->peak_bytes[2 * i], trace->peak_bytes[2 * i + 1]);
        trace->kills[i] = trace->kills[2 * i] + trace->kills[2 * i + 1];
    }
    for (unsigned i = LIVE_BINS / 2; i < LIVE_BINS; i++) {
        trace->peak_bytes[i] = 0;
        trace->kills[i] = 0;
    }
    trace->extent_s *= 2;
}

void live_trace_add(struct live_trace *trace, double at_s, double bytes, unsigned kills)
{
    at_s = fmax(at_s, 0);
    while (at_s >= trace->extent_s)
        widen(trace);
    unsigned bin = (unsigned)(at_s / trace->extent_s * LIVE_BINS);
    trace->peak_bytes[bin] = fmax(trace->peak_bytes[bin], bytes);
    trace->kills[bin] += kills;
}
