/* SPDX-License-Identifier: Apache-2.0 */
/* What is shown of many samples, read by blocks and read one by one. */
#include "fixture.h"

#include "base/duration.h"
#include "base/random.h"
#include "report/chart.h"
#include "report/report.h"
#include "report/samples.h"

#include <math.h>

#define LIFETIME INT64_C(1000)
#define TICKS    90000
#define TICK_NS  (50 * NS_PER_MS)
#define COLUMNS  820
#define WHOLE    (-1) /* no block is as short */

struct seen {
    size_t parts, known, by_kind;
    struct sample_mark first, low, high, last;
    double fullest;
    int64_t fullest_ns, longest_ns; /* between two marks */
};

static double total(const struct sample_part *part)
{
    double shmem = isnan(part->shmem) ? 0 : part->shmem;
    double file = isnan(part->file) ? 0 : part->file;
    return part->anon + shmem + fmax(file - shmem, 0) + (isnan(part->kernel) ? 0 : part->kernel);
}

static int look(void *context, const struct sample_part *part, struct error *err)
{
    struct seen *seen = context;
    (void)err;
    for (size_t i = 0; i < part->mark_count; i++) {
        const struct sample_mark *mark = &part->marks[i];
        if (seen->known == 0 && i == 0)
            seen->first = seen->low = seen->high = seen->last = *mark;
        assert_true(mark->at_ns > seen->last.at_ns || mark->at_ns == seen->first.at_ns);
        seen->low = mark->bytes < seen->low.bytes ? *mark : seen->low;
        seen->high = mark->bytes > seen->high.bytes ? *mark : seen->high;
        if (mark->at_ns - seen->last.at_ns > seen->longest_ns)
            seen->longest_ns = mark->at_ns - seen->last.at_ns;
        seen->last = *mark;
    }
    seen->parts++;
    seen->known += part->known;
    seen->by_kind += part->has_kinds;
    if (part->has_kinds && total(part) > seen->fullest) {
        seen->fullest = total(part);
        seen->fullest_ns = part->kinds_ns;
    }
    return 0;
}

static struct seen walk(struct store *store, int64_t resolution_ns)
{
    struct seen seen = {0};
    struct error err = {0};
    if (samples_walk(store, LIFETIME, resolution_ns, look, &seen, &err) < 0)
        fail_msg("%s", err.text);
    return seen;
}

static void assert_same(const struct seen *a, const struct seen *b)
{
    assert_int_equal(a->known, b->known);
    assert_memory_equal(&a->first, &b->first, sizeof(a->first));
    assert_memory_equal(&a->low, &b->low, sizeof(a->low));
    assert_memory_equal(&a->high, &b->high, sizeof(a->high));
    assert_memory_equal(&a->last, &b->last, sizeof(a->last));
    assert_true(a->fullest == b->fullest && a->fullest_ns == b->fullest_ns);
}

static void insert(struct store *store, const char *table, const struct store_value *values)
{
    struct error err = {0};
    if (store_insert(store, table, values, NULL, &err) < 0)
        fail_msg("%s", err.text);
}

static struct store_value known_or_nil(struct random *random, const char *column, double bytes)
{
    if (random_below(random, 20) == 0)
        return (struct store_value)STORE_NIL(column);
    return (struct store_value)STORE_INT(column, bytes);
}

static void insert_sample(struct store *store, struct random *random, int64_t at_ns, int64_t tick)
{
    double wave = 1e6 * sin((double)tick / 3000) + (double)random_below(random, 1 << 20);
    double bytes = 4e7 + 100.0 * (double)tick + wave + (tick == 44444 ? 5e7 : 0);
    const struct store_value values[] = {
        STORE_INT("lifetime_id", LIFETIME),
        STORE_INT("at_ns", at_ns),
        known_or_nil(random, "working_set_bytes", bytes),
        known_or_nil(random, "anon_bytes", bytes * 0.8),
        known_or_nil(random, "shmem_bytes", 4096),
        known_or_nil(random, "file_bytes", (double)random_below(random, 1 << 22)),
        known_or_nil(random, "kernel_bytes", (double)random_below(random, 1 << 16)),
        STORE_END,
    };
    insert(store, "sample", values);
}

static int64_t arm_start(struct store *store)
{
    AUTO_ROWS rows = {0};
    struct error err = {0};
    assert_int_equal(rows_query(&rows, store, "SELECT started_ns FROM arm WHERE id = 1", 0, &err),
                     0);
    assert_int_equal(rows_next(&rows, &err), 1);
    return row_integer(&rows, 0);
}

/* 75 minutes at 20 Hz in the first arm of a run, and ten minutes without a sample in between. */
static struct store *make_long_run(struct fixture *fixture)
{
    struct store *store = fixture_run(fixture, RUN_SERVICE);
    struct random random = {.state = 11};
    struct error err = {0};
    int64_t start_ns = arm_start(store);
    const struct store_value lifetime[] = {
        STORE_INT("id", LIFETIME),
        STORE_INT("arm_id", 1),
        STORE_STR("replica", "r"),
        STORE_INT("idx", 1),
        STORE_INT("pid", 1),
        STORE_STR("cgroup", "/x"),
        STORE_INT("started_ns", start_ns),
        STORE_INT("backoff_ns", 0),
        STORE_END,
    };
    insert(store, "lifetime", lifetime);
    assert_int_equal(store_begin(store, &err), 0);
    for (int64_t tick = 0; tick < TICKS; tick++) {
        int64_t gap_ns = tick < 30000 ? 0 : 600 * NS_PER_S;
        insert_sample(store, &random, start_ns + tick * TICK_NS + gap_ns, tick);
    }
    assert_int_equal(store_commit(store, &err), 0);
    return store;
}

