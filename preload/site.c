/* SPDX-License-Identifier: Apache-2.0 */
/* Where little stays, few samples do: most programs allocate far more than they keep, at places
 * that free what they allocate. A place (the caller and how deep its stack is, by size) whose
 * samples are nearly all freed again is looked at half as often, and half as often again; one whose
 * memory stays, as often as the mean in force says. What a place does next is not known, so each
 * sample carries the mean it was taken with: the sums stay unbiased whatever was guessed here.
 *
 * Counts are kept without care for other threads: a lost one changes how often we look, nothing
 * else. */
#include "preload/recorder.h"

#define SITES 4096U /* a power of two; two places at one entry push each other out */

/* Reviewed each time so many samples are on the books; half of them stay there. */
#define REVIEW_SAMPLES 64U

/* Looked at each time a countdown ends, and hardly ever written: apart from the books, which each
 * sample of another thread would push out of this processor's cache. */
struct site {
    uint32_t tag;
    uint8_t level; /* sampled with the mean times 2^level */
};
struct books {
    uint16_t taken, freed;
};
static struct site sites[SITES] __attribute__((aligned(64)));
static struct books books[SITES] __attribute__((aligned(64)));

#define LOAD(object)         __atomic_load_n(object, __ATOMIC_RELAXED)
#define STORE(object, value) __atomic_store_n(object, value, __ATOMIC_RELAXED)

uint32_t site_find(const void *caller, uintptr_t stack_depth, size_t size_bytes)
{
    uint64_t key = (uintptr_t)caller * UINT64_C(0x9e3779b97f4a7c15) ^
                   stack_depth * UINT64_C(0xff51afd7ed558ccd) ^
                   (uint64_t)__builtin_clzll(size_bytes | 1) << 32;
    key *= UINT64_C(0xc4ceb9fe1a85ec53);
    uint32_t index = (uint32_t)(key >> 52) & (SITES - 1);
    uint32_t tag = (uint32_t)(key >> 20) | 1;
    struct site *site = &sites[index];
    if (UNLIKELY(LOAD(&site->tag) != tag)) {
        STORE(&site->tag, tag);
        STORE(&site->level, 0);
        STORE(&books[index].taken, 0);
        STORE(&books[index].freed, 0);
    }
    return index;
}

unsigned site_level(uint32_t site)
{
    return LOAD(&sites[site].level);
}

/* Of a place in balance what is freed is what is taken, give or take what the dice say. */
static void review(uint32_t index, unsigned taken, unsigned freed, unsigned most)
{
    struct site *site = &sites[index];
    uint8_t level = LOAD(&site->level);
    if (freed * 16 >= taken * 15 && level < most)
        STORE(&site->level, (uint8_t)(level + 1));
    else if (freed * 8 < taken * 7 && level > 0)
        STORE(&site->level, (uint8_t)(level - 1));
    freed = freed < taken ? freed : taken;
    STORE(&books[index].taken, (uint16_t)(taken / 2));
    STORE(&books[index].freed, (uint16_t)(freed / 2));
}

void site_prefetch(uint32_t index)
{
    __builtin_prefetch(&books[index], 1);
}

void site_took(uint32_t index, unsigned most)
{
    struct books *of = &books[index];
    unsigned taken = LOAD(&of->taken) + 1U;
    STORE(&of->taken, (uint16_t)taken);
    if (taken >= REVIEW_SAMPLES)
        review(index, taken, LOAD(&of->freed), most);
}

void site_freed(uint32_t index)
{
    struct books *of = &books[index & (SITES - 1)];
    unsigned freed = LOAD(&of->freed) + 1U;
    if (freed <= UINT16_MAX)
        STORE(&of->freed, (uint16_t)freed);
}
