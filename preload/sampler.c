/* SPDX-License-Identifier: Apache-2.0 */
/* Poisson sampling by bytes: the distance to the next sample is exponential with the mean in force,
 * so that an object of s bytes is sampled with the probability 1 - e^(-s/mean), whatever was
 * allocated before it. */
#include "preload/recorder.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

__thread struct thread thread;

/* Where hardly anything stays, the mean goes up to this for a place, and to that for a thread,
 * which does not know yet what place comes next. */
#define SITE_MAX_BYTES (UINT64_C(512) << 10)
#define RUSH_MAX_BYTES (UINT64_C(64) << 10)
#define RUSH_PATIENCE  8

static uint64_t process_seed;

/* splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* -ln(u) for 0 < u < 1, without libm and without a branch: u = m * 2^e with m in [sqrt(1/2),
 * sqrt(2)), and ln m by the series of 2 artanh((m-1)/(m+1)). The error is below 1e-9, far less than
 * one byte in a mean. */
static double minus_log(double u)
{
    union {
        double value;
        uint64_t bits;
    } parts = {.value = u};
    int64_t exponent = (int64_t)(parts.bits - UINT64_C(0x3fe6a09e667f3bcd)) >> 52;
    parts.bits -= (uint64_t)exponent << 52;
    double m = parts.value;
    double s = (m - 1) / (m + 1);
    double square = s * s;
    double series = 1.0 / 9;
    series = series * square + 1.0 / 7;
    series = series * square + 1.0 / 5;
    series = series * square + 1.0 / 3;
    series = series * square + 1;
    return -((double)exponent * 0.69314718055994530942 + 2 * s * series);
}

static double next_uniform(void)
{
    return ((double)(next_random(&thread.random) >> 11) + 0.5) * 0x1p-53;
}

/* Whole bytes: an exponential X is below a whole size exactly when its floor is. */
static void draw(void)
{
    uint64_t rate = __atomic_load_n(&map->header.rate_bytes, __ATOMIC_RELAXED);
    while (thread.shift > 0 && rate << thread.shift > RUSH_MAX_BYTES)
        thread.shift--;
    thread.rate_bytes = rate << thread.shift;
    thread.countdown = (uint64_t)(minus_log(next_uniform()) * (double)thread.rate_bytes);
}

void sampler_begin(void)
{
    syscall(SYS_getrandom, &process_seed, sizeof(process_seed), 1 /* GRND_NONBLOCK */);
}

/* A counter that all threads of all processes share, so that no two go the same way; never an
 * address, which the next thread gets again. */
static void seed(void)
{
    uint64_t number = __atomic_fetch_add(&map->header.seeds, 1, __ATOMIC_RELAXED);
    uint64_t state = number * UINT64_C(0xd1342543de82ef95);
    thread.random = process_seed ^ next_random(&state);
    thread.seeded = true;
}

void sampler_forked(void)
{
    thread.seeded = false;
    thread.countdown = 0;
    thread.busy = 0;
    extents_forget();
}

static unsigned most_level(void)
{
    uint64_t rate = __atomic_load_n(&map->header.rate_bytes, __ATOMIC_RELAXED);
    unsigned level = 0;
    while (rate != 0 && rate << (level + 1) <= SITE_MAX_BYTES) /* 0: the map was overwritten */
        level++;
    return level;
}

static void record(void *pointer, const struct heap_sample *content)
{
    uint32_t slot = attach_slot();
    if (slot == 0)
        return;
    struct heap_sample sample = *content;
    table_prefetch(slot, pointer); /* while the stack is unwound */
    site_prefetch(sample.site);
    sample.stack = stack_intern_current(sample.kind == HEAP_KIND_ARENA);
    if (!table_add(slot, pointer, &sample))
        return;
    __atomic_fetch_add(&map->header.samples_taken, 1, __ATOMIC_RELAXED);
    site_took(sample.site, most_level());
}

/* By how much the site's mean is above that of the countdown. */
static unsigned thinning(unsigned level)
{
    unsigned extra = level > thread.shift ? level - thread.shift : 0;
    while (extra > 0 && thread.rate_bytes << extra > SITE_MAX_BYTES)
        extra--;
    return extra;
}

/* The countdown ended `left` bytes before the object's end. Of such points every 2^extra-th counts,
 * by chance, so that those that count come with a mean of rate << extra: this one, or else one
 * within what is left, to which the distance is exponential again. */
static bool counts(uint64_t left, unsigned extra)
{
    if (extra == 0 || (next_random(&thread.random) >> (64 - extra)) == 0)
        return true;
    double mean = (double)(thread.rate_bytes << extra);
    double u = next_uniform();
    return u * mean < (double)left && minus_log(1 - u) * mean < (double)left;
}

/* One place where memory stays is enough to look more closely at all of them again. */
static void adapt(unsigned level)
{
    if (level <= thread.shift) {
        thread.shift = (uint8_t)level;
        thread.patience = 0;
    } else if (++thread.patience >= RUSH_PATIENCE) {
        thread.shift++; /* at most to RUSH_MAX_BYTES: see draw() */
        thread.patience = 0;
    }
}

/* Whether this thread is sampling already: we are in a signal handler that interrupted it. One that
 * left it with longjmp() has a higher stack pointer than the one noted. */
static bool is_busy(uintptr_t stack_pointer)
{
    return thread.busy != 0 && stack_pointer < thread.busy;
}

/* The thread's first allocation that may be a sample. False: it is none. */
static bool begin(uint64_t size_bytes)
{
    if (thread.seeded)
        return true;
    seed();
    draw();
    if (size_bytes > thread.countdown)
        return true;
    thread.countdown -= size_bytes;
    return false;
}

static __attribute__((noinline)) void consider(void *pointer, size_t size_bytes,
                                               enum heap_kind kind, uint32_t site)
{
    unsigned level = site_level(site);
    unsigned extra = thinning(level);
    if (counts(size_bytes - thread.countdown, extra)) {
        int saved_errno = errno;
        const struct heap_sample content = {
            .size_bytes = size_bytes,
            .rate_bytes = thread.rate_bytes << extra,
            .site = (uint16_t)site,
            .kind = (uint8_t)kind,
        };
        record(pointer, &content);
        errno = saved_errno;
    }
    adapt(level);
    draw();
}

void sampler_consider(void *pointer, size_t size_bytes, enum heap_kind kind, const void *caller)
{
    if (UNLIKELY(attachment != ATTACH_ON)) {
        if (attachment == ATTACH_OFF)
            thread.countdown = UINT64_MAX;
        return;
    }
    uintptr_t stack_pointer = (uintptr_t)__builtin_frame_address(0);
    if (is_busy(stack_pointer))
        return;
    thread.busy = stack_pointer;
    if (begin(size_bytes)) {
        uintptr_t depth = (uintptr_t)__builtin_thread_pointer() - stack_pointer;
        consider(pointer, size_bytes, kind, site_find(caller, depth, size_bytes));
    }
    thread.busy = 0;
}
