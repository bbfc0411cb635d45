/* SPDX-License-Identifier: Apache-2.0 */
/* What free() asks before anything else: a bit for each of some places that addresses hash to, set
 * while a sample may live there. The bits are few enough to stay in the processor's first cache;
 * how many samples share one is counted apart, where only samples look. */
#include "preload/recorder.h"

#define FULL     254U /* a count that got here stays: it costs look-ups, never a missed sample */
#define CLEARING 255U /* the last sample is gone, its bit not yet */

uint64_t filter_bits[FILTER_WORDS];
static uint8_t counts[FILTER_WORDS * 64];

#define LOAD(object) __atomic_load_n(object, __ATOMIC_RELAXED)

static uint8_t *count_of(const void *pointer)
{
    return &counts[filter_word(pointer) * 64 + filter_bit(pointer)];
}

static bool swap(uint8_t *count, uint8_t *old, unsigned to)
{
    return __atomic_compare_exchange_n(count, old, (uint8_t)to, true, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

/* While a bit is being cleared nobody may rely on it, and nobody waits: who clears may be the one
 * that this signal handler interrupted. */
bool filter_add(const void *pointer)
{
    uint8_t *count = count_of(pointer);
    uint8_t old = LOAD(count);
    do {
        if (old == CLEARING)
            return false;
    } while (old != FULL && !swap(count, &old, old + 1U));
    uint64_t bit = UINT64_C(1) << filter_bit(pointer);
    uint64_t *word = &filter_bits[filter_word(pointer)];
    if (!(LOAD(word) & bit))
        __atomic_fetch_or(word, bit, __ATOMIC_RELEASE);
    return true;
}

void filter_remove(const void *pointer)
{
    uint8_t *count = count_of(pointer);
    uint8_t old = LOAD(count);
    do {
        if (old == 0 || old >= FULL)
            return;
    } while (!swap(count, &old, old == 1 ? CLEARING : old - 1U));
    if (old > 1)
        return;
    uint64_t bit = UINT64_C(1) << filter_bit(pointer);
    __atomic_fetch_and(&filter_bits[filter_word(pointer)], ~bit, __ATOMIC_RELAXED);
    __atomic_store_n(count, 0, __ATOMIC_RELEASE);
}
