/* SPDX-License-Identifier: Apache-2.0 */
/* mappings private|shared cut|several|grown|forked|again|broken: maps, unmaps in part, resizes,
 * prints the bytes that it holds, and kills itself. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE  4096UL
#define TIMES 200

static int sharing;

static char *map(size_t bytes)
{
    char *pointer = mmap(NULL, bytes, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
    if (pointer == MAP_FAILED)
        abort();
    return pointer;
}

/* Of ten pages the middle four and the last, of ten more the first two. */
static size_t cut(void)
{
    char *pointer = map(10 * PAGE), *other = map(10 * PAGE);
    if (munmap(pointer + 3 * PAGE, 4 * PAGE) || munmap(pointer + 9 * PAGE, PAGE) ||
        munmap(other, 2 * PAGE))
        abort();
    return 13 * PAGE;
}

/* Four mappings side by side; a range from within the first to within the last. */
static size_t several(void)
{
    char *room = map(40 * PAGE);
    if (munmap(room, 40 * PAGE))
        abort();
    for (int i = 0; i < 4; i++) {
        if (mmap(room + (size_t)i * 10 * PAGE, 10 * PAGE, PROT_READ | PROT_WRITE,
                 sharing | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
            abort();
    }
    if (munmap(room + 4 * PAGE, 30 * PAGE))
        abort();
    return 10 * PAGE;
}

static size_t grown(void)
{
    char *pointer = map(PAGE);
    for (size_t pages = 2; pages <= 16; pages *= 2) {
        pointer = mremap(pointer, pages / 2 * PAGE, pages * PAGE, MREMAP_MAYMOVE);
        if (pointer == MAP_FAILED)
            abort();
    }
    return 16 * PAGE;
}

/* A child that unmaps what it inherited leaves its parent's alone. */
static size_t forked(void)
{
    char *pointer = map(16 * PAGE);
    pid_t child = fork();
    if (child == 0)
        _exit(munmap(pointer, 16 * PAGE));
    int status;
    if (waitpid(child, &status, 0) != child || status != 0)
        abort();
    return 16 * PAGE;
}

/* The same memory at two addresses; the first stays. */
static size_t again(void)
{
    char *pointer = map(16 * PAGE);
    char *other = mremap(pointer, 0, 16 * PAGE, MREMAP_MAYMOVE);
    if (other == MAP_FAILED || munmap(other + PAGE, 15 * PAGE))
        abort();
    return 16 * PAGE;
}

/* The program break, by odd sizes and both functions, with malloc() in between. */
static size_t broken(void)
{
    char *from = sbrk(0);
    if (sbrk(5 * PAGE + 100) != from || sbrk(3000) != from + 5 * PAGE + 100 ||
        brk(from + 9 * PAGE + 300) != 0 || sbrk(-(intptr_t)PAGE) != from + 9 * PAGE + 300 ||
        brk(from + 6 * PAGE + 200) != 0)
        abort();
    size_t held =
        ((size_t)from + 6 * PAGE + 200 + PAGE - 1) / PAGE - ((size_t)from + PAGE - 1) / PAGE;
    /* These change nothing. */
    errno = 0;
    if (brk(NULL) != 0 || brk((void *)(SIZE_MAX / 4)) != -1 || errno != ENOMEM ||
        sbrk(INTPTR_MAX) != (void *)-1 || sbrk(0) != from + 6 * PAGE + 200)
        abort();
    free(malloc(100000));
    return held * PAGE;
}

static const struct {
    const char *name;
    size_t (*run)(void);
} WAYS[] = {
    {"cut", cut},       {"several", several}, {"grown", grown},
    {"forked", forked}, {"again", again},     {"broken", broken},
};

int main(int count, char **words)
{
    size_t held = 0;
    if (count != 3)
        return 2;
    sharing = strcmp(words[1], "shared") == 0 ? MAP_SHARED : MAP_PRIVATE;
    for (size_t way = 0; way < sizeof(WAYS) / sizeof(WAYS[0]); way++) {
        for (int i = 0; i < TIMES && strcmp(words[2], WAYS[way].name) == 0; i++)
            held += WAYS[way].run();
    }
    printf("%zu\n", held);
    fflush(stdout);
    raise(SIGKILL);
}
