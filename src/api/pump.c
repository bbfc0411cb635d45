/* SPDX-License-Identifier: Apache-2.0 */
/* The session's evidence file is attached to the state's connection: events and samples are copied
 * together with the position up to which they have been, in one transaction. */
#include "api/model.h"

#include "base/clock.h"
#include "base/duration.h"
#include "kernel/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MINUTE_NS (60 * NS_PER_S)

/* Replicas and restarts change rarely: counting them at each turn would be most of its cost. */
#define COUNT_PERIOD_NS (5 * NS_PER_S)

static const char COPY_EVENTS[] =
    "INSERT INTO event (app_id, at_ns, type, app, revision, replica, msg, reason, source, count,"
    " oomlab) SELECT coalesce(arm_id, 0), at_ns + ?, type, app, revision, replica, msg, reason,"
    " event_source, count, oomlab FROM evidence.event WHERE id > ? ORDER BY id";

static const char UPSERT[] =
    "INSERT INTO metric VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " count = count + 1, sum = sum + excluded.sum, min = min(min, excluded.min),"
    " max = max(max, excluded.max)";

static int64_t last_row(struct serve *serve, const char *sql)
{
    struct error ignored = {0};
    sqlite3_stmt *row = NULL;
    int64_t last = 0;
    if (state_query(serve->state, &row, &ignored, sql, "") == 0 &&
        state_step(serve->state, row, &ignored))
        last = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    return last;
}

static int copy_events(struct serve *serve, int64_t offset_ns, int64_t *cursor, struct error *err)
{
    int64_t last = last_row(serve, "SELECT max(id) FROM evidence.event");
    if (last <= *cursor)
        return 0;
    int r = state_run(serve->state, err, COPY_EVENTS, "ii", offset_ns, *cursor);
    if (r == 0)
        *cursor = last;
    return r;
}

/* --- metrics -------------------------------------------------------------------------------- */

struct metric_row {
    int64_t app_id, minute;
    const char *revision, *replica;
};

