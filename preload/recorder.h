/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the recorder. It lives in somebody else's process: no lock, no allocation, no call that
 * may come back to the allocator, and errno stays as it was. Whatever goes wrong, the program goes
 * on unprofiled. Everything may be called from a signal handler that interrupted itself. */
#pragma once

#include "preload/layout.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HIDDEN      __attribute__((visibility("hidden")))
#define EXPORT      __attribute__((visibility("default")))
#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* --- real.c: the functions that would have been called without us ------------------------------
 */

struct real {
    void *(*malloc)(size_t);
    void (*free)(void *);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
    void *(*mmap)(void *, size_t, int, int, int, off_t);
    int (*munmap)(void *, size_t);
    void *(*mremap)(void *, size_t, size_t, int, ...);
    void *(*sbrk)(intptr_t);
    int (*dlclose)(void *);
    void (*exit_now)(int);
};
/* Until real_resolve() has run, its members resolve first and then forward. */
extern HIDDEN struct real real;

HIDDEN void real_resolve(void);
/* What was handed out while dlsym() itself needed memory; it is never freed. */
HIDDEN bool real_is_early(const void *pointer);
/* The bytes that an early pointer has. */
HIDDEN size_t real_early_bytes(const void *pointer);

/* --- attach.c: the shared map and our place in it ----------------------------------------------
 */

enum attachment { ATTACH_EARLY, ATTACH_ON, ATTACH_OFF };
extern HIDDEN enum attachment attachment;
extern HIDDEN struct heap_map *map; /* valid while ATTACH_ON */

/* This process's slot; claims one when it has none yet. 0: there is none to be had. */
HIDDEN uint32_t attach_slot(void);
/* The slot as it is: 0 in a process that has not taken a sample. */
HIDDEN uint32_t attach_slot_now(void);

/* --- sampler.c: which allocations are looked at ------------------------------------------------
 */

/* Bytes that this thread may allocate until the next sample. 0 in a new thread, which draws its own
 * first distance then. */
struct thread {
    uint64_t countdown;
    uint64_t rate_bytes; /* the mean that the countdown was drawn with */
    uint64_t random;
    uintptr_t busy;   /* the stack pointer of who is sampling; a signal handler may find it set */
    uint8_t shift;    /* the countdown was drawn with the mean in force times 2^shift */
    uint8_t patience; /* how often in a row the site would have done with less */
    bool seeded;
};
extern HIDDEN __thread struct thread thread __attribute__((tls_model("initial-exec")));

/* The countdown does not cover this object, which `caller` asked for: sample it or draw. */
HIDDEN void sampler_consider(void *pointer, size_t size_bytes, enum heap_kind kind,
                             const void *caller);
/* Before the program runs: where the random numbers of its processes begin. */
HIDDEN void sampler_begin(void);
/* In the child of a fork: do not go on with the parent's random numbers. */
HIDDEN void sampler_forked(void);

/* --- site.c: where what is allocated stays, and where it does not ------------------------------
 */

/* The place of an allocation: who asked for it, and how far below the thread's own block the stack
 * has come, which tells apart most ways that lead to the same caller. */
HIDDEN uint32_t site_find(const void *caller, uintptr_t stack_depth, size_t size_bytes);
/* By which power of two its mean is to be raised. */
HIDDEN unsigned site_level(uint32_t site);
/* Have the processor fetch what site_took() will look at. */
HIDDEN void site_prefetch(uint32_t site);
/* A sample of it was taken, and its level may be at most `most`; one was freed. */
HIDDEN void site_took(uint32_t site, unsigned most);
HIDDEN void site_freed(uint32_t site);

/* --- filter.c: which addresses may be samples --------------------------------------------------
 */

/* free() asks it before anything else: a word for each 2 KiB of addresses, a bit for 32 bytes of
 * them, the least that allocators set apart. Neighbours have neighbouring words, so that a thread,
 * which mostly frees near where it freed last, finds the line of the processor's cache still there;
 * 2 and 64 MiB apart, where heaps begin, they are far apart. */
#define FILTER_WORDS 1024U
extern HIDDEN uint64_t filter_bits[FILTER_WORDS] __attribute__((aligned(64)));
static inline uint32_t filter_hash(const void *pointer)
{
    return (uint32_t)((uintptr_t)pointer >> 11) * UINT32_C(0x4678c3); /* 2^22 * 1.101 */
}
static inline uint32_t filter_word(const void *pointer)
{
    return filter_hash(pointer) >> 22;
}
static inline unsigned filter_bit(const void *pointer)
{
    return (unsigned)((uintptr_t)pointer >> 5) % 64;
}
static inline bool filter_may_hold(const void *pointer)
{
    uint64_t word = __atomic_load_n(&filter_bits[filter_word(pointer)], __ATOMIC_RELAXED);
    return UNLIKELY(word >> filter_bit(pointer) & 1);
}
/* Where the bit is set: false where it is that of other samples. One in 256 is missed, and one that
 * shares its bit with two samples. */