static void test_blocks_tell_the_same(void **state)
{
    struct store *store = make_long_run(*state);
    struct seen whole = walk(store, WHOLE), blocks = walk(store, INT64_MAX);
    assert_int_equal(whole.parts, TICKS);
    assert_true(whole.known > TICKS / 2 && whole.known < TICKS);
    assert_true(blocks.parts < TICKS / 32 && blocks.by_kind > TICKS / 80);
    assert_same(&whole, &blocks);
}

/* The block that spans the gap is longer, and its samples are given. */
static void test_long_blocks_are_read_by_sample(void **state)
{
    struct store *store = make_long_run(*state);
    struct seen whole = walk(store, WHOLE), seen = walk(store, 5 * NS_PER_S);
    struct seen blocks = walk(store, INT64_MAX);
    assert_same(&whole, &seen);
    assert_int_equal(seen.parts, blocks.parts - 1 + 64);
    assert_true(seen.longest_ns == whole.longest_ns && whole.longest_ns > 600 * NS_PER_S);
}

static void run_sql(struct fixture *fixture, const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;
    snprintf(path, sizeof(path), "%s/evidence.db", fixture->directory);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static struct store *reopen(struct fixture *fixture, const char *sql)
{
    struct error err = {0};
    store_close(fixture->store);
    fixture->store = NULL;
    run_sql(fixture, sql);
    if (store_open(fixture->directory, &fixture->store, &err) < 0)
        fail_msg("%s", err.text);
    return fixture->store;
}

static void test_what_is_deleted_is_not_shown(void **state)
{
    struct store *store = make_long_run(*state);
    struct seen before = walk(store, INT64_MAX);
    store = reopen(*state, "DELETE FROM sample WHERE lifetime_id = 1000 AND (working_set_bytes ="
                           " (SELECT max(working_set_bytes) FROM sample WHERE lifetime_id = 1000)"
                           " OR rowid % 30000 = 7)");
    struct seen whole = walk(store, WHOLE), blocks = walk(store, INT64_MAX);
    assert_true(whole.high.bytes < before.high.bytes && whole.known < before.known);
    assert_same(&whole, &blocks);
}

static char *result_text(struct store *store)
{
    struct error err = {0};
    json_t *result = NULL;
    if (report_result(store, &result, &err) < 0)
        fail_msg("%s", err.text);
    char *text = json_dumps(result, JSON_SORT_KEYS | JSON_INDENT(1));
    json_decref(result);
    return text;
}

static struct chart_arm load_chart(struct store *store)
{
    struct error err = {0};
    struct chart_arm arm = {0};
    if (chart_arm_load(store, 1, &arm, &err) < 0)
        fail_msg("%s", err.text);
    return arm;
}

static void column_highs(const struct chart_arm *arm, double *highs)
{
    const struct chart_lifetime *lifetime = &arm->lifetimes[arm->lifetime_count - 1];
    for (size_t i = 0; i < lifetime->count; i++) {
        size_t column = (size_t)(lifetime->points[i].t_s / arm->duration_s * COLUMNS);
        assert_true(column <= COLUMNS);
        highs[column + 1] = fmax(highs[column + 1], lifetime->points[i].bytes);
    }
}

/* No column shows more than was there; what one shows less, its neighbour shows. */
static void assert_same_outline(const struct chart_arm *blocks, const struct chart_arm *whole)
{
    static double by_block[COLUMNS + 3], by_sample[COLUMNS + 3];
    memset(by_block, 0, sizeof(by_block));
    memset(by_sample, 0, sizeof(by_sample));
    column_highs(blocks, by_block);
    column_highs(whole, by_sample);
    for (size_t i = 1; i <= COLUMNS; i++) {
        assert_true(by_block[i] <= by_sample[i]);
        assert_true(fmax(by_block[i], fmax(by_block[i - 1], by_block[i + 1])) >= by_sample[i]);
    }
}

/* The run as a file of the format before the blocks. */
static void test_an_older_file_gives_the_same_report(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = make_long_run(fixture);
    char *result = result_text(store);
    struct chart_arm blocks = load_chart(store);
    size_t last = blocks.lifetime_count - 1;
    assert_in_range(blocks.lifetimes[last].count, 2 * 1024, 8 * 1024);
    store = reopen(fixture, "DROP TRIGGER sample_deleted; DROP TRIGGER sample_changed;"
                            "DROP TABLE sample_block; PRAGMA user_version = 7");
    char *old = result_text(store);
    struct chart_arm whole = load_chart(store);
    assert_string_equal(result, old);
    assert_true(whole.lifetimes[last].count > blocks.lifetimes[last].count);
    assert_true(blocks.peak_bytes == whole.peak_bytes && blocks.duration_s == whole.duration_s);
    assert_int_equal(blocks.lifetimes[last].samples, whole.lifetimes[last].samples);
    assert_int_equal(blocks.kind_count, whole.kind_count);
    assert_true(chart_kinds_ceiling(&blocks) == chart_kinds_ceiling(&whole));
    assert_same_outline(&blocks, &whole);
    chart_arm_done(&blocks);
    chart_arm_done(&whole);
    free(result);
    free(old);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_blocks_tell_the_same),
        TEST(test_long_blocks_are_read_by_sample),
        TEST(test_what_is_deleted_is_not_shown),
        TEST(test_an_older_file_gives_the_same_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
