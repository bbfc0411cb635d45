/* SPDX-License-Identifier: Apache-2.0 */
/* The arms of a scenario side by side, on the same scales. */
#include "report/chart_scale.h"
#include "report/svg.h"
#include "report/text.h"

#include <math.h>
#include <string.h>

#define WIDTH   960.0
#define COLUMNS 3
#define CELL    (WIDTH / COLUMNS)
#define ROW     210.0
#define LEFT    46.0
#define TOP     40.0
#define PLOT    (CELL - LEFT - 16)
#define MEMORY  130.0

static unsigned count_kills(const struct chart_arm *arm)
{
    unsigned kills = 0;
    for (size_t i = 0; i < arm->lifetime_count; i++)
        kills += arm->lifetimes[i].oom_killed;
    return kills;
}

static void draw_cell(const struct chart_arm *arm, const struct scale *scale, struct buffer *out)
{
    char limit[FIGURE_TEXT_MAX];
    unsigned kills = count_kills(arm);
    const char *name = strchr(arm->title, '/');
    double left = scale->left;
    double top = scale->top;
    svg_text(out, left, top - 22, "start", "t-bold", "%.24s", name ? name + 1 : arm->title);
    svg_text(out, left + PLOT, top - 22, "end", kills ? "t-kill" : "t-soft",
             kills == 1 ? "%s, %u kill" : "%s, %u kills", figure_limit(arm->limit_bytes, limit),
             kills);
    svg_rect(out, left, top, PLOT, MEMORY, "idle");
    scale_draw_backoff(scale, arm, false, out);
    scale_draw_memory(scale, 4, out);
    scale_draw_time(scale, top, top + MEMORY, 4, out);
    scale_draw_limit(scale, arm->limit_bytes, out);
    scale_draw_lifetimes(scale, arm, false, out);
}

void chart_draw_overview(const struct chart_arm *arms, size_t count, unsigned number,
                         const char *description, struct buffer *out)
{
    double max_s = 0.1;
    double max_bytes = 1024;
    for (size_t i = 0; i < count; i++) {
        max_s = fmax(max_s, arms[i].duration_s);
        max_bytes = fmax(max_bytes, fmax(arms[i].limit_bytes, arms[i].peak_bytes));
    }
    size_t rows = (count + COLUMNS - 1) / COLUMNS;
    svg_begin(out, number, WIDTH, ROW * (double)rows, "Arms side by side", description);
    for (size_t i = 0; i < count; i++) {
        size_t row = i / COLUMNS;
        const struct scale scale = {
            .left = LEFT + CELL * (double)(i % COLUMNS),
            .top = TOP + ROW * (double)row,
            .width = PLOT,
            .height = MEMORY,
            .max_s = max_s,
            .max_bytes = max_bytes * 1.08,
        };
        draw_cell(&arms[i], &scale, out);
    }
    svg_close(out);
}
