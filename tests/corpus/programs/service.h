/* SPDX-License-Identifier: Apache-2.0 */
/* What the C service of the corpus and its shapes share. A shape is a way in which a service keeps
 * (or does not keep) memory; SHAPE in the environment chooses it, the other variables size it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct shape {
    const char *name;
    void (*start)(void);                 /* before it listens; may be NULL */
    unsigned (*serve)(const char *path); /* a request; returns the HTTP status; may be NULL: 200 */
    void (*connected)(void);             /* a connection's first request; may be NULL */
};

extern const struct shape leak_shapes[], leak_kernel_shapes[], innocent_shapes[], ended_shapes[];

/* Parameters, with a default. Sizes are bytes. */
long parameter(const char *name, long fallback);
/* A directory that the environment names: SCRATCH on the disk, SHARED in memory. */
const char *directory(const char *name);
/* Memory that is written to, so that it is there; never returns NULL. */
char *touched(size_t bytes);
/* Keep it for ever. */
void keep(void *memory);
void sleep_ms(long ms);
/* For ever: `work` each period, by the clock, however long it takes. */
void tick(long period_ms, void (*work)(void)) __attribute__((noreturn));
/* Deterministic: the same requests make the same sequence. */
unsigned long next_random(void);
/* Requests that have come in, this one included. */
unsigned long request_number(void);
