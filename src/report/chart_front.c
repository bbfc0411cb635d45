/* SPDX-License-Identifier: Apache-2.0 */
/* The chart of the first screen: working set against the limit, with every lifetime, kill, restart
 * and back-off; low enough to be seen without scrolling. */
#include "report/chart_scale.h"
#include "report/svg.h"
#include "report/text.h"

#include <math.h>

#define WIDTH       960.0
#define LEFT        64.0
#define RIGHT       76.0
#define PLOT        (WIDTH - LEFT - RIGHT)
#define TOP         18.0
#define MEMORY      170.0
#define PROCESS_TOP (TOP + MEMORY + 6)
#define PROCESS     18.0
#define BOTTOM      (PROCESS_TOP + PROCESS)
#define HEIGHT      (BOTTOM + 38)

void chart_draw_front(const struct chart_arm *arm, unsigned number, const char *description,
                      struct buffer *out)
{
    const struct scale scale = {
        .left = LEFT,
        .top = TOP,
        .width = PLOT,
        .height = MEMORY,
        .max_s = arm->duration_s,
        .max_bytes = chart_ceiling(arm),
    };
    char limit[FIGURE_TEXT_MAX];
    svg_begin(out, number, WIDTH, HEIGHT, arm->title, description);
    svg_rect(out, LEFT, TOP, PLOT, MEMORY, "idle");
    scale_draw_backoff(&scale, arm, true, out);
    scale_draw_memory(&scale, 5, out);
    scale_draw_time(&scale, TOP, BOTTOM, 10, out);
    if (isfinite(arm->limit_bytes)) {
        scale_draw_limit(&scale, arm->limit_bytes, out);
        svg_text(out, LEFT + PLOT + 18, scale_y(&scale, arm->limit_bytes) - 2, "start", "t-limit",
                 "limit");
        svg_text(out, LEFT + PLOT + 18, scale_y(&scale, arm->limit_bytes) + 12, "start", "t-limit",
                 "%s", figure_limit(arm->limit_bytes, limit));
    }
    scale_draw_processes(&scale, arm, PROCESS_TOP, PROCESS, out);
    scale_draw_lifetimes(&scale, arm, true, out);
    scale_label_line(&scale, arm, out);
    svg_text(out, LEFT + PLOT / 2, BOTTOM + 32, "middle", "t-soft", "time since the start of %s",
             arm->title);
    svg_close(out);
}
