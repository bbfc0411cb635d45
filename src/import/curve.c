/* SPDX-License-Identifier: Apache-2.0 */
#include "import/curve.h"

#include "base/duration.h"
#include "base/size.h"
#include "import/curve_clock.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define END_GRAIN_NS  (1500 * NS_PER_MS)
#define END_SCRAPE_NS (60 * NS_PER_S)
#define FALL_TO       0.5
/* Two sizes of one moment are at odds when they differ by more of the higher one. */
#define CONFLICT_SHARE 0.05

void curves_done(struct curves *curves)
{
    for (size_t i = 0; i < curves->count; i++)
        free(curves->items[i].points);
    free(curves->items);
    *curves = (struct curves){0};
}

static double *field_of(struct point *point, int metric)
{
    switch (metric) {
    case METRIC_WORKING_SET:
        return &point->working_set;
    case METRIC_ANON:
        return &point->anon;
    case METRIC_FILE:
        return &point->file;
    case METRIC_INACTIVE_FILE:
        return &point->inactive_file;
    case METRIC_SHMEM:
        return &point->shmem;
    case METRIC_KERNEL:
        return &point->kernel;
    default:
        return NULL;
    }
}

/* Halve a curve that became too long: of two neighbours the higher one stays. */
static void thin(struct curve *curve)
{
    size_t kept = 0;
    for (size_t i = 0; i < curve->count; i += 2) {
        bool second =
            i + 1 < curve->count && curve->points[i + 1].working_set > curve->points[i].working_set;
        curve->points[kept++] = curve->points[i + (second ? 1 : 0)];
    }
    curve->count = kept;
}

static int add_point(struct curve *curve, int64_t at_ns)
{
    if (!curve->points) {
        curve->points = calloc(CURVE_POINTS_MAX, sizeof(*curve->points));
        if (!curve->points)
            return -ENOMEM;
    }
    if (curve->count == CURVE_POINTS_MAX)
        thin(curve);
    if (curve->count == 0 && curve->zero_ns == FACT_TIME_UNKNOWN)
        curve->zero_ns = at_ns;
    curve->points[curve->count++] = (struct point){
        .t_s = (double)(at_ns - curve->zero_ns) * 1e-9,
        .working_set = NAN,
        .anon = NAN,
        .file = NAN,
        .inactive_file = NAN,
        .shmem = NAN,
        .kernel = NAN,
    };
    return 0;
}

static void note_size(struct curve *curve, int64_t fact, int64_t at_ns, double value)
{
    if (!curve->first_fact || (at_ns == curve->first_ns && value > curve->first)) {
        curve->first = value;
        curve->first_ns = at_ns;
        curve->first_fact = fact;
    }
    curve->last = value;
    curve->last_ns = at_ns;
    curve->last_fact = fact;
    if (isnan(curve->peak) || value > curve->peak) {
        curve->peak = value;
        curve->peak_ns = at_ns;
        curve->peak_fact = fact;
    }
}

/* The lifetime in which a sample was taken: from its start (or the end before) to its end. */
static size_t life_at(const struct lives *lives, int64_t at_ns, size_t from)
{
    size_t i = from;
    while (i + 1 < lives->count) {
        const struct life *life = &lives->items[i], *next = &lives->items[i + 1];
        if (life->end_ns != FACT_TIME_UNKNOWN && at_ns <= life->end_ns)
            break;
        if (life->end_ns == FACT_TIME_UNKNOWN &&
            (next->start_ns == FACT_TIME_UNKNOWN || at_ns < next->start_ns) &&
            (life->gone_ns == FACT_TIME_UNKNOWN || at_ns <= life->gone_ns))
            break;
        i++;
    }
    return i;
}

static bool within(const struct life *life, int64_t at_ns)
{
    return (life->start_ns == FACT_TIME_UNKNOWN || at_ns >= life->start_ns) &&
           (life->end_ns == FACT_TIME_UNKNOWN || at_ns <= life->end_ns) &&
           (life->gone_ns == FACT_TIME_UNKNOWN || at_ns <= life->gone_ns);
}

/* Recorded ends have a grain of seconds, and a rise of a counter is seen up to a scrape late: a
 * sample just before such an end that has fallen like a new process is none of the old one's. */
static bool is_next_process(const struct life *life, const struct curve *curve, sqlite3_stmt *row)
{
    int64_t at_ns = sqlite3_column_int64(row, 1);
    bool last_second = life->end_ns != FACT_TIME_UNKNOWN && life->end_ns - at_ns <= END_GRAIN_NS;
    bool last_scrape = life->end_ns == FACT_TIME_UNKNOWN && life->gone_ns != FACT_TIME_UNKNOWN &&
                       life->gone_ns - at_ns <= END_SCRAPE_NS;
    if ((!last_second && !last_scrape) || curve->count == 0)
        return false;
    struct point before = curve->points[curve->count - 1];
    const double *field = field_of(&before, sqlite3_column_int(row, 2));
    return field && sqlite3_column_double(row, 3) < FALL_TO * *field;
}

