/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/kinds.h"

#include <math.h>
#include <stdio.h>

/* Less of the growth than this goes with any kind: page tables, thread stacks of the kernel. */
#define NOTABLE_SHARE 0.25
/* Anonymous memory that grows has page tables and the like; less than this tells nothing. */
#define NOTABLE_BYTES 1048576.0

static double kind_of(const struct point *point, size_t kind)
{
    return kind == 0 ? point->anon : kind == 1 ? point->shmem : point->kernel;
}

/* From the lowest value in the first tenth of [from, to) to the lowest in its last tenth, so that
 * what is only held for a request does not count. */
static double growth_of(const struct lifetime_series *lifetime, size_t from, size_t to, size_t kind)
{
    double first = NAN, last = NAN;
    size_t tenth = (to - from + 9) / 10;
    for (size_t i = from; i < from + tenth; i++)
        first = fmin(first, kind_of(&lifetime->points[i], kind)); /* passes over NAN */
    for (size_t i = to - tenth; i < to; i++)
        last = fmin(last, kind_of(&lifetime->points[i], kind));
    return last - first;
}

struct kinds kinds_of(const struct profile *profile)
{
    const struct lifetime_series *lifetime = profile->lifetime;
    struct kinds kinds = {NAN, NAN, NAN};
    if (profile->count == 0)
        return kinds;
    double start = profile->t[0], end = profile->t[profile->count - 1];
    size_t from = 0, to = lifetime->count;
    while (from < to && lifetime->points[from].t_s < start)
        from++;
    while (to > from && lifetime->points[to - 1].t_s > end)
        to--;
    if (from == to)
        return kinds;
    kinds.anon = growth_of(lifetime, from, to, 0);
    kinds.shmem = growth_of(lifetime, from, to, 1);
    kinds.kernel = growth_of(lifetime, from, to, 2);
    return kinds;
}

static double positive(double value)
{
    return value > 0 ? value : 0;
}

void kinds_words(const struct kinds *kinds, char *text, size_t size)
{
    double shared = positive(kinds->shmem), kernel = positive(kinds->kernel);
    double all = positive(kinds->anon) + shared + kernel, most = fmax(shared, kernel);
    text[0] = '\0';
    if (isnan(kinds->anon) || most < NOTABLE_SHARE * all || most < NOTABLE_BYTES)
        return;
    snprintf(text, size, " %.0f %% of it is %s.", 100 * most / all,
             shared >= kernel ? "shared memory (tmpfs or shared mappings)"
                              : "kernel memory (sockets, pipes, page tables)");
}
