/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a line of the kernel log belongs to: recorded and awkward logs through a socket that hands
 * out one record a read, as /dev/kmsg does. */
#include "observe/observer-internal.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cmocka.h>

#define KILLED(pid)                                                                                \
    "Memory cgroup out of memory: Killed process " #pid " (x) total-vm:1kB, anon-rss:1kB"
#define SUMMARY(memcg, pid)                                                                        \
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=" memcg ",task_memcg=" memcg   \
    ",task=x,pid=" #pid ",uid=0"

struct log {
    struct observer *observer;
    int feed_fd;
    unsigned sequence;
};

static void add_target(struct log *log, unsigned slot, uint32_t lifetime_id, const char *path)
{
    struct target *target = &log->observer->targets[slot];
    target->lifetime_id = lifetime_id;
    snprintf(target->kernel_path, sizeof(target->kernel_path), "%s", path);
    target->state = SLOT_WATCHED;
}

static int setup(void **state)
{
    struct log *log = calloc(1, sizeof(*log));
    log->observer = calloc(1, sizeof(*log->observer));
    struct observer *observer = log->observer;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0 ||
        ring_init(&observer->ring, sizeof(struct observation), 64) < 0)
        return -1;
    observer->kmsg_fd = pair[0];
    log->feed_fd = pair[1];
    observer->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    observer->urgent_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    observer->has_kmsg = true;
    observer->log_clock = (struct log_clock){.perf_fd = -1, .area = MAP_FAILED, .error_ns = -1};
    for (unsigned i = 0; i < OBSERVER_TARGETS_MAX; i++)
        target_init(&observer->targets[i]);
    *state = log;
    return 0;
}

static int teardown(void **state)
{
    struct log *log = *state;
    ring_done(&log->observer->ring);
    close(log->observer->kmsg_fd);
    close(log->observer->epoll_fd);
    close(log->observer->urgent_fd);
    close(log->feed_fd);
    free(log->observer);
    free(log);
    return 0;
}

static void feed_raw(struct log *log, const char *raw)
{
    assert_int_equal(send(log->feed_fd, raw, strlen(raw), 0), strlen(raw));
    kernel_log_drain(log->observer);
}

static void feed(struct log *log, unsigned at_us, const char *text)
{
    char raw[2048];
    snprintf(raw, sizeof(raw), "6,%u,%u,-;%s\n", log->sequence++, at_us, text);
    feed_raw(log, raw);
}

/* The next KMSG's kind and lifetime. */
static uint32_t next(struct log *log, enum kmsg_oom_kind kind)
{
    struct observation observation;
    assert_true(ring_pop(&log->observer->ring, &observation));
    assert_int_equal(observation.kind, OBSERVATION_KMSG);
    assert_int_equal(observation.kmsg.oom.kind, kind);
    return observation.lifetime_id;
}

static void assert_silent(struct log *log)
{
    struct observation observation;
    assert_false(ring_pop(&log->observer->ring, &observation));
}

static void feed_fixture(struct log *log, const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/tests/fixtures/kernel-log/%s", getenv("SOURCE_ROOT"), name);
    AUTO_FCLOSE FILE *file = fopen(path, "re");
    assert_non_null(file);
    AUTO_FREE char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, file) > 0)
        feed_raw(log, line);
}

static void test_recorded_v1(void **state)
{
    struct log *log = *state;
    add_target(log, 3, 5, "/oomlab-fix");
    add_target(log, 4, 6, "/oomlab-fi");
    feed_fixture(log, "linux-6.18-cgroup-v1.kmsg");
    for (int i = 0; i < 8; i++) {
        assert_int_equal(next(log, KMSG_OOM_INVOKED), 0);
        assert_int_equal(next(log, KMSG_OOM_SUMMARY), 5);
        assert_int_equal(next(log, KMSG_OOM_KILLED), 5);
    }
    assert_silent(log);
    assert_int_equal(log->observer->targets[3].log_kills, 8);
    assert_int_equal(log->observer->targets[4].log_kills, 0);
}

