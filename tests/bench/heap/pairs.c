/* SPDX-License-Identifier: Apache-2.0 */
/* What an allocator is asked for: pairs THREADS MILLIONS DEPTH LEAST MOST. Each thread keeps 256
 * objects and replaces one at random, MILLIONS times a million in all, below DEPTH calls; sizes are
 * uniform. Prints nanoseconds a pair of malloc and free, by the clock and of
 * processors. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define KEPT        256
#define THREADS_MAX 64

struct work {
    uint64_t pairs, random;
    size_t least, most;
    unsigned depth;
    char *kept[KEPT];
};

static uint64_t next_random(struct work *work)
{
    work->random ^= work->random << 13;
    work->random ^= work->random >> 7;
    work->random ^= work->random << 17;
    return work->random;
}

static __attribute__((noinline)) void replace(struct work *work)
{
    uint64_t random = next_random(work);
    char **place = &work->kept[random % KEPT];
    free(*place);
    *place = malloc(work->least + (random >> 32) % (work->most - work->least + 1));
    if (!*place)
        abort();
    **place = 1;
}

static __attribute__((noinline)) void descend(struct work *work, unsigned depth)
{
    if (depth > 1) {
        descend(work, depth - 1);
        __asm__ volatile(""); /* no tail call: the stack is meant to be deep */
        return;
    }
    for (uint64_t i = 0; i < work->pairs; i++)
        replace(work);
}

static void *run(void *argument)
{
    struct work *work = argument;
    descend(work, work->depth);
    for (unsigned i = 0; i < KEPT; i++)
        free(work->kept[i]);
    return NULL;
}

static double now_s(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: pairs THREADS MILLIONS DEPTH LEAST MOST\n");
        return 2;
    }
    unsigned threads = (unsigned)strtoul(argv[1], NULL, 10);
    uint64_t pairs = strtoull(argv[2], NULL, 10) * 1000000;
    static struct work works[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    if (threads == 0 || threads > THREADS_MAX)
        return 2;
    double begun = now_s(CLOCK_MONOTONIC), used = now_s(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned i = 0; i < threads; i++) {
        works[i] = (struct work){.pairs = pairs / threads,
                                 .random = 88172645463325252ULL + i,
                                 .depth = (unsigned)strtoul(argv[3], NULL, 10),
                                 .least = strtoull(argv[4], NULL, 10),
                                 .most = strtoull(argv[5], NULL, 10)};
        if (pthread_create(&ids[i], NULL, run, &works[i]) != 0)
            return 1;
    }
    for (unsigned i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    double per_pair = 1e9 / (double)pairs;
    printf("%.3f %.3f\n", (now_s(CLOCK_MONOTONIC) - begun) * per_pair,
           (now_s(CLOCK_PROCESS_CPUTIME_ID) - used) * per_pair);
    return 0;
}
