/* SPDX-License-Identifier: Apache-2.0 */
/* One arm in full, on one time axis: phases on top, memory, processes, memory by kind, requests,
 * latency, legend. */
#include "report/chart_scale.h"
#include "report/svg.h"
#include "report/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WIDTH        960.0
#define LEFT         64.0
#define RIGHT        76.0
#define PLOT         (WIDTH - LEFT - RIGHT)
#define MEMORY_TOP   36.0
#define MEMORY       210.0
#define PROCESS_TOP  (MEMORY_TOP + MEMORY + 10)
#define PROCESS      18.0
#define KINDS_TOP    (PROCESS_TOP + PROCESS + 28)
#define KINDS        84.0
#define REQUESTS_TOP (KINDS_TOP + KINDS + 24)
#define REQUESTS     60.0
#define REQUESTS_END (REQUESTS_TOP + REQUESTS)
#define LATENCY_TOP  (REQUESTS_END + 24)
#define LATENCY      52.0
#define BOTTOM       (LATENCY_TOP + LATENCY)
#define LEGEND       (BOTTOM + 46)
#define HEIGHT       (LEGEND + 14)

static void phase_label(const struct chart_phase *phase, double x, double width, struct buffer *out)
{
    char text[32];
    if (strcmp(phase->kind, "cycle") == 0)
        snprintf(text, sizeof(text), "cycle %lld", (long long)phase->cycle);
    else
        snprintf(text, sizeof(text), "%s",
                 strcmp(phase->kind, "cooldown") == 0 ? "cool-down" : phase->kind);
    if (svg_text_width(text) > width && strcmp(phase->kind, "cycle") == 0)
        snprintf(text, sizeof(text), "%lld", (long long)phase->cycle);
    if (svg_text_width(text) <= width)
        svg_text(out, x + width / 2, MEMORY_TOP - 20, "middle", "t-soft", "%s", text);
}

static void draw_phases(const struct scale *scale, const struct chart_arm *arm, struct buffer *out)
{
    for (size_t i = 0; i < arm->phase_count; i++) {
        const struct chart_phase *phase = &arm->phases[i];
        double x = scale_x(scale, phase->start_s);
        double width = scale_x(scale, phase->end_s) - x;
        if (!(width > 0.2))
            continue;
        bool cycle = strcmp(phase->kind, "cycle") == 0;
        svg_rect(out, x, MEMORY_TOP, width, BOTTOM - MEMORY_TOP, cycle ? "band" : "idle");
        svg_line(out, x, MEMORY_TOP - 15, x + width - 1, MEMORY_TOP - 15, "axis");
        phase_label(phase, x, width, out);
    }
}

static double highest_rate(const struct chart_arm *arm)
{
    double highest = 0;
    for (size_t i = 0; i < arm->bin_count; i++)
        highest = fmax(highest, (arm->bins[i].completed + arm->bins[i].failed) / arm->bin_s);
    return highest;
}

static void draw_bin(const struct scale *scale, const struct chart_arm *arm, size_t index,
                     double max_rate, struct buffer *out)
{
    const struct chart_bin *bin = &arm->bins[index];
    double x = scale_x(scale, (double)index * arm->bin_s);
    double width = fmax(scale_x(scale, (double)(index + 1) * arm->bin_s) - x - 0.8, 0.8);
    double completed = bin->completed / arm->bin_s / max_rate * REQUESTS;
    double failed = bin->failed / arm->bin_s / max_rate * REQUESTS;
    if (completed > 0)
        svg_rect(out, x, REQUESTS_END - completed, width, completed, "done");
    if (failed > 0)
        svg_hatched(out, x, REQUESTS_END - completed - failed, width, failed, "failed",
                    "failed-line");
}