static void test_recorded_v2_nearest_cgroup_and_group(void **state)
{
    struct log *log = *state;
    add_target(log, 0, 1, "/oomlab-v2");
    add_target(log, 1, 2, "/oomlab-v2/in");
    feed_fixture(log, "linux-6.1-cgroup-v2.kmsg");
    next(log, KMSG_OOM_INVOKED);
    assert_int_equal(next(log, KMSG_OOM_SUMMARY), 2);
    assert_int_equal(next(log, KMSG_OOM_KILLED), 2);
    next(log, KMSG_OOM_INVOKED);
    assert_int_equal(next(log, KMSG_OOM_SUMMARY), 2);
    assert_int_equal(next(log, KMSG_OOM_KILLED), 2);
    assert_int_equal(next(log, KMSG_OOM_GROUP), 2);
    assert_int_equal(next(log, KMSG_OOM_KILLED), 2);
    assert_silent(log);
    assert_int_equal(log->observer->targets[1].log_kills, 3);
}

static void test_a_pid_alone_matches_nobody(void **state)
{
    struct log *log = *state;
    add_target(log, 0, 1, "/a");
    feed(log, 10, KILLED(5));
    assert_int_equal(next(log, KMSG_OOM_KILLED), 0);
    assert_true(log->observer->targets[0].log_incomplete);
    /* Nor does another pid than the report's. */
    feed(log, 20, SUMMARY("/a", 6));
    feed(log, 30, KILLED(7));
    assert_int_equal(next(log, KMSG_OOM_SUMMARY), 1);
    assert_int_equal(next(log, KMSG_OOM_KILLED), 0);
}

static void test_another_cgroup(void **state)
{
    struct log *log = *state;
    add_target(log, 0, 1, "/a");
    feed(log, 10, SUMMARY("/ab", 6));
    feed(log, 20, KILLED(6));
    assert_int_equal(next(log, KMSG_OOM_SUMMARY), 0);
    assert_int_equal(next(log, KMSG_OOM_KILLED), 0);
    assert_false(log->observer->targets[0].log_incomplete);
    assert_int_equal(log->observer->targets[0].alarm, ALARM_NONE);
}

static void test_a_summary_raises_the_alarm(void **state)
{
    struct log *log = *state;
    add_target(log, 0, 1, "/a");
    add_target(log, 1, 2, "/b");
    feed(log, 10, SUMMARY("/a", 6));
    assert_int_equal(log->observer->targets[0].alarm, ALARM_URGENT);
    assert_int_equal(log->observer->targets[1].alarm, ALARM_NONE);
}

static void test_an_old_report_is_over(void **state)
{
    struct log *log = *state;
    add_target(log, 0, 1, "/a");
    feed(log, 10, SUMMARY("/a", 6));
    feed(log, 5000000, KILLED(6)); /* five seconds later: another process of that number */
    assert_int_equal(next(log, KMSG_OOM_SUMMARY), 1);
    assert_int_equal(next(log, KMSG_OOM_KILLED), 0);
}

/* Before 5.0 the summary has no pid, and a child may be killed in the stead of the selected
 * process. */
static void test_report_of_4x(void **state)
{
    struct log *log = *state;
    add_target(log, 0, 1, "/a");
    feed(log, 10, "x invoked oom-killer: gfp_mask=0xd0, order=0, oom_score_adj=0");
    feed(log, 20, "Task in /a/b killed as a result of limit of /a");
    feed(log, 30, "Memory cgroup out of memory: Kill process 6 (x) score 9 or sacrifice child");
    feed(log, 40, "Killed process 7 (x) total-vm:1kB, anon-rss:1kB, file-rss:0kB");
    assert_int_equal(next(log, KMSG_OOM_INVOKED), 0);
    assert_int_equal(next(log, KMSG_OOM_SUMMARY), 1);
    assert_int_equal(next(log, KMSG_OOM_SELECTED), 1);
    assert_int_equal(next(log, KMSG_OOM_KILLED), 1);
}

