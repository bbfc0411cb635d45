/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the own stack on x86-64 by rules that are looked up once for each return address and kept
 * in a small cache. Takes no lock: _dl_find_object() (glibc 2.35) needs none, unlike
 * dl_iterate_phdr(), which deadlocks with a thread that loads a library. */
#include "preload/python_walk.h"

#include <dlfcn.h>
#include <link.h>

#ifndef __x86_64__
#error "the unwinder knows x86-64 only"
#endif

#define CACHE_ENTRIES 4096U /* a power of two; 40 bytes each, touched as they are used */

/* Frames that are looked at; those of an interpreter are left out. */
#define STEPS_MAX 512U

/* Where there is no upper bound of the stack, a frame is at most this large. */
#define UNKNOWN_STACK_BYTES (256U << 10)
/* Threads' control blocks lie at the upper end of their stacks. */
#define THREAD_STACK_MAX (UINT64_C(1) << 30)

/* In the kernel's rt_sigframe, at rsp when the handler has returned: struct ucontext. */
#define UCONTEXT_RBP 120
#define UCONTEXT_RSP 160
#define UCONTEXT_RIP 168
#define UCONTEXT_END 256

/* Odd sequence: being written. A reader takes what did not change while it read. */
struct cached {
    uint64_t sequence;
    uintptr_t pc;
    struct rule rule;
};
static struct cached cache[CACHE_ENTRIES];

struct registers {
    uintptr_t pc, sp, fp;
    uintptr_t bound; /* no frame reaches beyond */
    bool bound_known;
};

extern void *__libc_stack_end;

static struct cached *cache_place(uintptr_t pc)
{
    return &cache[(uint32_t)(pc * UINT64_C(0x9e3779b97f4a7c15) >> 40) & (CACHE_ENTRIES - 1)];
}

static bool cache_get(uintptr_t pc, struct rule *rule)
{
    struct cached *place = cache_place(pc);
    uint64_t sequence = __atomic_load_n(&place->sequence, __ATOMIC_ACQUIRE);
    bool found = place->pc == pc;
    *rule = place->rule;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return found && !(sequence & 1) &&
           __atomic_load_n(&place->sequence, __ATOMIC_RELAXED) == sequence;
}

