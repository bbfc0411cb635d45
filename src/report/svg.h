/* SPDX-License-Identifier: Apache-2.0 */
/* The few SVG elements that the charts need. Coordinates have one decimal; text is escaped. */
#pragma once

#include "base/buffer.h"

/* `class` may be NULL; `anchor` is start, middle or end. */
void svg_text(struct buffer *out, double x, double y, const char *anchor, const char *class,
              const char *format, ...) __attribute__((format(printf, 6, 7)));
void svg_line(struct buffer *out, double x1, double y1, double x2, double y2, const char *class);
void svg_rect(struct buffer *out, double x, double y, double width, double height,
              const char *class);
/* A kill: a ring with a cross; an ordinary end: a small square. */
void svg_kill(struct buffer *out, double x, double y);
void svg_end(struct buffer *out, double x, double y);
/* A rectangle with diagonal strokes over it, for what must be told apart without colour. */
void svg_hatched(struct buffer *out, double x, double y, double width, double height,
                 const char *class, const char *line_class);

/* Open and close a drawing with its title and description for screen readers. */
void svg_begin(struct buffer *out, unsigned number, double width, double height, const char *title,
               const char *description);
void svg_close(struct buffer *out);

/* Roughly how wide a text of 12 px is: enough to decide whether a label fits. */
double svg_text_width(const char *text);
