/* SPDX-License-Identifier: Apache-2.0 */
/* The observer on a real kernel: real kills in real cgroups. */
#include "cell.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#define DEADLINE_NS INT64_C(20000000000)
#define SEEN_MAX    256

static const struct cgroup_limits small_limits = {.memory_bytes = 16 * MIB, .forbid_swap = true};

/* What came out of the ring so far; samples are only counted. */
struct lab {
    struct yard yard;
    struct observer *observer;
    struct observation *seen;
    unsigned count;
    unsigned samples;
    int64_t last_recorded_ns;
};

/* Take out what is there. */
static void take(struct lab *lab)
{
    struct observation observation;
    while (ring_pop(observer_ring(lab->observer), &observation)) {
        assert_true(observation.recorded_ns > lab->last_recorded_ns);
        assert_true(observation.recorded_ns >= observation.at_ns);
        lab->last_recorded_ns = observation.recorded_ns;
        if (observation.kind == OBSERVATION_SAMPLE) {
            lab->samples++;
        } else if (observation.kind != OBSERVATION_KMSG || observation.lifetime_id != 0) {
            assert_true(lab->count < SEEN_MAX);
            lab->seen[lab->count++] = observation;
        }
    }
}

static const struct observation *find(const struct lab *lab, uint32_t id,
                                      enum observation_kind kind)
{
    for (unsigned i = 0; i < lab->count; i++)
        if (lab->seen[i].lifetime_id == id && lab->seen[i].kind == kind)
            return &lab->seen[i];
    return NULL;
}

/* Wait for the first record of that kind; the pointer holds until lab_stop(). */
static const struct observation *await(struct lab *lab, uint32_t id, enum observation_kind kind)
{
    int64_t deadline_ns = clock_monotonic_ns() + DEADLINE_NS;
    for (;;) {
        take(lab);
        const struct observation *found = find(lab, id, kind);
        if (found)
            return found;
        int64_t left_ns = deadline_ns - clock_monotonic_ns();
        if (left_ns <= 0)
            fail_msg("no record of kind %d came", (int)kind);
        struct pollfd urgent = {observer_urgent_fd(lab->observer), POLLIN, 0};
        poll(&urgent, 1, (int)(left_ns / 1000000) + 1);
        uint64_t times;
        ssize_t n = read(urgent.fd, &times, sizeof(times));
        (void)n;
    }
}

static uint64_t sum_kills(const struct lab *lab, uint32_t id)
{
    uint64_t kills = 0;
    for (unsigned i = 0; i < lab->count; i++)
        if (lab->seen[i].lifetime_id == id && lab->seen[i].kind == OBSERVATION_KILL)
            kills += lab->seen[i].kill.kills;
    return kills;
}

static uint64_t risen(const struct observation *end, enum metric metric)
{
    assert_true(metrics_has(&end->end.start, metric));
    assert_true(metrics_has(&end->end.end, metric));
    return end->end.end.value[metric] - end->end.start.value[metric];
}

static struct lab *lab_start(void **state, const struct observer_options *options)
{
    struct lab *lab = *state;
    struct error err = {0};
    lab->count = lab->samples = 0;
    lab->last_recorded_ns = 0;
    if (observer_start(options, &lab->observer, &err) < 0)
        fail_msg("%s", err.text);
    return lab;
}

static void lab_stop(struct lab *lab)
{
    observer_stop(lab->observer);
    lab->observer = NULL;
}

static void add(struct lab *lab, uint32_t id, const struct cell *cell)
{
    struct error err = {0};
    if (observer_add(lab->observer, id, &cell->cgroup, cell->pidfd, &err) < 0)
        fail_msg("%s", err.text);
}

/* Kills before the end, and no more counted than recorded. */
static void check_end(const struct lab *lab, const struct observation *end)
{
    for (const struct observation *o = end + 1; o < lab->seen + lab->count; o++)
        assert_false(o->lifetime_id == end->lifetime_id && o->kind == OBSERVATION_KILL);
    assert_int_equal(sum_kills(lab, end->lifetime_id), risen(end, METRIC_OOM_KILL));
}

