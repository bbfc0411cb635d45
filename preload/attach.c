/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the shared map, and this process's place in it. A forked child has an identity of its own:
 * the kernel wipes the page that holds the slot (MADV_WIPEONFORK), whichever way it was forked, and
 * leaves it alone for vfork(), whose child is in the same memory.
 *
 * A program may forbid itself system calls (seccomp) as soon as it runs. So what needs one is done
 * before; only clone() without fork()'s handlers leaves a process that must ask who it is, and
 * _exit() one that must find out whether it is vfork()'s child. */
#include "preload/python_walk.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE_BYTES 4096U

struct identity {
    uint32_t slot; /* 0: none yet */
    int32_t pid;   /* 0: not known yet */
};

EXPORT void _exit(int status) __attribute__((noreturn));
EXPORT void _Exit(int status) __attribute__((noreturn));

enum attachment attachment;
struct heap_map *map;
static struct identity *identity;
static struct heap_process own; /* what a slot of this program says; its pid is the identity's */

uint32_t attach_slot_now(void)
{
    return identity ? __atomic_load_n(&identity->slot, __ATOMIC_RELAXED) : 0;
}

static uint32_t load_state(uint32_t slot)
{
    return __atomic_load_n(&map->processes[slot].state, __ATOMIC_ACQUIRE);
}

static bool change_state(uint32_t slot, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&map->processes[slot].state, &from, to, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static bool is_gone(const struct heap_process *process)
{
    return process->pid > 0 && syscall(SYS_kill, process->pid, 0) < 0 && errno == ESRCH;
}

/* No slot is free: those of processes that are gone are, and so is what they held. */
static void reclaim(void)
{
    uint64_t gone[4] = {0};
    for (uint32_t slot = 1; slot <= HEAP_PROCESSES; slot++) {
        uint32_t state = load_state(slot);
        bool ended = state == HEAP_PROCESS_REPLACED ||
                     (state == HEAP_PROCESS_LIVE && is_gone(&map->processes[slot])) ||
                     (state == HEAP_PROCESS_EXITED && is_gone(&map->processes[slot]));
        if (ended && change_state(slot, state, HEAP_PROCESS_CLAIMED))
            gone[slot / 64] |= UINT64_C(1) << (slot % 64);
    }
    table_purge(gone);
    for (uint32_t slot = 1; slot <= HEAP_PROCESSES; slot++) {
        if (gone[slot / 64] >> (slot % 64) & 1)
            change_state(slot, HEAP_PROCESS_CLAIMED, HEAP_PROCESS_FREE);
    }
}

/* The C library keeps the own thread's id for the owners of mutexes, and renews it in fork(): no
 * system call is made. */
static int32_t own_thread(void)
{
    pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
    pthread_mutex_lock(&mutex);
    int32_t owner = mutex.__data.__owner;
    pthread_mutex_unlock(&mutex);
    return owner;
}

/* A forked child has one thread, whose id is its own. */
static void on_forked(void)
{
    sampler_forked();
    identity->pid = own_thread();
}

static int32_t own_pid(void)
{
    int32_t pid = __atomic_load_n(&identity->pid, __ATOMIC_RELAXED);
    return pid != 0 ? pid : (int32_t)syscall(SYS_getpid);
}

/* "pid:[4026531836]". 0: there is no /proc. */
static uint64_t pid_namespace(void)
{
    char text[32];
    uint64_t inode = 0;
    long n = syscall(SYS_readlink, "/proc/self/ns/pid", text, sizeof(text));
    for (long i = 0; i < n; i++) {
        if (text[i] >= '0' && text[i] <= '9')
            inode = inode * 10 + (uint64_t)(text[i] - '0');
    }
    return inode;
}

static void find_identity(void)
{
    identity->pid = (int32_t)syscall(SYS_getpid);
    syscall(SYS_prctl, PR_GET_NAME, own.name, 0, 0, 0);
    own.name[sizeof(own.name) - 1] = '\0';
    own.image = heap_image(getauxval(AT_RANDOM), getauxval(AT_BASE));
    own.pid_namespace = pid_namespace();
}

static uint32_t claim(void)
{
    for (uint32_t slot = 1; slot <= HEAP_PROCESSES; slot++) {
        if (load_state(slot) != HEAP_PROCESS_FREE ||
            !change_state(slot, HEAP_PROCESS_FREE, HEAP_PROCESS_CLAIMED))
            continue;
        struct heap_process *process = &map->processes[slot];
        process->pid = own_pid();
        process->image = own.image;
        process->pid_namespace = own.pid_namespace;
        memcpy(process->name, own.name, sizeof(own.name));
        __atomic_store_n(&process->state, HEAP_PROCESS_LIVE, __ATOMIC_RELEASE);
        return slot;
    }
    return 0;
}

/* Two threads may claim at the same time: one slot stays, the other is given back. */
uint32_t attach_slot(void)
{
    uint32_t slot = attach_slot_now();
    if (LIKELY(slot != 0))
        return slot;
    slot = claim();
    if (slot == 0) {
        reclaim();
        slot = claim();
    }
    if (slot == 0) {
        __atomic_fetch_add(&map->header.dropped_process, 1, __ATOMIC_RELAXED);
        return 0;
    }
    uint32_t none = 0;
    if (__atomic_compare_exchange_n(&identity->slot, &none, slot, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE)) {
        identity->pid = map->processes[slot].pid;
        return slot;
    }
    change_state(slot, HEAP_PROCESS_LIVE, HEAP_PROCESS_FREE);
    return none;
}

/* Two programs may have the same pid, each in a pid namespace of its own. */
static bool is_own_pid(const struct heap_process *process)
{
    bool known = process->pid_namespace != 0 && own.pid_namespace != 0;
    return process->pid == own_pid() && (!known || process->pid_namespace == own.pid_namespace);
}

/* What ran under this pid before has been replaced by us: its memory is gone. */
static void mark_replaced(void)
{
    uint64_t replaced[4] = {0};
    bool any = false;
    for (uint32_t slot = 1; slot <= HEAP_PROCESSES; slot++) {
        uint32_t state = load_state(slot);
        if (state < HEAP_PROCESS_LIVE || !is_own_pid(&map->processes[slot]) ||
            !change_state(slot, state, HEAP_PROCESS_REPLACED))
            continue;
        replaced[slot / 64] |= UINT64_C(1) << (slot % 64);
        any = true;
    }
    if (any)
        table_purge(replaced);
}

/* --- start and end -------------------------------------------------------------------------------
 */

static bool is_ours(const struct heap_map *candidate)
{
    return candidate->header.magic == HEAP_MAGIC && candidate->header.version == HEAP_VERSION &&
           candidate->header.header_bytes == sizeof(struct heap_map);
}

/* Mapped now and closed at once: daemons close all descriptors. MAP_POPULATE: no page faults later,
 * not even within a signal handler. */
static struct heap_map *open_map(const char *path)
{
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0)
        return NULL;
    struct stat status;
    void *found = MAP_FAILED;
    if (fstat(fd, &status) == 0 && status.st_size == (off_t)sizeof(struct heap_map))
        found = real.mmap(NULL, sizeof(struct heap_map), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_POPULATE, fd, 0);
    syscall(SYS_close, fd);
    if (found == MAP_FAILED)
        return NULL;
    if (is_ours(found))
        return found;
    real.munmap(found, sizeof(struct heap_map));
    return NULL;
}

