/* SPDX-License-Identifier: Apache-2.0 */
/* The allocation family, in front of whatever allocator the program uses. The usual way through
 * malloc() is one subtraction, and through free() one bit. */
#include "preload/recorder.h"

#include <errno.h>
#include <string.h>

EXPORT void *malloc(size_t size);
EXPORT void free(void *pointer);
EXPORT void *calloc(size_t count, size_t size);
EXPORT void *realloc(void *pointer, size_t size);
EXPORT int posix_memalign(void **ret, size_t alignment, size_t size);
EXPORT void *aligned_alloc(size_t alignment, size_t size);
EXPORT void *memalign(size_t alignment, size_t size);
EXPORT void *valloc(size_t size);
EXPORT void *pvalloc(size_t size);

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

static __attribute__((noinline)) void *consider(void *pointer, size_t size, const void *caller)
{
    if (pointer)
        sampler_consider(pointer, size, HEAP_KIND_MALLOC, caller);
    return pointer;
}

/* After a successful allocation. */
static inline void *counted(void *pointer, size_t size, const void *caller)
{
    if (!count_down(size))
        return pointer;
    put_back(size);
    return consider(pointer, size, caller);
}

void *malloc(size_t size)
{
    if (!count_down(size))
        return real.malloc(size);
    put_back(size);
    return consider(real.malloc(size), size, CALLER);
}

void *calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return real.calloc(count, size);
    if (!count_down(bytes))
        return real.calloc(count, size);
    put_back(bytes);
    return consider(real.calloc(count, size), bytes, CALLER);
}

/* Before the real free: afterwards the address may be another thread's object. */
static __attribute__((noinline)) void free_watched(void *pointer)
{
    struct heap_sample sample;
    if (real_is_early(pointer))
        return;
    if (attachment == ATTACH_ON && table_take(attach_slot_now(), pointer, &sample))
        site_freed(sample.site);
    real.free(pointer);
}

void free(void *pointer)
{
    if (filter_may_hold(pointer)) {
        free_watched(pointer);
        return;
    }
    real.free(pointer);
}

static void *realloc_early(void *pointer, size_t size)
{
    size_t old = real_early_bytes(pointer);
    void *moved = malloc(size);
    if (moved)
        memcpy(moved, pointer, old < size ? old : size);
    return moved;
}

/* Free plus alloc at the new size; when it fails, the object is what it was. The old sample goes
 * last: a large object is copied for long, and the kernel's kill likes to come just then. */
static __attribute__((noinline)) void *realloc_watched(void *pointer, size_t size,
                                                       const void *caller)
{
    struct moving old = {.place = NULL};
    if (real_is_early(pointer))
        return realloc_early(pointer, size);
    bool was_sample = attachment == ATTACH_ON && table_move(attach_slot_now(), pointer, &old);
    void *moved = real.realloc(pointer, size);
    if (was_sample && !moved && size != 0) {
        table_stay(&old);
        return NULL;
    }
    if (was_sample)
        site_freed(old.sample.site);
    if (moved)
        counted(moved, size, caller);
    table_moved(&old);
    return moved;
}

void *realloc(void *pointer, size_t size)
{
    if (filter_may_hold(pointer))
        return realloc_watched(pointer, size, CALLER);
    if (!count_down(size))
        return real.realloc(pointer, size);
    put_back(size);
    return consider(real.realloc(pointer, size), size, CALLER);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
    int r = real.posix_memalign(ret, alignment, size);
    if (r == 0 && *ret)
        counted(*ret, size, CALLER);
    return r;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    void *pointer = real.aligned_alloc(alignment, size);
    return pointer ? counted(pointer, size, CALLER) : NULL;
}

void *memalign(size_t alignment, size_t size)
{
    void *pointer = real.memalign(alignment, size);
    return pointer ? counted(pointer, size, CALLER) : NULL;
}

void *valloc(size_t size)
{
    void *pointer = real.valloc(size);
    return pointer ? counted(pointer, size, CALLER) : NULL;
}

void *pvalloc(size_t size)
{
    void *pointer = real.pvalloc(size);
    return pointer ? counted(pointer, size, CALLER) : NULL;
}
