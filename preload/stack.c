/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks, each stored once: found by a 64-bit hash of their frames, which two stacks of one program
 * share with a chance of about 1e-10 at 32,768 stacks; frames are not compared. */
#include "preload/recorder.h"

#define PROBES 64U

static uint64_t hash_frames(const uint64_t *frames, unsigned depth)
{
    uint64_t hash = depth * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (unsigned i = 0; i < depth; i++) {
        hash ^= frames[i];
        hash *= UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
    }
    return hash | 1; /* never 0 */
}

/* The claimed place is ours alone: frames first, its state last. */
static uint32_t publish(uint32_t index, const uint64_t *frames, unsigned depth)
{
    struct heap_stack *stack = &map->stacks[index];
    uint32_t first = __atomic_load_n(&map->header.frames_used, __ATOMIC_RELAXED);
    if (first + depth <= HEAP_FRAMES) /* do not let the counter run round */
        first = __atomic_fetch_add(&map->header.frames_used, depth, __ATOMIC_RELAXED);
    if (first + depth > HEAP_FRAMES)
        return 0; /* it stays claimed and empty: known as one that found no room */
    for (unsigned i = 0; i < depth; i++)
        map->frames[first + i] = frames[i];
    stack->first_frame = first;
    stack->depth = (uint16_t)depth;
    __atomic_store_n(&stack->state, HEAP_STATE_COMPLETE, __ATOMIC_RELEASE);
    __atomic_fetch_add(&map->header.stacks_used, 1, __ATOMIC_RELAXED);
    return index;
}

static uint32_t intern(const uint64_t *frames, unsigned depth)
{
    uint64_t hash = hash_frames(frames, depth);
    uint32_t index = (uint32_t)(hash >> 32) & (HEAP_STACKS - 1);
    for (unsigned i = 0; i < PROBES; i++, index = (index + 1) & (HEAP_STACKS - 1)) {
        if (index == 0)
            continue; /* 0 stands for a lost stack */
        uint64_t *at = &map->stacks[index].hash;
        uint64_t found = __atomic_load_n(at, __ATOMIC_ACQUIRE);
        if (found == 0 && __atomic_compare_exchange_n(at, &found, hash, false, __ATOMIC_ACQ_REL,
                                                      __ATOMIC_ACQUIRE))
            return publish(index, frames, depth);
        if (found == hash)
            return index;
    }
    return 0;
}

uint32_t stack_intern_current(bool is_arena)
{
    uint64_t frames[HEAP_STACK_DEPTH];
    unsigned depth = 0;
    if (is_arena)
        frames[depth++] = HEAP_FRAME_PYTHON(HEAP_CODE_ARENA, 0);
    depth += unwind_current(frames + depth, HEAP_STACK_DEPTH - depth);
    uint32_t stack = depth > 0 ? intern(frames, depth) : 0;
    if (UNLIKELY(stack == 0))
        __atomic_fetch_add(&map->header.lost_stacks, 1, __ATOMIC_RELAXED);
    return stack;
}
