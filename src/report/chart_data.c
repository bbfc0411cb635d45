/* SPDX-License-Identifier: Apache-2.0 */
/* What a chart shows, read from the evidence file. */
#include "report/chart.h"

#include "base/cleanup.h"
#include "report/rows.h"
#include "report/samples.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BINS_MAX   120
#define POINTS_MAX 65536 /* kept of a lifetime */
/* The widest chart has fewer columns: a block of samples that fits so many times into the arm is
 * narrower than one. */
#define BLOCKS_MIN 1024

static int no_memory(struct error *err)
{
    return error_errno(err, ENOMEM, "drawing the charts");
}

void chart_arm_done(struct chart_arm *arm)
{
    for (size_t i = 0; i < arm->lifetime_count; i++)
        free(arm->lifetimes[i].points);
    free(arm->lifetimes);
    free(arm->phases);
    free(arm->bins);
    free(arm->kinds);
    free(arm->title);
    memset(arm, 0, sizeof(*arm));
}

/* Room for one more element at the end of an array; NULL on failed allocation. */
static void *grow(void **array, size_t *count, size_t element_bytes)
{
    if ((*count & (*count - 1)) == 0) { /* full at 0 and at each power of two */
        size_t capacity = *count ? 2 * *count : 1;
        void *grown = realloc(*array, capacity * element_bytes);
        if (!grown)
            return NULL;
        *array = grown;
    }
    void *element = (char *)*array + *count * element_bytes;
    memset(element, 0, element_bytes);
    (*count)++;
    return element;
}

static int load_head(struct store *store, struct chart_arm *arm, struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store,
                       "SELECT scenario || '/' || name, memory_limit_bytes, (max("
                       " coalesce(ended_ns, started_ns),"
                       " coalesce((SELECT max((SELECT max(at_ns) FROM sample"
                       "  WHERE lifetime_id = l.id)) FROM lifetime l"
                       "  WHERE l.arm_id = arm.id), started_ns),"
                       " coalesce((SELECT max(due_ns) FROM request WHERE arm_id = arm.id),"
                       "  started_ns)) - started_ns) / 1e9, started_ns FROM arm WHERE id = ?1",
                       arm->arm_id, err);
    if (r == 0)
        r = rows_next(&rows, err);
    if (r == 0)
        return error_set(err, ENOENT, "the evidence has no arm %lld", (long long)arm->arm_id);
    if (r < 0)
        return r;
    arm->title = row_text(&rows, 0);
    arm->limit_bytes = row_real(&rows, 1);
    arm->duration_s = fmax(row_real(&rows, 2), 0.1);
    arm->started_ns = row_integer(&rows, 3);
    return arm->title ? 0 : no_memory(err);
}

static int load_lifetimes(struct store *store, struct chart_arm *arm, struct error *err)
{
    AUTO_ROWS rows = {0};
    int r =
        rows_query(&rows, store,
                   "SELECT l.idx, (l.started_ns - a.started_ns) / 1e9,"
                   " (l.ready_ns - a.started_ns) / 1e9, (e.ended_ns - a.started_ns) / 1e9,"
                   " l.backoff_ns / 1e9, e.lifetime_id IS NOT NULL,"
                   " coalesce(e.cause, '') IN ('oom-container-limit', 'oom-ancestor-limit',"
                   " 'oom-host'), (coalesce((SELECT max(min(noticed_ns,"
                   "  coalesce(kernel_ns, noticed_ns))) FROM kill WHERE lifetime_id = l.id),"
                   "  e.ended_ns) - a.started_ns) / 1e9,"
                   " (SELECT count(DISTINCT o.replica) FROM lifetime o WHERE o.arm_id = l.arm_id"
                   "  AND o.id < (SELECT min(f.id) FROM lifetime f WHERE f.arm_id = l.arm_id"
                   "   AND f.replica = l.replica)), l.id FROM lifetime l JOIN arm a"
                   " ON a.id = l.arm_id"
                   " LEFT JOIN lifetime_end e ON e.lifetime_id = l.id"
                   " WHERE l.arm_id = ?1 ORDER BY l.id",
                   arm->arm_id, err);
    while (r >= 0 && (r = rows_next(&rows, err)) == 1) {
        struct chart_lifetime *lifetime =
            grow((void **)&arm->lifetimes, &arm->lifetime_count, sizeof(*lifetime));
        if (!lifetime)
            return no_memory(err);
        lifetime->row = row_integer(&rows, 9);
        lifetime->index = row_integer(&rows, 0);
        lifetime->replica = (size_t)row_integer(&rows, 8);
        if (lifetime->replica >= arm->replica_count)
            arm->replica_count = lifetime->replica + 1;
        lifetime->start_s = row_real(&rows, 1);
        lifetime->ready_s = row_real(&rows, 2);
        lifetime->ended = row_integer(&rows, 5) != 0;
        lifetime->end_s = lifetime->ended ? row_real(&rows, 3) : arm->duration_s;
        lifetime->backoff_s = row_real(&rows, 4);
        lifetime->oom_killed = row_integer(&rows, 6) != 0;
        lifetime->killed_s = lifetime->oom_killed ? row_real(&rows, 7) : (double)NAN;
        arm->duration_s = fmax(arm->duration_s, lifetime->end_s);
    }
    return r;
}

