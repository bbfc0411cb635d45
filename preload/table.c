/* SPDX-License-Identifier: Apache-2.0 */
/* The live samples: buckets of eight, a sample within four buckets of its home. Entries are claimed
 * and released with one compare-and-swap each; there are no tombstones. */
#include "preload/recorder.h"

#include <string.h>

#define LOAD(object)         __atomic_load_n(object, __ATOMIC_ACQUIRE)
#define STORE(object, value) __atomic_store_n(object, value, __ATOMIC_RELEASE)
#define COUNT(object)        __atomic_fetch_add(object, 1, __ATOMIC_RELAXED)

/* From this share of the table on the sampling mean doubles, and again for each further step. */
#define RAISE_FROM (HEAP_SAMPLES / 2)
#define RAISE_STEP (HEAP_SAMPLES / 16)

/* The keys of a bucket. */
static uint64_t *bucket_at(uint32_t bucket)
{
    return &map->keys[(size_t)bucket * HEAP_BUCKET_SLOTS];
}

static struct heap_sample *sample_of(const uint64_t *key)
{
    return &map->samples[key - map->keys];
}

static bool swap(uint64_t *key, uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(key, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* Room is running out: fewer samples from now on, each with the weight that its own mean gives. */
static void watch_room(uint64_t live)
{
    if (LIKELY(live < RAISE_FROM))
        return;
    uint64_t raised = 1 + (live - RAISE_FROM) / RAISE_STEP;
    uint64_t now = LOAD(&map->header.rate_raised);
    if (raised <= now || !swap(&map->header.rate_raised, now, now + 1))
        return;
    uint64_t rate = LOAD(&map->header.rate_bytes);
    STORE(&map->header.rate_bytes, rate * 2);
}

static bool claim(uint64_t *place, uint64_t key)
{
    return __atomic_load_n(place, __ATOMIC_RELAXED) == 0 && swap(place, 0, key | HEAP_KEY_WRITING);
}

static void fill(uint64_t *place, uint64_t key, const struct heap_sample *content)
{
    struct heap_sample *sample = sample_of(place);
    sample->sequence = (uint8_t)(sample->sequence + 1);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    sample->size_bytes = content->size_bytes;
    sample->rate_bytes = content->rate_bytes;
    sample->stack = content->stack;
    sample->site = content->site;
    sample->kind = content->kind;
    STORE(place, key);
}

/* The object at this address was freed without our seeing it. */
static void drop_stale(uint64_t *bucket, uint64_t key, const void *pointer)
{
    for (unsigned i = 0; i < HEAP_BUCKET_SLOTS; i++) {
        if (LOAD(&bucket[i]) != key || !swap(&bucket[i], key, 0))
            continue;
        filter_remove(pointer);
        COUNT(&map->header.samples_replaced);
        __atomic_fetch_sub(&map->header.live_samples, 1, __ATOMIC_RELAXED);
    }
}

/* A bucket that is not crowded takes the sample in its first place. */
void table_prefetch(uint32_t slot, const void *pointer)
{
    uint64_t *keys = bucket_at(heap_bucket(HEAP_KEY(slot, (uintptr_t)pointer)));
    __builtin_prefetch(keys, 1);
    __builtin_prefetch(sample_of(keys), 1);
    filter_prefetch(pointer);
}

bool table_add(uint32_t slot, const void *pointer, const struct heap_sample *content)
{
    uint64_t key = HEAP_KEY(slot, (uintptr_t)pointer);
    uint32_t home = heap_bucket(key);
    drop_stale(bucket_at(home), key, pointer);
    if (!filter_add(pointer)) {
        COUNT(&map->header.dropped_bit);
        return false;
    }
    for (unsigned reach = 0; reach < HEAP_BUCKET_REACH; reach++) {
        uint32_t bucket = (home + reach) & (HEAP_BUCKETS - 1);
        uint64_t *keys = bucket_at(bucket);
        for (unsigned i = 0; i < HEAP_BUCKET_SLOTS; i++) {
            if (!claim(&keys[i], key))
                continue;
            fill(&keys[i], key, content);
            watch_room(__atomic_add_fetch(&map->header.live_samples, 1, __ATOMIC_RELAXED));
            return true;
        }
        STORE(&map->overflowed[bucket], 1);
    }
    filter_remove(pointer);
    COUNT(&map->header.dropped_table);
    return false;
}

static void released(const void *pointer)
{
    filter_remove(pointer);
    __atomic_fetch_sub(&map->header.live_samples, 1, __ATOMIC_RELAXED);
}

/* Change the key of the sample, found by `key`, to `to`. NULL: it was none. */
static inline __attribute__((always_inline)) uint64_t *change(uint64_t key, uint64_t to,
                                                              struct heap_sample *ret_content)
{
    uint32_t home = heap_bucket(key);
    for (unsigned reach = 0; reach < HEAP_BUCKET_REACH; reach++) {
        uint32_t bucket = (home + reach) & (HEAP_BUCKETS - 1);
        uint64_t *keys = bucket_at(bucket);
        for (unsigned i = 0; i < HEAP_BUCKET_SLOTS; i++) {
            if (LOAD(&keys[i]) != key)
                continue;
            *ret_content = *sample_of(&keys[i]);
            return swap(&keys[i], key, to) ? &keys[i] : NULL;
        }
        if (LIKELY(!LOAD(&map->overflowed[bucket])))
            return NULL;
    }
    return NULL;
}

bool table_take(uint32_t slot, const void *pointer, struct heap_sample *ret_content)
{
    if (!filter_knows(pointer) || !change(HEAP_KEY(slot, (uintptr_t)pointer), 0, ret_content))
        return false;
    released(pointer);
    return true;
}

bool table_move(uint32_t slot, const void *pointer, struct moving *ret)
{
    ret->key = HEAP_KEY(slot, (uintptr_t)pointer);
    ret->place =
        filter_knows(pointer) ? change(ret->key, ret->key | HEAP_KEY_MOVING, &ret->sample) : NULL;
    return ret->place != NULL;
}

/* A handler may have forked meanwhile: the child has no part in its parent's sample. */
static bool is_mine(const struct moving *moving)
{
    return moving->place && HEAP_KEY_SLOT(moving->key) == attach_slot_now();
}

void table_moved(const struct moving *moving)
{
    if (is_mine(moving) && swap(moving->place, moving->key | HEAP_KEY_MOVING, 0))
        released((const void *)HEAP_KEY_ADDRESS(moving->key));
}

void table_stay(const struct moving *moving)
{
    if (is_mine(moving))
        swap(moving->place, moving->key | HEAP_KEY_MOVING, moving->key);
}

void table_purge(const uint64_t slots[static 4])
{
    for (unsigned i = 0; i < HEAP_SAMPLES; i++) {
        uint64_t key = LOAD(&map->keys[i]);
        uint32_t slot = HEAP_KEY_SLOT(key);
        if (key != 0 && (slots[slot / 64] >> (slot % 64) & 1) && swap(&map->keys[i], key, 0))
            __atomic_fetch_sub(&map->header.live_samples, 1, __ATOMIC_RELAXED);
    }
}