/* A clock that is coarser than its samples gives one moment sizes, too, but near ones. */
static void note_conflict(struct conflicts *conflicts, const struct point *point, double value)
{
    double low = fmin(point->working_set, value), high = fmax(point->working_set, value);
    if (!(high - low > CONFLICT_SHARE * high))
        return;
    if (conflicts->count++ == 0)
        *conflicts = (struct conflicts){1, point->t_s, low, high};
}

static int add_sample(struct curve *curve, sqlite3_stmt *row, struct conflicts *conflicts)
{
    int64_t at_ns = sqlite3_column_int64(row, 1);
    int metric = sqlite3_column_int(row, 2);
    double value = sqlite3_column_double(row, 3);
    struct point *point = curve->count ? &curve->points[curve->count - 1] : NULL;
    if (!point || curve->last_ns != at_ns ||
        (field_of(point, metric) && !isnan(*field_of(point, metric)))) {
        bool same = point && curve->last_ns == at_ns;
        if (same && metric != METRIC_WORKING_SET)
            return 0;
        if (same) { /* the same moment told again: the higher value */
            note_conflict(conflicts, point, value);
            point->working_set = fmax(point->working_set, value);
            note_size(curve, sqlite3_column_int64(row, 0), at_ns, point->working_set);
            return 0;
        }
        if (add_point(curve, at_ns) < 0)
            return -ENOMEM;
        point = &curve->points[curve->count - 1];
        curve->last_ns = at_ns;
    }
    double *field = field_of(point, metric);
    if (field)
        *field = value;
    curve->any_fact = sqlite3_column_int64(row, 0);
    if (metric == METRIC_WORKING_SET || (metric == METRIC_USAGE && isnan(curve->peak)))
        note_size(curve, sqlite3_column_int64(row, 0), at_ns, value);
    return 0;
}

static int init(const struct lives *lives, struct curves *ret)
{
    size_t count = lives->count ? lives->count : 1;
    ret->items = calloc(count, sizeof(*ret->items));
    if (!ret->items)
        return -ENOMEM;
    ret->count = count;
    for (size_t i = 0; i < count; i++)
        ret->items[i] = (struct curve){
            .zero_ns = i < lives->count ? lives->items[i].start_ns : FACT_TIME_UNKNOWN,
            .peak = NAN,
            .last = NAN,
            .last_ns = FACT_TIME_UNKNOWN,
        };
    return 0;
}

/* Of the samples in the order of time, those that `steadies` takes. *ret_disordered: a table's rows
 * were not in that order. */
static int load_samples(struct store *store, int64_t arm_id, const struct lives *lives,
                        const struct steadies *steadies, struct curves *curves,
                        bool *ret_disordered, struct error *err)
{
    sqlite3_stmt *row = NULL;
    int r = store_prepare(store,
                          "SELECT f.id, f.at_ns, f.metric, f.value, f.source_id, f.place_id,"
                          " f.origin = 'csv' FROM place p JOIN fact f"
                          " ON f.place_id = p.id WHERE p.arm_id = ?1 AND f.kind = 'sample'"
                          " AND f.at_ns IS NOT NULL ORDER BY f.at_ns, f.id",
                          &row, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(row, 1, arm_id);
    size_t at = 0;
    int64_t last_id = 0;
    *ret_disordered = false;
    while (r == 0 && sqlite3_step(row) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(row, 0), at_ns = sqlite3_column_int64(row, 1);
        *ret_disordered |= id < last_id && sqlite3_column_int(row, 6);
        last_id = id;
        if (!steadies_take(steadies, sqlite3_column_int64(row, 4), sqlite3_column_int64(row, 5),
                           id))
            continue;
        at = life_at(lives, at_ns, at);
        if (at < lives->count && is_next_process(&lives->items[at], &curves->items[at], row)) {
            if (at + 1 == lives->count)
                continue;
            at++;
        }
        if ((lives->count == 0 || within(&lives->items[at], at_ns)) &&
            add_sample(&curves->items[at], row, &curves->conflicts) < 0)
            r = error_errno(err, ENOMEM, "reading the samples");
    }
    sqlite3_finalize(row);
    return r;
}

int curves_load(struct store *store, int64_t arm_id, const struct lives *lives, struct curves *ret,
                struct error *err)
{
    struct steadies steadies = {0};
    bool disordered = false;
    *ret = (struct curves){0};
    if (init(lives, ret) < 0)
        return error_errno(err, ENOMEM, "reading the samples");
    int r = load_samples(store, arm_id, lives, &steadies, ret, &disordered, err);
    if (r < 0 || !disordered)
        return r;
    r = steadies_load(store, arm_id, &steadies, err);
    if (r < 0 || steadies.count == 0)
        return r;
    curves_done(ret);
    if (init(lives, ret) < 0)
        return error_errno(err, ENOMEM, "reading the samples");
    ret->clock_steps = steadies.steps;
    return load_samples(store, arm_id, lives, &steadies, ret, &disordered, err);
}

/* --- what the program said ----------------------------------------------------------------------
 */

static double unit_of(const char *text)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"KiB", 1024}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"kB", 1000},
                 {"KB", 1000},  {"MB", 1e6},     {"GB", 1e9}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t length = strlen(units[i].name);
        if (strncmp(text, units[i].name, length) == 0 && !isalnum((unsigned char)text[length]))
            return units[i].bytes;
    }
    return NAN;
}

