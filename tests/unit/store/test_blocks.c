/* SPDX-License-Identifier: Apache-2.0 */
/* Each block is held against the samples of its time, read anew by SQL. */
#include "fixture.h"

#include "base/duration.h"
#include "base/random.h"
#include "store/blocks.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#define NS_PER_TICK INT64_C(50000000)
#define LIFETIMES   5

static int insert_sample(struct store *store, int64_t lifetime_id, int64_t at_ns,
                         const int64_t bytes[5], struct error *err)
{
    static const char *const names[] = {"working_set_bytes", "anon_bytes", "shmem_bytes",
                                        "file_bytes", "kernel_bytes"};
    struct store_value values[8] = {STORE_INT("lifetime_id", lifetime_id),
                                    STORE_INT("at_ns", at_ns)};
    for (int i = 0; i < 5; i++)
        values[2 + i] = bytes[i] < 0 ? (struct store_value)STORE_NIL(names[i])
                                     : (struct store_value)STORE_INT(names[i], bytes[i]);
    return store_insert(store, "sample", values, NULL, err);
}

static void add(struct store *store, int64_t lifetime_id, int64_t at_ns, int64_t working_set)
{
    struct error err = {0};
    const int64_t bytes[5] = {working_set, working_set, -1, -1, -1};
    if (insert_sample(store, lifetime_id, at_ns, bytes, &err) < 0)
        fail_msg("%s", err.text);
}

static void add_run(struct store *store, int64_t lifetime_id, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++)
        add(store, lifetime_id, i * NS_PER_TICK, 1000 + i * 7919 % 4096);
}

static int exec_sql(struct store *store, const char *sql)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL);
}

/* What the block of these samples must be; and that nothing lies between it and what it follows. */
static const char WRONG[] =
    "WITH held AS (SELECT b.first_ns AS block, s.*, s.rowid AS id, s.anon_bytes + coalesce("
    "  s.shmem_bytes, 0) + max(coalesce(s.file_bytes, 0) - coalesce(s.shmem_bytes, 0), 0)"
    "  + coalesce(s.kernel_bytes, 0) AS total FROM sample_block b JOIN sample s"
    "  ON s.lifetime_id = b.lifetime_id AND s.at_ns BETWEEN b.first_ns AND b.last_ns),"
    " sums AS (SELECT lifetime_id, block, count(*) AS n, count(working_set_bytes) AS known,"
    "  min(at_ns) AS first, max(at_ns) AS last, min(working_set_bytes) AS low,"
    "  max(working_set_bytes) AS high, max(total) AS total FROM held GROUP BY lifetime_id, block)"
    " SELECT count(*) FROM sample_block b LEFT JOIN sums h ON h.lifetime_id = b.lifetime_id"
    "  AND h.block = b.first_ns LEFT JOIN sample low ON low.rowid = b.low_row"
    "  LEFT JOIN sample high ON high.rowid = b.high_row"
    "  LEFT JOIN held most ON most.id = b.full_row AND most.block = b.first_ns"
    " WHERE (h.n, h.known, h.first, h.last, h.low, h.high, h.low, h.high, h.total)"
    "  IS NOT (b.samples, b.known, b.first_ns, b.last_ns, b.low_bytes, b.high_bytes,"
    "   low.working_set_bytes, high.working_set_bytes, most.total)"
    " OR (low.at_ns, high.at_ns, most.at_ns) IS NOT (b.low_ns, b.high_ns, b.full_ns)"
    " OR (most.anon_bytes, most.shmem_bytes, most.file_bytes, most.kernel_bytes)"
    "  IS NOT (b.full_anon, b.full_shmem, b.full_file, b.full_kernel)"
    " OR (b.begin_ns, b.begin_bytes) IS NOT (SELECT at_ns, working_set_bytes FROM held h"
    "  WHERE h.lifetime_id = b.lifetime_id AND h.block = b.first_ns"
    "  AND working_set_bytes IS NOT NULL ORDER BY at_ns, id LIMIT 1)"
    " OR (b.end_ns, b.end_bytes) IS NOT (SELECT at_ns, working_set_bytes FROM held h"
    "  WHERE h.lifetime_id = b.lifetime_id AND h.block = b.first_ns"
    "  AND working_set_bytes IS NOT NULL ORDER BY at_ns DESC, id DESC LIMIT 1)"
    " OR EXISTS (SELECT 1 FROM held e WHERE e.lifetime_id = b.lifetime_id"
    "  AND e.block = b.first_ns AND ((e.working_set_bytes = b.low_bytes AND e.id < b.low_row)"
    "  OR (e.working_set_bytes = b.high_bytes AND e.id < b.high_row)"
    "  OR (e.total = h.total AND e.id < b.full_row)))"
    " OR EXISTS (SELECT 1 FROM sample s WHERE s.lifetime_id = b.lifetime_id"
    "  AND s.at_ns > b.after_ns AND s.at_ns < b.first_ns)";

