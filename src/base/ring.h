/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded ring of fixed-size records between exactly one producer and one consumer thread.
 *
 * Neither side ever blocks or allocates. The producer counts what it could not place: a record that
 * does not fit is dropped, and the count is data for the report, never silent. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
    unsigned char *slots; /* owned */
    size_t record_bytes;
    size_t capacity;                  /* records, a power of two */
    _Alignas(64) _Atomic size_t head; /* next to read; written by the consumer */
    _Alignas(64) _Atomic size_t tail; /* next to write; written by the producer */
    _Atomic uint64_t dropped;         /* written by the producer */
};

/* Capacity in records, rounded up to a power of two. Every page is touched here. Returns -ENOMEM.
 */
int ring_init(struct ring *ring, size_t record_bytes, size_t capacity);
void ring_done(struct ring *ring);

/* Producer: copy one record in; false (and one more in `dropped`) when the ring is full. */
bool ring_push(struct ring *ring, const void *record);

/* Producer: how many records can be pushed now; the consumer can only make it more. */
size_t ring_room(const struct ring *ring);

/* Consumer: copy the oldest record out; false when the ring is empty. */
bool ring_pop(struct ring *ring, void *ret_record);

uint64_t ring_dropped(const struct ring *ring);
