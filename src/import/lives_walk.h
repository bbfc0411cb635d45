/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over a container's rows from the inside, shared by lives.c (starts and ends),
 * lives_sampled.c (counters and gauges) and lives_kills.c (the kernel's kills). */
#pragma once

#include "base/duration.h"
#include "import/lives.h"

#include <stdio.h>
#include <stdlib.h>

#define SAME_NS   (1500 * NS_PER_MS) /* whole seconds against fractions */
#define SCRAPE_NS (60 * NS_PER_S)    /* the usual intervals of Prometheus are no longer */

struct row {
    int64_t id, at_ns, boot_ns, started_ns;
    enum fact_kind kind;
    enum fact_origin origin;
    int exit_code, signal;
    bool oom_killed;
    uint64_t count;
    double value;
    int oom_kind; /* -1 none */
    bool bare;    /* its text gives no reason: Azure's ProcessExited rows */
    enum kmsg_scope scope;
    char reason[LIFE_REASON_MAX];
};

struct walk {
    struct store *store;
    struct lives *lives;
    struct row *rows; /* owned */
    size_t count;
    bool starts_recorded;
    double restarts_seen;        /* a metric's first count; NAN */
    int64_t restarts_seen_ns;    /* when that was */
    double count_last;           /* as the metric last gave it; NAN */
    double count_before;         /* what it had counted before it began anew */
    size_t ends_before;          /* ends known when that was seen */
    bool reason_wanted;          /* the count rose, and no reason was told since */
    const struct row *last_told; /* the last-reason row before; NULL */
};

/* Room for one more in an array that doubles; NULL: no memory, `array` is as it was. */
static inline void *lives_grow(void *array, size_t count, size_t bytes)
{
    if ((count & (count - 1)) != 0)
        return array;
    return reallocarray(array, count ? 2 * count : 1, bytes);
}

static inline void lives_copy(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from ? from : "");
}

/* Both known, and not further apart. */
static inline bool lives_near(int64_t a, int64_t b, int64_t within_ns)
{
    return a != FACT_TIME_UNKNOWN && b != FACT_TIME_UNKNOWN && llabs(a - b) <= within_ns;
}

/* One more lifetime, of which nothing is known yet; NULL: no memory. */
struct life *lives_add(struct walk *walk);
/* The newest lifetime so far; NULL: none. */
struct life *lives_last(const struct walk *walk);
/* Take over what a row says about the lifetime's end. */
void lives_tell_end(struct life *life, const struct row *row);

/* The restarts up to a sample of the counter: as Prometheus' increase(), one that falls began anew
 * from 0. Once for each row. */
double lives_count_on(struct walk *walk, const struct row *row);
/* Ends by what a sampled restart counter rose since it was first seen and no other row told. 0 or
 * -ENOMEM. */
int lives_walk_count(struct walk *walk, const struct row *row);
/* A sample of the gauge that gives the reason of the last end. 0 or -ENOMEM. */
int lives_walk_last_reason(struct walk *walk, const struct row *row);
/* What was sampled for longer than a scrape behind the last such end is a lifetime of its own. 0 or
 * -errno. */
int lives_walk_rest(struct walk *walk, int64_t arm_id, struct error *err);

/* Take in a kill: another row of one that is known completes that one. 0 or -errno. */
int lives_walk_kill(struct walk *walk, const struct row *row, struct error *err);
/* Give each kill to the end that it made, the kernel's before a user-space killer's. Logs of the
 * two alone know ends by their kills only; kills before the first known start become lifetimes of
 * their own where the restart count has room for them. 0 or -ENOMEM. */
int lives_settle_kills(struct walk *walk);