static int64_t count_blocks(struct store *store)
{
    return query_integer(store, "SELECT count(*) FROM sample_block");
}

static void assert_true_blocks(struct store *store)
{
    assert_int_equal(query_integer(store, WRONG), 0);
}

static int64_t in_no_block(struct store *store)
{
    return query_integer(store, "SELECT count(*) FROM sample s WHERE NOT EXISTS (SELECT 1 FROM"
                                " sample_block b WHERE b.lifetime_id = s.lifetime_id"
                                " AND s.at_ns BETWEEN b.first_ns AND b.last_ns)");
}

/* Interleaved lifetimes with gaps, equal times, values that fall, and absent ones. */
static void test_random_series(void **state)
{
    struct store *store = fixture_create(*state);
    struct random random = {.state = 7};
    struct error err = {0};
    int64_t at_ns[LIFETIMES] = {0};
    assert_int_equal(store_begin(store, &err), 0);
    for (int i = 0; i < 6000; i++) {
        size_t which = (size_t)random_below(&random, LIFETIMES);
        uint64_t dice = random_below(&random, 100);
        at_ns[which] += dice < 5 ? 0 : dice < 7 ? 3600 * NS_PER_S : NS_PER_TICK;
        int64_t bytes[5];
        for (int k = 0; k < 5; k++)
            bytes[k] = random_below(&random, 10) == 0 ? -1 : (int64_t)random_below(&random, 500);
        bytes[0] = which == 0 ? -1 : bytes[0];
        bytes[1] = which == 1 ? -1 : bytes[1];
        assert_int_equal(insert_sample(store, 1 + (int64_t)which, at_ns[which], bytes, &err), 0);
    }
    assert_int_equal(store_commit(store, &err), 0);
    assert_true_blocks(store);
    assert_true(count_blocks(store) > 6000 / BLOCK_SAMPLES - 2 * LIFETIMES);
    assert_true(in_no_block(store) <= (int64_t)LIFETIMES * (BLOCK_SAMPLES + 8));
    assert_int_equal(query_integer(store, "SELECT count(*) FROM sample_block b WHERE NOT EXISTS"
                                          " (SELECT 1 FROM sample_block p WHERE p.lifetime_id ="
                                          "  b.lifetime_id AND p.last_ns = b.after_ns)"),
                     LIFETIMES);
    assert_true(query_integer(store, "SELECT max(samples) FROM sample_block") > BLOCK_SAMPLES);
    assert_true(query_integer(store, "SELECT count(*) FROM sample_block WHERE known = 0") > 0);
    assert_true(query_integer(store, "SELECT count(*) FROM sample_block WHERE full_ns IS NULL") >
                0);
}

/* What overtakes is in no block, and no block spans its time. */
static void test_samples_out_of_order(void **state)
{
    struct store *store = fixture_create(*state);
    add_run(store, 1, 0, 300);
    assert_int_equal(count_blocks(store), 4);
    add(store, 1, 100 * NS_PER_TICK + 1, 9999);
    assert_int_equal(count_blocks(store), 1);
    add_run(store, 1, 300, 600);
    assert_true_blocks(store);
    assert_true(count_blocks(store) >= 4);
    assert_int_equal(query_integer(store, "SELECT count(*) FROM sample_block WHERE"
                                          " 100 * 50000000 + 1 BETWEEN first_ns AND last_ns"),
                     0);
}

/* Lifetimes that share a place do not mix. */
static void test_ids_that_share_a_place(void **state)
{
    struct store *store = fixture_create(*state);
    for (int64_t i = 0; i < 400; i++)
        add(store, i / 100 % 2 ? 1025 : 1, i * NS_PER_TICK, i);
    assert_int_equal(count_blocks(store), 4);
    assert_true_blocks(store);
}

static void test_a_rollback_takes_both(void **state)
{
    struct store *store = fixture_create(*state);
    struct error err = {0};
    add_run(store, 1, 0, 100);
    assert_int_equal(store_begin(store, &err), 0);
    add_run(store, 1, 100, 500);
    assert_int_equal(exec_sql(store, "ROLLBACK"), SQLITE_OK);
    assert_int_equal(query_integer(store, "SELECT count(*) FROM sample"), 100);
    assert_int_equal(count_blocks(store), 1);
    add_run(store, 1, 200, 400);
    assert_true_blocks(store);
    assert_int_equal(count_blocks(store), 4);
    assert_int_equal(in_no_block(store), 36 + 8);
}

