/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

#define GUARDS_MAX 256U /* one for each container that is profiled now */

/* What the handler reads while others come and go: the size is written last and cleared first. */
struct heap_guard {
    uintptr_t start;
    size_t bytes; /* 0: free; CLAIMED */
    bool lost;
};
#define CLAIMED 1U
static struct heap_guard guards[GUARDS_MAX];

#define LOAD(object)         __atomic_load_n(object, __ATOMIC_ACQUIRE)
#define STORE(object, value) __atomic_store_n(object, value, __ATOMIC_RELEASE)

static struct heap_guard *find_guard(uintptr_t address)
{
    for (size_t i = 0; i < GUARDS_MAX; i++) {
        size_t bytes = LOAD(&guards[i].bytes);
        if (bytes > CLAIMED && address - guards[i].start < bytes)
            return &guards[i];
    }
    return NULL;
}

/* mmap() is a system call and nothing more. On return the access is tried again. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    (void)context;
    int saved_errno = errno;
    struct heap_guard *guard = find_guard((uintptr_t)info->si_addr);
    void *start = guard ? (void *)guard->start : NULL;
    if (!guard || mmap(start, guard->bytes, PROT_READ | PROT_WRITE,
                       MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != start)
        signal(number, SIG_DFL); /* it is somebody else's, and ends the process */
    else
        STORE(&guard->lost, true);
    errno = saved_errno;
}

static void install_handler(void)
{
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

int heap_guard_add(void *start, size_t bytes, struct heap_guard **ret, struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_handler);
    for (size_t i = 0; i < GUARDS_MAX; i++) {
        size_t none = 0;
        if (!__atomic_compare_exchange_n(&guards[i].bytes, &none, CLAIMED, false, __ATOMIC_ACQ_REL,
                                         __ATOMIC_RELAXED))
            continue;
        guards[i].start = (uintptr_t)start;
        guards[i].lost = false;
        STORE(&guards[i].bytes, bytes);
        *ret = &guards[i];
        return 0;
    }
    return error_set(err, EMFILE, "%u containers are profiled already", GUARDS_MAX);
}

bool heap_guard_is_lost(const struct heap_guard *guard)
{
    return LOAD(&guard->lost);
}

void heap_guard_remove(struct heap_guard *guard)
{
    if (guard)
        STORE(&guard->bytes, 0);
}
