/* SPDX-License-Identifier: Apache-2.0 */
/* Leaks in the heap: what is allocated for a request, a connection or a tick and never freed. */
#include "service.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The plainest leak there is. */
static unsigned serve_request(const char *path)
{
    (void)path;
    keep(touched((size_t)parameter("SIZE", 65536)));
    return 200;
}

/* Only one of the routes forgets to free. */
static unsigned serve_route(const char *path)
{
    char *work = touched((size_t)parameter("SIZE", 65536));
    if (strcmp(path, "/export") == 0)
        keep(work);
    else
        free(work);
    return 200;
}

/* Each connection's state outlives the connection. */
static void connection_state(void)
{
    keep(touched((size_t)parameter("SIZE", 65536)));
}

/* The early return of the error path misses its free(). */
static unsigned serve_error(const char *path)
{
    char *parsed = touched((size_t)parameter("SIZE", 65536));
    if (strcmp(path, "/bad") == 0) {
        keep(parsed);
        return 422;
    }
    free(parsed);
    return 200;
}

/* A timer that gathers statistics nobody collects. */
static void keep_reading(void)
{
    keep(touched((size_t)parameter("SIZE", 65536)));
}

static void *gather(void *unused)
{
    (void)unused;
    tick(parameter("TICK_MS", 50), keep_reading);
}

static void start_tick(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, gather, NULL);
}

/* Fine until a table of fixed size is full; from then on every request spills. */
static unsigned serve_late(const char *path)
{
    (void)path;
    char *entry = touched((size_t)parameter("SIZE", 65536));
    if (request_number() > (unsigned long)parameter("AFTER", 100))
        keep(entry);
    else
        free(entry);
    return 200;
}

/* A batch that is flushed and whose old buffer is lost: growth in steps. */
static unsigned serve_step(const char *path)
{
    (void)path;
    if (request_number() % (unsigned long)parameter("EVERY", 40) == 0)
        keep(touched((size_t)parameter("SIZE", 4 << 20)));
    return 200;
}

/* An audit trail in memory: one vector that is appended to and doubled. */
static unsigned serve_trail(const char *path)
{
    static char *trail;
    static size_t used, capacity;
    (void)path;
    size_t size = (size_t)parameter("SIZE", 4096);
    if (used + size > capacity) {
        capacity = capacity ? capacity * 2 : 1 << 20;
        trail = realloc(trail, capacity);
        if (!trail)
            abort();
    }
    memset(trail + used, 0x5a, size);
    used += size;
    return 200;
}

/* A cache whose entries are never found again: its key holds the time of the request. */
static unsigned serve_key(const char *path)
{
    static struct entry {
        struct entry *next;
        unsigned long key;
        char value[];
    } * buckets[1024];
    (void)path;
    unsigned long key = next_random();
    for (struct entry *e = buckets[key % 1024]; e; e = e->next) {
        if (e->key == key)
            return 200;
    }
    /* Objects of every size between a quarter of SIZE and seven quarters; any 64 in a row have the
     * same mean. */
    size_t size = (size_t)parameter("SIZE", 65536);
    size_t step = request_number() * 29 % 64;
    struct entry *entry = (struct entry *)touched(size / 4 + step * (size * 3 / 2) / 63);
    entry->key = key;
    entry->next = buckets[key % 1024];
    buckets[key % 1024] = entry;
    return 200;
}

/* Half by the request, half by the clock. */
static void keep_tick(void)
{
    keep(touched((size_t)parameter("TICK_SIZE", 32768)));
}

static void *gather_for_mixed(void *unused)
{
    (void)unused;
    tick(parameter("TICK_MS", 50), keep_tick);
}

static void start_mixed(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, gather_for_mixed, NULL);
}

const struct shape leak_shapes[] = {
    {.name = "c-request", .serve = serve_request},
    {.name = "c-route", .serve = serve_route},
    {.name = "c-connection", .connected = connection_state},
    {.name = "c-error-path", .serve = serve_error},
    {.name = "c-ticker", .start = start_tick},
    {.name = "c-late", .serve = serve_late},
    {.name = "c-batch", .serve = serve_step},
    {.name = "c-audit-trail", .serve = serve_trail},
    {.name = "c-cache-no-hit", .serve = serve_key},
    {.name = "c-mixed", .start = start_mixed, .serve = serve_request},
    {0},
};
