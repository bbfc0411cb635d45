/* SPDX-License-Identifier: Apache-2.0 */
#include "observe/observer-internal.h"

#include "base/cleanup.h"
#include "base/thread.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define RATE_DEFAULT_HZ 20.0
#define RATE_MIN_HZ     1.0
#define RATE_MAX_HZ     1000.0
#define RING_MIN        2048
#define RING_PER_HZ     16

/* The deepest call reads a memory.stat of 16 KiB and a log record of 8 KiB; the rest is for a
 * thread sanitizer, which keeps 900 KiB of its own there. */
#define STACK_BYTES ((size_t)1024 * 1024)

void observer_futex_wait(_Atomic uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

void observer_futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void observer_ring_doorbell(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof(one));
    (void)n; /* EAGAIN: the counter is at its maximum, the reader has enough to wake up for */
}

static int open_descriptors(struct observer *observer, struct error *err)
{
    observer->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    observer->tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    observer->poll_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    observer->command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    observer->urgent_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    observer->notice_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (observer->epoll_fd < 0 || observer->tick_fd < 0 || observer->poll_fd < 0 ||
        observer->command_fd < 0 || observer->urgent_fd < 0 || observer->notice_fd < 0)
        return error_errno(err, errno, "opening the observer's descriptors");
    observer->kmsg_fd = kmsg_open();
    observer->has_kmsg = observer->kmsg_fd >= 0;
    int r = observer_watch(observer, observer->tick_fd, EPOLLIN, WATCH_TICK, NULL);
    if (r == 0)
        r = observer_watch(observer, observer->poll_fd, EPOLLIN, WATCH_POLL, NULL);
    if (r == 0)
        r = observer_watch(observer, observer->command_fd, EPOLLIN, WATCH_COMMAND, NULL);
    if (r == 0 && observer->has_kmsg)
        r = observer_watch(observer, observer->kmsg_fd, EPOLLIN, WATCH_KMSG, NULL);
    return r < 0 ? error_errno(err, -r, "watching the observer's descriptors") : 0;
}

static int start_ticking(struct observer *observer, struct error *err)
{
    long period_ns = (long)(1e9 / observer->rate_hz);
    struct itimerspec timer = {
        .it_interval = {.tv_sec = period_ns / 1000000000, .tv_nsec = period_ns % 1000000000},
        .it_value = {.tv_sec = period_ns / 1000000000, .tv_nsec = period_ns % 1000000000},
    };
    if (timerfd_settime(observer->tick_fd, 0, &timer, NULL) < 0)
        return error_errno(err, errno, "starting the sampling clock");
    return 0;
}

/* The lowest page of the stack is a guard; all others are there before the thread is. */
static int map_stack(struct observer *observer, struct error *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    observer->stack_bytes = STACK_BYTES + page;
    observer->stack = mmap(NULL, observer->stack_bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_POPULATE, -1, 0);
    if (observer->stack == MAP_FAILED)
        return error_errno(err, errno, "making the observer's stack");
    if (mprotect(observer->stack, page, PROT_NONE) < 0)
        return error_errno(err, errno, "guarding the observer's stack");
    return 0;
}

/* What the thread writes is not for children (but for its stack: there the C library keeps the
 * thread's descriptor, which it looks at in the child): after a fork the first write to every page
 * would fault, copy it and interrupt the other processors to tell them, just when a container is
 * started. Only whole pages inside of the block, which malloc() may share with others. */
static void set_forking(void *block, size_t bytes, int advice)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = ((uintptr_t)block + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)block + bytes) & ~(page - 1);
    if (start < end)
        madvise((void *)start, end - start, advice); /* without it only slower */
}

static size_t ring_bytes(const struct ring *ring)
{
    return ring->record_bytes * ring->capacity;
}

static void keep_from_children(struct observer *observer)
{
    set_forking(observer, observer->map_bytes, MADV_DONTFORK);
    set_forking(observer->ring.slots, ring_bytes(&observer->ring), MADV_DONTFORK);
}

/* mlock() takes whole pages; the limit (RLIMIT_MEMLOCK) may forbid some of it. */
static void lock_memory(struct observer *observer)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    observer->locked = mlock(observer, observer->map_bytes) == 0 &&
                       mlock((char *)observer->stack + page, observer->stack_bytes - page) == 0 &&
                       mlock(observer->ring.slots, ring_bytes(&observer->ring)) == 0 &&
                       mlock(observer->notices.slots, ring_bytes(&observer->notices)) == 0;
    if (observer->locked)
        observer_lock_code();
}

static int start_thread(struct observer *observer, struct error *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, (char *)observer->stack + page,
                          observer->stack_bytes - page);
    int r = thread_start(&observer->thread, &attributes, observer_main, observer);
    pthread_attr_destroy(&attributes);
    if (r < 0)
        return error_errno(err, -r, "starting the observer's thread");
    observer->has_thread = true;
    while (atomic_load(&observer->ready) == 0)
        observer_futex_wait(&observer->ready, 0);
    return 0;
}

