/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/busy.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static int by_start(const void *left, const void *right)
{
    double a = ((const struct busy_cycle *)left)->start_s;
    double b = ((const struct busy_cycle *)right)->start_s;
    return (a > b) - (a < b);
}

int busy_init(struct busy *busy, const struct lifetime_series *lifetime)
{
    *busy = (struct busy){.always = lifetime->span_count == 0};
    busy->cycles = calloc(lifetime->span_count + 1, sizeof(*busy->cycles));
    if (!busy->cycles)
        return -ENOMEM;
    for (size_t i = 0; i < lifetime->span_count; i++) {
        const struct span *span = &lifetime->spans[i];
        if (span->kind == SPAN_CYCLE)
            busy->cycles[busy->count++] = (struct busy_cycle){span->start_s, span->end_s};
    }
    qsort(busy->cycles, busy->count, sizeof(*busy->cycles), by_start);
    for (size_t i = 1; i < busy->count; i++)
        busy->cycles[i].end_s = fmax(busy->cycles[i].end_s, busy->cycles[i - 1].end_s);
    return 0;
}

void busy_done(struct busy *busy)
{
    free(busy->cycles);
    *busy = (struct busy){0};
}

bool busy_at(const struct busy *busy, double t_s)
{
    size_t low = 0, high = busy->count; /* how many have begun */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (busy->cycles[middle].start_s <= t_s)
            low = middle + 1;
        else
            high = middle;
    }
    return busy->always || (low > 0 && t_s < busy->cycles[low - 1].end_s);
}
