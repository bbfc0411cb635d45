/* SPDX-License-Identifier: Apache-2.0 */
/* What free() asks before anything else: a bit for each of some places that addresses hash to, set
 * while a sample may live there. The bits are few enough to stay in the processor's first cache.
 * How many samples share one is counted apart, where only those look whose bit is set; beside the
 * count stands the sum of the samples' tags, so that of a single sample nearly every other address
 * is told without a look into the table, which is far from any cache. */
#include "preload/recorder.h"

#define ONE      1U
#define COUNT(v) ((v)&0xffU) /* the tags' sum is above it */
#define FULL     254U        /* a count that got here stays: it costs look-ups, never a sample */
#define CLEARING 255U        /* the last sample is gone, its bit not yet */

uint64_t filter_bits[FILTER_WORDS];
static uint16_t counts[FILTER_WORDS * 64];

#define LOAD(object) __atomic_load_n(object, __ATOMIC_RELAXED)

static uint16_t *count_of(const void *pointer)
{
    return &counts[filter_word(pointer) * 64 + filter_bit(pointer)];
}

/* Of the address's bits that neither the word nor the bit shows; where the sum has it. Objects
 * within 32 bytes never have the same. */
static unsigned tag_of(const void *pointer)
{
    unsigned within = (unsigned)((uintptr_t)pointer >> 4) % 2;
    return ((filter_hash(pointer) >> 14 & 0xff) ^ within) << 8;
}

static bool swap(uint16_t *count, uint16_t *old, unsigned to)
{
    return __atomic_compare_exchange_n(count, old, (uint16_t)to, true, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

/* While a bit is being cleared nobody may rely on it, and nobody waits: who clears may be the one
 * that this signal handler interrupted. */
bool filter_add(const void *pointer)
{
    uint16_t *count = count_of(pointer);
    uint16_t old = LOAD(count);
    do {
        if (COUNT(old) == CLEARING)
            return false;
    } while (COUNT(old) != FULL && !swap(count, &old, old + ONE + tag_of(pointer)));
    uint64_t bit = UINT64_C(1) << filter_bit(pointer);
    uint64_t *word = &filter_bits[filter_word(pointer)];
    if (!(LOAD(word) & bit))
        __atomic_fetch_or(word, bit, __ATOMIC_RELEASE);
    return true;
}

void filter_prefetch(const void *pointer)
{
    __builtin_prefetch(count_of(pointer), 1);
    __builtin_prefetch(&filter_bits[filter_word(pointer)], 1);
}

bool filter_knows(const void *pointer)
{
    unsigned count = LOAD(count_of(pointer));
    return COUNT(count) == ONE ? count == ONE + tag_of(pointer)
                               : COUNT(count) != 0 && COUNT(count) != CLEARING;
}

void filter_remove(const void *pointer)
{
    uint16_t *count = count_of(pointer);
    uint16_t old = LOAD(count);
    do {
        if (COUNT(old) == 0 || COUNT(old) >= FULL)
            return;
    } while (!swap(count, &old, COUNT(old) == ONE ? CLEARING : old - ONE - tag_of(pointer)));
    if (COUNT(old) > ONE)
        return;
    uint64_t bit = UINT64_C(1) << filter_bit(pointer);
    __atomic_fetch_and(&filter_bits[filter_word(pointer)], ~bit, __ATOMIC_RELAXED);
    __atomic_store_n(count, 0, __ATOMIC_RELEASE);
}
