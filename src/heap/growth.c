/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/growth.h"

#include "base/cleanup.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Whether the stack held anything between the kills that a moment lies between. */
static bool is_in_use(const struct heap_point *points, size_t count, uint64_t kills)
{
    for (size_t i = 0; i < count; i++) {
        if (points[i].kills == kills && points[i].bytes != 0)
            return true;
    }
    return false;
}

static size_t take_slopes(const struct heap_point *points, size_t count, bool across_kills,
                          double *slopes)
{
    size_t used = 0;
    bool had_kills = count > 0 && points[count - 1].kills > 0;
    for (size_t i = 0; i < count; i++) {
        if (!across_kills && had_kills && !is_in_use(points, count, points[i].kills))
            continue;
        for (size_t j = i + 1; j < count; j++) {
            double requests = points[j].requests - points[i].requests;
            if (requests != 0 && (across_kills || points[i].kills == points[j].kills))
                slopes[used++] = (points[j].bytes - points[i].bytes) / requests;
        }
    }
    return used;
}

double heap_growth_slope(const struct heap_point *points, size_t count)
{
    AUTO_FREE double *slopes = calloc(count * count / 2 + 1, sizeof(*slopes));
    if (!slopes)
        return NAN;
    size_t used = take_slopes(points, count, false, slopes);
    if (used == 0)
        used = take_slopes(points, count, true, slopes);
    if (used == 0)
        return NAN;
    qsort(slopes, used, sizeof(*slopes), compare);
    return used % 2 ? slopes[used / 2] : (slopes[used / 2 - 1] + slopes[used / 2]) / 2;
}