/* The lines that were given to this lifetime are about its cgroup. */
static void check_log(const struct lab *lab, uint32_t id, const struct cell *cell)
{
    for (unsigned i = 0; i < lab->count; i++) {
        const struct observation *o = &lab->seen[i];
        if (o->lifetime_id != id || o->kind != OBSERVATION_KMSG)
            continue;
        assert_true(o->kmsg.kernel_ns <= o->at_ns);
        if (o->kmsg.oom.kind == KMSG_OOM_SUMMARY)
            assert_non_null(strstr(o->kmsg.oom.task_memcg, cell->cgroup.kernel_path));
    }
}

static void test_main_process_killed(void **state)
{
    struct lab *lab = lab_start(state, &(struct observer_options){0});
    struct cell cell;
    cell_start(&lab->yard, NULL, &small_limits, body_hog, NULL, &cell);
    int64_t added_ns = clock_monotonic_ns();
    add(lab, 7, &cell);
    cell_go(&cell);
    const struct observation *end = await(lab, 7, OBSERVATION_END);
    const struct observation *kill = find(lab, 7, OBSERVATION_KILL);
    assert_non_null(kill);
    check_end(lab, end);
    check_log(lab, 7, &cell);
    assert_int_equal(end->end.wait_code, CLD_KILLED);
    assert_int_equal(end->end.wait_status, SIGKILL);
    assert_true(end->end.user_ns + end->end.system_ns > 0);
    assert_true(kill->at_ns >= added_ns);
    struct observer_notice notice;
    assert_true(ring_pop(observer_notices(lab->observer), &notice));
    assert_true(notice.lifetime_id == 7 && notice.at_ns == kill->at_ns);
    assert_false(ring_pop(observer_notices(lab->observer), &notice));
    assert_true(kill->kill.kernel_ns == 0 ||
                (kill->kill.kernel_ns > added_ns && kill->kill.kernel_ns <= kill->at_ns));
    assert_true(metrics_has(&kill->kill.metrics, METRIC_USAGE));
    if (lab->yard.version == CGROUP_V2) {
        assert_true(risen(end, METRIC_OOM) > 0);
        assert_true(end->end.has_ancestor_oom);
        assert_int_equal(end->end.ancestor_oom[0], end->end.ancestor_oom[1]);
    }
    cell_end(&lab->yard, &cell);
    lab_stop(lab);
}

/* Its exit status tells that the child really was killed. */
static int body_with_child(int go_fd, void *context)
{
    pid_t child = fork();
    if (child == 0)
        _exit(body_hog(go_fd, context));
    int status;
    if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
        return 99;
    cell_wait_go(go_fd);
    return 7;
}

static void test_child_killed_main_lives(void **state)
{
    struct lab *lab = lab_start(state, &(struct observer_options){0});
    struct cell cell;
    cell_start(&lab->yard, NULL, &small_limits, body_with_child, NULL, &cell);
    add(lab, 8, &cell);
    cell_go(&cell);
    await(lab, 8, OBSERVATION_KILL);
    assert_null(find(lab, 8, OBSERVATION_END));
    cell_go(&cell);
    const struct observation *end = await(lab, 8, OBSERVATION_END);
    assert_int_equal(end->end.wait_code, CLD_EXITED);
    assert_int_equal(end->end.wait_status, 7);
    assert_int_equal(risen(end, METRIC_OOM_KILL), 1);
    check_end(lab, end);
    check_log(lab, 8, &cell);
    cell_end(&lab->yard, &cell);
    lab_stop(lab);
}

static int body_group(int go_fd, void *context)
{
    for (int i = 0; i < 3; i++)
        if (fork() == 0)
            _exit(body_sleep(go_fd, context));
    return body_hog(go_fd, context);
}

