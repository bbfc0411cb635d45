/* SPDX-License-Identifier: Apache-2.0 */
/* What the functions of the allocation family have in common. */
#pragma once

#include "preload/recorder.h"

#define CALLER __builtin_return_address(0)

/* Takes the object from the countdown, in one instruction, which the compiler would make five of.
 * True: it reaches beyond the end. A signal handler that allocates just then finds a countdown that
 * wrapped around and takes its own from that; put_back() makes both good. */
static inline bool count_down(size_t size)
{
    bool beyond;
    __asm__("subq %2, %0"
            : "+m"(thread.countdown), "=@ccc"(beyond)
            : "r"((uint64_t)size)
            : "memory");
    return UNLIKELY(beyond);
}

static inline void put_back(size_t size)
{
    thread.countdown += size;
}

#define PAGE_BYTES 4096U

static inline size_t whole_pages(size_t bytes)
{
    return (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
}

/* The countdown did not cover it: perhaps a sample. Returns `pointer`, which may be NULL. */
HIDDEN void *hooks_consider(void *pointer, size_t size, const void *caller);

/* After a successful allocation. */
static inline void *hooks_counted(void *pointer, size_t size, const void *caller)
{
    if (!count_down(size))
        return pointer;
    put_back(size);
    return hooks_consider(pointer, size, caller);
}

/* The filter knows it: before it is freed. */
HIDDEN void hooks_forget(void *pointer);