HIDDEN bool filter_knows(const void *pointer);
/* Have the processor fetch what filter_add() will look at. */
HIDDEN void filter_prefetch(const void *pointer);
/* False: not now; the object can be no sample. */
HIDDEN bool filter_add(const void *pointer);
HIDDEN void filter_remove(const void *pointer);

/* --- table.c: the sampled objects that live ----------------------------------------------------
 */

/* Have the processor fetch what table_add() will look at. */
HIDDEN void table_prefetch(uint32_t slot, const void *pointer);
/* Add a live sample. False: its buckets are full (counted). */
HIDDEN bool table_add(uint32_t slot, const void *pointer, const struct heap_sample *content);
/* Take the sample of an object out, before the object is freed. False: it was none. */
HIDDEN bool table_take(uint32_t slot, const void *pointer, struct heap_sample *ret_content);
/* Take a sample out only when what is being done to its object has succeeded: until table_moved()
 * it counts, so that a kill in between loses nothing, but nobody else finds it. Whoever gets the
 * address meanwhile has samples of its own there. False: it was none. */
struct moving {
    uint64_t *place; /* NULL: nothing moves */
    uint64_t key;
    struct heap_sample sample;
};
HIDDEN bool table_move(uint32_t slot, const void *pointer, struct moving *ret);
/* The object is gone from where it was: its sample goes. Does nothing where nothing moves. */
HIDDEN void table_moved(const struct moving *moving);
/* It is what and where it was. */
HIDDEN void table_stay(const struct moving *moving);
/* Remove all samples of the slots whose bit is set. */
HIDDEN void table_purge(const uint64_t slots[static 4]);

/* --- extents.c: where the mappings lie that are counted ----------------------------------------
 */

/* Whole pages. A mapping that finds no room is not known. */
HIDDEN void extents_add(uintptr_t start, size_t bytes);
/* Take out one that has bytes within [from, to). False: there is none. */
HIDDEN bool extents_take(uintptr_t from, uintptr_t to, uintptr_t *ret_start, size_t *ret_bytes);
/* In the child of a fork, whose they are not. */
HIDDEN void extents_forget(void);

/* --- stack.c, unwind.c, cfi.c, module.c: where an allocation came from -------------------------
 */

/* Intern the stack of the caller, without this library's own frames. An arena's begins with a frame
 * that says so. 0: lost (counted). */
HIDDEN uint32_t stack_intern_current(bool is_arena);

/* How to get from one frame to its caller. */
enum rule_kind {
    RULE_STOP = 0,      /* the outermost frame, or one that nobody can see through */
    RULE_RSP,           /* CFA = rsp + offset */
    RULE_RBP,           /* CFA = rbp + offset */
    RULE_RBP_DEREF,     /* CFA = *(rbp + offset): functions that realign the stack */
    RULE_FRAME_POINTER, /* no table: code made at run time, perhaps with frame pointers */
    RULE_SIGNAL,        /* the kernel's signal frame is at rsp */
};
enum saved_kind { SAVED_NOT = 0, SAVED_AT_CFA, SAVED_AT_RBP };
struct rule {
    uint64_t frame; /* normalised: HEAP_FRAME() */
    int32_t cfa_offset;
    int32_t rbp_offset;  /* by saved: from the CFA or from rbp */
    uint8_t kind, saved; /* of rbp */
    bool internal;       /* one of our own functions */
};

/* The caller's frames, innermost first: those of Python in the place of the interpreter's. Returns
 * how many. */
HIDDEN unsigned unwind_current(uint64_t *frames, unsigned max);
/* Code was unmapped: forget what was learnt. */
HIDDEN void unwind_forget(void);

/* The rule at `pc` from the module's .eh_frame_hdr; leaves RULE_STOP where it has none that we
 * understand. Returns false where the tables say nothing about the address. */
HIDDEN bool cfi_find(const void *eh_frame_hdr, uintptr_t pc, struct rule *rule);

/* Before the program runs: where it is, and its path. */
HIDDEN void module_find_program(void);
/* Where a loaded object begins, with its ELF header, and ends. The loader tells it of one segment
 * where there is room between them. */
struct dl_find_object;
HIDDEN void module_extent(const struct dl_find_object *object, uintptr_t *ret_start,
                          uintptr_t *ret_end);
/* The module's index in the map, 0 when there is no room. */
HIDDEN uint32_t module_intern(uintptr_t start, uintptr_t end, const char *path);

/* The code of the allocator that real.malloc belongs to, so that its own mappings are not counted
 * again. Set by attach.c. */
extern HIDDEN uintptr_t allocator_start, allocator_end;