static void cache_put(uintptr_t pc, const struct rule *rule)
{
    struct cached *place = cache_place(pc);
    uint64_t sequence = __atomic_load_n(&place->sequence, __ATOMIC_RELAXED);
    if ((sequence & 1) || !__atomic_compare_exchange_n(&place->sequence, &sequence, sequence + 1,
                                                       false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return;
    place->pc = pc;
    place->rule = *rule;
    __atomic_store_n(&place->sequence, sequence + 2, __ATOMIC_RELEASE);
}

void unwind_forget(void)
{
    static const struct rule none;
    for (unsigned i = 0; i < CACHE_ENTRIES; i++) {
        uintptr_t pc = __atomic_load_n(&cache[i].pc, __ATOMIC_RELAXED);
        if (pc != 0 && cache_place(pc) == &cache[i]) {
            uint64_t sequence = __atomic_load_n(&cache[i].sequence, __ATOMIC_RELAXED);
            if (!(sequence & 1) &&
                __atomic_compare_exchange_n(&cache[i].sequence, &sequence, sequence + 1, false,
                                            __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
                cache[i].pc = 0;
                cache[i].rule = none;
                __atomic_store_n(&cache[i].sequence, sequence + 2, __ATOMIC_RELEASE);
            }
        }
    }
}

static void learn(uintptr_t pc, struct rule *rule)
{
    struct dl_find_object object;
    *rule = (struct rule){.kind = RULE_FRAME_POINTER, .frame = HEAP_FRAME(0, pc)};
    if (_dl_find_object((void *)pc, &object) == 0) {
        uintptr_t start, end;
        module_extent(&object, &start, &end);
        const char *path = object.dlfo_link_map ? object.dlfo_link_map->l_name : "?";
        uint32_t module = module_intern(start, end, path);
        if (!object.dlfo_eh_frame || !cfi_find(object.dlfo_eh_frame, pc, rule))
            rule->kind = RULE_FRAME_POINTER;
        /* A signal's frame was not called: what looks like its return address is its beginning. */
        uintptr_t at = rule->kind == RULE_SIGNAL ? pc + 1 : pc;
        rule->frame = module ? HEAP_FRAME(module, at - start) : HEAP_FRAME(0, at);
        uintptr_t here = (uintptr_t)&learn;
        rule->internal =
            here >= (uintptr_t)object.dlfo_map_start && here < (uintptr_t)object.dlfo_map_end;
    }
    cache_put(pc, rule);
}

static void find_bound(struct registers *at)
{
    uintptr_t thread_end = (uintptr_t)__builtin_thread_pointer();
    uintptr_t main_end = (uintptr_t)__libc_stack_end;
    at->bound_known = true;
    if (at->sp < thread_end && thread_end - at->sp < THREAD_STACK_MAX)
        at->bound = thread_end;
    else if (at->sp < main_end && (thread_end > main_end || thread_end < at->sp))
        at->bound = main_end;
    else
        at->bound_known = false;
}

static bool is_readable(const struct registers *at, uintptr_t address, size_t bytes)
{
    uintptr_t bound = at->bound_known ? at->bound : at->sp + UNKNOWN_STACK_BYTES;
    return address >= at->sp && address + bytes <= bound && address % sizeof(uintptr_t) == 0;
}

static uintptr_t word_at(uintptr_t address)
{
    return *(const uintptr_t *)address;
}

static bool leave_signal(struct registers *at)
{
    uintptr_t context = at->sp;
    if (!is_readable(at, context, UCONTEXT_END))
        return false;
    at->pc = word_at(context + UCONTEXT_RIP);
    at->fp = word_at(context + UCONTEXT_RBP);
    at->sp = word_at(context + UCONTEXT_RSP); /* perhaps another stack */
    find_bound(at);
    return true;
}

static bool find_cfa(const struct registers *at, const struct rule *rule, uintptr_t *ret)
{
    switch ((enum rule_kind)rule->kind) {
    case RULE_RSP:
        *ret = at->sp + (uintptr_t)(intptr_t)rule->cfa_offset;
        break;
    case RULE_RBP:
        *ret = at->fp + (uintptr_t)(intptr_t)rule->cfa_offset;
        break;
    case RULE_RBP_DEREF: {
        uintptr_t place = at->fp + (uintptr_t)(intptr_t)rule->cfa_offset;
        if (!is_readable(at, place, sizeof(place)))
            return false;
        *ret = word_at(place);
        break;
    }
    case RULE_FRAME_POINTER:
        if (!at->bound_known)
            return false;
        *ret = at->fp + 16;
        break;
    case RULE_STOP:
    case RULE_SIGNAL:
        return false;
    }
    return *ret > at->sp && is_readable(at, *ret - 8, 8); /* where the caller's address is */
}

/* From a frame to its caller; false at the outermost. */
static bool step(struct registers *at, const struct rule *rule)
{
    uintptr_t cfa = 0;
    if (rule->kind == RULE_SIGNAL)
        return leave_signal(at);
    if (!find_cfa(at, rule, &cfa))
        return false;
    uintptr_t saved = cfa - 16;
    bool has_saved = rule->kind == RULE_FRAME_POINTER || rule->saved != SAVED_NOT;
    if (rule->kind != RULE_FRAME_POINTER)
        saved =
            (rule->saved == SAVED_AT_RBP ? at->fp : cfa) + (uintptr_t)(intptr_t)rule->rbp_offset;
    if (has_saved && !is_readable(at, saved, sizeof(saved)))
        return false;
    at->pc = word_at(cfa - 8);
    if (has_saved)
        at->fp = word_at(saved);
    at->sp = cfa;
    return at->pc > 4096;
}

static unsigned walk_frames(struct registers at, struct python_walk *python, uint64_t *frames,
                            unsigned max)
{
    unsigned count = 0;
    bool exact = true; /* not a return address */
    for (unsigned steps = 0; count < max && steps < STEPS_MAX; steps++) {
        struct rule rule;
        unsigned taken;
        uintptr_t begin = at.sp;
        uintptr_t pc = exact ? at.pc : at.pc - 1; /* within the call, not after it */
        if (!cache_get(pc, &rule))
            learn(pc, &rule);
        exact = rule.kind == RULE_SIGNAL;
        if (exact)
            python_stop(python);
        bool more = step(&at, &rule);
        if (python_replace(python, pc, begin, at.sp, frames + count, max - count, &taken))
            count += taken;
        else if (!rule.internal)
            frames[count++] = rule.frame;
        if (!more)
            break;
    }
    return count + python_rest(python, frames + count, max - count);
}

__attribute__((noinline)) unsigned unwind_current(uint64_t *frames, unsigned max)
{
    struct registers at;
    struct python_walk python;
    __asm__ volatile("lea 0(%%rip), %0\n\tmov %%rsp, %1\n\tmov %%rbp, %2"
                     : "=&r"(at.pc), "=&r"(at.sp), "=&r"(at.fp));
    find_bound(&at);
    python_begin(&python);
    unsigned count = walk_frames(at, &python, frames, max);
    if (python.state == PYTHON_WALK_ON && python.found == 0) { /* nothing took their place */
        python_stop(&python);
        count = walk_frames(at, &python, frames, max);
    }
    return count;
}