static void test_group_kill(void **state)
{
    struct lab *lab = *state;
    if (lab->yard.version != CGROUP_V2) {
        print_message("cgroup v1 has no memory.oom.group\n");
        skip();
    }
    lab = lab_start(state, &(struct observer_options){0});
    struct cgroup_limits limits = small_limits;
    limits.oom_group = true;
    struct cell cell;
    cell_start(&lab->yard, NULL, &limits, body_group, NULL, &cell);
    add(lab, 9, &cell);
    cell_go(&cell);
    const struct observation *end = await(lab, 9, OBSERVATION_END);
    assert_int_equal(end->end.wait_status, SIGKILL);
    assert_true(risen(end, METRIC_OOM_KILL) >= 4);
    if (metrics_has(&end->end.end, METRIC_OOM_GROUP_KILL))
        assert_int_equal(risen(end, METRIC_OOM_GROUP_KILL), 1);
    check_end(lab, end);
    check_log(lab, 9, &cell);
    cell_end(&lab->yard, &cell);
    lab_stop(lab);
}

/* Two containers let go at the same time, and killed about at the same time. */
static void test_two_kills_at_once(void **state)
{
    struct lab *lab = lab_start(state, &(struct observer_options){0});
    struct cell cells[2];
    for (uint32_t i = 0; i < 2; i++) {
        cell_start(&lab->yard, NULL, &small_limits, body_hog, NULL, &cells[i]);
        add(lab, 20 + i, &cells[i]);
    }
    for (int i = 0; i < 2; i++)
        cell_go(&cells[i]);
    const struct observation *end[2];
    for (uint32_t i = 0; i < 2; i++)
        end[i] = await(lab, 20 + i, OBSERVATION_END);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(end[i]->end.wait_status, SIGKILL);
        assert_int_equal(risen(end[i], METRIC_OOM_KILL), 1);
        check_end(lab, end[i]);
        check_log(lab, 20 + i, &cells[i]);
    }
    for (int i = 0; i < 2; i++)
        cell_end(&lab->yard, &cells[i]);
    lab_stop(lab);
}

/* Two children of one container want it all: the second dies right after the first. */
static int body_two_hogs(int go_fd, void *context)
{
    for (int i = 0; i < 2; i++)
        if (fork() == 0)
            _exit(body_hog(go_fd, context));
    int killed = 0, status;
    while (wait(&status) > 0)
        killed += WIFSIGNALED(status);
    return killed;
}

static void test_two_kills_in_one_container(void **state)
{
    struct lab *lab = lab_start(state, &(struct observer_options){0});
    struct cell cell;
    cell_start(&lab->yard, NULL, &small_limits, body_two_hogs, NULL, &cell);
    add(lab, 30, &cell);
    cell_go(&cell);
    const struct observation *end = await(lab, 30, OBSERVATION_END);
    assert_int_equal(end->end.wait_code, CLD_EXITED);
    assert_int_equal(end->end.wait_status, 2);
    assert_int_equal(risen(end, METRIC_OOM_KILL), 2);
    check_end(lab, end);
    cell_end(&lab->yard, &cell);
    lab_stop(lab);
}

static void test_exit_codes(void **state)
{
    struct lab *lab = lab_start(state, &(struct observer_options){0});
    static int codes[] = {0, 3, 137};
    for (uint32_t i = 0; i < 3; i++) {
        struct cell cell;
        cell_start(&lab->yard, NULL, &small_limits, body_exit, &codes[i], &cell);
        add(lab, 40 + i, &cell);
        cell_go(&cell);
        const struct observation *end = await(lab, 40 + i, OBSERVATION_END);
        assert_int_equal(end->end.wait_code, CLD_EXITED);
        assert_int_equal(end->end.wait_status, codes[i]);
        assert_int_equal(risen(end, METRIC_OOM_KILL), 0);
        assert_null(find(lab, 40 + i, OBSERVATION_KILL));
        cell_end(&lab->yard, &cell);
    }
    lab_stop(lab);
}

