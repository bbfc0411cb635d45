/* SPDX-License-Identifier: Apache-2.0 */
/* What has changed since a reader last looked, as server-sent events: the text behind
 * /oomlab/stream.
 *
 * Nothing is queued for a reader. Apps and replicas carry the version of their last change, samples
 * their number, rows of the system log their id, and a cursor says up to where a reader is. Who
 * reads slowly gets what is true when it reads, not what was true in between; rows of the log it
 * gets all. */
#pragma once

#include "base/buffer.h"

#include <stdbool.h>
#include <stdint.h>

struct serve;

/* The state of the changes, in serve. */
struct feed {
    uint64_t version;                /* of the last change */
    uint64_t apps_key, apps_version; /* of the set of apps */
    uint64_t samples;                /* taken so far */
};

struct feed_cursor {
    bool greeted, resumed;
    uint64_t version, samples;
    int64_t event_id;
};

#define FEED_PART_BYTES ((size_t)64 << 10)

/* A cursor at the beginning. `last_event_id` is what a reader that comes back had last, or NULL;
 * what is no id, too old or not ours is passed over: then the newest rows of the log come. */
void feed_begin(struct serve *serve, const char *last_event_id, struct feed_cursor *ret);
/* Look for changes; to be called before feed_write(). */
void feed_update(struct serve *serve);
/* Append what is behind the cursor, about FEED_PART_BYTES at most, and move it on. True: there is
 * more. */
bool feed_write(struct serve *serve, struct feed_cursor *cursor, struct buffer *out);
