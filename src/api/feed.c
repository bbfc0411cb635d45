/* SPDX-License-Identifier: Apache-2.0 */
#include "api/feed.h"

#include "api/feed_json.h"
#include "api/ingress.h"
#include "api/resources.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LOG_FIRST  100  /* rows that a new reader gets */
#define LOG_RESUME 1000 /* rows that one that comes back may have missed */
#define LOG_PART   100

/* --- what has changed ------------------------------------------------------------------------ */

/* FNV-1a: a changed field gives another key. */
#define KEY_START UINT64_C(14695981039346656037)
#define KEY_PRIME UINT64_C(1099511628211)

static uint64_t key_number(uint64_t key, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        key = (key ^ (value >> (8 * i) & 0xff)) * KEY_PRIME;
    return key;
}

static uint64_t key_text(uint64_t key, const char *text)
{
    for (; text && *text; text++)
        key = (key ^ (unsigned char)*text) * KEY_PRIME;
    return key * KEY_PRIME;
}

static uint64_t key_of_replica(const struct app_replica *replica)
{
    uint64_t key = key_number(KEY_START, replica_state(replica->replica));
    key = key_number(key, replica_is_ready(replica->replica));
    key = key_number(key, replica_lifetimes(replica->replica));
    key = key_number(key, (uint64_t)replica->end_ns);
    key = key_number(key, replica->revision->failure != NULL);
    return key_number(key, replica->oom_kills);
}

static uint64_t key_of_app(const struct app *app)
{
    uint64_t key = key_number(KEY_START, app->changes);
    key = key_number(key, ingress_port(app));
    key = key_text(key, app_provisioning(app));
    for (const struct app_revision *r = app->revisions; r; r = r->next) {
        struct app_states states;
        app_revision_states(r, &states);
        key = key_text(key, states.health);
        key = key_text(key, states.running);
        key = key_text(key, states.provisioning);
        key = key_number(key, revision_weight(r));
        key = key_text(key, r->failure);
        for (const struct app_replica *p = r->replicas; p; p = p->next) {
            if (!p->stopping)
                key = key_text(key, p->name);
        }
    }
    return key;
}

static void note(struct feed *feed, uint64_t key, uint64_t *known, uint64_t *version)
{
    if (*version != 0 && *known == key)
        return;
    *known = key;
    *version = ++feed->version;
}

void feed_update(struct serve *serve)
{
    uint64_t set = KEY_START;
    for (struct app *app = serve->apps; app; app = app->next) {
        note(&serve->feed, key_of_app(app), &app->feed_key, &app->feed_version);
        set = key_number(set, (uint64_t)app->id);
        for (struct app_revision *r = app->revisions; r; r = r->next) {
            for (struct app_replica *p = r->replicas; p; p = p->next) {
                if (!p->stopping)
                    note(&serve->feed, key_of_replica(p), &p->feed_key, &p->feed_version);
            }
        }
    }
    note(&serve->feed, set, &serve->feed.apps_key, &serve->feed.apps_version);
}

/* --- as events ------------------------------------------------------------------------------- */

/* Takes the reference over. */
static void put_event(struct buffer *out, const char *name, json_t *data)
{
    AUTO_FREE char *text = data ? json_dumps(data, JSON_COMPACT) : NULL;
    json_decref(data);
    if (text)
        buffer_printf(out, "event: %s\ndata: %s\n\n", name, text);
    else
        out->failed = true;
}

static void put_hello(struct serve *serve, const struct feed_cursor *cursor, struct buffer *out)
{
    buffer_puts(out, "retry: 2000\n");
    put_event(out, "hello",
              json_pack("{s:s, s:s, s:I, s:b}", "version", OOMLAB_VERSION, "session",
                        serve->session, "now", (json_int_t)(clock_realtime_ns() / NS_PER_MS),
                        "resumed", cursor->resumed));
}

/* Their identities, so that a reader knows which are gone. */
static json_t *apps_json(const struct serve *serve)
{
    json_t *list = json_array();
    for (const struct app *app = serve->apps; app; app = app->next)
        json_array_insert_new(list, 0, json_integer(app->id));
    return json_pack("{s:o}", "apps", list);
}

/* The next change that a reader does not know; versions are unique. */
struct change {
    uint64_t version; /* UINT64_MAX: none */
    struct app *app;
    struct app_replica *replica; /* both NULL: the set of apps */
};

static void offer(struct change *next, uint64_t after, uint64_t version, struct app *app,
                  struct app_replica *replica)
{
    if (version > after && version < next->version)
        *next = (struct change){version, app, replica};
}