static void test_killed_by_somebody(void **state)
{
    struct lab *lab = lab_start(state, &(struct observer_options){0});
    struct cell cell;
    cell_start(&lab->yard, NULL, &small_limits, body_sleep, NULL, &cell);
    add(lab, 50, &cell);
    cell_go(&cell);
    assert_int_equal(kill(cell.pid, SIGKILL), 0);
    const struct observation *end = await(lab, 50, OBSERVATION_END);
    assert_int_equal(end->end.wait_code, CLD_KILLED);
    assert_int_equal(end->end.wait_status, SIGKILL);
    assert_int_equal(risen(end, METRIC_OOM_KILL), 0);
    assert_null(find(lab, 50, OBSERVATION_KILL));
    cell_end(&lab->yard, &cell);
    lab_stop(lab);
}

static void test_ended_before_it_was_watched(void **state)
{
    struct lab *lab = lab_start(state, &(struct observer_options){0});
    static int code = 5;
    struct cell cell;
    cell_start(&lab->yard, NULL, &small_limits, body_exit, &code, &cell);
    cell_go(&cell);
    struct pollfd ended = {cell.pidfd, POLLIN, 0};
    assert_int_equal(poll(&ended, 1, 10000), 1);
    add(lab, 60, &cell);
    const struct observation *end = await(lab, 60, OBSERVATION_END);
    assert_int_equal(end->end.wait_code, CLD_EXITED);
    assert_int_equal(end->end.wait_status, 5);
    cell_end(&lab->yard, &cell);
    lab_stop(lab);
}

/* The limit that fires is the parent's: the container's own `oom` stays, the ancestors' rises. */
static void test_killed_by_an_ancestor(void **state)
{
    struct lab *lab = lab_start(state, &(struct observer_options){0});
    struct error err = {0};
    struct cgroup parent;
    char name[32];
    snprintf(name, sizeof(name), "parent-%u", lab->yard.made++);
    assert_int_equal(cgroup_create(&lab->yard.top, name, &parent, &err), 0);
    assert_int_equal(cgroup_enable_controllers(&parent, &err), 0);
    assert_int_equal(cgroup_set_limits(&parent, &small_limits, &err), 0);
    struct cell cell;
    cell_start(&lab->yard, &parent, &(struct cgroup_limits){0}, body_hog, NULL, &cell);
    add(lab, 70, &cell);
    cell_go(&cell);
    const struct observation *end = await(lab, 70, OBSERVATION_END);
    assert_int_equal(end->end.wait_status, SIGKILL);
    assert_int_equal(risen(end, METRIC_OOM_KILL), 1);
    check_end(lab, end);
    assert_true(end->end.has_ancestor_oom);
    assert_true(end->end.ancestor_oom[1] > end->end.ancestor_oom[0]);
    assert_false(end->end.main_ran_after_kill);
    if (lab->yard.version == CGROUP_V2)
        assert_int_equal(risen(end, METRIC_OOM), 0);
    for (unsigned i = 0; i < lab->count; i++)
        if (lab->seen[i].kind == OBSERVATION_KMSG && lab->seen[i].kmsg.oom.kind == KMSG_OOM_SUMMARY)
            assert_non_null(strstr(lab->seen[i].kmsg.oom.oom_memcg, parent.kernel_path));
    cell_end(&lab->yard, &cell);
    assert_int_equal(cgroup_remove(&parent, &err), 0);
    cgroup_done(&parent);
    lab_stop(lab);
}

