/* SPDX-License-Identifier: Apache-2.0 */
/* The restart timeline: when a process was starting, ready, and when there was none. */
#include "report/chart_scale.h"
#include "report/svg.h"

#include <math.h>
#include <string.h>

static void draw_process(const struct scale *scale, const struct chart_lifetime *lifetime,
                         double top, double height, struct buffer *out)
{
    double start = scale_x(scale, lifetime->start_s);
    double end = scale_x(scale, lifetime->end_s);
    double ready = isfinite(lifetime->ready_s) ? scale_x(scale, lifetime->ready_s) : end;
    double label = end - ready > ready - start ? ready : start;
    double width = fmax(end - ready, ready - start);
    if (ready > start)
        svg_hatched(out, start, top, ready - start, height, "pending", "failed-line");
    if (end > ready)
        svg_rect(out, ready, top, end - ready, height, "ready");
    if (width > 22 && height > 12)
        svg_text(out, label + width / 2, top + height / 2 + 4, "middle", "t-on", "%lld",
                 (long long)lifetime->index);
}

void scale_draw_processes(const struct scale *scale, const struct chart_arm *arm, double top,
                          double height, struct buffer *out)
{
    double lane = height / (double)(arm->replica_count ? arm->replica_count : 1);
    double bar = arm->replica_count > 1 ? fmax(lane - 1, 0.6) : lane;
    svg_text(out, scale->left - 7, top + height / 2 + 4, "end", "t-soft",
             arm->replica_count > 1 ? "replicas" : "process");
    for (size_t i = 0; i < arm->lifetime_count; i++) {
        const struct chart_lifetime *lifetime = &arm->lifetimes[i];
        const struct chart_lifetime *before = chart_before(arm, i);
        double y = top + lane * (double)lifetime->replica;
        if (before) {
            double from = scale_x(scale, before->end_s);
            svg_rect(out, from, y + bar * 0.39, scale_x(scale, lifetime->start_s) - from,
                     bar * 0.22, "down");
        }
        draw_process(scale, lifetime, y, bar, out);
    }
}