static struct change next_change(struct serve *serve, uint64_t after)
{
    struct change next = {.version = UINT64_MAX};
    offer(&next, after, serve->feed.apps_version, NULL, NULL);
    for (struct app *app = serve->apps; app; app = app->next) {
        offer(&next, after, app->feed_version, app, NULL);
        for (struct app_revision *r = app->revisions; r; r = r->next) {
            for (struct app_replica *p = r->replicas; p; p = p->next) {
                if (!p->stopping)
                    offer(&next, after, p->feed_version, NULL, p);
            }
        }
    }
    return next;
}

/* True: there is more. */
static bool put_changes(struct serve *serve, struct feed_cursor *cursor, struct buffer *out)
{
    while (cursor->version < serve->feed.version) {
        struct change change = next_change(serve, cursor->version);
        if (change.version == UINT64_MAX)
            break; /* the rest is gone */
        if (out->length >= FEED_PART_BYTES)
            return true;
        if (change.app)
            put_event(out, "app", feed_app_json(change.app));
        else if (change.replica)
            put_event(out, "replica", feed_replica_json(change.replica));
        else
            put_event(out, "apps", apps_json(serve));
        cursor->version = change.version;
    }
    cursor->version = serve->feed.version;
    return false;
}

static json_t *sample_json(const struct serve *serve, const struct app_replica *replica)
{
    int64_t at_ms = (replica->sample_at_ns + serve->realtime_offset_ns) / NS_PER_MS;
    bool cpu = replica->metrics_present >> METRIC_CPU & 1;
    return json_pack("[s, I, I, o]", replica->name, (json_int_t)at_ms,
                     (json_int_t)replica->metrics[METRIC_WORKING_SET],
                     cpu ? json_real(replica->nano_cores) : json_null());
}

static void put_samples(struct serve *serve, struct feed_cursor *cursor, struct buffer *out)
{
    json_t *list = json_array();
    for (struct app *app = serve->apps; app; app = app->next) {
        for (struct app_revision *r = app->revisions; r; r = r->next) {
            for (struct app_replica *p = r->replicas; p; p = p->next) {
                if (!p->stopping && p->sample_number > cursor->samples &&
                    p->metrics_present >> METRIC_WORKING_SET & 1)
                    json_array_append_new(list, sample_json(serve, p));
            }
        }
    }
    cursor->samples = serve->feed.samples;
    if (json_array_size(list) > 0)
        put_event(out, "samples", list);
    else
        json_decref(list);
}

/* True: there is more. */
static bool put_log(struct serve *serve, struct feed_cursor *cursor, struct buffer *out)
{
    struct error ignored = {0};
    sqlite3_stmt *rows = NULL;
    unsigned count = 0;
    bool full = false;
    int r = state_query(serve->state, &rows, &ignored,
                        "SELECT id, at_ns, type, app, revision, replica, msg, reason, source, "
                        "count, oomlab FROM event WHERE id > ? ORDER BY id LIMIT ?",
                        "ii", cursor->event_id, (int64_t)LOG_PART);
    while (r == 0 && !full && state_step(serve->state, rows, &ignored)) {
        cursor->event_id = sqlite3_column_int64(rows, 0);
        buffer_printf(out, "id: %" PRId64 "\n", cursor->event_id);
        put_event(out, "log", event_json(rows));
        full = ++count == LOG_PART || out->length >= FEED_PART_BYTES;
    }
    sqlite3_finalize(rows);
    return full;
}

static int64_t newest_event_id(struct serve *serve)
{
    struct error ignored = {0};
    sqlite3_stmt *row = NULL;
    int64_t newest = 0;
    if (state_query(serve->state, &row, &ignored, "SELECT coalesce(max(id), 0) FROM event", "") ==
            0 &&
        state_step(serve->state, row, &ignored))
        newest = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    return newest;
}

void feed_begin(struct serve *serve, const char *last_event_id, struct feed_cursor *ret)
{
    char *end = NULL;
    int64_t newest = newest_event_id(serve);
    long long had = last_event_id ? strtoll(last_event_id, &end, 10) : -1;
    bool resumed = last_event_id && end != last_event_id && *end == '\0' && had >= 0 &&
                   had <= newest && newest - had <= LOG_RESUME;
    *ret = (struct feed_cursor){.resumed = resumed};
    if (resumed)
        ret->event_id = had;
    else
        ret->event_id = newest > LOG_FIRST ? newest - LOG_FIRST : 0;
    feed_update(serve);
}

bool feed_write(struct serve *serve, struct feed_cursor *cursor, struct buffer *out)
{
    if (!cursor->greeted)
        put_hello(serve, cursor, out);
    cursor->greeted = true;
    if (put_changes(serve, cursor, out))
        return true;
    put_samples(serve, cursor, out);
    return put_log(serve, cursor, out);
}