/* Devices cannot be opened through a mount with MS_NODEV, not even by root. */
static void test_unreadable_log(void **state)
{
    AUTO_CLOSE int before = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (before < 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("/dev/kmsg", "/dev/kmsg", NULL, MS_BIND, NULL) < 0 ||
        mount(NULL, "/dev/kmsg", NULL, MS_BIND | MS_REMOUNT | MS_NODEV, NULL) < 0) {
        print_message("cannot hide /dev/kmsg: %s\n", strerror(errno));
        if (before >= 0)
            setns(before, CLONE_NEWNS);
        skip();
    }
    struct lab *lab = lab_start(state, &(struct observer_options){0});
    assert_false(observer_has_kmsg(lab->observer));
    struct cell cell;
    cell_start(&lab->yard, NULL, &small_limits, body_hog, NULL, &cell);
    add(lab, 80, &cell);
    cell_go(&cell);
    const struct observation *end = await(lab, 80, OBSERVATION_END);
    assert_int_equal(end->end.wait_status, SIGKILL);
    assert_int_equal(risen(end, METRIC_OOM_KILL), 1);
    check_end(lab, end);
    assert_null(find(lab, 80, OBSERVATION_KMSG));
    assert_int_equal(find(lab, 80, OBSERVATION_KILL)->kill.kernel_ns, 0);
    cell_end(&lab->yard, &cell);
    lab_stop(lab);
    assert_int_equal(setns(before, CLONE_NEWNS), 0);
}

/* Let the observer run for a while: until the sampling clock has ticked so often. */
static void run_ticks(struct lab *lab, uint64_t ticks, struct observer_stats *ret)
{
    int64_t deadline_ns = clock_monotonic_ns() + DEADLINE_NS;
    do {
        poll(NULL, 0, 5);
        take(lab);
        observer_stats(lab->observer, ret);
    } while (ret->ticks + ret->ticks_missed < ticks && clock_monotonic_ns() < deadline_ns);
}

static void test_rate(void **state)
{
    struct lab *lab = lab_start(state, &(struct observer_options){.rate_hz = 1000});
    struct cell cells[3];
    for (uint32_t i = 0; i < 3; i++) {
        cell_start(&lab->yard, NULL, &small_limits, body_sleep, NULL, &cells[i]);
        add(lab, 90 + i, &cells[i]);
        cell_go(&cells[i]);
    }
    /* Each look at the counters lies between two at the clock: this thread may be kept waiting. */
    struct observer_stats before, after;
    int64_t before_ns = clock_monotonic_ns();
    observer_stats(lab->observer, &before);
    int64_t from_ns = clock_monotonic_ns();
    run_ticks(lab, before.ticks + before.ticks_missed + 1000, &after);
    int64_t to_ns = clock_monotonic_ns();
    observer_stats(lab->observer, &after);
    double least_s = (double)(to_ns - from_ns) / 1e9;
    double most_s = (double)(clock_monotonic_ns() - before_ns) / 1e9;
    double served = (double)(after.ticks - before.ticks);
    double missed = (double)(after.ticks_missed - before.ticks_missed);
    double cpu = (double)(after.cpu_ns - before.cpu_ns) / 1e9;
    print_message("1 kHz, 3 containers: %.0f ticks served in %.3f s, ratio %.3f, %.0f missed; "
                  "%.1f %% of a processor\n",
                  served, most_s, served / (most_s * 1000), missed, 100 * cpu / most_s);
    /* The clock itself is exact whatever the load is; serving it is what a busy machine delays. */
    assert_true(served + missed > 0.9 * least_s * 1000);
    assert_true(served + missed < 1.1 * most_s * 1000 + 10);
    assert_true(served > 0.05 * (served + missed));
    assert_int_equal(after.samples_dropped, 0);
    assert_true((double)(after.samples - before.samples) >= 3 * (served - 1));
    assert_true(lab->samples > 0);
    for (int i = 0; i < 3; i++)
        cell_end(&lab->yard, &cells[i]);
    lab_stop(lab);
}

static void test_remove(void **state)
{
    struct lab *lab = lab_start(state, &(struct observer_options){0});
    for (uint32_t i = 1; i <= 2 * OBSERVER_TARGETS_MAX; i++) { /* slots are used again */
        struct cell cell;
        cell_start(&lab->yard, NULL, &small_limits, body_sleep, NULL, &cell);
        add(lab, i, &cell);
        observer_remove(lab->observer, i);
        cell_end(&lab->yard, &cell);
    }
    static int code = 0;
    struct cell last;
    cell_start(&lab->yard, NULL, &small_limits, body_exit, &code, &last);
    add(lab, 1000, &last);
    cell_go(&last);
    await(lab, 1000, OBSERVATION_END);
    for (unsigned i = 0; i < lab->count; i++)
        assert_int_equal(lab->seen[i].lifetime_id, 1000);
    cell_end(&lab->yard, &last);
    lab_stop(lab);
}

