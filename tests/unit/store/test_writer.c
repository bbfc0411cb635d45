/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "base/clock.h"
#include "base/duration.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/wait.h>

struct record {
    int64_t number;
    bool durable;
    bool bad;
};

struct sink {
    struct ring ring;
    int urgent_fd;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t durable_count, last_durable, committed_ns;
};

static int apply(struct store_batch *batch, const void *data, void *context, bool *durable,
                 struct error *err)
{
    (void)context;
    const struct record *record = data;
    *durable = record->durable;
    const char *level = record->bad ? NULL : "Measured"; /* NOT NULL column */
    return store_batch_insert(
        batch, "event",
        (struct store_value[]){STORE_INT("at_ns", record->number), STORE_STR("type", level),
                               STORE_STR("msg", "m"), STORE_STR("reason", "r"),
                               STORE_STR("event_source", "s"), STORE_INT("count", 1), STORE_END},
        NULL, err);
}

static void on_durable(const void *data, int64_t committed_ns, void *context)
{
    struct sink *sink = context;
    pthread_mutex_lock(&sink->lock);
    sink->durable_count++;
    sink->last_durable = ((const struct record *)data)->number;
    sink->committed_ns = committed_ns;
    pthread_cond_signal(&sink->changed);
    pthread_mutex_unlock(&sink->lock);
}

