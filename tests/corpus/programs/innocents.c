/* SPDX-License-Identifier: Apache-2.0 */
/* Services that use memory and leak none. */
#include "service.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Works with a buffer and gives it back. */
static unsigned serve_scratch(const char *path)
{
    (void)path;
    free(touched((size_t)parameter("SIZE", 262144)));
    return 200;
}

/* A cache of COUNT entries in slots: full when every key was seen, then it replaces. KEYS different
 * keys, asked for at random. */
static unsigned serve_lru(const char *path)
{
    static char **slots;
    (void)path;
    size_t count = (size_t)parameter("COUNT", 256);
    if (!slots)
        slots = calloc(count, sizeof(*slots));
    if (!slots)
        abort();
    size_t slot = next_random() % (unsigned long)parameter("KEYS", (long)count) % count;
    free(slots[slot]);
    slots[slot] = touched((size_t)parameter("SIZE", 65536));
    return 200;
}

/* The same in the order of the keys: it fills in a straight line. */
static unsigned serve_lru_straight(const char *path)
{
    static char **slots;
    (void)path;
    size_t count = (size_t)parameter("COUNT", 256);
    if (!slots)
        slots = calloc(count, sizeof(*slots));
    if (!slots)
        abort();
    size_t slot = request_number() % count;
    free(slots[slot]);
    slots[slot] = touched((size_t)parameter("SIZE", 65536));
    return 200;
}

/* A pool that makes connections when it first needs them, and keeps them. */
static unsigned serve_pool(const char *path)
{
    static char *pool[64];
    (void)path;
    size_t count = (size_t)parameter("COUNT", 16) % 65;
    /* A connection more is needed as the load peaks higher; the peak is soon known. */
    size_t needed = next_random() % (count + 1);
    for (size_t i = 0; i < needed; i++) {
        if (!pool[i])
            pool[i] = touched((size_t)parameter("SIZE", 524288));
    }
    return 200;
}

/* Objects of many sizes and lives: holes remain, and are used again. */
static unsigned serve_fragments(const char *path)
{
    static char *objects[4096];
    (void)path;
    size_t count = (size_t)parameter("COUNT", 1024) % 4097;
    for (int i = 0; i < 32; i++) {
        size_t slot = next_random() % count;
        free(objects[slot]);
        objects[slot] = touched(64 + next_random() % (size_t)parameter("SIZE", 32768));
    }
    return 200;
}

/* The last N bytes of the log, in a ring that is first written once round. */
static unsigned serve_log_ring(const char *path)
{
    static char *ring;
    static size_t at;
    (void)path;
    size_t size = (size_t)parameter("SIZE", 8 << 20);
    size_t line = (size_t)parameter("LINE", 32768);
    if (!ring)
        ring = malloc(size);
    if (!ring)
        abort();
    memset(ring + at, 0x5a, line);
    at = (at + line) % (size - line);
    return 200;
}

/* Reads a large file, as a file server does: the kernel keeps what it can. */
static char data_file[256];

static void write_data_file(void)
{
    snprintf(data_file, sizeof(data_file), "%s/data", directory("SCRATCH"));
    int fd = open(data_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char *block = touched(1 << 20);
    for (long i = 0; fd >= 0 && i < parameter("COUNT", 64); i++) {
        if (write(fd, block, 1 << 20) < 0)
            perror(data_file);
    }
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    free(block);
}

static unsigned serve_file(const char *path)
{
    (void)path;
    int fd = open(data_file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 404;
    size_t size = (size_t)parameter("SIZE", 262144);
    char *block = touched(size);
    long blocks = parameter("COUNT", 64) * (1 << 20) / (long)size;
    off_t at = (off_t)(request_number() % (unsigned long)blocks) * (off_t)size;
    bool read_it = pread(fd, block, size, at) > 0;
    free(block);
    close(fd);
    return read_it ? 200 : 500;
}

/* One report in EVERY needs SIZE for MS; the rest need nothing. */
static unsigned serve_peak(const char *path)
{
    (void)path;
    if (request_number() % (unsigned long)parameter("EVERY", 40) == 0) {
        /* In pieces, as a report is built, so that a sampler can see it rise. */
        size_t pieces = 32;
        char **report = calloc(pieces, sizeof(*report));
        for (size_t i = 0; report && i < pieces; i++) {
            report[i] = touched((size_t)parameter("SIZE", 32 << 20) / pieces);
            sleep_ms(parameter("MS", 64) / (long)pieces);
        }
        for (size_t i = 0; report && i < pieces; i++)
            free(report[i]);
        free(report);
        malloc_trim(0);
    }
    return 200;
}

/* Sessions that expire: the load's hours show in memory, up and down. */
static struct session {
    struct session *next;
    long ticks;
    char *data;
} * sessions;
static pthread_mutex_t session_lock = PTHREAD_MUTEX_INITIALIZER;

static void *expire(void *unused)
{
    (void)unused;
    for (;;) {
        sleep_ms(50);
        pthread_mutex_lock(&session_lock);
        for (struct session **at = &sessions; *at;) {
            struct session *session = *at;
            if (--session->ticks > 0) {
                at = &session->next;
                continue;
            }
            *at = session->next;
            free(session->data);
            free(session);
        }
        pthread_mutex_unlock(&session_lock);
    }
    return NULL;
}

static void start_sessions(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, expire, NULL);
}

static unsigned serve_session(const char *path)
{
    (void)path;
    struct session *session = malloc(sizeof(*session));
    if (!session)
        abort();
    session->ticks = parameter("MS", 1000) / 50;
    session->data = touched((size_t)parameter("SIZE", 262144));
    pthread_mutex_lock(&session_lock);
    session->next = sessions;
    sessions = session;
    pthread_mutex_unlock(&session_lock);
    return 200;
}

/* Small work, whatever SIZE is. */
static unsigned serve_lookup(const char *path)
{
    (void)path;
    free(touched(131072));
    return 200;
}

/* The table that a service needs before it can answer. */
static void load_table(void)
{
    long parts = 64;
    for (long i = 0; i < parts; i++) {
        keep(touched((size_t)(parameter("SIZE", 64 << 20) / parts)));
        sleep_ms(parameter("MS", 1000) / parts);
    }
}

const struct shape innocent_shapes[] = {
    {.name = "c-scratch", .serve = serve_scratch},
    {.name = "c-lru", .serve = serve_lru},
    {.name = "c-lru-straight", .serve = serve_lru_straight},
    {.name = "c-lru-over", .serve = serve_lru_straight},
    {.name = "c-pool", .serve = serve_pool},
    {.name = "c-fragments", .serve = serve_fragments},
    {.name = "c-log-ring", .serve = serve_log_ring},
    {.name = "c-file-server", .start = write_data_file, .serve = serve_file},
    {.name = "c-spike", .serve = serve_peak},
    {.name = "c-peak-over", .serve = serve_peak},
    {.name = "c-sessions", .start = start_sessions, .serve = serve_session},
    {.name = "c-table", .start = load_table, .serve = serve_lookup},
    {.name = "c-table-over", .start = load_table, .serve = serve_lookup},
    {0},
};
