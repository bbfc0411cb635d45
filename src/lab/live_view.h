/* SPDX-License-Identifier: Apache-2.0 */
/* What a run looks like while it goes on, as lines for a terminal. Pure: everything it shows is in
 * its arguments. */
#pragma once

#include "base/buffer.h"
#include "lab/plan.h"

#include <stdbool.h>
#include <stddef.h>

/* The arm's time axis in so many parts. */
#define LIVE_BINS 256

/* Working set and kills of one arm, over the time that it can take at most. */
struct live_trace {
    double extent_s;              /* above 0 */
    double peak_bytes[LIVE_BINS]; /* 0: nothing was seen */
    unsigned kills[LIVE_BINS];
};
/* Beyond the extent the axis is made twice as long. */
void live_trace_add(struct live_trace *trace, double at_s, double bytes, unsigned kills);

enum live_arm_state { LIVE_PENDING, LIVE_CURRENT, LIVE_DONE, LIVE_SKIPPED };
struct live_arm {
    enum arm_kind kind;
    enum live_arm_state state;
    unsigned kills;
};

enum live_growth_kind { LIVE_MEASURING, LIVE_LEVEL, LIVE_PER_REQUEST, LIVE_PER_SECOND };
struct live_growth {
    enum live_growth_kind kind;
    double bytes;       /* per request, per second */
    double until_limit; /* requests, seconds; NAN: not before the arm's end */
};

struct live_scenario {
    const char *name;
    struct live_arm arms[ARM_KINDS];
    size_t arm_count;
    const struct live_arm *current; /* NULL: none is under way */
    char phase[48];                 /* "cycle 2 of 5" */
    unsigned due, planned, failed;  /* requests */
    unsigned child_kills;           /* for memory, after which the container went on */
    double limit_bytes;
    double working_set_bytes; /* NAN: not seen yet */
    struct live_growth growth;
    struct live_trace trace;
};

struct live_view {
    const struct live_scenario *scenarios;
    size_t count;
    double elapsed_s, remaining_s; /* the latter at most */
    bool stopping;
};

struct live_screen {
    unsigned columns, rows; /* of the terminal */
    bool colour, utf8;
};

/* Lines of less than `columns` columns, fewer than `rows`, with '\n' between them. What does not
 * fit is left out, the graph first. False: too small for any of it. */
bool live_render(const struct live_view *view, const struct live_screen *screen,
                 struct buffer *out);
