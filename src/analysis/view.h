/* SPDX-License-Identifier: Apache-2.0 */
/* What an arm's lifetimes show together, before any judgement. Internal to src/analysis. */
#pragma once

#include "analysis/profile.h"

/* How a killed lifetime came to its end: the retained floor at half and at four fifths of its way
 * (requests, or seconds), as shares of the rise from the baseline to the top. A steady growth shows
 * 0.5 and 0.8, a burst at the end 0 and 0, a fill at the beginning 1 and 1. */
struct shape {
    double half, late; /* NAN: too few samples */
};

struct view {
    const struct arm_series *arm;
    struct profile *profiles; /* one for each lifetime; owned */
    unsigned kills;           /* by the kernel's OOM killer */
    unsigned startup_kills;   /* of them before readiness and before any request */
    unsigned memory_deaths;   /* kills, user-space killers, runtimes' own limits */
    unsigned other_deaths;    /* neither memory, nor the platform's own stop; with the probes' */
    unsigned child_kills;
    unsigned own_limit_deaths, runtime_deaths;
    enum evidence_level weakest; /* of the memory deaths' causes */
    double peak_bytes;           /* highest working set or kernel high-water mark; NAN unknown */
    double working_bytes;        /* highest working set; NAN unknown */
    double need_bytes;           /* peak_bytes without page cache; NAN unknown */
    double requests;             /* completed by all lifetimes */
    bool traffic;                /* requests were sent while a lifetime was observed */
    /* Common slopes over the lifetimes that got past their start. */
    struct trend per_request, per_second, busy_per_second, idle_per_second;
    /* per_request and per_second as they are told: with all that is unsure about them (rate.h). */
    struct estimate request_rate, second_rate;
    enum driver driver;            /* DRIVER_NONE: requests and time cannot be told apart */
    const struct profile *longest; /* the lifetime with the longest observed time after readiness */
};

bool cause_is_kernel_oom(enum end_cause cause);
/* Also a user-space killer and a runtime's own limit. */
bool cause_is_memory(enum end_cause cause);
/* An end of its own that memory does not explain. */
bool cause_is_other_death(enum end_cause cause);
/* Killed for memory before it was ready and before any request. */
bool killed_at_start(const struct lifetime_series *lifetime);

/* Returns 0 or -ENOMEM. In both cases view_done() is due. */
int view_init(struct view *view, const struct arm_series *arm);
void view_done(struct view *view);

bool view_ever_ready(const struct view *view);
/* What it needs came so close to the limit that memory may have been the reason of an end. */
bool view_near_limit(const struct view *view);

/* Whether growth is seen against requests (else against time). */
bool view_by_requests(const struct view *view);

/* `by_requests`: the way is counted in requests, else in seconds. */
struct shape shape_of(const struct profile *profile, double limit_bytes, bool by_requests);

/* How the rise from the first request (or sample) to the end of the traffic falls on its thirds:
 * 1/3 each for steady growth, the last near 0 when it has levelled off. NAN: unknown. */
struct thirds {
    double middle, last;
};
struct thirds thirds_of(const struct profile *profile, bool by_requests);