static void test_no_more_than_the_maximum(void **state)
{
    struct lab *lab = lab_start(state, &(struct observer_options){.rate_hz = 1});
    struct cell cell;
    cell_start(&lab->yard, NULL, &small_limits, body_sleep, NULL, &cell);
    struct error err = {0};
    for (uint32_t i = 1; i <= OBSERVER_TARGETS_MAX; i++)
        add(lab, i, &cell);
    assert_int_equal(observer_add(lab->observer, 999, &cell.cgroup, cell.pidfd, &err), -ENOSPC);
    observer_remove(lab->observer, 5);
    add(lab, 999, &cell);
    assert_int_equal(observer_add(lab->observer, 0, &cell.cgroup, cell.pidfd, &err), -EINVAL);
    cell_end(&lab->yard, &cell);
    /* One of them reaped it, and every one saw its end. */
    unsigned known = 0;
    for (uint32_t i = 1; i <= OBSERVER_TARGETS_MAX; i++)
        known += await(lab, i == 5 ? 999 : i, OBSERVATION_END)->end.wait_code != 0;
    assert_true(known <= 1);
    lab_stop(lab);
}

struct caller {
    struct lab *lab;
    const struct cell *cell;
    uint32_t first_id;
    unsigned failures;
};

static void *add_and_remove(void *context)
{
    struct caller *caller = context;
    for (uint32_t i = 0; i < 100; i++) {
        struct error err = {0};
        uint32_t id = caller->first_id + i;
        caller->failures += observer_add(caller->lab->observer, id, &caller->cell->cgroup,
                                         caller->cell->pidfd, &err) < 0;
        observer_remove(caller->lab->observer, id);
    }
    return NULL;
}

