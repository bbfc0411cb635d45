/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/totals.h"

#include <math.h>
#include <string.h>

#define NORMAL_97_5 1.959963984540054

/* The sampling mean of a place of which nothing stays is at most this. */
#define SITE_MAX_BYTES (UINT64_C(512) << 10)

double heap_sample_probability(uint64_t size_bytes, uint64_t rate_bytes)
{
    if (size_bytes == 0 || rate_bytes == 0)
        return 0;
    return -expm1(-(double)size_bytes / (double)rate_bytes);
}

bool heap_process_counts(const struct heap_process *process)
{
    uint32_t state = __atomic_load_n(&process->state, __ATOMIC_ACQUIRE);
    return state == HEAP_PROCESS_LIVE ||
           (state == HEAP_PROCESS_EXITED && process->pid == HEAP_MAIN_PID);
}

/* Each load is one that later loads stay behind, so that key and sequence are looked at again after
 * all of it. */
bool heap_sample_read(const struct heap_map *map, uint32_t index, struct heap_sample *ret,
                      uint64_t *ret_key, bool *ret_torn)
{
#define LOAD(object) __atomic_load_n(object, __ATOMIC_ACQUIRE)
    const struct heap_sample *from = &map->samples[index];
    uint64_t key = LOAD(&map->keys[index]);
    *ret_torn = (key & HEAP_KEY_WRITING) != 0;
    if (key == 0 || *ret_torn)
        return false;
    ret->sequence = LOAD(&from->sequence);
    ret->size_bytes = LOAD(&from->size_bytes);
    ret->rate_bytes = LOAD(&from->rate_bytes);
    ret->stack = LOAD(&from->stack);
    ret->kind = LOAD(&from->kind);
    *ret_key = key;
    *ret_torn = LOAD(&map->keys[index]) != key || LOAD(&from->sequence) != ret->sequence;
    return !*ret_torn;
#undef LOAD
}

/* The header's mean only goes up, and places of which nothing stays have up to SITE_MAX_BYTES. */
static bool is_plausible(const struct heap_map *map, const struct heap_sample *sample)
{
    uint64_t rate = __atomic_load_n(&map->header.rate_bytes, __ATOMIC_RELAXED);
    return sample->size_bytes <= HEAP_SIZE_MOST &&
           sample->rate_bytes <= (rate > SITE_MAX_BYTES ? rate : SITE_MAX_BYTES);
}

static void add(struct heap_totals *totals, const struct heap_sample *sample)
{
    double p = heap_sample_probability(sample->size_bytes, sample->rate_bytes);
    if (!(p > 0))
        return;
    struct heap_total *total = &totals->stacks[sample->stack < HEAP_STACKS ? sample->stack : 0];
    double bytes = (double)sample->size_bytes / p;
    double variance = (1 - p) * bytes * bytes;
    total->bytes += bytes;
    total->objects += 1 / p;
    total->variance += variance;
    total->samples++;
    uint8_t kind = sample->kind <= HEAP_KIND_ARENA ? sample->kind : (uint8_t)HEAP_KIND_MALLOC;
    total->kinds |= 1U << kind;
    totals->bytes += bytes;
    totals->objects += 1 / p;
    totals->variance += variance;
    if (totals->samples == 0 || sample->rate_bytes < totals->rate_least)
        totals->rate_least = sample->rate_bytes;
    if (sample->rate_bytes > totals->rate_most)
        totals->rate_most = sample->rate_bytes;
    totals->samples++;
}

void heap_totals_sum(const struct heap_map *map,
                     const struct heap_process processes[static HEAP_PROCESSES + 1],
                     struct heap_totals *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (uint32_t i = 0; i < HEAP_SAMPLES; i++) {
        struct heap_sample sample;
        uint64_t key;
        bool torn;
        if (!heap_sample_read(map, i, &sample, &key, &torn)) {
            ret->torn += torn;
            continue;
        }
        if (!is_plausible(map, &sample))
            ret->torn++;
        else if (heap_process_counts(&processes[HEAP_KEY_SLOT(key)]))
            add(ret, &sample);
    }
}

void heap_total_interval(double estimate, double variance, double *ret_low, double *ret_high)
{
    *ret_low = *ret_high = estimate;
    if (!(estimate > 0) || !(variance > 0))
        return;
    double n = estimate * estimate / variance;
    double low = 1 - 1 / (9 * n) - NORMAL_97_5 / (3 * sqrt(n));
    double high = 1 - 1 / (9 * (n + 1)) + NORMAL_97_5 / (3 * sqrt(n + 1));
    *ret_low = low > 0 ? estimate * low * low * low : 0;
    *ret_high = estimate * (n + 1) / n * high * high * high;
}
