/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/moment.h"

#include "heap/totals.h"

#include <string.h>

void heap_moment_take(const struct heap_map *map, struct heap_moment *ret)
{
    ret->header = map->header;
    memcpy(ret->processes, map->processes, sizeof(ret->processes));
    for (uint32_t i = 0; i < HEAP_SAMPLES; i++) {
        bool torn;
        if (!heap_sample_read(map, i, &ret->samples[i], &ret->keys[i], &torn))
            ret->keys[i] = torn ? HEAP_KEY_WRITING : 0;
    }
}

void heap_moment_restore(const struct heap_moment *moment, struct heap_map *map)
{
    map->header = moment->header;
    memcpy(map->processes, moment->processes, sizeof(moment->processes));
    memcpy(map->keys, moment->keys, sizeof(moment->keys));
    memcpy(map->samples, moment->samples, sizeof(moment->samples));
}
