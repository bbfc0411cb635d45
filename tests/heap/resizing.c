/* SPDX-License-Identifier: Apache-2.0 */
/* An allocator whose realloc() is stopped half-way: behind the recorder, in front of the C
 * library's. RESIZING=kill: the process dies after the copy, before the old object is gone.
 * RESIZING=reuse: the old object's address goes to another object first, which `other` names. */
#include <dlfcn.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define LARGE (1U << 20)

void *other;

void *realloc(void *pointer, size_t size)
{
    const char *mode = getenv("RESIZING");
    void *(*next_realloc)(void *, size_t);
    void (*next_free)(void *);
    *(void **)&next_realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&next_free = dlsym(RTLD_NEXT, "free");
    if (!mode || !pointer || size < LARGE)
        return next_realloc(pointer, size);
    if (strcmp(mode, "kill") == 0)
        raise(SIGKILL);
    size_t old = malloc_usable_size(pointer);
    void *moved = next_realloc(NULL, size);
    memcpy(moved, pointer, old);
    next_free(pointer);
    other = malloc(old); /* the program's own, through the recorder */
    return moved;
}
