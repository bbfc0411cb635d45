/* SPDX-License-Identifier: Apache-2.0 */
/* Arms of known truth: a process model under identical cycles of requests, sampled as the observer
 * samples, killed at the limit and restarted with a growing pause. */
#pragma once

#include "analysis/series.h"
#include "base/random.h"

#define MODEL_LIST(X)                                                                              \
    X(HEALTHY, "healthy")                                                                          \
    X(NOISE, "AR(1) noise")                                                                        \
    X(WARM_UP, "warm-up ramp")                                                                     \
    X(SPIKE, "spikes that fit")                                                                    \
    X(COLLECTOR, "collector's sawtooth")                                                           \
    X(YOUNG_HEAP, "heap before its first collection")                                              \
    X(CACHE, "cache of known keys")                                                                \
    X(LRU, "cache of random keys")                                                                 \
    X(PAGE_CACHE, "page cache")                                                                    \
    X(EXITS, "exits with flat memory")                                                             \
    X(STARTUP, "start over the limit")                                                             \
    X(LARGE_LRU, "cache over the limit")                                                           \
    X(PEAK, "spikes over the limit")                                                               \
    X(LEAK, "leak per request, killed")                                                            \
    X(LEAK_SHMEM, "shmem per request, killed")                                                     \
    X(LEAK_TIME, "leak by time, killed")                                                           \
    X(LEAK_TICKS, "leak in ticks, killed")                                                         \
    X(LEAK_COLLECTED, "leak under a collector, killed")                                            \
    X(LEAK_SLOW, "leak per request, not killed")                                                   \
    X(LEAK_SLOW_COLLECTED, "leak under a collector, not killed")                                   \
    X(LEAK_SLOW_TIME, "leak by time, not killed")

enum model {
#define MODEL_ENUM(id, name) MODEL_##id,
    MODEL_LIST(MODEL_ENUM)
#undef MODEL_ENUM
        MODEL_COUNT
};

const char *model_name(enum model model);

struct sim {
    enum model model;
    uint64_t seed;
    double limit;
    double rate, hertz; /* requests and samples per second */
    double capacity;    /* requests that are answered per second, the others wait; 0: at once */
    double idle_s, gap_s, cooldown_s;
    unsigned cycles, per_cycle, kill_stop;
    double base;                    /* bytes at readiness */
    double per_request, per_second; /* what a leak keeps; or garbage, or a cache entry */
    double noise;                   /* share by which single requests differ */
    double spread;                  /* share by which lifetimes differ */
    double heap_step;               /* a collector runs after so many bytes */
    double burst, burst_s;          /* a spike, and for how long */
    double wander_s;                /* how long noise remembers itself */
};

/* Parameters drawn from the seed; every model keeps its truth for all of them. */
struct sim sim_draw(enum model model, uint64_t seed);

/* A standard normal deviate. */
double sim_normal(struct random *random);

/* The arm that comes out; free with sim_done(). Aborts when out of memory. */
struct arm_series sim_run(const struct sim *sim);
/* The arm as it was seen in the pause after cycle `cycle`; borrows from `arm`, `ret_lifetimes` has
 * room for its lifetimes. Only for arms of one lifetime, which lives. */
struct arm_series sim_cut(const struct arm_series *arm, unsigned cycle,
                          struct lifetime_series *ret_lifetimes);
void sim_done(struct arm_series *arm);