static void put_metric(sqlite3_stmt *upsert, const struct metric_row *row, const char *name,
                       double value)
{
    sqlite3_reset(upsert);
    sqlite3_bind_int64(upsert, 1, row->app_id);
    sqlite3_bind_text(upsert, 2, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(upsert, 3, row->minute);
    sqlite3_bind_text(upsert, 4, row->revision, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(upsert, 5, row->replica, -1, SQLITE_TRANSIENT);
    for (int i = 6; i <= 8; i++)
        sqlite3_bind_double(upsert, i, value);
    sqlite3_step(upsert);
}

static struct app_replica *find_replica(struct app *app, const char *name)
{
    for (struct app_revision *r = app->revisions; r; r = r->next) {
        struct app_replica *found = replica_find(r, name);
        if (found)
            return found;
    }
    return NULL;
}

/* Columns: lifetime, time, app, replica, then the metrics in their order. */
static void take_sample(struct serve *serve, sqlite3_stmt *sample, sqlite3_stmt *upsert)
{
    struct app *app = app_find_id(serve, sqlite3_column_int64(sample, 2));
    struct app_replica *replica =
        app ? find_replica(app, (const char *)sqlite3_column_text(sample, 3)) : NULL;
    if (!replica)
        return;
    uint32_t lifetime = (uint32_t)sqlite3_column_int64(sample, 0);
    int64_t at_ns = sqlite3_column_int64(sample, 1);
    const struct metric_row row = {
        .app_id = app->id,
        .minute = (at_ns + serve->realtime_offset_ns) / MINUTE_NS,
        .revision = replica->revision->name,
        .replica = replica->name,
    };
    replica->metrics_present = 0;
    for (int i = 0; i < METRIC_COUNT; i++) {
        if (sqlite3_column_type(sample, 4 + i) == SQLITE_NULL)
            continue;
        replica->metrics_present |= UINT64_C(1) << i;
        replica->metrics[i] = (uint64_t)sqlite3_column_int64(sample, 4 + i);
    }
    if (replica->metrics_present >> METRIC_WORKING_SET & 1) {
        double bytes = (double)replica->metrics[METRIC_WORKING_SET];
        uint64_t limit = replica->template->revision.memory_bytes;
        put_metric(upsert, &row, "WorkingSetBytes", bytes);
        if (limit > 0)
            put_metric(upsert, &row, "MemoryPercentage", 100 * bytes / (double)limit);
    }
    if (replica->metrics_present >> METRIC_CPU & 1) {
        int64_t cpu_ns = (int64_t)replica->metrics[METRIC_CPU];
        if (replica->sample_lifetime == lifetime && at_ns > replica->sample_at_ns &&
            cpu_ns >= replica->cpu_ns) {
            replica->nano_cores = (double)(cpu_ns - replica->cpu_ns) * (double)NS_PER_S /
                                  (double)(at_ns - replica->sample_at_ns);
            put_metric(upsert, &row, "UsageNanoCores", replica->nano_cores);
        }
        replica->cpu_ns = cpu_ns;
    }
    replica->has_sample = true;
    replica->sample_number = ++serve->feed.samples;
    replica->sample_lifetime = lifetime;
    replica->sample_at_ns = at_ns;
}

static int copy_samples(struct serve *serve, sqlite3_stmt *upsert, int64_t *cursor,
                        struct error *err)
{
    static const char sql[] = "SELECT s.lifetime_id, s.at_ns, l.arm_id, l.replica"
#define COLUMN(id, name, source) ", s." name
        METRIC_LIST(COLUMN)
#undef COLUMN
            " FROM evidence.sample s JOIN evidence.lifetime l ON l.id = s.lifetime_id"
            " WHERE s.rowid > ? AND s.rowid <= ? ORDER BY s.rowid";
    sqlite3_stmt *samples = NULL;
    int64_t last = last_row(serve, "SELECT max(rowid) FROM evidence.sample");
    if (last <= *cursor)
        return 0;
    int r = state_query(serve->state, &samples, err, sql, "ii", *cursor, last);
    while (r == 0 && state_step(serve->state, samples, err))
        take_sample(serve, samples, upsert);
    sqlite3_finalize(samples);
    if (r == 0)
        *cursor = last;
    return r;
}

static void put_restarts(sqlite3_stmt *upsert, const struct metric_row *row,
                         struct app_replica *replica)
{
    unsigned lives = replica_lifetimes(replica->replica);
    replica->lives_told = lives;
    put_metric(upsert, row, "RestartCount", lives > 0 ? lives - 1 : 0);
}

/* What is known without a sample: counts of now. */
static void put_counts(struct serve *serve, sqlite3_stmt *upsert)
{
    int64_t now_ns = clock_monotonic_ns();
    if (now_ns - serve->counts_ns < COUNT_PERIOD_NS)
        return;
    serve->counts_ns = now_ns;
    int64_t minute = clock_realtime_ns() / MINUTE_NS;
    for (struct app *app = serve->apps; app; app = app->next) {
        for (struct app_revision *r = app->revisions; r; r = r->next) {
            struct app_states states;
            if (!r->active)
                continue;
            struct metric_row row = {
                .app_id = app->id, .minute = minute, .revision = r->name, .replica = ""};
            app_revision_states(r, &states);
            put_metric(upsert, &row, "Replicas", states.replicas);
            for (struct app_replica *replica = r->replicas; replica; replica = replica->next) {
                row.replica = replica->name;
                put_restarts(upsert, &row, replica);
            }
        }
    }
}

/* What must not wait for the next counts: a revision may be gone by then. Also of replicas that are
 * being stopped. */
static void put_changes(struct serve *serve, sqlite3_stmt *upsert)
{
    int64_t minute = clock_realtime_ns() / MINUTE_NS;
    for (struct app *app = serve->apps; app; app = app->next) {
        for (struct app_revision *r = app->revisions; r; r = r->next) {
            for (struct app_replica *replica = r->replicas; replica; replica = replica->next) {
                const struct metric_row row = {.app_id = app->id,
                                               .minute = minute,
                                               .revision = r->name,
                                               .replica = replica->name};
                if (replica->requests > 0)
                    put_metric(upsert, &row, "Requests", (double)replica->requests);
                replica->requests = 0;
                if (replica_lifetimes(replica->replica) != replica->lives_told)
                    put_restarts(upsert, &row, replica);
            }
        }
    }
}

int pump_run(struct serve *serve, struct error *err)
{
    int64_t event_cursor = serve->event_cursor;
    int64_t sample_cursor = serve->sample_cursor;
    sqlite3_stmt *upsert = NULL;
    /* Made durable with the next change of an app; a crash of serve alone loses nothing. */
    state_set_durable(serve->state, false);
    int r = state_run(serve->state, err, "BEGIN", "");
    if (r == 0)
        r = copy_events(serve, serve->realtime_offset_ns, &event_cursor, err);
    if (r == 0)
        r = state_query(serve->state, &upsert, err, UPSERT, "");
    if (r == 0)
        r = copy_samples(serve, upsert, &sample_cursor, err);
    if (r == 0)
        put_counts(serve, upsert);
    if (r == 0)
        put_changes(serve, upsert);
    sqlite3_finalize(upsert);
    if (r == 0)
        r = state_run(serve->state, err,
                      "UPDATE session SET event_cursor = ?, sample_cursor = ? WHERE id = ?", "iis",
                      event_cursor, sample_cursor, serve->session);
    if (r == 0)
        r = state_commit(serve->state, err);
    if (r < 0)
        state_rollback(serve->state);
    state_set_durable(serve->state, true);
    if (r < 0)
        return error_wrap(err, "copying events and metrics");
    serve->event_cursor = event_cursor;
    serve->sample_cursor = sample_cursor;
    return 0;
}

int pump_recover(struct serve *serve, const char *directory, struct error *err)
{
    sqlite3_stmt *sessions = NULL;
    char ids[64][64];
    int64_t offsets[64];
    int64_t cursors[64];
    unsigned count = 0;
    int r = state_query(serve->state, &sessions, err,
                        "SELECT id, realtime_offset_ns, event_cursor FROM session ORDER BY "
                        "started_ns DESC LIMIT 64",
                        "");
    while (r == 0 && count < 64 && state_step(serve->state, sessions, err)) {
        snprintf(ids[count], sizeof(ids[0]), "%s", (const char *)sqlite3_column_text(sessions, 0));
        offsets[count] = sqlite3_column_int64(sessions, 1);
        cursors[count++] = sqlite3_column_int64(sessions, 2);
    }
    sqlite3_finalize(sessions);
    for (unsigned i = 0; r == 0 && i < count; i++) {
        char path[4300];
        struct error ignored;
        snprintf(path, sizeof(path), "%s/sessions/%s/evidence.db", directory, ids[i]);
        /* The last one is enough to look at, unless serve was killed while it recovered. */
        if (access(path, F_OK) < 0 ||
            state_run(serve->state, &ignored, "ATTACH ? AS evidence", "s", path) < 0)
            continue;
        r = state_begin(serve->state, err);
        if (r == 0)
            r = copy_events(serve, offsets[i], &cursors[i], err);
        if (r == 0)
            r = state_run(serve->state, err, "UPDATE session SET event_cursor = ? WHERE id = ?",
                          "is", cursors[i], ids[i]);
        if (r == 0)
            r = state_commit(serve->state, err);
        else
            state_rollback(serve->state);
        state_run(serve->state, &ignored, "DETACH evidence", "");
    }
    return r;
}

int pump_trim(struct serve *serve, struct error *err)
{
    int64_t before = clock_realtime_ns() - serve->options->retention_ns;
    int r = state_run(serve->state, err, "DELETE FROM event WHERE at_ns < ?", "i", before);
    if (r == 0)
        r = state_run(serve->state, err, "DELETE FROM metric WHERE minute < ?", "i",
                      before / MINUTE_NS);
    /* The raw samples are only the way to the metrics: a minute of them is kept. */
    if (r == 0)
        r = state_run(serve->state, err,
                      "DELETE FROM evidence.sample WHERE rowid <= ? AND at_ns < ?", "ii",
                      serve->sample_cursor, clock_monotonic_ns() - MINUTE_NS);
    return r;
}
