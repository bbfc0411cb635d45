/* SPDX-License-Identifier: Apache-2.0 */
/* check-heap-map FILE: what a recorder's map says after the end of the processes, as JSON: sums
 * over all its live samples with the variance of the bytes, torn samples, and stacks that are not
 * whole. */
#include "heap/totals.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static unsigned count_broken_stacks(const struct heap_map *map, const struct heap_totals *totals)
{
    unsigned broken = 0;
    for (size_t i = 1; i < HEAP_STACKS; i++) {
        const struct heap_stack *stack = &map->stacks[i];
        if (totals->stacks[i].samples > 0)
            broken += stack->state != HEAP_STATE_COMPLETE || stack->depth == 0 ||
                      stack->depth > HEAP_STACK_DEPTH ||
                      stack->first_frame > HEAP_FRAMES - stack->depth;
    }
    return broken;
}

int main(int argc, char **argv)
{
    int fd = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    const struct heap_map *map =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*map), PROT_READ, MAP_SHARED, fd, 0);
    struct heap_totals *totals = malloc(sizeof(*totals));
    if (map == MAP_FAILED || !totals) {
        fprintf(stderr, "usage: check-heap-map FILE\n");
        return 2;
    }
    heap_totals_sum(map, map->processes, totals);
    printf("{\"samples\": %u, \"torn\": %u, \"bytes\": %.0f, \"variance\": %.0f, "
           "\"broken_stacks\": %u, \"dropped\": %ju, \"dropped_bit\": %ju, \"lost_stacks\": %ju, "
           "\"rate_bytes\": %ju, "
           "\"taken\": %ju}\n",
           totals->samples, totals->torn, totals->bytes, totals->variance,
           count_broken_stacks(map, totals), (uintmax_t)heap_dropped(&map->header),
           (uintmax_t)map->header.dropped_bit, (uintmax_t)map->header.lost_stacks,
           (uintmax_t)map->header.rate_bytes, (uintmax_t)map->header.samples_taken);
    return 0;
}
