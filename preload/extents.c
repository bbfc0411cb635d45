/* SPDX-License-Identifier: Apache-2.0 */
/* Where the mappings lie that are counted, sampled or not: each a word, so that it comes and goes
 * with one compare-and-swap. There are few; what finds no room is counted, and known by its sample
 * alone. */
#include "preload/recorder.h"

#define EXTENTS_MAX 1024U
#define PAGE_SHIFT  12U
#define PAGE_BITS   29U /* of the length; 35 of the address stand above */

static uint64_t extents[EXTENTS_MAX];
static uint32_t used; /* none lies further on */

static bool swap(uint64_t *entry, uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(entry, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void raise_used(uint32_t to)
{
    uint32_t now = __atomic_load_n(&used, __ATOMIC_RELAXED);
    while (now < to && !__atomic_compare_exchange_n(&used, &now, to, false, __ATOMIC_ACQ_REL,
                                                    __ATOMIC_RELAXED)) {
    }
}

void extents_add(uintptr_t start, size_t bytes)
{
    uint64_t pages = bytes >> PAGE_SHIFT;
    if (pages == 0 || pages >> PAGE_BITS != 0 || start >> (64 - PAGE_BITS + PAGE_SHIFT) != 0)
        return;
    uint64_t entry = (uint64_t)(start >> PAGE_SHIFT) << PAGE_BITS | pages;
    for (uint32_t i = 0; i < EXTENTS_MAX; i++) {
        if (__atomic_load_n(&extents[i], __ATOMIC_RELAXED) == 0 && swap(&extents[i], 0, entry)) {
            raise_used(i + 1);
            return;
        }
    }
    __atomic_fetch_add(&map->header.lost_mappings, 1, __ATOMIC_RELAXED);
}

bool extents_take(uintptr_t from, uintptr_t to, uintptr_t *ret_start, size_t *ret_bytes)
{
    uint32_t end = __atomic_load_n(&used, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < end; i++) {
        uint64_t entry = __atomic_load_n(&extents[i], __ATOMIC_ACQUIRE);
        uintptr_t start = (uintptr_t)(entry >> PAGE_BITS) << PAGE_SHIFT;
        size_t bytes = (size_t)(entry & ((UINT64_C(1) << PAGE_BITS) - 1)) << PAGE_SHIFT;
        if (start < to && start + bytes > from && swap(&extents[i], entry, 0)) {
            *ret_start = start;
            *ret_bytes = bytes;
            return true;
        }
    }
    return false;
}

void extents_forget(void)
{
    for (uint32_t i = 0; i < EXTENTS_MAX && i < used; i++)
        extents[i] = 0;
    used = 0;
}
