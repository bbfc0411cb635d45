/* SPDX-License-Identifier: Apache-2.0 */
#include "report/chart_scale.h"

#include "base/cleanup.h"
#include "base/size.h"
#include "report/svg.h"
#include "report/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_DISTANCE 44.0 /* px between two kill labels */

static const struct {
    const char *name;
    double bytes;
} UNITS[] = {{"GiB", (double)GIB}, {"MiB", (double)MIB}, {"KiB", (double)KIB}};

void scale_draw_memory(const struct scale *scale, unsigned max_ticks, struct buffer *out)
{
    double step = chart_step_bytes(scale->max_bytes, max_ticks);
    size_t unit = step >= (double)GIB ? 0 : step >= (double)MIB ? 1 : 2;
    for (unsigned i = 0; i * step <= scale->max_bytes; i++) {
        double bytes = i * step;
        double y = scale_y(scale, bytes);
        svg_line(out, scale->left, y, scale->left + scale->width, y, "grid");
        svg_text(out, scale->left - 7, y + 4, "end", "t-soft", "%.0f", bytes / UNITS[unit].bytes);
    }
    svg_text(out, scale->left - 7, scale->top - 4, "end", "t-soft", "%s", UNITS[unit].name);
}

void scale_draw_time(const struct scale *scale, double top, double bottom, unsigned max_ticks,
                     struct buffer *out)
{
    double step = chart_step(scale->max_s, max_ticks);
    bool minutes = scale->max_s >= 600;
    if (minutes)
        step = 60 * chart_step(scale->max_s / 60, max_ticks);
    for (unsigned i = 0; i * step <= scale->max_s * (1 + 1e-9); i++) {
        double x = scale_x(scale, i * step);
        char text[FIGURE_TEXT_MAX];
        svg_line(out, x, top, x, bottom, "grid");
        svg_line(out, x, bottom, x, bottom + 4, "axis");
        svg_text(out, x, bottom + 16, "middle", "t-soft", "%s%s",
                 figure_number(i * step / (minutes ? 60 : 1), 3, text), minutes ? " min" : " s");
    }
    svg_line(out, scale->left, bottom, scale->left + scale->width, bottom, "axis");
}

static void draw_line(const struct scale *scale, const struct chart_lifetime *lifetime,
                      struct buffer *out)
{
    size_t bytes = lifetime->count * sizeof(*lifetime->points);
    AUTO_FREE struct chart_point *points = malloc(bytes ? bytes : 1);
    if (!points) {
        out->failed = true;
        return;
    }
    memcpy(points, lifetime->points, bytes);
    size_t count = chart_thin(points, lifetime->count, scale->max_s, (size_t)scale->width);
    buffer_printf(out, "<path class=\"ws%s\" d=\"", lifetime->index % 2 ? "" : " alt");
    for (size_t i = 0; i < count; i++)
        buffer_printf(out, "%s%.1f %.1f", i ? "L" : "M", scale_x(scale, points[i].t_s),
                      scale_y(scale, points[i].bytes));
    buffer_puts(out, "\"/>\n");
}

/* The last sample before a moment: after a kill the memory is on its way back to the kernel. */
static double bytes_at(const struct chart_lifetime *lifetime, double t_s)
{
    double bytes = lifetime->count ? lifetime->points[0].bytes : 0;
    for (size_t i = 0; i < lifetime->count && lifetime->points[i].t_s <= t_s; i++)
        bytes = lifetime->points[i].bytes;
    return bytes;
}

void scale_draw_lifetimes(const struct scale *scale, const struct chart_arm *arm, bool label_kills,
                          struct buffer *out)
{
    double last_label = -LABEL_DISTANCE;
    unsigned kills = 0;
    for (size_t i = 0; i < arm->lifetime_count; i++) {
        const struct chart_lifetime *lifetime = &arm->lifetimes[i];
        if (lifetime->count > 0)
            draw_line(scale, lifetime, out);
        if (!lifetime->ended)
            continue;
        if (!lifetime->oom_killed) {
            svg_end(out, scale_x(scale, lifetime->end_s),
                    scale_y(scale, bytes_at(lifetime, lifetime->end_s)));
            continue;
        }
        kills++;
        double x = scale_x(scale, lifetime->killed_s);
        double y = scale_y(scale, fmin(bytes_at(lifetime, lifetime->killed_s), arm->limit_bytes));
        svg_line(out, x, scale->top, x, scale->top + scale->height, "kill-line");
        svg_kill(out, x, y);
        if (label_kills && x - last_label >= LABEL_DISTANCE) {
            svg_text(out, x, scale->top + 11, "middle", "t-kill t-halo", "kill %u", kills);
            last_label = x;
        }
    }
}

/* To the left of and above a rising line there is room. */
void scale_label_line(const struct scale *scale, const struct chart_arm *arm, struct buffer *out)
{
    const struct chart_lifetime *longest = NULL;
    for (size_t i = 0; i < arm->lifetime_count; i++) {
        const struct chart_lifetime *lifetime = &arm->lifetimes[i];
        if (lifetime->count > 0 &&
            (!longest || lifetime->end_s - lifetime->start_s > longest->end_s - longest->start_s))
            longest = lifetime;
    }
    if (!longest)
        return;
    const struct chart_point *point = &longest->points[longest->count * 3 / 5];
    double x = scale_x(scale, point->t_s) - 8;
    double y = scale_y(scale, point->bytes) - 6;
    if (x - svg_text_width("working set") > scale->left)
        svg_text(out, x, y, "end", "t-ws", "working set");
}

void scale_draw_limit(const struct scale *scale, double limit_bytes, struct buffer *out)
{
    double y = scale_y(scale, limit_bytes);
    svg_line(out, scale->left, y, scale->left + scale->width, y, "limit");
}

void scale_draw_backoff(const struct scale *scale, const struct chart_arm *arm, bool label,
                        struct buffer *out)
{
    /* Of several replicas, the others go on: the timeline below has the gaps. */
    for (size_t i = 1; i < arm->lifetime_count && arm->replica_count < 2; i++) {
        const struct chart_lifetime *next = &arm->lifetimes[i];
        double from = scale_x(scale, arm->lifetimes[i - 1].end_s);
        double width = scale_x(scale, next->start_s) - from;
        if (width < 0.3)
            continue;
        svg_rect(out, from, scale->top, width, scale->height, "down");
        char seconds[FIGURE_TEXT_MAX];
        figure_seconds(next->backoff_s, seconds);
        if (label && width > svg_text_width("back-off") + 4) {
            svg_text(out, from + width / 2, scale->top + scale->height - 22, "middle", "t-soft",
                     "back-off");
            svg_text(out, from + width / 2, scale->top + scale->height - 8, "middle", "t-soft",
                     "%s", seconds);
        }
    }
}
