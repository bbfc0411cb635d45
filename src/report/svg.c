/* SPDX-License-Identifier: Apache-2.0 */
#include "report/svg.h"

#include "base/cleanup.h"
#include "report/document.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void svg_text(struct buffer *out, double x, double y, const char *anchor, const char *class,
              const char *format, ...)
{
    AUTO_FREE char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    if (!text) {
        out->failed = true;
        return;
    }
    buffer_printf(out, "<text x=\"%.1f\" y=\"%.1f\"", x, y);
    if (anchor[0] != 's')
        buffer_printf(out, " text-anchor=\"%s\"", anchor);
    if (class)
        buffer_printf(out, " class=\"%s\"", class);
    buffer_puts(out, ">");
    html_escape(out, text);
    buffer_puts(out, "</text>\n");
}

void svg_line(struct buffer *out, double x1, double y1, double x2, double y2, const char *class)
{
    buffer_printf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1,
                  y1, x2, y2, class);
}

void svg_rect(struct buffer *out, double x, double y, double width, double height,
              const char *class)
{
    buffer_printf(out,
                  "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" class=\"%s\"/>\n", x,
                  y, fmax(width, 0), fmax(height, 0), class);
}

void svg_kill(struct buffer *out, double x, double y)
{
    buffer_printf(out,
                  "<g transform=\"translate(%.1f %.1f)\" class=\"kill\"><circle r=\"6.5\"/>"
                  "<path d=\"M-3 -3L3 3M-3 3L3 -3\"/></g>\n",
                  x, y);
}

void svg_end(struct buffer *out, double x, double y)
{
    svg_rect(out, x - 4, y - 4, 8, 8, "end");
}

void svg_hatched(struct buffer *out, double x, double y, double width, double height,
                 const char *class, const char *line_class)
{
    svg_rect(out, x, y, width, height, class);
    if (width < 1 || height < 1)
        return;
    buffer_puts(out, "<path d=\"");
    /* Strokes that rise to the right, cut at the rectangle's edges. */
    for (unsigned i = 0; 5 * i < width + height; i++) {
        double start = x - height + 5 * i;
        double from = fmax(start, x);
        double to = fmin(start + height, x + width);
        if (to > from)
            buffer_printf(out, "M%.1f %.1fL%.1f %.1f", from, y + height - (from - start), to,
                          y + height - (to - start));
    }
    buffer_printf(out, "\" class=\"%s\" fill=\"none\"/>\n", line_class);
}

void svg_begin(struct buffer *out, unsigned number, double width, double height, const char *title,
               const char *description)
{
    buffer_printf(out,
                  "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-labelledby=\"chart%u-title "
                  "chart%u-description\">\n<title id=\"chart%u-title\">",
                  width, height, number, number, number);
    html_escape(out, title);
    buffer_printf(out, "</title>\n<desc id=\"chart%u-description\">", number);
    html_escape(out, description);
    buffer_puts(out, "</desc>\n");
}

void svg_close(struct buffer *out)
{
    buffer_puts(out, "</svg>\n");
}

double svg_text_width(const char *text)
{
    size_t characters = 0;
    for (; *text; text++)
        characters += ((unsigned char)*text & 0xC0) != 0x80;
    return 6.8 * (double)characters;
}