static struct identity *make_identity(void)
{
    void *page =
        real.mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, PAGE_BYTES, MADV_WIPEONFORK) == 0)
        return page;
    real.munmap(page, PAGE_BYTES);
    return NULL;
}

static void find_allocator(void)
{
    struct dl_find_object object, ours;
    if (_dl_find_object((void *)(uintptr_t)real.malloc, &object) != 0 ||
        _dl_find_object((void *)(uintptr_t)find_allocator, &ours) != 0 ||
        object.dlfo_map_start == ours.dlfo_map_start)
        return;
    allocator_start = (uintptr_t)object.dlfo_map_start;
    allocator_end = (uintptr_t)object.dlfo_map_end;
}

__attribute__((constructor)) static void attach(void)
{
    int saved_errno = errno;
    real_resolve();
    const char *path = getenv(HEAP_VARIABLE);
    map = path ? open_map(path) : NULL;
    identity = map ? make_identity() : NULL;
    if (identity) {
        find_allocator();
        module_find_program();
        sampler_begin();
        python_find();
        find_identity();
        pthread_atfork(NULL, NULL, on_forked);
        mark_replaced();
        if (identity->pid == HEAP_MAIN_PID)
            attach_slot(); /* before its children could take them all */
        __atomic_fetch_add(&map->header.attached, 1, __ATOMIC_RELAXED);
        uint64_t frames[HEAP_STACK_DEPTH];
        unwind_current(frames, HEAP_STACK_DEPTH); /* first uses are slow */
        attachment = ATTACH_ON;
    } else {
        attachment = ATTACH_OFF;
    }
    errno = saved_errno;
}

static void mark_exited(void)
{
    uint32_t slot = attach_slot_now();
    if (attachment == ATTACH_ON && slot != 0 && identity->pid != HEAP_MAIN_PID)
        change_state(slot, HEAP_PROCESS_LIVE, HEAP_PROCESS_EXITED);
}

/* In vfork()'s child, which may call nothing else to end, the slot is the parent's. */
static bool is_owner(void)
{
    return attachment == ATTACH_ON && attach_slot_now() != 0 && identity->pid != HEAP_MAIN_PID &&
           identity->pid == (int32_t)syscall(SYS_getpid);
}

__attribute__((destructor)) static void leave(void)
{
    int saved_errno = errno;
    mark_exited();
    errno = saved_errno;
}

void _exit(int status)
{
    if (is_owner())
        mark_exited();
    for (;;)
        real.exit_now(status);
}

void _Exit(int status)
{
    _exit(status);
}
