/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings that the program makes itself: anonymous, private or shared, writable and not merely
 * reserved; and what it puts below the program break. Those of the allocator are its objects'
 * memory, which is counted already. Also dlclose(), after which addresses may mean other code. */
#include "preload/hooks.h"
#include "preload/python_walk.h"

#include <stdarg.h>
#include <sys/mman.h>

EXPORT void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset);
EXPORT void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset);
EXPORT int munmap(void *address, size_t length);
EXPORT void *mremap(void *address, size_t old_length, size_t length, int flags, ...);
EXPORT void *sbrk(intptr_t increment);
EXPORT int brk(void *address);
EXPORT int dlclose(void *handle);

uintptr_t allocator_start, allocator_end;

static bool is_allocator(const void *caller)
{
    return (uintptr_t)caller - allocator_start < allocator_end - allocator_start;
}

static void count(void *pointer, size_t length, enum heap_kind kind, const void *caller)
{
    if (attachment == ATTACH_ON)
        extents_add((uintptr_t)pointer, whole_pages(length));
    if (length > thread.countdown)
        sampler_consider(pointer, length, kind, caller);
    else
        thread.countdown -= length;
}

static enum heap_kind kind_of(size_t length, int flags, const void *caller)
{
    bool is_private = (flags & MAP_TYPE) == MAP_PRIVATE;
    return is_private && python_is_arena(caller, length) ? HEAP_KIND_ARENA : HEAP_KIND_MMAP;
}

