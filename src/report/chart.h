/* SPDX-License-Identifier: Apache-2.0 */
/* Charts of an arm as inline SVG: what is drawn (from the evidence file), and the drawing.
 *
 * Colours come from the page's style sheet by class, so that one drawing serves light, dark and
 * print; nothing is told by colour alone. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chart_point {
    double t_s, bytes;
};

/* Times are seconds since the arm's start; NAN where unknown. */
struct chart_lifetime {
    int64_t row, index;
    size_t replica;                 /* 0.. in the order of their first start */
    double start_s, ready_s, end_s; /* end_s: the arm's end while it ran on */
    double killed_s;                /* when the kernel killed it; its memory goes only afterwards */
    double backoff_s;
    bool ended, oom_killed;
    struct chart_point *points; /* by blocks (samples.h) and thinned where there are very many */
    size_t count, samples;      /* of points; of samples with a working set */
};

struct chart_phase {
    char kind[16]; /* idle, cycle, gap, cooldown */
    int64_t cycle;
    double start_s, end_s;
};

struct chart_bin {
    double completed, failed;
    double mean_s, longest_s; /* from due to answered, of the completed; 0 without any */
};

#define CHART_KINDS 4 /* anonymous, shared, file cache without shared, kernel */

struct chart_kinds {
    double t_s, bytes[CHART_KINDS];
    int64_t lifetime; /* its row */
};

struct chart_arm {
    int64_t arm_id;
    int64_t started_ns;
    char *title; /* "leak/trigger" */
    double limit_bytes;
    double duration_s; /* > 0 */
    double peak_bytes; /* highest sample; 0 without samples */
    struct chart_lifetime *lifetimes;
    size_t lifetime_count;
    size_t replica_count;
    struct chart_phase *phases;
    size_t phase_count;
    struct chart_bin *bins; /* requests by due time */
    size_t bin_count;
    double bin_s;
    struct chart_kinds *kinds; /* by lifetime, then by time; thinned */
    size_t kind_count;
};

int chart_arm_load(struct store *store, int64_t arm_id, struct chart_arm *ret, struct error *err);
void chart_arm_done(struct chart_arm *arm);

/* The next sample with memory by kind, of each column the fullest: a peak is never lost. Returns 0
 * or -ENOMEM. */
struct sample_part;
int chart_kinds_add(struct chart_arm *arm, int64_t lifetime, const struct sample_part *part);
double chart_kinds_ceiling(const struct chart_arm *arm);

/* Thin a series for drawing: of each of `columns` equal stretches of [0, span_s] the first, lowest,
 * highest and last point, in order; a spike never disappears. In place; returns the new count. */
size_t chart_thin(struct chart_point *points, size_t count, double span_s, size_t columns);

/* Since the arm's start. */
double chart_seconds(const struct chart_arm *arm, int64_t at_ns);

/* Ticks at 1, 2, 2.5 or 5 times a power of ten (of two for bytes, in MiB), at most `max_ticks` of
 * them above 0 up to `limit`: the step. */
double chart_step(double limit, unsigned max_ticks);
double chart_step_bytes(double limit, unsigned max_ticks);

/* The lifetime before the one at `position`, of the same replica; NULL for its first. */
const struct chart_lifetime *chart_before(const struct chart_arm *arm, size_t position);
/* Where the memory axis of one arm ends. */
double chart_ceiling(const struct chart_arm *arm);

/* The first screen's chart of one arm: memory and processes, without a legend. `width` px: labels
 * keep their size, so that a narrow window gets a drawing of its own. */
#define CHART_FRONT_WIDE   960.0
#define CHART_FRONT_MEDIUM 640.0
#define CHART_FRONT_NARROW 340.0
void chart_draw_front(const struct chart_arm *arm, double width, unsigned number,
                      const char *description, struct buffer *out);
/* One arm in full: memory, processes, requests. `number` makes ids unique in the page. Appends SVG.
 */
void chart_draw_arm(const struct chart_arm *arm, unsigned number, const char *description,
                    struct buffer *out);
/* Small multiples on the same scales. */
void chart_draw_overview(const struct chart_arm *arms, size_t count, unsigned number,
                         const char *description, struct buffer *out);
