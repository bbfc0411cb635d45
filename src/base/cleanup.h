/* SPDX-License-Identifier: Apache-2.0 */
/* Scope-bound ownership: a resource is freed when its variable goes out of scope, unless stolen. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(function) __attribute__((cleanup(function)))

static inline void cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

static inline void cleanup_close(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void cleanup_fclose(FILE **file)
{
    if (*file)
        fclose(*file);
}

#define AUTO_FREE   CLEANUP(cleanup_free)
#define AUTO_CLOSE  CLEANUP(cleanup_close)
#define AUTO_FCLOSE CLEANUP(cleanup_fclose)

/* Hand over a pointer: yields its value and leaves NULL, so that its cleanup does nothing. */
#define steal_ptr(pointer)                                                                         \
    ({                                                                                             \
        __typeof__(*(pointer)) *_stolen_from = (pointer);                                          \
        __typeof__(*(pointer)) _stolen = *_stolen_from;                                            \
        *_stolen_from = NULL;                                                                      \
        _stolen;                                                                                   \
    })

/* Hand over a descriptor: yields its value and leaves -1. */
static inline int steal_fd(int *fd)
{
    int stolen = *fd;
    *fd = -1;
    return stolen;
}

/* Close the descriptor if it is open and leave -1. */
static inline void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}