static void sink_init(struct sink *sink, size_t capacity)
{
    *sink = (struct sink){.urgent_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    pthread_mutex_init(&sink->lock, NULL);
    pthread_cond_init(&sink->changed, NULL);
    assert_int_equal(ring_init(&sink->ring, sizeof(struct record), capacity), 0);
}

static void sink_done(struct sink *sink)
{
    ring_done(&sink->ring);
    close(sink->urgent_fd);
    pthread_mutex_destroy(&sink->lock);
    pthread_cond_destroy(&sink->changed);
}

static void sink_add(struct store *store, struct sink *sink, bool urgent)
{
    struct error err = {0};
    const struct store_source source = {.ring = &sink->ring,
                                        .urgent_fd = urgent ? sink->urgent_fd : -1,
                                        .apply = apply,
                                        .on_durable = on_durable,
                                        .context = sink};
    if (store_writer_add(store, &source, &err) < 0)
        fail_msg("%s", err.text);
}

static void push(struct sink *sink, int64_t number, bool durable)
{
    const struct record record = {.number = number, .durable = durable};
    while (!ring_push(&sink->ring, &record))
        sched_yield();
    if (durable) {
        uint64_t one = 1;
        assert_int_equal(write(sink->urgent_fd, &one, sizeof(one)), sizeof(one));
    }
}

/* Wait until `number` was announced; fails after 10 s. */
static int64_t wait_durable(struct sink *sink, int64_t number)
{
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 10;
    pthread_mutex_lock(&sink->lock);
    while (sink->last_durable != number || sink->durable_count == 0)
        assert_int_equal(pthread_cond_timedwait(&sink->changed, &sink->lock, &deadline), 0);
    int64_t committed_ns = sink->committed_ns;
    pthread_mutex_unlock(&sink->lock);
    return committed_ns;
}

static struct store *start(struct fixture *fixture)
{
    struct error err = {0};
    struct store *store = fixture_create(fixture);
    assert_int_equal(store_writer_start(store, &err), 0);
    return store;
}

static void test_durable_record_is_announced(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = start(fixture);
    struct sink sink;
    sink_init(&sink, 64);
    sink_add(store, &sink, true);
    for (int64_t i = 1; i <= 20; i++) {
        int64_t before = clock_monotonic_ns();
        push(&sink, i, true);
        int64_t committed = wait_durable(&sink, i);
        assert_true(committed >= before && committed <= clock_monotonic_ns());
        assert_int_equal(query_integer(store, "SELECT count(*) FROM event"), i);
    }
    struct error err = {0};
    assert_false(store_failed(store));
    assert_int_equal(store_writer_stop(store, &err), 0);
    assert_int_equal(sink.durable_count, 20);
    sink_done(&sink);
}

/* Without an urgent descriptor a record is written by the period, in order, and never announced. */
static void test_ordinary_records_come_with_the_period(void **state)
{
    struct store *store = start(*state);
    struct sink sink;
    sink_init(&sink, 64);
    sink_add(store, &sink, false);
    push(&sink, 7, false);
    push(&sink, 3, false);
    int64_t deadline = clock_monotonic_ns() + 10 * NS_PER_S;
    while (query_integer(store, "SELECT count(*) FROM event") < 2)
        assert_true(clock_monotonic_ns() < deadline);
    assert_int_equal(query_integer(store, "SELECT at_ns FROM event WHERE id = 1"), 7);
    assert_int_equal(query_integer(store, "SELECT at_ns FROM event WHERE id = 2"), 3);
    struct error err = {0};
    assert_int_equal(store_writer_stop(store, &err), 0);
    assert_int_equal(sink.durable_count, 0);
    sink_done(&sink);
}

static void test_stop_drains_everything(void **state)
{
    struct store *store = start(*state);
    struct sink sink;
    sink_init(&sink, 16384);
    sink_add(store, &sink, false);
    for (int64_t i = 0; i < 10000; i++)
        push(&sink, i, false);
    struct error err = {0};
    assert_int_equal(store_writer_stop(store, &err), 0);
    assert_int_equal(query_integer(store, "SELECT count(*) FROM event"), 10000);
    assert_int_equal(query_integer(store, "SELECT sum(at_ns) FROM event"), 49995000);
    sink_done(&sink);
}

static void test_remove_drains_and_others_go_on(void **state)
{
    struct store *store = start(*state);
    struct sink first;
    struct sink second;
    sink_init(&first, 4096);
    sink_init(&second, 64);
    sink_add(store, &first, true);
    sink_add(store, &second, true);
    for (int64_t i = 0; i < 3000; i++)
        push(&first, i, false);
    struct error err = {0};
    assert_int_equal(store_writer_remove(store, &first.ring, &err), 0);
    assert_int_equal(query_integer(store, "SELECT count(*) FROM event"), 3000);
    assert_int_equal(store_writer_remove(store, &first.ring, &err), -ENOENT);
    sink_done(&first);
    push(&second, 1, true);
    wait_durable(&second, 1);
    assert_int_equal(store_writer_stop(store, &err), 0);
    sink_done(&second);
}

struct producer {
    struct sink *sink;
    int64_t count;
};

static void *produce(void *context)
{
    struct producer *producer = context;
    for (int64_t i = 1; i <= producer->count; i++)
        push(producer->sink, i, i % 500 == 0);
    return NULL;
}

/* Two producers, sources that come and go, and inserts from this thread, all at once (TSan). */
static void test_threads(void **state)
{
    struct store *store = start(*state);
    struct sink sinks[2];
    struct producer producers[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        sink_init(&sinks[i], 512);
        sink_add(store, &sinks[i], true);
        producers[i] = (struct producer){.sink = &sinks[i], .count = 5000};
        pthread_create(&threads[i], NULL, produce, &producers[i]);
    }
    struct error err = {0};
    struct sink passing;
    sink_init(&passing, 16);
    for (int i = 0; i < 50; i++) {
        char id[16];
        snprintf(id, sizeof(id), "g%d", i);
        assert_int_equal(insert_gate(store, id, 1, &err), 0);
        sink_add(store, &passing, true);
        push(&passing, i, i % 2 == 0);
        assert_int_equal(store_writer_remove(store, &passing.ring, &err), 0);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(store_writer_stop(store, &err), 0);
    assert_int_equal(query_integer(store, "SELECT count(*) FROM event"), 10050);
    assert_int_equal(query_integer(store, "SELECT count(*) FROM gate"), 50);
    assert_int_equal(sinks[0].durable_count + sinks[1].durable_count, 20);
    assert_int_equal(passing.durable_count, 25);
    sink_done(&passing);
    sink_done(&sinks[0]);
    sink_done(&sinks[1]);
}

/* A row that cannot be written is lost alone, and it is not kept quiet. */
static void test_bad_record_is_reported(void **state)
{
    struct store *store = start(*state);
    struct sink sink;
    sink_init(&sink, 64);
    sink_add(store, &sink, true);
    push(&sink, 1, false);
    const struct record bad = {.number = 2, .bad = true};
    assert_true(ring_push(&sink.ring, &bad));
    push(&sink, 3, true);
    wait_durable(&sink, 3);
    assert_true(store_failed(store));
    struct error err = {0};
    assert_int_equal(store_writer_stop(store, &err), -EINVAL);
    assert_non_null(strstr(err.text, "NOT NULL"));
    assert_int_equal(query_integer(store, "SELECT count(*) FROM event"), 2);
    sink_done(&sink);
}

static void write_line(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (write(fd, text, strlen(text)) < 0)
            _exit(77);
        close(fd);
    }
}

/* In a mount namespace of its own: a file system of 1 MiB over the test's directory. */
static void enter_small_disk(const char *directory)
{
    char map[32];
    uid_t uid = geteuid();
    if (unshare(CLONE_NEWNS | (uid == 0 ? 0 : CLONE_NEWUSER)) < 0)
        _exit(77);
    if (uid != 0) {
        write_line("/proc/self/setgroups", "deny");
        snprintf(map, sizeof(map), "0 %u 1", uid);
        write_line("/proc/self/uid_map", map);
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", directory, "tmpfs", 0, "size=1m") < 0)
        _exit(77);
}

#define CHILD_CHECK(condition)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            _exit(__LINE__ % 64 + 100);                                                            \
    } while (0)

/* Exits 0 when a full disk shows at once, loses no producer's record to back-pressure, is the error
 * of the stop, and leaves what had been written readable. */
static void fill_small_disk(struct fixture *fixture)
{
    struct error err = {0};
    enter_small_disk(fixture->directory);
    CHILD_CHECK(store_create(fixture->directory, &fixture->store, &err) == 0);
    CHILD_CHECK(store_writer_start(fixture->store, &err) == 0);
    struct sink sink = {.urgent_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    CHILD_CHECK(ring_init(&sink.ring, sizeof(struct record), 1024) == 0);
    const struct store_source source = {
        .ring = &sink.ring, .urgent_fd = -1, .apply = apply, .context = &sink};
    CHILD_CHECK(store_writer_add(fixture->store, &source, &err) == 0);
    int64_t pushed = 0;
    for (; pushed < 1000000 && !store_failed(fixture->store); pushed++)
        push(&sink, pushed, false);
    CHILD_CHECK(store_failed(fixture->store));
    for (int i = 0; i < 5000; i++) /* the ring is still emptied */
        push(&sink, i, false);
    CHILD_CHECK(store_writer_stop(fixture->store, &err) == -ENOSPC);
    CHILD_CHECK(strstr(err.text, "no space left on the device"));
    store_close(fixture->store);
    struct store *read = NULL;
    CHILD_CHECK(store_open(fixture->directory, &read, &err) == 0);
    sqlite3_stmt *count = NULL;
    CHILD_CHECK(store_prepare(read, "SELECT count(*) FROM event", &count, &err) == 0);
    CHILD_CHECK(sqlite3_step(count) == SQLITE_ROW && sqlite3_column_int64(count, 0) > 1000);
    _exit(0);
}

static void test_full_disk(void **state)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        fill_small_disk(*state);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77 && !getenv("OOMLAB_MUST_WORK")) {
        print_message("skipped: no mount namespace for a small file system\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_durable_record_is_announced),
        TEST(test_ordinary_records_come_with_the_period),
        TEST(test_stop_drains_everything),
        TEST(test_remove_drains_and_others_go_on),
        TEST(test_threads),
        TEST(test_bad_record_is_reported),
        TEST(test_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