/* Of "allocated 450/600 MiB" it is the part before the slash. */
double spoken_size(const char *text)
{
    double found = NAN;
    for (const char *at = text; *at;) {
        if (!isdigit((unsigned char)*at)) {
            at++;
            continue;
        }
        char *end = NULL;
        double value = strtod(at, &end);
        double share = value;
        if (*end == '/' && isdigit((unsigned char)end[1]))
            (void)strtod(end + 1, &end);
        double unit = unit_of(end + strspn(end, " "));
        if (!isnan(unit))
            found = share * unit;
        at = end;
    }
    return found < 0x1p60 ? found : NAN;
}

/* Two lines that differ in their numbers only speak of the same thing. */
static bool same_words(const char *a, const char *b)
{
    for (;;) {
        a += strcspn(a, "0123456789") ? 0 : strspn(a, "0123456789.");
        b += strcspn(b, "0123456789") ? 0 : strspn(b, "0123456789.");
        if (*a != *b)
            return false;
        if (*a == '\0')
            return true;
        a++;
        b++;
    }
}

struct speech {
    char words[256];
    double last;
    int64_t first_ns, last_ns;
    bool falls;
};

static void hear(struct spoken *spoken, struct speech *speech, int64_t fact, int64_t at_ns,
                 const char *text)
{
    double size = spoken_size(text);
    const char *mark = strchr(text, '['); /* a first line may have another one in front of it */
    const char *words = mark && strrchr(text, '[') ? strrchr(text, '[') : text;
    if (isnan(size) || strlen(words) >= sizeof(speech->words))
        return;
    if (spoken->lines == 0 || !same_words(words, speech->words)) {
        if (spoken->lines >= 3)
            return; /* what was heard often goes on being what is listened for */
        *spoken = (struct spoken){.first_bytes = size, .first_fact = fact};
        *speech = (struct speech){.last = size, .first_ns = at_ns};
        memcpy(speech->words, words, strlen(words) + 1);
    }
    if (spoken->lines > 0 && size == speech->last)
        return; /* told twice: by the stream and by the workspace */
    speech->falls = speech->falls || size < speech->last;
    speech->last = size;
    speech->last_ns = at_ns;
    spoken->lines++;
    spoken->last_bytes = size;
    spoken->last_fact = fact;
}

int spoken_load(struct store *store, int64_t arm_id, const struct life *life, struct spoken *ret,
                struct error *err)
{
    *ret = (struct spoken){0};
    sqlite3_stmt *row = NULL;
    /* Of one moment the smaller first: a log service stamps what came together alike. */
    int r = store_prepare(store,
                          "SELECT f.id, f.at_ns, f.text FROM place p JOIN fact f"
                          " ON f.place_id = p.id WHERE p.arm_id = ?1 AND f.kind = 'console'"
                          " AND f.at_ns BETWEEN ?2 AND ?3 ORDER BY f.at_ns, length(f.text), f.text"
                          " LIMIT 100000",
                          &row, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(row, 1, arm_id);
    sqlite3_bind_int64(row, 2, life->start_ns == FACT_TIME_UNKNOWN ? 0 : life->start_ns - NS_PER_S);
    sqlite3_bind_int64(row, 3, life->end_ns == FACT_TIME_UNKNOWN ? INT64_MAX : life->end_ns);
    struct speech speech = {0};
    while (sqlite3_step(row) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(row, 2);
        if (text)
            hear(ret, &speech, sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1), text);
    }
    sqlite3_finalize(row);
    ret->seconds = (double)(speech.last_ns - speech.first_ns) * 1e-9;
    ret->per_second = ret->seconds > 0 ? (ret->last_bytes - ret->first_bytes) / ret->seconds : 0;
    ret->rising = ret->lines >= 4 && !speech.falls && ret->last_bytes >= 2 * ret->first_bytes;
    return 0;
}
