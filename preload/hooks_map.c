/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings that the program makes itself: anonymous, private, writable and not merely reserved.
 * Those of the allocator are its objects' memory, which is counted already. Also dlclose(), after
 * which addresses may mean other code. */
#include "preload/python_walk.h"

#include <stdarg.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096U

EXPORT void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset);
EXPORT void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset);
EXPORT int munmap(void *address, size_t length);
EXPORT void *mremap(void *address, size_t old_length, size_t length, int flags, ...);
EXPORT int dlclose(void *handle);

uintptr_t allocator_start, allocator_end;

static bool is_allocator(const void *caller)
{
    return (uintptr_t)caller - allocator_start < allocator_end - allocator_start;
}

static void count(void *pointer, size_t length, const void *caller)
{
    if (length > thread.countdown)
        sampler_consider(pointer, length,
                         python_is_arena(caller, length) ? HEAP_KIND_ARENA : HEAP_KIND_MMAP,
                         caller);
    else
        thread.countdown -= length;
}

static void *map_counted(void *address, size_t length, int protection, int flags, int fd,
                         off_t offset, const void *caller)
{
    void *pointer = real.mmap(address, length, protection, flags, fd, offset);
    const int anonymous = MAP_ANONYMOUS | MAP_PRIVATE;
    if (pointer != MAP_FAILED && (flags & (anonymous | MAP_NORESERVE)) == anonymous &&
        (protection & PROT_WRITE) && !is_allocator(caller))
        count(pointer, length, caller);
    return pointer;
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    return map_counted(address, length, protection, flags, fd, offset, __builtin_return_address(0));
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    return map_counted(address, length, protection, flags, fd, offset, __builtin_return_address(0));
}

static size_t whole_pages(size_t bytes)
{
    return (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
}

/* What is left of a mapping whose beginning was unmapped lives on under its new address. */
static bool keep_rest(uint32_t slot, void *address, size_t length, struct heap_sample *sample)
{
    if (sample->kind == HEAP_KIND_MALLOC || whole_pages(sample->size_bytes) <= whole_pages(length))
        return false;
    sample->size_bytes -= whole_pages(length);
    return table_add(slot, (char *)address + whole_pages(length), sample);
}

int munmap(void *address, size_t length)
{
    struct heap_sample sample;
    bool was_sample = attachment == ATTACH_ON && filter_may_hold(address) &&
                      table_take(attach_slot_now(), address, &sample);
    int r = real.munmap(address, length);
    if (was_sample && r == 0 && !keep_rest(attach_slot_now(), address, length, &sample))
        site_freed(sample.site);
    else if (was_sample && r != 0)
        table_add(attach_slot_now(), address, &sample);
    return r;
}

void *mremap(void *address, size_t old_length, size_t length, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    void *fixed = flags & MREMAP_FIXED ? va_arg(arguments, void *) : NULL;
    va_end(arguments);
    struct moving old = {.place = NULL};
    if (attachment != ATTACH_ON || !filter_may_hold(address) ||
        !table_move(attach_slot_now(), address, &old))
        return real.mremap(address, old_length, length, flags, fixed);
    void *moved = real.mremap(address, old_length, length, flags, fixed);
    if (moved == MAP_FAILED) {
        table_stay(&old);
        return moved;
    }
    site_freed(old.sample.site);
    if (!is_allocator(__builtin_return_address(0)))
        count(moved, length, __builtin_return_address(0));
    table_moved(&old);
    return moved;
}

int dlclose(void *handle)
{
    int r = real.dlclose(handle);
    if (attachment == ATTACH_ON)
        unwind_forget();
    return r;
}
