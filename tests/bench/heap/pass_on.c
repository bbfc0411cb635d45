/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in front of malloc() and free() as the recorder does, and only passes the calls on: what
 * being in front costs by itself. */
#include <dlfcn.h>
#include <stdlib.h>

static void *first_malloc(size_t size);
static void first_free(void *pointer);
static void *first_realloc(void *pointer, size_t size);

static struct {
    void *(*malloc)(size_t);
    void (*free)(void *);
    void *(*realloc)(void *, size_t);
} next = {first_malloc, first_free, first_realloc};

static void *find_next(const char *name)
{
    void *ret = dlsym(RTLD_NEXT, name);
    if (!ret)
        __builtin_trap();
    return ret;
}

static void *first_malloc(size_t size)
{
    next.malloc = (void *(*)(size_t))find_next("malloc");
    return next.malloc(size);
}

static void first_free(void *pointer)
{
    next.free = (void (*)(void *))find_next("free");
    next.free(pointer);
}

static void *first_realloc(void *pointer, size_t size)
{
    next.realloc = (void *(*)(void *, size_t))find_next("realloc");
    return next.realloc(pointer, size);
}

void *malloc(size_t size)
{
    return next.malloc(size);
}

void free(void *pointer)
{
    next.free(pointer);
}

void *realloc(void *pointer, size_t size)
{
    return next.realloc(pointer, size);
}