static void test_callers_in_parallel(void **state)
{
    struct lab *lab = lab_start(state, &(struct observer_options){.rate_hz = 1000});
    struct cell cell;
    cell_start(&lab->yard, NULL, &small_limits, body_sleep, NULL, &cell);
    pthread_t threads[3];
    struct caller callers[3];
    for (uint32_t i = 0; i < 3; i++) {
        callers[i] = (struct caller){.lab = lab, .cell = &cell, .first_id = 1 + 1000 * i};
        assert_int_equal(pthread_create(&threads[i], NULL, add_and_remove, &callers[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(callers[i].failures, 0);
    }
    add(lab, 5000, &cell);
    cell_end(&lab->yard, &cell);
    await(lab, 5000, OBSERVATION_END);
    assert_int_equal(lab->count, 1);
    lab_stop(lab);
}

/* A consumer that sleeps: samples are left out, the kill and the end are not. */
static void test_full_ring(void **state)
{
    struct lab *lab =
        lab_start(state, &(struct observer_options){.rate_hz = 1000, .ring_records = 64});
    struct cell sleeper, hog;
    cell_start(&lab->yard, NULL, &small_limits, body_sleep, NULL, &sleeper);
    cell_start(&lab->yard, NULL, &small_limits, body_hog, NULL, &hog);
    add(lab, 1, &sleeper);
    add(lab, 2, &hog);
    struct observer_stats stats;
    int64_t deadline_ns = clock_monotonic_ns() + DEADLINE_NS;
    do {
        poll(NULL, 0, 5);
        observer_stats(lab->observer, &stats);
    } while (stats.samples_dropped == 0 && clock_monotonic_ns() < deadline_ns);
    assert_true(stats.samples_dropped > 0);
    assert_true(stats.samples <= 48);
    cell_go(&hog);
    struct pollfd ended = {hog.pidfd, POLLIN, 0};
    assert_int_equal(poll(&ended, 1, 10000), 1);
    const struct observation *end = await(lab, 2, OBSERVATION_END);
    assert_non_null(find(lab, 2, OBSERVATION_KILL));
    check_end(lab, end);
    assert_true(ring_dropped(observer_ring(lab->observer)) >= stats.samples_dropped);
    cell_end(&lab->yard, &hog);
    cell_end(&lab->yard, &sleeper);
    lab_stop(lab);
}

static unsigned count_descriptors(void)
{
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void test_nothing_is_left_open(void **state)
{
    struct lab *lab = *state;
    unsigned before = count_descriptors();
    lab_start(state, &(struct observer_options){0});
    struct cell cells[2];
    for (uint32_t i = 0; i < 2; i++) {
        cell_start(&lab->yard, NULL, &small_limits, i == 0 ? body_hog : body_sleep, NULL,
                   &cells[i]);
        add(lab, 1 + i, &cells[i]);
    }
    cell_go(&cells[0]);
    await(lab, 1, OBSERVATION_END);
    lab_stop(lab); /* with one still watched */
    for (int i = 0; i < 2; i++)
        cell_end(&lab->yard, &cells[i]);
    assert_int_equal(count_descriptors(), before);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* The test's own allocator: counts what threads other than the first one ask for. */
static _Atomic unsigned other_thread_allocations;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *pointer, size_t size);

static void count_allocation(void)
{
    if (gettid() != getpid())
        atomic_fetch_add(&other_thread_allocations, 1);
}

void *malloc(size_t size)
{
    count_allocation();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    count_allocation();
    return __libc_calloc(count, size);
}

void *realloc(void *pointer, size_t size)
{
    count_allocation();
    return __libc_realloc(pointer, size);
}

static void test_the_thread_allocates_nothing(void **state)
{
    struct lab *lab = lab_start(state, &(struct observer_options){.rate_hz = 1000});
    atomic_store(&other_thread_allocations, 0);
    struct cell cell;
    cell_start(&lab->yard, NULL, &small_limits, body_hog, NULL, &cell);
    add(lab, 1, &cell);
    struct observer_stats stats;
    run_ticks(lab, 100, &stats);
    cell_go(&cell);
    await(lab, 1, OBSERVATION_END);
    assert_int_equal(atomic_load(&other_thread_allocations), 0);
    cell_end(&lab->yard, &cell);
    lab_stop(lab);
}
#endif

static int setup(void **state)
{
    /* So many targets have more files than the usual soft limit of 1024. */
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return -1;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        return -1;
    static struct lab lab;
    struct error err = {0};
    lab.seen = calloc(SEEN_MAX, sizeof(*lab.seen));
    *state = &lab;
    if (!lab.seen || yard_open(&lab.yard, &err) < 0) {
        fprintf(stderr, "no memory cgroup can be made here: %s\n", err.text);
        yard_close(&lab.yard);
        exit(getenv("OOMLAB_MUST_WORK") ? 1 : 77);
    }
    return 0;
}

static int teardown(void **state)
{
    struct lab *lab = *state;
    yard_close(&lab->yard);
    free(lab->seen);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_main_process_killed),
        cmocka_unit_test(test_child_killed_main_lives),
        cmocka_unit_test(test_group_kill),
        cmocka_unit_test(test_two_kills_at_once),
        cmocka_unit_test(test_two_kills_in_one_container),
        cmocka_unit_test(test_exit_codes),
        cmocka_unit_test(test_killed_by_somebody),
        cmocka_unit_test(test_ended_before_it_was_watched),
        cmocka_unit_test(test_killed_by_an_ancestor),
        cmocka_unit_test(test_unreadable_log),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_remove),
        cmocka_unit_test(test_no_more_than_the_maximum),
        cmocka_unit_test(test_callers_in_parallel),
        cmocka_unit_test(test_full_ring),
        cmocka_unit_test(test_nothing_is_left_open),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(test_the_thread_allocates_nothing),
#endif
    };
    setvbuf(stdout, NULL, _IOLBF, 0);
    return cmocka_run_group_tests(tests, setup, teardown);
}