static void *map_counted(void *address, size_t length, int protection, int flags, int fd,
                         off_t offset, const void *caller)
{
    void *pointer = real.mmap(address, length, protection, flags, fd, offset);
    if (pointer != MAP_FAILED && (flags & (MAP_ANONYMOUS | MAP_NORESERVE)) == MAP_ANONYMOUS &&
        (protection & PROT_WRITE) && !is_allocator(caller))
        count(pointer, length, kind_of(length, flags, caller), caller);
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

/* --- what is unmapped or moved, in part or whole -----------------------------------------------
 */

#define CUTS_MAX 32U /* mappings of one call; of further ones nothing is seen */

/* A counted mapping of which a range goes. */
struct cut {
    uintptr_t start;
    size_t bytes;
    bool is_extent;
    struct moving moving; /* its sample, if it is one */
};
struct cuts {
    uintptr_t from, to;
    unsigned count;
    struct cut of[CUTS_MAX];
};

static bool find_sample(uintptr_t start, struct moving *ret)
{
    const void *pointer = (const void *)start;
    ret->place = NULL;
    return filter_may_hold(pointer) && table_move(attach_slot_now(), pointer, ret);
}

/* Before the kernel is asked: afterwards the addresses may be another thread's. */
static void begin_cuts(struct cuts *cuts, void *address, size_t length)
{
    cuts->from = (uintptr_t)address;
    cuts->to = cuts->from + whole_pages(length);
    cuts->count = 0;
    if (attachment != ATTACH_ON)
        return;
    struct cut *cut = cuts->of;
    while (cuts->count < CUTS_MAX - 1 &&
           extents_take(cuts->from, cuts->to, &cut->start, &cut->bytes)) {
        cut->is_extent = true;
        if (find_sample(cut->start, &cut->moving) && cut->moving.sample.kind == HEAP_KIND_MALLOC) {
            table_stay(&cut->moving); /* what was mapped here went unseen */
            cut->moving.place = NULL;
        }
        cuts->count++;
        cut++;
    }
    if (find_sample(cuts->from, &cut->moving)) { /* one that no extent was left for */
        bool is_mapping = cut->moving.sample.kind != HEAP_KIND_MALLOC;
        cut->start = cuts->from;
        cut->bytes = is_mapping ? whole_pages(cut->moving.sample.size_bytes) : 0;
        cut->is_extent = false;
        cuts->count++;
    }
}

/* A part, or more, of what was sampled has been as likely to be seen as the whole was: the mean
 * that would have given it that chance keeps the sums unbiased. */
static struct heap_sample resized(const struct heap_sample *whole, size_t bytes)
{
    struct heap_sample part = *whole;
    double rate = (double)whole->rate_bytes * (double)bytes / (double)whole->size_bytes;
    part.size_bytes = bytes;
    part.rate_bytes = rate < 1 ? 1 : (uint64_t)(rate + 0.5);
    return part;
}

static bool keep_part(const struct cut *cut, uintptr_t from, uintptr_t to)
{
    if (from >= to)
        return false;
    if (cut->is_extent)
        extents_add(from, to - from);
    if (!cut->moving.place)
        return false;
    struct heap_sample part = resized(&cut->moving.sample, to - from);
    return table_add(attach_slot_now(), (const void *)from, &part);
}

/* The range is gone: what lies on both sides of it lives on. */
static void end_cuts(const struct cuts *cuts)
{
    for (unsigned i = 0; i < cuts->count; i++) {
        const struct cut *cut = &cuts->of[i];
        bool before = keep_part(cut, cut->start, cuts->from);
        bool after = keep_part(cut, cuts->to, cut->start + cut->bytes);
        if (cut->moving.place && !before && !after)
            site_freed(cut->moving.sample.site);
        table_moved(&cut->moving);
    }
}

static void undo_cuts(const struct cuts *cuts)
{
    for (unsigned i = 0; i < cuts->count; i++) {
        if (cuts->of[i].is_extent)
            extents_add(cuts->of[i].start, cuts->of[i].bytes);
        table_stay(&cuts->of[i].moving);
    }
}

int munmap(void *address, size_t length)
{
    struct cuts cuts;
    begin_cuts(&cuts, address, length);
    int r = real.munmap(address, length);
    if (r == 0)
        end_cuts(&cuts);
    else
        undo_cuts(&cuts);
    return r;
}

/* A mapping that is known to be anonymous is considered as a new one, whether it was a sample or
 * not. One that is known by its sample alone keeps it: the dice cannot be thrown again for those
 * alone that won. */
static void count_moved(const struct cuts *cuts, void *moved, size_t length, const void *caller)
{
    if (cuts->count == 0)
        return;
    const struct cut *cut = &cuts->of[0];
    if (cut->is_extent) {
        count(moved, length, HEAP_KIND_MMAP, caller);
    } else if (cut->bytes > 0) {
        struct heap_sample sample = resized(&cut->moving.sample, length);
        table_add(attach_slot_now(), moved, &sample);
    }
}

void *mremap(void *address, size_t old_length, size_t length, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    void *fixed = flags & MREMAP_FIXED ? va_arg(arguments, void *) : NULL;
    va_end(arguments);
    if (old_length == 0) /* the same shared memory at one more address */
        return real.mremap(address, old_length, length, flags, fixed);
    struct cuts cuts;
    begin_cuts(&cuts, address, old_length);
    void *moved = real.mremap(address, old_length, length, flags, fixed);
    if (moved == MAP_FAILED) {
        undo_cuts(&cuts);
        return moved;
    }
    if (!is_allocator(__builtin_return_address(0)))
        count_moved(&cuts, moved, length, __builtin_return_address(0));
    end_cuts(&cuts);
    return moved;
}

/* --- the program break, where the program moves it itself: malloc() of the C library has a way of
 * its own ----------------------------------------------------------------------------------------
 */

/* Whole pages, as of mappings: those that the break has come to reach into. */
static void count_growth(uintptr_t from, uintptr_t to, const void *caller)
{
    uintptr_t first = whole_pages(from), end = whole_pages(to);
    if (first < end && !is_allocator(caller))
        count((void *)first, end - first, HEAP_KIND_MMAP, caller);
}

/* Asked for less than nothing, as by brk(NULL), the kernel leaves the break where it was. */
static void *shrink(intptr_t increment)
{
    char *from = real.sbrk(0);
    uintptr_t to = (uintptr_t)from + (uintptr_t)increment;
    struct cuts cuts = {.count = 0};
    if (whole_pages(to) < whole_pages((uintptr_t)from))
        begin_cuts(&cuts, (void *)whole_pages(to), whole_pages((uintptr_t)from) - whole_pages(to));
    void *result = real.sbrk(increment);
    if (result != (void *)-1 && (uintptr_t)real.sbrk(0) == to)
        end_cuts(&cuts);
    else
        undo_cuts(&cuts);
    return result;
}

static void *move_break(intptr_t increment, const void *caller)
{
    if (increment < 0)
        return shrink(increment);
    void *from = real.sbrk(increment);
    if (from != (void *)-1)
        count_growth((uintptr_t)from, (uintptr_t)from + (uintptr_t)increment, caller);
    return from;
}

void *sbrk(intptr_t increment)
{
    return move_break(increment, __builtin_return_address(0));
}

int brk(void *address)
{
    uintptr_t distance = (uintptr_t)address - (uintptr_t)real.sbrk(0);
    return move_break((intptr_t)distance, __builtin_return_address(0)) == (void *)-1 ? -1 : 0;
}

int dlclose(void *handle)
{
    int r = real.dlclose(handle);
    if (attachment == ATTACH_ON)
        unwind_forget();
    return r;
}
