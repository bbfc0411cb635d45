// SPDX-License-Identifier: Apache-2.0
// storm COUNTERS LIBRARY: does at once, in threads of its own, all that the heap recorder watches,
// while signals interrupt every one of them, until it is killed. COUNTERS is a file of 4096 bytes:
// how often each thread came around, and the bytes that keep() holds. It prints "ready" when each
// came around once. LIBRARY is loaded and unloaded again and again.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <new>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SITE __attribute__((noinline, noipa))

namespace
{

enum { KEEP, CHURN, NEW, PRODUCE, CONSUME, THREADS, FORK, LOAD, MAP, WORKERS };

struct counters {
    std::atomic<uint64_t> rounds[WORKERS];
    std::atomic<uint64_t> held;
};

counters *shared;
const char *library;
pthread_t workers[WORKERS];

constexpr size_t KEPT_BYTES = 700;
constexpr size_t KEPT_MOST = 8192;
constexpr int CHILD_ROUNDS = 20;

// --- what the threads do -----------------------------------------------------------------------

SITE void keep_round()
{
    static void *kept[KEPT_MOST];
    static size_t count;
    static bool falling;
    for (int i = 0; i < 64; i++) {
        if (falling) {
            free(kept[--count]);
            shared->held -= KEPT_BYTES;
        } else {
            kept[count++] = malloc(KEPT_BYTES);
            shared->held += KEPT_BYTES;
        }
        falling = falling ? count > KEPT_MOST / 2 : count == KEPT_MOST;
    }
}

SITE void churn_round(unsigned *seed, void **ring, size_t places)
{
    for (int i = 0; i < 64; i++) {
        void *&place = ring[rand_r(seed) % places];
        size_t size = 16u << rand_r(seed) % 9;
        if (rand_r(seed) % 2) {
            free(place);
            place = rand_r(seed) % 2 ? malloc(size) : aligned_alloc(64, (size + 63) / 64 * 64);
        } else {
            place = realloc(place, size);
        }
    }
}

SITE void churn()
{
    static unsigned seed = 1;
    static void *ring[16];
    churn_round(&seed, ring, 16);
}

SITE void new_round()
{
    static char *ring[16];
    static unsigned seed = 2;
    for (int i = 0; i < 64; i++) {
        char *&place = ring[rand_r(&seed) % 16];
        delete[] place;
        place = new char[1 + rand_r(&seed) % 4096];
    }
}

std::atomic<void *> belt[64];

SITE void produce_round()
{
    for (auto &place : belt) {
        void *expected = nullptr;
        void *made = malloc(2000);
        if (!place.compare_exchange_strong(expected, made))
            free(made);
    }
}

SITE void consume_round()
{
    for (auto &place : belt)
        free(place.exchange(nullptr));
}

void *short_thread(void *)
{
    free(malloc(3000));
    return nullptr;
}

SITE void thread_round()
{
    pthread_t thread;
    if (pthread_create(&thread, nullptr, short_thread, nullptr) == 0)
        pthread_join(thread, nullptr);
}

SITE void fork_round()
{
    static unsigned number;
    pid_t child = -1, parent = getpid();
    char name[] = "true";
    char *const argv[] = {name, nullptr};
    if (number++ % 8 == 0) {
        if (posix_spawn(&child, "/bin/true", nullptr, nullptr, argv, environ) != 0)
            abort();
    } else {
        child = fork();
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(0); // killed between the two
        unsigned seed = number;
        void *ring[16] = {};
        for (int i = 0; i < CHILD_ROUNDS; i++)
            churn_round(&seed, ring, 16);
        _exit(0);
    }
    if (child < 0)
        abort();
    while (waitpid(child, nullptr, 0) < 0) {
    }
}

SITE void load_round()
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        fprintf(stderr, "%s\n", dlerror());
        abort();
    }
    auto call = reinterpret_cast<void *(*)(size_t)>(dlsym(handle, "loaded_allocate"));
    free(call(5000));
    dlclose(handle);
}

SITE void map_round()
{
    void *mapping =
        mmap(nullptr, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
        return;
    void *moved = mremap(mapping, 16384, 65536, MREMAP_MAYMOVE);
    munmap(moved == MAP_FAILED ? mapping : moved, moved == MAP_FAILED ? 16384 : 65536);
}

void (*const ROUNDS[WORKERS])() = {keep_round,    churn,         new_round,
                                   produce_round, consume_round, thread_round,
                                   fork_round,    load_round,    map_round};

void *work(void *argument)
{
    auto number = reinterpret_cast<uintptr_t>(argument);
    for (;;) {
        ROUNDS[number]();
        shared->rounds[number]++;
    }
}

// --- signals -----------------------------------------------------------------------------------

void on_signal(int)
{
    volatile char room[2000];
    for (size_t i = 0; i < sizeof(room); i += 64)
        room[i] = 1;
}

[[noreturn]] void send_signals()
{
    unsigned seed = 3;
    for (;;) {
        pthread_kill(workers[rand_r(&seed) % WORKERS], rand_r(&seed) % 2 ? SIGUSR1 : SIGUSR2);
        usleep(50);
    }
}

void await_first_rounds()
{
    for (auto &rounds : shared->rounds) {
        while (rounds == 0)
            usleep(100);
    }
    puts("ready");
    fflush(stdout);
}

} // namespace

int main(int argc, char **argv)
{
    int fd = argc == 3 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
    void *memory =
        fd < 0 ? MAP_FAILED : mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        fprintf(stderr, "usage: storm COUNTERS LIBRARY (a file of 4096 bytes)\n");
        return 2;
    }
    shared = static_cast<counters *>(memory);
    library = argv[2];
    struct sigaction action = {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART | SA_NODEFER;
    sigaction(SIGUSR1, &action, nullptr);
    sigaction(SIGUSR2, &action, nullptr);
    for (uintptr_t i = 0; i < WORKERS; i++) {
        if (pthread_create(&workers[i], nullptr, work, reinterpret_cast<void *>(i)) != 0)
            return 1;
    }
    await_first_rounds();
    send_signals();
}