static struct observer *map_observer(const struct observer_options *options, struct error *err)
{
    /* Whole pages, so that all of it can be kept from children. */
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = (sizeof(struct observer) + page - 1) / page * page;
    struct observer *observer = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (observer == MAP_FAILED) {
        error_errno(err, errno, "making the observer");
        return NULL;
    }
    observer->map_bytes = bytes;
    observer->stack = MAP_FAILED;
    observer->rate_hz = options->rate_hz > 0 ? options->rate_hz : RATE_DEFAULT_HZ;
    observer->no_realtime = options->no_realtime;
    observer->epoll_fd = observer->tick_fd = observer->poll_fd = -1;
    observer->command_fd = observer->urgent_fd = observer->notice_fd = observer->kmsg_fd = -1;
    observer->poll_armed_ns = INT64_MAX;
    observer->log_clock = (struct log_clock){.perf_fd = -1, .area = MAP_FAILED, .error_ns = -1};
    atomic_store(&observer->log_clock_error_ns, -1);
    for (unsigned i = 0; i < OBSERVER_TARGETS_MAX; i++)
        target_init(&observer->targets[i]);
    return observer;
}

int observer_start(const struct observer_options *options, struct observer **ret, struct error *err)
{
    double rate_hz = options->rate_hz;
    if (rate_hz != 0 && !(rate_hz >= RATE_MIN_HZ && rate_hz <= RATE_MAX_HZ))
        return error_usage(err, "a sampling rate of %g Hz is not between %g and %g", rate_hz,
                           RATE_MIN_HZ, RATE_MAX_HZ);
    struct observer *observer = map_observer(options, err);
    if (!observer)
        return err->code;
    size_t records = options->ring_records;
    if (records == 0)
        records = (size_t)(observer->rate_hz * RING_PER_HZ);
    if (options->ring_records == 0 && records < RING_MIN)
        records = RING_MIN;
    int r = ring_init(&observer->ring, sizeof(struct observation), records);
    if (r < 0)
        error_errno(err, -r, "making the observer's ring of %zu records", records);
    if (r == 0) {
        r = ring_init(&observer->notices, sizeof(struct observer_notice), NOTICES_MAX);
        if (r < 0)
            error_errno(err, -r, "making the observer's ring of notices");
    }
    if (r == 0)
        r = open_descriptors(observer, err);
    if (r == 0)
        r = map_stack(observer, err);
    if (r == 0) {
        lock_memory(observer);
        keep_from_children(observer);
        r = start_thread(observer, err);
    }
    if (r == 0)
        r = start_ticking(observer, err);
    if (r < 0) {
        observer_stop(observer);
        return r;
    }
    *ret = observer;
    return 0;
}

void observer_stop(struct observer *observer)
{
    if (!observer)
        return;
    if (observer->has_thread) {
        atomic_store(&observer->stop, true);
        observer_ring_doorbell(observer->command_fd);
        pthread_join(observer->thread, NULL);
    }
    for (unsigned i = 0; i < OBSERVER_TARGETS_MAX; i++)
        target_close(&observer->targets[i]);
    log_clock_close(&observer->log_clock);
    close_fd(&observer->kmsg_fd);
    close_fd(&observer->notice_fd);
    close_fd(&observer->urgent_fd);
    close_fd(&observer->command_fd);
    close_fd(&observer->poll_fd);
    close_fd(&observer->tick_fd);
    close_fd(&observer->epoll_fd);
    if (observer->ring.slots) {
        munlock(observer->ring.slots, ring_bytes(&observer->ring));
        set_forking(observer->ring.slots, ring_bytes(&observer->ring), MADV_DOFORK);
    }
    if (observer->notices.slots)
        munlock(observer->notices.slots, ring_bytes(&observer->notices));
    ring_done(&observer->ring);
    ring_done(&observer->notices);
    if (observer->stack != MAP_FAILED)
        munmap(observer->stack, observer->stack_bytes);
    munmap(observer, observer->map_bytes);
}

struct ring *observer_ring(struct observer *observer)
{
    return &observer->ring;
}

int observer_urgent_fd(struct observer *observer)
{
    return observer->urgent_fd;
}

struct ring *observer_notices(struct observer *observer)
{
    return &observer->notices;
}

int observer_notice_fd(struct observer *observer)
{
    return observer->notice_fd;
}

bool observer_locked(const struct observer *observer)
{
    return observer->locked;
}

bool observer_has_kmsg(const struct observer *observer)
{
    return observer->has_kmsg;
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint64_t thread_cpu_ns(pthread_t thread)
{
    clockid_t clock;
    struct timespec used;
    if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &used) < 0)
        return 0;
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

void observer_stats(const struct observer *observer, struct observer_stats *ret)
{
    *ret = (struct observer_stats){
        .ticks = load(&observer->ticks),
        .ticks_missed = load(&observer->ticks_missed),
        .samples = load(&observer->samples),
        .samples_dropped = load(&observer->samples_dropped),
        .wakeups = load(&observer->wakeups),
        .polls = load(&observer->polls),
        .log_gaps = load(&observer->log_gaps),
        .cpu_ns = thread_cpu_ns(observer->thread),
        .realtime = atomic_load_explicit(&observer->realtime, memory_order_relaxed),
        .log_clock_error_ns =
            atomic_load_explicit(&observer->log_clock_error_ns, memory_order_relaxed),
    };
}
