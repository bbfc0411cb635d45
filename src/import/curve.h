/* SPDX-License-Identifier: Apache-2.0 */
/* One container's recorded memory: samples cut into its lifetimes, and what the program itself
 * printed about its memory. */
#pragma once

#include "analysis/series.h"
#include "import/lives.h"

/* Of one lifetime; borrowed by the series. */
struct curve {
    struct point *points; /* owned; seconds since `zero_ns` */
    size_t count;
    int64_t zero_ns;
    double peak, first, last; /* working set (usage where that is all there is); NAN */
    int64_t peak_ns, first_ns, last_ns;
    int64_t peak_fact, first_fact, last_fact; /* 0 none */
    int64_t any_fact;                         /* a sample of whatever kind */
};

struct curves {
    struct curve *items; /* one for each lifetime; owned */
    size_t count;
    struct clock_steps clock_steps; /* of the tables that they are from */
    struct conflicts conflicts;
};

/* At most so many points of a lifetime are kept; of more, the highest of each of equal groups. */
#define CURVE_POINTS_MAX 20000

/* A container without any known lifetime has one curve, of all its samples. */
int curves_load(struct store *store, int64_t arm_id, const struct lives *lives, struct curves *ret,
                struct error *err);
void curves_done(struct curves *curves);

/* Sizes that a program printed again and again in one lifetime: "retained 120 MiB". Its own word,
 * not a measurement. */
struct spoken {
    size_t lines;
    double first_bytes, last_bytes, seconds;
    double per_second;
    int64_t first_fact, last_fact;
    bool rising; /* every line said at least as much as the one before, and the last much more */
};
int spoken_load(struct store *store, int64_t arm_id, const struct life *life, struct spoken *ret,
                struct error *err);

/* The size in a line of text: the last "<number> <unit>" of it in bytes; NAN. */
double spoken_size(const char *text);
