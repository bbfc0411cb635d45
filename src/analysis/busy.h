/* SPDX-License-Identifier: Apache-2.0 */
/* When requests ran, as far as a lifetime's phases tell. Internal to src/analysis. */
#pragma once

#include "analysis/series.h"

struct busy {
    /* The cycles by their starts; for each the latest end among it and those before. Owned. */
    struct busy_cycle {
        double start_s, end_s;
    } * cycles;
    size_t count;
    bool always; /* nothing is known about phases */
};

/* Returns 0 or -ENOMEM. In both cases busy_done() is due. */
int busy_init(struct busy *busy, const struct lifetime_series *lifetime);
void busy_done(struct busy *busy);

/* By bisection: there may be as many cycles as there are samples. */
bool busy_at(const struct busy *busy, double t_s);
