/* SPDX-License-Identifier: Apache-2.0 */
/* How long the requests took, from when they were due to their answer, by when they were due. */
#include "report/chart_scale.h"
#include "report/svg.h"
#include "report/text.h"

#include <math.h>

static double highest(const struct chart_arm *arm)
{
    double latency = 0;
    for (size_t i = 0; i < arm->bin_count; i++)
        latency = fmax(latency, arm->bins[i].longest_s);
    return latency;
}

/* A line through the middle of each bin that has an answer; it breaks where there is none. */
static void draw_line(const struct scale *scale, const struct chart_arm *arm, bool longest,
                      double max_s, struct buffer *out)
{
    bool open = false;
    buffer_printf(out, "<path class=\"%s\" d=\"", longest ? "lat-max" : "lat");
    for (size_t i = 0; i < arm->bin_count; i++) {
        const struct chart_bin *bin = &arm->bins[i];
        double value = longest ? bin->longest_s : bin->mean_s;
        bool has = bin->completed > 0;
        if (has)
            buffer_printf(out, "%s%.1f %.1fh0.01", open ? "L" : "M",
                          scale_x(scale, ((double)i + 0.5) * arm->bin_s),
                          scale->top + scale->height * (1 - value / max_s));
        open = has;
    }
    buffer_puts(out, "\"/>\n");
}

void scale_draw_latency(const struct scale *scale, const struct chart_arm *arm, struct buffer *out)
{
    double longest = highest(arm);
    char text[FIGURE_TEXT_MAX];
    svg_text(out, scale->left, scale->top - 5, "start", "t-bold",
             "latency (line: mean, dashed: longest)");
    if (longest <= 0) {
        svg_text(out, scale->left + scale->width / 2, scale->top + scale->height / 2, "middle",
                 "t-soft", "no request was answered");
        return;
    }
    double step = chart_step(longest * 1.05, 2);
    double max_s = fmax(longest * 1.05, step);
    for (unsigned i = 0; i * step <= max_s; i++) {
        double y = scale->top + scale->height * (1 - i * step / max_s);
        svg_line(out, scale->left, y, scale->left + scale->width, y, "grid");
        svg_text(out, scale->left - 7, y + 4, "end", "t-soft", "%s",
                 i == 0 ? "0" : figure_seconds(i * step, text));
    }
    draw_line(scale, arm, true, max_s, out);
    draw_line(scale, arm, false, max_s, out);
}