static void draw_requests(const struct scale *scale, const struct chart_arm *arm,
                          struct buffer *out)
{
    double highest = highest_rate(arm);
    svg_text(out, LEFT, REQUESTS_TOP - 5, "start", "t-bold", "requests per second");
    if (highest <= 0) {
        svg_text(out, LEFT + PLOT / 2, REQUESTS_TOP + REQUESTS / 2, "middle", "t-soft",
                 "no requests were sent");
        return;
    }
    double step = chart_step(highest * 1.05, 2);
    double max_rate = fmax(highest * 1.05, step);
    char text[FIGURE_TEXT_MAX];
    for (unsigned i = 0; i * step <= max_rate; i++) {
        double rate = i * step;
        double y = REQUESTS_END - rate / max_rate * REQUESTS;
        svg_line(out, LEFT, y, LEFT + PLOT, y, "grid");
        svg_text(out, LEFT - 7, y + 4, "end", "t-soft", "%s", figure_number(rate, 2, text));
    }
    for (size_t i = 0; i < arm->bin_count; i++)
        draw_bin(scale, arm, i, max_rate, out);
}

/* One entry of the legend: its sign is drawn at x, its text 26 px further; returns where the next
 * one begins. */
static double legend_text(double x, const char *text, struct buffer *out)
{
    svg_text(out, x + 26, LEGEND, "start", "t-soft", "%s", text);
    return x + 26 + 0.89 * svg_text_width(text) + 14;
}

static void draw_legend(struct buffer *out)
{
    const double top = LEGEND - 10;
    double x = LEFT;
    buffer_printf(out, "<path class=\"ws\" d=\"M%.1f %.1fh20\"/>\n", x, LEGEND - 4);
    x = legend_text(x, "working set", out);
    svg_line(out, x, LEGEND - 4, x + 20, LEGEND - 4, "limit");
    x = legend_text(x, "limit", out);
    svg_kill(out, x + 12, LEGEND - 4);
    x = legend_text(x, "killed by the kernel", out);
    svg_rect(out, x + 4, top, 16, 12, "down");
    x = legend_text(x, "no process (back-off)", out);
    svg_hatched(out, x + 4, top, 16, 12, "pending", "failed-line");
    x = legend_text(x, "starting", out);
    svg_rect(out, x + 4, top, 16, 12, "ready");
    x = legend_text(x, "ready", out);
    svg_rect(out, x + 4, top, 16, 12, "done");
    x = legend_text(x, "completed", out);
    svg_hatched(out, x + 4, top, 16, 12, "failed", "failed-line");
    legend_text(x, "failed", out);
}

void chart_draw_arm(const struct chart_arm *arm, unsigned number, const char *description,
                    struct buffer *out)
{
    const struct scale scale = {
        .left = LEFT,
        .top = MEMORY_TOP,
        .width = PLOT,
        .height = MEMORY,
        .max_s = arm->duration_s,
        .max_bytes = chart_ceiling(arm),
    };
    char limit[FIGURE_TEXT_MAX];
    svg_begin(out, number, WIDTH, HEIGHT, arm->title, description);
    draw_phases(&scale, arm, out);
    scale_draw_backoff(&scale, arm, true, out);
    scale_draw_memory(&scale, 6, out);
    scale_draw_time(&scale, MEMORY_TOP, BOTTOM, 10, out);
    scale_draw_limit(&scale, arm->limit_bytes, out);
    svg_text(out, LEFT + PLOT + 18, scale_y(&scale, arm->limit_bytes) + 4, "start", "t-limit", "%s",
             figure_limit(arm->limit_bytes, limit));
    const struct scale kinds = {
        .left = LEFT,
        .top = KINDS_TOP,
        .width = PLOT,
        .height = KINDS,
        .max_s = arm->duration_s,
        .max_bytes = chart_kinds_ceiling(arm),
    };
    const struct scale latency = {.left = LEFT,
                                  .top = LATENCY_TOP,
                                  .width = PLOT,
                                  .height = LATENCY,
                                  .max_s = arm->duration_s};
    scale_draw_kinds(&kinds, arm, out);
    draw_requests(&scale, arm, out);
    scale_draw_latency(&latency, arm, out);
    scale_draw_processes(&scale, arm, PROCESS_TOP, PROCESS, out);
    scale_draw_lifetimes(&scale, arm, true, out);
    svg_text(out, LEFT + PLOT / 2, BOTTOM + 30, "middle", "t-soft", "time since the arm's start");
    draw_legend(out);
    svg_close(out);
}