static void test_the_reaper(void **state)
{
    struct log *log = *state;
    add_target(log, 0, 1, "/a");
    feed(log, 10, SUMMARY("/a", 6));
    feed(log, 20, KILLED(6));
    feed(log, 3000000, "oom_reaper: reaped process 6 (x), now anon-rss:0kB, file-rss:0kB");
    feed(log, 3000010, "oom_reaper: reaped process 8 (x), now anon-rss:0kB, file-rss:0kB");
    next(log, KMSG_OOM_SUMMARY);
    next(log, KMSG_OOM_KILLED);
    assert_int_equal(next(log, KMSG_OOM_REAPED), 1);
    assert_int_equal(next(log, KMSG_OOM_REAPED), 0);
}

static void test_forged_lines_are_nothing(void **state)
{
    struct log *log = *state;
    add_target(log, 0, 1, "/a");
    feed_raw(log, "12,1,10,-;" SUMMARY("/a", 6) "\n");
    feed_raw(log, "11,2,20,-;" KILLED(6) "\n");
    assert_silent(log);
    assert_int_equal(log->observer->targets[0].log_kills, 0);
}

static void test_end_of_the_path_in_a_private_namespace(void **state)
{
    struct log *log = *state;
    add_target(log, 0, 1, "/oomlab-17/web-1");
    feed(log, 10, SUMMARY("/docker/0f0f/oomlab-17/web-1", 6));
    feed(log, 20, SUMMARY("/docker/0f0f/oomlab-17/web-12", 6));
    assert_int_equal(next(log, KMSG_OOM_SUMMARY), 1);
    assert_int_equal(next(log, KMSG_OOM_SUMMARY), 0);
}

/* The last eighth of the ring is not for the log; the log is read on when there is room. */
static void test_short_of_room(void **state)
{
    struct log *log = *state;
    add_target(log, 0, 1, "/a");
    for (unsigned i = 0; i < 80; i++)
        feed(log, 10 + i, SUMMARY("/a", 6));
    assert_int_equal(ring_room(&log->observer->ring), 8);
    assert_true(log->observer->kmsg_paused);
    unsigned count = 0;
    struct observation observation;
    for (; ring_pop(&log->observer->ring, &observation); count++)
        kernel_log_drain(log->observer);
    assert_int_equal(count, 80);
    assert_int_equal(ring_dropped(&log->observer->ring), 0);
}

static void test_stamp_for_the_next_kill(void **state)
{
    struct log *log = *state;
    add_target(log, 0, 1, "/a");
    struct target *target = &log->observer->targets[0];
    feed(log, 10, SUMMARY("/a", 6));
    assert_int_equal(target->log_stamp_ns, 10000);
    assert_true(target->log_stamp_early);
    feed(log, 25, KILLED(6));
    assert_int_equal(target->log_stamp_ns, 25000);
    assert_false(target->log_stamp_early);
    /* A KILL that was pushed between the two took the summary's. */
    feed(log, 40, SUMMARY("/a", 7));
    target->log_stamp_ns = 0;
    target->log_line_spoken_for = true;
    feed(log, 55, KILLED(7));
    assert_int_equal(target->log_stamp_ns, 0);
    assert_false(target->log_line_spoken_for);
    assert_int_equal(target->log_kills, 2);
}

int main(void)
{
#define LOG_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_recorded_v1),
        LOG_TEST(test_recorded_v2_nearest_cgroup_and_group),
        LOG_TEST(test_a_pid_alone_matches_nobody),
        LOG_TEST(test_another_cgroup),
        LOG_TEST(test_a_summary_raises_the_alarm),
        LOG_TEST(test_an_old_report_is_over),
        LOG_TEST(test_report_of_4x),
        LOG_TEST(test_the_reaper),
        LOG_TEST(test_forged_lines_are_nothing),
        LOG_TEST(test_end_of_the_path_in_a_private_namespace),
        LOG_TEST(test_short_of_room),
        LOG_TEST(test_stamp_for_the_next_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
