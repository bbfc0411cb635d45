/* SPDX-License-Identifier: Apache-2.0 */
/* The chart of the first screen: working set against the limit, with every lifetime, kill, restart
 * and back-off; low enough to be seen without scrolling. */
#include "report/chart_scale.h"
#include "report/svg.h"
#include "report/text.h"

#include <math.h>

#define TOP         18.0
#define MEMORY      170.0
#define PROCESS_TOP (TOP + MEMORY + 6)
#define PROCESS     18.0
#define BOTTOM      (PROCESS_TOP + PROCESS)
#define HEIGHT      (BOTTOM + 38)
#define TICK_WIDTH  82.0 /* px that a label of the time axis wants */

/* Beside the plot where there is room, else inside, below the line: a working set comes up to it
 * from below and from the left only late. */
static void label_limit(const struct scale *scale, double limit_bytes, bool beside,
                        struct buffer *out)
{
    char limit[FIGURE_TEXT_MAX];
    double y = scale_y(scale, limit_bytes);
    double right = scale->left + scale->width;
    figure_limit(limit_bytes, limit);
    if (beside) {
        svg_text(out, right + 18, y - 2, "start", "t-limit", "limit");
        svg_text(out, right + 18, y + 12, "start", "t-limit", "%s", limit);
    } else {
        svg_text(out, scale->left + 5, y + 14, "start", "t-limit t-halo", "limit %s", limit);
    }
}

void chart_draw_front(const struct chart_arm *arm, double width, unsigned number,
                      const char *description, struct buffer *out)
{
    bool wide = width >= CHART_FRONT_WIDE;
    const struct scale scale = {
        .left = width <= CHART_FRONT_NARROW ? 50 : 64,
        .top = TOP,
        .width = width - (width <= CHART_FRONT_NARROW ? 50 : 64) - (wide ? 76 : 22),
        .height = MEMORY,
        .max_s = arm->duration_s,
        .max_bytes = chart_ceiling(arm),
    };
    svg_begin(out, number, width, HEIGHT, arm->title, description);
    svg_rect(out, scale.left, TOP, scale.width, MEMORY, "idle");
    scale_draw_backoff(&scale, arm, true, out);
    scale_draw_memory(&scale, 5, out);
    scale_draw_time(&scale, TOP, BOTTOM, (unsigned)(scale.width / TICK_WIDTH), out);
    if (isfinite(arm->limit_bytes))
        scale_draw_limit(&scale, arm->limit_bytes, out);
    scale_draw_processes(&scale, arm, PROCESS_TOP, PROCESS, out);
    scale_draw_lifetimes(&scale, arm, true, out);
    scale_label_line(&scale, arm, out);
    if (isfinite(arm->limit_bytes))
        label_limit(&scale, arm->limit_bytes, wide, out);
    svg_text(out, scale.left + scale.width / 2, BOTTOM + 32, "middle", "t-soft",
             "time since the start%s%s", wide ? " of " : "", wide ? arm->title : "");
    svg_close(out);
}