struct loading {
    struct chart_arm *arm;
    struct chart_lifetime *lifetime;
};

static int take_point(const struct loading *loading, const struct sample_mark *mark)
{
    struct chart_arm *arm = loading->arm;
    struct chart_lifetime *lifetime = loading->lifetime;
    struct chart_point *point = grow((void **)&lifetime->points, &lifetime->count, sizeof(*point));
    if (!point)
        return -ENOMEM;
    *point =
        (struct chart_point){.t_s = chart_seconds(arm, mark->at_ns), .bytes = (double)mark->bytes};
    arm->peak_bytes = fmax(arm->peak_bytes, point->bytes);
    /* No chart has so many columns. */
    if (lifetime->count == POINTS_MAX)
        lifetime->count =
            chart_thin(lifetime->points, lifetime->count, arm->duration_s, POINTS_MAX / 8);
    return 0;
}

static int take_part(void *context, const struct sample_part *part, struct error *err)
{
    const struct loading *loading = context;
    int r = 0;
    loading->lifetime->samples += part->known;
    for (size_t i = 0; r == 0 && i < part->mark_count; i++)
        r = take_point(loading, &part->marks[i]);
    if (r == 0 && part->has_kinds)
        r = chart_kinds_add(loading->arm, loading->lifetime->row, part);
    return r < 0 ? no_memory(err) : 0;
}

static int load_samples(struct store *store, struct chart_arm *arm, struct error *err)
{
    int64_t resolution_ns = (int64_t)(arm->duration_s * 1e9 / BLOCKS_MIN);
    int r = 0;
    for (size_t i = 0; i < arm->lifetime_count && r >= 0; i++) {
        struct loading loading = {arm, &arm->lifetimes[i]};
        r = samples_walk(store, arm->lifetimes[i].row, resolution_ns, take_part, &loading, err);
    }
    return r;
}

static int load_phases(struct store *store, struct chart_arm *arm, struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store,
                       "SELECT p.kind, p.cycle, (p.started_ns - a.started_ns) / 1e9,"
                       " (p.ended_ns - a.started_ns) / 1e9 FROM phase p JOIN arm a"
                       " ON a.id = p.arm_id WHERE p.arm_id = ?1 ORDER BY p.started_ns, p.rowid",
                       arm->arm_id, err);
    while (r >= 0 && (r = rows_next(&rows, err)) == 1) {
        struct chart_phase *phase = grow((void **)&arm->phases, &arm->phase_count, sizeof(*phase));
        AUTO_FREE char *kind = row_text(&rows, 0);
        if (!phase || !kind)
            return no_memory(err);
        snprintf(phase->kind, sizeof(phase->kind), "%s", kind);
        phase->cycle = row_integer(&rows, 1);
        phase->start_s = row_real(&rows, 2);
        phase->end_s =
            fmin(row_is_null(&rows, 3) ? arm->duration_s : row_real(&rows, 3), arm->duration_s);
    }
    return r;
}

