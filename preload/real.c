/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the next definition of every function that we stand in front of: the C library's, or that
 * of an allocator the program was linked to. dlsym() may allocate: a small arena serves it. */
#include "preload/recorder.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EARLY_BYTES     65536
#define EARLY_ALIGNMENT 16

static _Alignas(64) unsigned char early[EARLY_BYTES];
static size_t early_used;
static bool resolving;

bool real_is_early(const void *pointer)
{
    return (uintptr_t)pointer - (uintptr_t)early < EARLY_BYTES;
}

size_t real_early_bytes(const void *pointer)
{
    size_t bytes;
    memcpy(&bytes, (const unsigned char *)pointer - EARLY_ALIGNMENT, sizeof(bytes));
    return bytes;
}

/* The arena is zero and never reused. */
static void *early_allocate(size_t size, size_t alignment)
{
    if (alignment < EARLY_ALIGNMENT)
        alignment = EARLY_ALIGNMENT;
    if (size > EARLY_BYTES || alignment > EARLY_BYTES)
        return NULL;
    uintptr_t base = (uintptr_t)early;
    uintptr_t at = (base + early_used + EARLY_ALIGNMENT + alignment - 1) & ~(alignment - 1);
    if (at + size > base + EARLY_BYTES)
        return NULL;
    early_used = at + size - base;
    unsigned char *pointer = early + (at - base);
    memcpy(pointer - EARLY_ALIGNMENT, &size, sizeof(size));
    filter_add(pointer); /* so that free() looks twice */
    return pointer;
}

static void *no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

static void *first_malloc(size_t size)
{
    if (resolving)
        return early_allocate(size, 1);
    real_resolve();
    return real.malloc(size);
}

static void *first_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (resolving)
        return __builtin_mul_overflow(count, size, &bytes) ? NULL : early_allocate(bytes, 1);
    real_resolve();
    return real.calloc(count, size);
}

static void first_free(void *pointer)
{
    if (resolving || !pointer)
        return;
    real_resolve();
    real.free(pointer);
}

static void *first_realloc(void *pointer, size_t size)
{
    if (resolving)
        return pointer ? NULL : early_allocate(size, 1);
    real_resolve();
    return real.realloc(pointer, size);
}

static void *first_memalign(size_t alignment, size_t size)
{
    if (resolving)
        return early_allocate(size, alignment);
    real_resolve();
    return real.memalign(alignment, size);
}

static void *first_aligned_alloc(size_t alignment, size_t size)
{
    if (resolving)
        return early_allocate(size, alignment);
    real_resolve();
    return real.aligned_alloc(alignment, size);
}

static int first_posix_memalign(void **ret, size_t alignment, size_t size)
{
    if (resolving) {
        *ret = early_allocate(size, alignment);
        return *ret ? 0 : ENOMEM;
    }
    real_resolve();
    return real.posix_memalign(ret, alignment, size);
}

static void *first_valloc(size_t size)
{
    if (resolving)
        return no_memory();
    real_resolve();
    return real.valloc(size);
}

static void *first_pvalloc(size_t size)
{
    if (resolving)
        return no_memory();
    real_resolve();
    return real.pvalloc(size);
}

static void *system_mmap(void *address, size_t length, int protection, int flags, int fd,
                         off_t offset)
{
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

static int system_munmap(void *address, size_t length)
{
    return (int)syscall(SYS_munmap, address, length);
}

static void *system_mremap(void *address, size_t old_length, size_t length, int flags, ...)
{
    __builtin_va_list arguments;
    __builtin_va_start(arguments, flags);
    void *fixed = __builtin_va_arg(arguments, void *);
    __builtin_va_end(arguments);
    return (void *)syscall(SYS_mremap, address, old_length, length, flags, fixed);
}

extern void *__sbrk(intptr_t increment); /* the C library's own name of it */

static int first_dlclose(void *handle)
{
    real_resolve();
    return real.dlclose == first_dlclose ? -1 : real.dlclose(handle);
}

static void system_exit(int status)
{
    for (;;)
        syscall(SYS_exit_group, status);
}

struct real real = {
    .malloc = first_malloc,
    .free = first_free,
    .calloc = first_calloc,
    .realloc = first_realloc,
    .posix_memalign = first_posix_memalign,
    .aligned_alloc = first_aligned_alloc,
    .memalign = first_memalign,
    .valloc = first_valloc,
    .pvalloc = first_pvalloc,
    .mmap = system_mmap,
    .munmap = system_munmap,
    .mremap = system_mremap,
    .sbrk = __sbrk,
    .dlclose = first_dlclose,
    .exit_now = system_exit,
};

static const struct {
    const char *name;
    size_t offset; /* of the member */
} NAMES[] = {
#define NAME(member)                                                                               \
    {                                                                                              \
#member, offsetof(struct real, member)                                                     \
    }
    NAME(malloc),
    NAME(free),
    NAME(calloc),
    NAME(realloc),
    NAME(posix_memalign),
    NAME(aligned_alloc),
    NAME(memalign),
    NAME(valloc),
    NAME(pvalloc),
    NAME(mmap),
    NAME(munmap),
    NAME(mremap),
    NAME(sbrk),
    NAME(dlclose),
#undef NAME
    {"_exit", offsetof(struct real, exit_now)},
};

/* A function that is not there keeps its first value. */
static void resolve_into(struct real *next)
{
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        void *found = dlsym(RTLD_NEXT, NAMES[i].name);
        if (found)
            memcpy((char *)next + NAMES[i].offset, &found, sizeof(found));
    }
}

/* All members change at once at the end: a function that dlsym() calls meanwhile must not see half
 * of them. */
void real_resolve(void)
{
    static bool resolved;
    if (resolving || resolved)
        return;
    int saved_errno = errno;
    resolving = true;
    struct real next = real;
    resolve_into(&next);
    real = next;
    resolved = true;
    resolving = false;
    errno = saved_errno;
}
