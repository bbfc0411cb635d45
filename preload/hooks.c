/* SPDX-License-Identifier: Apache-2.0 */
/* The allocation family, in front of whatever allocator the program uses. The usual way through
 * malloc() is one subtraction, and through free() one bit. */
#include "preload/hooks.h"

#include <errno.h>
#include <string.h>

/* The usual way through each of the two lies in one line of the processor's cache. */
#define ONE_LINE __attribute__((aligned(64)))

EXPORT ONE_LINE void *malloc(size_t size);
EXPORT ONE_LINE void free(void *pointer);
EXPORT void *calloc(size_t count, size_t size);
EXPORT void *realloc(void *pointer, size_t size);
EXPORT void *reallocarray(void *pointer, size_t count, size_t size);
EXPORT int posix_memalign(void **ret, size_t alignment, size_t size);
EXPORT void *aligned_alloc(size_t alignment, size_t size);
EXPORT void *memalign(size_t alignment, size_t size);
EXPORT void *valloc(size_t size);
EXPORT void *pvalloc(size_t size);

__attribute__((noinline)) void *hooks_consider(void *pointer, size_t size, const void *caller)
{
    if (pointer)
        sampler_consider(pointer, size, HEAP_KIND_MALLOC, caller);
    return pointer;
}

void *malloc(size_t size)
{
    if (!count_down(size))
        return real.malloc(size);
    put_back(size);
    return hooks_consider(real.malloc(size), size, CALLER);
}

void *calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return real.calloc(count, size);
    if (!count_down(bytes))
        return real.calloc(count, size);
    put_back(bytes);
    return hooks_consider(real.calloc(count, size), bytes, CALLER);
}

void hooks_forget(void *pointer)
{
    struct heap_sample sample;
    if (attachment == ATTACH_ON && table_take(attach_slot_now(), pointer, &sample))
        site_freed(sample.site);
}

/* Before the real free: afterwards the address may be another thread's object. */
static __attribute__((noinline)) void free_watched(void *pointer)
{
    if (real_is_early(pointer))
        return;
    hooks_forget(pointer);
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
        hooks_counted(moved, size, caller);
    table_moved(&old);
    return moved;
}

static inline __attribute__((always_inline)) void *resize(void *pointer, size_t size,
                                                          const void *caller)
{
    if (filter_may_hold(pointer))
        return realloc_watched(pointer, size, caller);
    if (!count_down(size))
        return real.realloc(pointer, size);
    put_back(size);
    return hooks_consider(real.realloc(pointer, size), size, caller);
}

void *realloc(void *pointer, size_t size)
{
    return resize(pointer, size, CALLER);
}

/* An allocator's own may not come by realloc(). */
void *reallocarray(void *pointer, size_t count, size_t size)
{
    size_t bytes;
    if (!__builtin_mul_overflow(count, size, &bytes))
        return resize(pointer, bytes, CALLER);
    errno = ENOMEM;
    return NULL;
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
    int r = real.posix_memalign(ret, alignment, size);
    if (r == 0 && *ret)
        hooks_counted(*ret, size, CALLER);
    return r;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    void *pointer = real.aligned_alloc(alignment, size);
    return pointer ? hooks_counted(pointer, size, CALLER) : NULL;
}

void *memalign(size_t alignment, size_t size)
{
    void *pointer = real.memalign(alignment, size);
    return pointer ? hooks_counted(pointer, size, CALLER) : NULL;
}

void *valloc(size_t size)
{
    void *pointer = real.valloc(size);
    return pointer ? hooks_counted(pointer, size, CALLER) : NULL;
}

void *pvalloc(size_t size)
{
    void *pointer = real.pvalloc(size);
    return pointer ? hooks_counted(pointer, whole_pages(size), CALLER) : NULL;
}