static int load_requests(struct store *store, struct chart_arm *arm, struct error *err)
{
    arm->bin_s = chart_step(arm->duration_s, BINS_MAX);
    arm->bin_count = (size_t)ceil(arm->duration_s / arm->bin_s);
    arm->bins = calloc(arm->bin_count + 1, sizeof(*arm->bins));
    if (!arm->bins)
        return no_memory(err);
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store,
                       "SELECT (r.due_ns - a.started_ns) / 1e9, r.status BETWEEN 1 AND 499,"
                       " (r.done_ns - r.due_ns) / 1e9"
                       " FROM request r JOIN arm a ON a.id = r.arm_id WHERE r.arm_id = ?1",
                       arm->arm_id, err);
    while (r >= 0 && (r = rows_next(&rows, err)) == 1) {
        double at = row_real(&rows, 0) / arm->bin_s + 1e-6; /* on an edge: the later one */
        if (at < 0 || at >= (double)arm->bin_count + 1)
            continue;
        struct chart_bin *bin = &arm->bins[(size_t)at];
        if (!row_integer(&rows, 1)) {
            bin->failed++;
            continue;
        }
        double latency = row_is_null(&rows, 2) ? 0 : row_real(&rows, 2);
        bin->completed++;
        bin->mean_s += (latency - bin->mean_s) / bin->completed;
        bin->longest_s = fmax(bin->longest_s, latency);
    }
    return r;
}

int chart_arm_load(struct store *store, int64_t arm_id, struct chart_arm *ret, struct error *err)
{
    struct chart_arm arm = {.arm_id = arm_id};
    int r = load_head(store, &arm, err);
    if (r >= 0)
        r = load_lifetimes(store, &arm, err);
    if (r >= 0)
        r = load_samples(store, &arm, err);
    if (r >= 0)
        r = load_phases(store, &arm, err);
    if (r >= 0)
        r = load_requests(store, &arm, err);
    if (r < 0) {
        chart_arm_done(&arm);
        return r;
    }
    *ret = arm;
    return 0;
}

struct column {
    struct chart_point first, low, high, last;
};

static size_t put_distinct(struct chart_point *points, size_t at, struct chart_point point)
{
    if (at > 0 && points[at - 1].t_s == point.t_s)
        return at;
    points[at] = point;
    return at + 1;
}

/* At most four points leave a column, and never more than had come in. */
static size_t put_column(struct chart_point *points, size_t at, const struct column *column)
{
    bool low_first = column->low.t_s <= column->high.t_s;
    at = put_distinct(points, at, column->first);
    at = put_distinct(points, at, low_first ? column->low : column->high);
    at = put_distinct(points, at, low_first ? column->high : column->low);
    return put_distinct(points, at, column->last);
}

size_t chart_thin(struct chart_point *points, size_t count, double span_s, size_t columns)
{
    size_t kept = 0;
    size_t i = 0;
    while (i < count) {
        double index = floor(points[i].t_s / span_s * (double)columns);
        struct column column = {points[i], points[i], points[i], points[i]};
        for (; i < count && floor(points[i].t_s / span_s * (double)columns) == index; i++) {
            if (points[i].bytes < column.low.bytes)
                column.low = points[i];
            if (points[i].bytes > column.high.bytes)
                column.high = points[i];
            column.last = points[i];
        }
        kept = put_column(points, kept, &column);
    }
    return kept;
}

double chart_seconds(const struct chart_arm *arm, int64_t at_ns)
{
    return (double)(at_ns - arm->started_ns) / 1e9;
}

double chart_step(double limit, unsigned max_ticks)
{
    static const double factors[] = {1, 2, 2.5, 5, 10};
    double rough = limit / max_ticks;
    double power = pow(10, floor(log10(rough)));
    for (size_t i = 0; i < sizeof(factors) / sizeof(factors[0]); i++) {
        if (factors[i] * power >= rough * (1 - 1e-9))
            return factors[i] * power;
    }
    return 10 * power;
}

double chart_step_bytes(double limit, unsigned max_ticks)
{
    double step = 1024; /* at least 1 KiB; powers of two read well beside limits like 512Mi */
    while (step * max_ticks < limit)
        step *= 2;
    return step;
}

const struct chart_lifetime *chart_before(const struct chart_arm *arm, size_t position)
{
    for (size_t i = position; i-- > 0;) {
        if (arm->lifetimes[i].replica == arm->lifetimes[position].replica)
            return &arm->lifetimes[i];
    }
    return NULL;
}

double chart_ceiling(const struct chart_arm *arm)
{
    return fmax(fmax(arm->limit_bytes, arm->peak_bytes), 1024) * 1.14;
}
