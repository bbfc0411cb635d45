/* SPDX-License-Identifier: Apache-2.0 */
/* One lifetime made ready for judgement: samples after readiness, floors, phases. Internal to
 * src/analysis. */
#pragma once

#include "analysis/busy.h"
#include "analysis/trend.h"

#define PROFILE_FLOOR_MAX 48 /* bins of the retained floor */
#define PROFILE_IDLE_MAX  12 /* bins of each idle phase */
/* Of its limit: a process that keeps so much has no room but for the pages that the kernel takes
 * away and reads again. */
#define PROFILE_AT_LIMIT 0.97

/* Floor points of one series or of several behind one another. */
struct floor {
    double *x, *y; /* owned */
    size_t count;
};

struct profile {
    const struct lifetime_series *lifetime;
    double *t, *requests, *in_flight, *retained,
        *cache; /* after readiness, retained known; owned */
    size_t count;
    double end_s; /* of the lifetime, or of its way to the limit */
    struct busy cycles;
    struct floor by_requests;  /* during cycles: x is requests */
    struct floor by_time;      /* x is seconds */
    struct floor busy;         /* during cycles: x is seconds */
    struct trend_series *idle; /* idle phases, x is seconds; owned */
    double *idle_values;
    size_t idle_count, gap_count; /* the first gap_count of them lie between and after cycles */
    size_t releases;
    struct trend_troughs troughs;           /* between them */
    double baseline;                        /* retained before the first request; NAN unknown */
    double settled_s;                       /* end of warm-up */
    double cycle_growth[GROWTH_CYCLES_MAX]; /* of the first cycles */
    size_t cycle_count, cycle_total;        /* that many; all complete ones */
};

/* Returns 0 or -ENOMEM. In both cases profile_done() is due. */
int profile_init(struct profile *profile, const struct lifetime_series *lifetime);
void profile_done(struct profile *profile);

/* How many bins a floor over so many samples has. */
size_t profile_floor_bins(size_t points, size_t releases);

/* Lowest retained value among samples whose x (requests, or seconds) lies in [from, to]; that of
 * the nearest earlier sample when there is none; NAN when there is no sample. */
double profile_floor_at(const struct profile *profile, bool by_requests, double from, double to);

/* The last x of the lifetime: requests or seconds. */
double profile_end(const struct profile *profile, bool by_requests);
