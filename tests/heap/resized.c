/* SPDX-License-Identifier: Apache-2.0 */
/* Resizes a large object by way of resizing.c, and kills itself: resized keep|free|fail. Prints
 * whether the address was used again. keep: what got the address is held, too; fail: the second
 * resizing cannot succeed. */
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern void *other __attribute__((weak));

int main(int count, char **words)
{
    mallopt(M_MMAP_THRESHOLD, 1 << 25); /* so that resizing copies, and addresses come back */
    char *pointer = malloc(1000000);
    void *volatile barrier = malloc(4096);
    uintptr_t was = (uintptr_t)pointer;
    if (count != 2 || !pointer || !barrier)
        return 2;
    char *moved = strcmp(words[1], "fail") ? realloc(pointer, 3000000)
                                           : realloc(pointer, (size_t)PTRDIFF_MAX);
    if (&other && other)
        printf("%s\n", (uintptr_t)other == was ? "again" : "elsewhere");
    if (strcmp(words[1], "free") == 0)
        free(other);
    fflush(stdout);
    *(char *volatile *)&pointer = moved;
    raise(SIGKILL);
}
