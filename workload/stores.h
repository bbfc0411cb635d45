/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that a service keeps: three stores with call paths of their own, so that a heap profiler
 * has something to tell apart. What is kept is written to, page by page, and stays reachable. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define SESSION_BUCKETS 256

/* Shares of what stores_keep() keeps, in percent; the audit log takes the rest. */
#define SESSION_PERCENT  50
#define TEMPLATE_PERCENT 30

struct stores {
    pthread_mutex_t lock; /* guards the links, not the filling */
    struct session *sessions[SESSION_BUCKETS];
    uint64_t next_session;
    struct page_template **templates;
    size_t template_count, template_room;
    struct audit_segment *audit_log;
    _Atomic uint64_t session_bytes, template_bytes, audit_bytes;
};

void stores_init(struct stores *stores);
/* Free everything kept. */
void stores_done(struct stores *stores);

/* Keep `bytes` more, split over the stores. Returns 0 or -ENOMEM (what was kept until then stays).
 */
int stores_keep(struct stores *stores, uint64_t bytes);

/* A checksum over one word of each page that is kept: using the memory, not only owning it. */
uint64_t stores_use(struct stores *stores);

uint64_t stores_bytes(const struct stores *stores);

/* Write every byte, never zero, every page different from every other: neither the zero page nor
 * same-page merging can save any of it. */
void stores_touch(void *memory, size_t length);
