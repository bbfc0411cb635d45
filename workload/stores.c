/* SPDX-License-Identifier: Apache-2.0 */
#include "stores.h"

#include "base/size.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOINLINE   __attribute__((noinline))
#define PAGE       4096
#define SESSION    ((size_t)(64 * KIB))  /* from malloc's heap */
#define TEMPLATE   ((size_t)(512 * KIB)) /* from mmap, while malloc's threshold is at its default */
#define AUDIT_SIZE ((size_t)(16 * KIB))

struct session {
    struct session *next;
    uint64_t id;
    size_t length;
    unsigned char state[];
};

struct page_template {
    size_t length;
    unsigned char text[];
};

struct audit_segment {
    struct audit_segment *next;
    size_t length;
    unsigned char entries[];
};

void stores_touch(void *memory, size_t length)
{
    unsigned char *bytes = memory;
    for (size_t at = 0; at < length; at += PAGE) {
        size_t rest = length - at < PAGE ? length - at : PAGE;
        uintptr_t stamp = (uintptr_t)(bytes + at) ^ UINT64_C(0x9E3779B97F4A7C15);
        memset(bytes + at, 1 + (int)((stamp >> 12) % 255), rest);
        if (rest >= sizeof(stamp))
            memcpy(bytes + at, &stamp, sizeof(stamp));
    }
}

static uint64_t use(const unsigned char *bytes, size_t length)
{
    uint64_t sum = 0;
    for (size_t at = 0; at + sizeof(sum) <= length; at += PAGE) {
        uint64_t word;
        memcpy(&word, bytes + at, sizeof(word));
        sum = sum * 31 + word;
    }
    return sum;
}

void stores_init(struct stores *stores)
{
    memset(stores, 0, sizeof(*stores));
    pthread_mutex_init(&stores->lock, NULL);
}

/* The next piece of `left` that goes into an allocation of `size` with a head of `head` bytes. */
static size_t piece(uint64_t left, size_t size, size_t head)
{
    return left < size - head ? (size_t)left : size - head;
}

NOINLINE static int session_store_add(struct stores *stores, uint64_t bytes)
{
    while (bytes > 0) {
        size_t length = piece(bytes, SESSION, sizeof(struct session));
        struct session *session = malloc(sizeof(*session) + length);
        if (!session)
            return -ENOMEM;
        stores_touch(session->state, length);
        session->length = length;
        pthread_mutex_lock(&stores->lock);
        session->id = stores->next_session++;
        session->next = stores->sessions[session->id % SESSION_BUCKETS];
        stores->sessions[session->id % SESSION_BUCKETS] = session;
        pthread_mutex_unlock(&stores->lock);
        atomic_fetch_add(&stores->session_bytes, length);
        bytes -= length;
    }
    return 0;
}

static int link_template(struct stores *stores, struct page_template *template)
{
    if (stores->template_count == stores->template_room) {
        size_t room = stores->template_room ? stores->template_room * 2 : 8;
        struct page_template **longer =
            reallocarray(stores->templates, room, sizeof(struct page_template *));
        if (!longer)
            return -ENOMEM;
        stores->templates = longer;
        stores->template_room = room;
    }
    stores->templates[stores->template_count++] = template;
    return 0;
}

NOINLINE static int template_cache_put(struct stores *stores, uint64_t bytes)
{
    while (bytes > 0) {
        size_t length = piece(bytes, TEMPLATE, sizeof(struct page_template));
        struct page_template *template = malloc(sizeof(*template) + length);
        if (!template)
            return -ENOMEM;
        stores_touch(template->text, length);
        template->length = length;
        pthread_mutex_lock(&stores->lock);
        int r = link_template(stores, template);
        pthread_mutex_unlock(&stores->lock);
        if (r < 0) {
            free(template);
            return r;
        }
        atomic_fetch_add(&stores->template_bytes, length);
        bytes -= length;
    }
    return 0;
}

NOINLINE static int audit_log_append(struct stores *stores, uint64_t bytes)
{
    while (bytes > 0) {
        size_t length = piece(bytes, AUDIT_SIZE, sizeof(struct audit_segment));
        struct audit_segment *segment = malloc(sizeof(*segment) + length);
        if (!segment)
            return -ENOMEM;
        stores_touch(segment->entries, length);
        segment->length = length;
        pthread_mutex_lock(&stores->lock);
        segment->next = stores->audit_log;
        stores->audit_log = segment;
        pthread_mutex_unlock(&stores->lock);
        atomic_fetch_add(&stores->audit_bytes, length);
        bytes -= length;
    }
    return 0;
}

int stores_keep(struct stores *stores, uint64_t bytes)
{
    uint64_t sessions = bytes * SESSION_PERCENT / 100;
    uint64_t templates = bytes * TEMPLATE_PERCENT / 100;
    int r = session_store_add(stores, sessions);
    if (r == 0)
        r = template_cache_put(stores, templates);
    if (r == 0)
        r = audit_log_append(stores, bytes - sessions - templates);
    return r;
}

uint64_t stores_use(struct stores *stores)
{
    uint64_t sum = 0;
    pthread_mutex_lock(&stores->lock);
    for (size_t i = 0; i < SESSION_BUCKETS; i++)
        for (const struct session *session = stores->sessions[i]; session; session = session->next)
            sum ^= use(session->state, session->length);
    for (size_t i = 0; i < stores->template_count; i++)
        sum ^= use(stores->templates[i]->text, stores->templates[i]->length);
    for (const struct audit_segment *s = stores->audit_log; s; s = s->next)
        sum ^= use(s->entries, s->length);
    pthread_mutex_unlock(&stores->lock);
    return sum;
}

uint64_t stores_bytes(const struct stores *stores)
{
    return atomic_load(&stores->session_bytes) + atomic_load(&stores->template_bytes) +
           atomic_load(&stores->audit_bytes);
}

static void free_sessions(struct session *session)
{
    while (session) {
        struct session *next = session->next;
        free(session);
        session = next;
    }
}

void stores_done(struct stores *stores)
{
    for (size_t i = 0; i < SESSION_BUCKETS; i++)
        free_sessions(stores->sessions[i]);
    for (size_t i = 0; i < stores->template_count; i++)
        free(stores->templates[i]);
    free(stores->templates);
    for (struct audit_segment *segment = stores->audit_log; segment;) {
        struct audit_segment *next = segment->next;
        free(segment);
        segment = next;
    }
    pthread_mutex_destroy(&stores->lock);
}