/* Times that were rolled back come again, with other values. */
static void test_a_rollback_in_a_block(void **state)
{
    struct store *store = fixture_create(*state);
    struct error err = {0};
    add_run(store, 1, 0, 80);
    assert_int_equal(store_begin(store, &err), 0);
    for (int64_t i = 80; i < 100; i++)
        add(store, 1, i * NS_PER_TICK, 1 << 30);
    assert_int_equal(exec_sql(store, "ROLLBACK"), SQLITE_OK);
    add_run(store, 1, 80, 300);
    assert_true_blocks(store);
    assert_true(query_integer(store, "SELECT max(high_bytes) FROM sample_block") < 1 << 30);
}

/* Also of those that are in a block that is not written yet. */
static void test_deleted_samples_are_in_no_block(void **state)
{
    struct store *store = fixture_create(*state);
    add_run(store, 1, 0, 340);
    add_run(store, 2, 0, 340);
    assert_int_equal(count_blocks(store), 10);
    assert_int_equal(exec_sql(store, "DELETE FROM sample WHERE lifetime_id = 1 AND at_ns IN"
                                     " (70 * 50000000, 330 * 50000000)"),
                     SQLITE_OK);
    assert_int_equal(count_blocks(store), 9);
    add_run(store, 1, 340, 700);
    assert_true_blocks(store);
    assert_int_equal(in_no_block(store), 63 + 63 + 700 - 10 * 64 + 340 - 5 * 64);
    assert_int_equal(exec_sql(store, "DELETE FROM sample WHERE lifetime_id = 1"), SQLITE_OK);
    assert_int_equal(count_blocks(store), 5);
    assert_true_blocks(store);
}

static void test_samples_cannot_be_changed(void **state)
{
    struct store *store = fixture_create(*state);
    add(store, 1, 1, 1);
    assert_int_equal(exec_sql(store, "UPDATE sample SET working_set_bytes = 2") & 0xff,
                     SQLITE_CONSTRAINT);
    assert_int_equal(query_integer(store, "SELECT working_set_bytes FROM sample"), 1);
}

static int apply(struct store_batch *batch, const void *record, void *context, bool *durable,
                 struct error *err)
{
    int64_t number = *(const int64_t *)record;
    *durable = number % 100 == 99;
    (void)context;
    return store_batch_insert(batch, "sample",
                              (struct store_value[]){STORE_INT("lifetime_id", 1 + number % 3),
                                                     STORE_INT("at_ns", number * NS_PER_TICK),
                                                     STORE_INT("working_set_bytes", number % 977),
                                                     STORE_END},
                              NULL, err);
}

static void tell(const void *record, int64_t committed_ns, void *context)
{
    (void)committed_ns;
    if (write(*(int *)context, record, sizeof(int64_t)) < 0)
        _exit(1);
}

static void write_until_killed(const char *directory, int fd)
{
    struct error err = {0};
    struct store *store = NULL;
    struct ring ring;
    const struct store_source source = {
        .ring = &ring, .urgent_fd = -1, .apply = apply, .on_durable = tell, .context = &fd};
    if (ring_init(&ring, sizeof(int64_t), 4096) < 0 || store_create(directory, &store, &err) < 0 ||
        store_writer_start(store, &err) < 0 || store_writer_add(store, &source, &err) < 0)
        _exit(1);
    for (int64_t number = 0;; number++) {
        while (!ring_push(&ring, &number))
            sched_yield();
    }
}

/* Killed in the middle of its batches, whenever that is. */
static void test_a_killed_writer_leaves_both(void **state)
{
    struct fixture *fixture = *state;
    int pipe_fd[2];
    assert_int_equal(pipe(pipe_fd), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        write_until_killed(fixture->directory, pipe_fd[1]);
    close(pipe_fd[1]);
    int64_t number = 0;
    while (number < 5000)
        assert_int_equal(read(pipe_fd[0], &number, sizeof(number)), sizeof(number));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(pipe_fd[0]);
    struct error err = {0};
    assert_int_equal(store_open(fixture->directory, &fixture->store, &err), 0);
    assert_true(query_integer(fixture->store, "SELECT count(*) FROM sample") > 5000);
    assert_true_blocks(fixture->store);
    assert_true(count_blocks(fixture->store) >= 5000 / BLOCK_SAMPLES - 3);
    assert_true(in_no_block(fixture->store) <= INT64_C(3) * BLOCK_SAMPLES);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_random_series),
        TEST(test_samples_out_of_order),
        TEST(test_ids_that_share_a_place),
        TEST(test_a_rollback_takes_both),
        TEST(test_a_rollback_in_a_block),
        TEST(test_deleted_samples_are_in_no_block),
        TEST(test_samples_cannot_be_changed),
        TEST(test_a_killed_writer_leaves_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
