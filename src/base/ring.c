/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int ring_init(struct ring *ring, size_t record_bytes, size_t capacity)
{
    memset(ring, 0, sizeof(*ring));
    size_t rounded = 1;
    while (rounded < capacity && rounded <= SIZE_MAX / 4)
        rounded *= 2;
    size_t bytes = 0;
    if (rounded < capacity || __builtin_mul_overflow(record_bytes, rounded, &bytes) ||
        bytes > PTRDIFF_MAX)
        return -ENOMEM;
    ring->slots = malloc(bytes);
    if (!ring->slots)
        return -ENOMEM;
    /* Written, not merely mapped: the producer may run where no page can be had any more. */
    memset(ring->slots, 0xA5, bytes);
    ring->record_bytes = record_bytes;
    ring->capacity = rounded;
    return 0;
}

void ring_done(struct ring *ring)
{
    free(ring->slots);
    ring->slots = NULL;
    ring->capacity = 0;
}

bool ring_push(struct ring *ring, const void *record)
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    size_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    if (tail - head == ring->capacity) {
        atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
        return false;
    }
    memcpy(ring->slots + (tail & (ring->capacity - 1)) * ring->record_bytes, record,
           ring->record_bytes);
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

size_t ring_room(const struct ring *ring)
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    size_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    return ring->capacity - (tail - head);
}

bool ring_pop(struct ring *ring, void *ret_record)
{
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (head == tail)
        return false;
    memcpy(ret_record, ring->slots + (head & (ring->capacity - 1)) * ring->record_bytes,
           ring->record_bytes);
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return true;
}

uint64_t ring_dropped(const struct ring *ring)
{
    return atomic_load_explicit(&ring->dropped, memory_order_relaxed);
}
