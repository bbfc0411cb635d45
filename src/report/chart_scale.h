/* SPDX-License-Identifier: Apache-2.0 */
/* From seconds and bytes to coordinates, and the axes that say so. */
#pragma once

#include "report/chart.h"

struct scale {
    double left, top, width, height; /* of the plot */
    double max_s, max_bytes;
};

static inline double scale_x(const struct scale *scale, double t_s)
{
    double share = t_s / scale->max_s;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    return scale->left + share * scale->width;
}

static inline double scale_y(const struct scale *scale, double bytes)
{
    return scale->top + scale->height * (1 - bytes / scale->max_bytes);
}

/* Memory grid and labels at the left edge, the unit above them. */
void scale_draw_memory(const struct scale *scale, unsigned max_ticks, struct buffer *out);
/* Time ticks and labels below `bottom`; grid lines from `top` to `bottom`. */
void scale_draw_time(const struct scale *scale, double top, double bottom, unsigned max_ticks,
                     struct buffer *out);
/* One working-set line for each lifetime, and the mark of its end. */
void scale_draw_lifetimes(const struct scale *scale, const struct chart_arm *arm, bool label_kills,
                          struct buffer *out);
/* The restart timeline, a lane for each replica. */
void scale_draw_processes(const struct scale *scale, const struct chart_arm *arm, double top,
                          double height, struct buffer *out);
/* "working set", written at the line itself. */
void scale_label_line(const struct scale *scale, const struct chart_arm *arm, struct buffer *out);
/* Memory by kind, stacked, with its key above. */
void scale_draw_kinds(const struct scale *scale, const struct chart_arm *arm, struct buffer *out);
/* Latency, with its own axis. */
void scale_draw_latency(const struct scale *scale, const struct chart_arm *arm, struct buffer *out);
void scale_draw_limit(const struct scale *scale, double limit_bytes, struct buffer *out);
/* Where no process ran between two lifetimes; seconds are written in when they fit. */
void scale_draw_backoff(const struct scale *scale, const struct chart_arm *arm, bool label,
                        struct buffer *out);
