/* SPDX-License-Identifier: Apache-2.0 */
/* Memory by kind, stacked: what the working set consists of, and what is only cache. */
#include "report/chart_scale.h"
#include "report/samples.h"
#include "report/svg.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 420 /* samples drawn of an arm, at most, for each lifetime in a column */

static const struct {
    const char *name, *class;
} KINDS[CHART_KINDS] = {{"anonymous", "kind-anon"},
                        {"shared", "kind-shmem"},
                        {"file cache", "kind-file"},
                        {"kernel", "kind-kernel"}};

static double total_of(const struct chart_kinds *kinds)
{
    double total = 0;
    for (size_t i = 0; i < CHART_KINDS; i++)
        total += kinds->bytes[i];
    return total;
}

/* `last`: of the same column, of which one is kept; NULL: the first of its column. */
static int keep(struct chart_arm *arm, const struct chart_kinds *sample, struct chart_kinds *last)
{
    if (last) {
        if (total_of(sample) > total_of(last))
            *last = *sample;
        return 0;
    }
    if (!arm->kinds || (arm->kind_count & (arm->kind_count - 1)) == 0) {
        size_t capacity = arm->kind_count ? 2 * arm->kind_count : 1;
        struct chart_kinds *grown = realloc(arm->kinds, capacity * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        arm->kinds = grown;
    }
    arm->kinds[arm->kind_count++] = *sample;
    return 0;
}

static double known_or_zero(double bytes)
{
    return isnan(bytes) ? 0 : bytes;
}

static double column_of(const struct chart_arm *arm, const struct chart_kinds *sample)
{
    return floor(sample->t_s / arm->duration_s * COLUMNS);
}

int chart_kinds_add(struct chart_arm *arm, int64_t lifetime, const struct sample_part *part)
{
    double shmem = known_or_zero(part->shmem);
    const struct chart_kinds sample = {
        .t_s = chart_seconds(arm, part->kinds_ns),
        .bytes = {part->anon, shmem, fmax(known_or_zero(part->file) - shmem, 0),
                  known_or_zero(part->kernel)},
        .lifetime = lifetime,
    };
    struct chart_kinds *last = arm->kind_count ? &arm->kinds[arm->kind_count - 1] : NULL;
    bool same =
        last && last->lifetime == lifetime && column_of(arm, last) == column_of(arm, &sample);
    return keep(arm, &sample, same ? last : NULL);
}

/* The area of one kind in one lifetime: along its top, and back along the top of what lies below.
 */
static void draw_area(const struct scale *scale, const struct chart_kinds *first, size_t count,
                      size_t kind, struct buffer *out)
{
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any = any || first[i].bytes[kind] > 0;
    if (!any || count < 2)
        return;
    buffer_printf(out, "<path class=\"%s\" d=\"", KINDS[kind].class);
    for (size_t side = 0; side < 2; side++) {
        for (size_t k = 0; k < count; k++) {
            size_t i = side ? count - 1 - k : k;
            double bytes = 0;
            for (size_t below = 0; below + side <= kind; below++)
                bytes += first[i].bytes[below];
            buffer_printf(out, "%s%.1f %.1f", side || k ? "L" : "M", scale_x(scale, first[i].t_s),
                          scale_y(scale, bytes));
        }
    }
    buffer_puts(out, "Z\"/>\n");
}

static void draw_key(const struct scale *scale, double y, struct buffer *out)
{
    double x = scale->left;
    svg_text(out, x, y, "start", "t-bold", "memory by kind");
    x += svg_text_width("memory by kind") + 26;
    for (size_t kind = 0; kind < CHART_KINDS; kind++) {
        svg_rect(out, x, y - 10, 16, 12, KINDS[kind].class);
        svg_text(out, x + 21, y, "start", "t-soft", "%s", KINDS[kind].name);
        x += 21 + svg_text_width(KINDS[kind].name) + 12;
    }
}

void scale_draw_kinds(const struct scale *scale, const struct chart_arm *arm, struct buffer *out)
{
    draw_key(scale, scale->top - 6, out);
    scale_draw_memory(scale, 3, out);
    if (arm->kind_count == 0)
        svg_text(out, scale->left + scale->width / 2, scale->top + scale->height / 2, "middle",
                 "t-soft", "not recorded");
    for (size_t from = 0; from < arm->kind_count;) {
        size_t to = from;
        while (to < arm->kind_count && arm->kinds[to].lifetime == arm->kinds[from].lifetime)
            to++;
        for (size_t kind = 0; kind < CHART_KINDS; kind++)
            draw_area(scale, arm->kinds + from, to - from, kind, out);
        from = to;
    }
}

double chart_kinds_ceiling(const struct chart_arm *arm)
{
    double highest = 1024;
    for (size_t i = 0; i < arm->kind_count; i++)
        highest = fmax(highest, total_of(&arm->kinds[i]));
    return highest * 1.08;
}
