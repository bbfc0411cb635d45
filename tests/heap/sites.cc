// SPDX-License-Identifier: Apache-2.0
// Leaks at ten sites until the kernel kills it, and counts truly what each holds in a small shared
// file: usage: sites COUNTERS [PROCESSES], a page of the file for each process. Two more sites allocate and free, and must not show. C++ for `new`.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#define SITE extern "C" __attribute__((noinline))

enum site { SMALL, ZEROED, GROWN, ALIGNED, CXX_NEW, PAGES, THREAD, CROSS, LARGE, MAPPING, SITES };
static volatile uint64_t *held; // bytes of each site

// The recorder has counted it when the allocator returns, so do we: before the pages are touched.
static void keep(site where, void *pointer, size_t bytes)
{
    if (!pointer)
        abort();
    held[where] += bytes;
    memset(pointer, 0x5a, bytes);
}

SITE void site_small()
{
    for (int i = 0; i < 2000; i++)
        keep(SMALL, malloc(24), 24);
}

SITE void site_zeroed()
{
    for (int i = 0; i < 400; i++)
        keep(ZEROED, calloc(4, 25), 100);
}

SITE void site_grown()
{
    for (int i = 0; i < 12; i++) {
        void *pointer = malloc(64);
        pointer = realloc(pointer, 800);
        keep(GROWN, realloc(pointer, 3000), 3000);
    }
}

SITE void site_aligned()
{
    for (int i = 0; i < 64; i++)
        keep(ALIGNED, aligned_alloc(64, 512), 512);
}

SITE void site_new()
{
    for (int i = 0; i < 200; i++)
        keep(CXX_NEW, ::operator new(200), 200);
}

SITE void site_pages()
{
    for (int i = 0; i < 8; i++) {
        void *pointer = nullptr;
        if (posix_memalign(&pointer, 4096, 4096) != 0)
            abort();
        keep(PAGES, pointer, 4096);
    }
}

SITE void *site_thread(void *)
{
    keep(THREAD, malloc(16384), 16384);
    return nullptr;
}

static void *kept[64];

SITE void *site_cross(void *)
{
    for (void *&pointer : kept)
        pointer = malloc(1024);
    return nullptr;
}

// Another thread frees every second object.
SITE void free_half()
{
    for (int i = 0; i < 64; i += 2) {
        free(kept[i]);
        keep(CROSS, kept[i + 1], 1024);
    }
}

SITE void site_large()
{
    keep(LARGE, malloc(2 << 20), 2 << 20);
}

SITE void site_mapping()
{
    void *pointer = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                         0);
    if (pointer != MAP_FAILED)
        keep(MAPPING, pointer, 1 << 20);
}

SITE void churn()
{
    static void *ring[64];
    for (int i = 0; i < 1000; i++) {
        void *&place = ring[i % 64];
        free(place);
        place = malloc(300);
        memset(place, 1, 300);
    }
    for (void *&place : ring) {
        free(place);
        place = nullptr;
    }
}

SITE void freed()
{
    for (int i = 0; i < 20; i++) {
        void *pointer = malloc(20000);
        memset(pointer, 1, 20000);
        free(realloc(pointer, 40000));
    }
}

static void in_thread(void *(*start)(void *))
{
    pthread_t thread;
    if (pthread_create(&thread, nullptr, start, nullptr) != 0)
        abort();
    pthread_join(thread, nullptr);
}

SITE void leak_round(unsigned number)
{
    site_small();
    site_zeroed();
    site_grown();
    site_aligned();
    site_new();
    site_pages();
    in_thread(site_thread);
    in_thread(site_thread);
    in_thread(site_cross);
    free_half();
    if (number % 32 == 0)
        site_large();
    if (number % 24 == 0)
        site_mapping();
    churn();
    freed();
}

// At its limit the kernel may take the program's code away and read it back, page by page and for
// minutes, before it kills. Where the code cannot be taken, the kill comes at once.
static void lock_code()
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512], access[5], path[256];
    while (maps && fgets(line, sizeof(line), maps)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %255s", &from, &to, access, path) == 4 &&
            access[0] == 'r' && access[1] == '-' && path[0] == '/' && access[3] == 'p')
            mlock(reinterpret_cast<void *>(from), to - from);
    }
    if (maps)
        fclose(maps);
}

int main(int argc, char **argv)
{
    int fd = argc == 2 || argc == 3 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
    int processes = argc == 3 ? atoi(argv[2]) : 1;
    if (fd < 0 || processes < 1 || processes > 16) {
        fprintf(stderr, "usage: sites COUNTERS [PROCESSES] (a file of 4096 bytes for each)\n");
        return 2;
    }
    lock_code();
    int number_of_child = 0;
    while (number_of_child + 1 < processes && fork() == 0)
        number_of_child++;
    void *counters =
        mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096L * number_of_child);
    if (counters == MAP_FAILED)
        return 1;
    held = static_cast<volatile uint64_t *>(counters);
    for (unsigned number = 0;; number++)
        leak_round(number);
}
