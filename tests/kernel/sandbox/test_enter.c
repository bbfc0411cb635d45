/* SPDX-License-Identifier: Apache-2.0 */
/* A further process in a running container: its status, its end, and that nothing of it stays. */
#include "helper.h"

#include "base/clock.h"
#include "base/duration.h"
#include "sandbox/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define END_WAIT_MS 10000
#define CANCELS     200

static const struct box_request sleeper = {.command = "/bin/sleep", .args = {"100000"}};

/* One process, started and waited for in a thread, as the contract has it. */
struct visit {
    struct entrance *entrance;
    const char *const *argv;
    bool terminal;
    int output_fd; /* -1: /dev/null */
    int cancel_fd;
    pthread_t thread;
    int result; /* of entrance_start() */
    struct error err;
    int status;
    bool look; /* at the end, whether the container has ended */
    bool closed;
};

static void *run_visit(void *context)
{
    static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
    struct visit *visit = context;
    struct entered entered = ENTERED_NONE;
    AUTO_CLOSE int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    const struct entry_spec spec = {
        .argv = visit->argv,
        .env = env,
        .terminal = visit->terminal,
        .rows = 24,
        .columns = 80,
        .stdin_fd = null_fd,
        .stdout_fd = visit->output_fd >= 0 ? visit->output_fd : null_fd,
        .stderr_fd = null_fd,
        .cancel_fd = visit->cancel_fd,
    };
    visit->result = entrance_start(visit->entrance, &spec, &entered, &visit->err);
    if (visit->result < 0)
        return NULL;
    visit->status = entrance_wait(visit->entrance, &entered, visit->cancel_fd);
    visit->closed = visit->look && entrance_has_closed(visit->entrance);
    close_fd(&entered.terminal_fd);
    return NULL;
}

static void visit_begin(struct visit *visit, struct box *box, const char *const *argv)
{
    struct error err;
    *visit = (struct visit){.argv = argv, .output_fd = -1, .cancel_fd = eventfd(0, EFD_CLOEXEC)};
    if (entrance_open(box->sandbox, &visit->entrance, &err) < 0)
        fail_msg("%s", err.text);
}

static void visit_start(struct visit *visit)
{
    assert_int_equal(pthread_create(&visit->thread, NULL, run_visit, visit), 0);
}

static void visit_cancel(const struct visit *visit)
{
    assert_return_code(eventfd_write(visit->cancel_fd, 1), errno);
}

static void visit_end(struct visit *visit)
{
    assert_int_equal(pthread_join(visit->thread, NULL), 0);
    entrance_free(visit->entrance);
    close_fd(&visit->cancel_fd);
}

static void assert_status(struct box *box, const char *script, bool terminal, int status)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct visit visit;
    visit_begin(&visit, box, argv);
    visit.terminal = terminal;
    visit.look = status == 128 + SIGKILL;
    visit_start(&visit);
    visit_end(&visit);
    if (visit.result < 0)
        fail_msg("'%s': %s", script, visit.err.text);
    assert_int_equal(visit.status, status);
    assert_false(visit.closed);
}

static void test_status(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct box box = box_run(root, &sleeper);
    struct belongings before = count_belongings(root);
    for (int terminal = 0; terminal < 2; terminal++) {
        assert_status(&box, "exit 0", terminal, 0);
        assert_status(&box, "exit 7", terminal, 7);
        assert_status(&box, "kill -TERM $$", terminal, 128 + SIGTERM);
        assert_status(&box, "kill -9 $$", terminal, 128 + SIGKILL);
    }
    assert_same_belongings(before, count_belongings(root));
    box_done(&box);
    sandbox_root_free(root);
}

static void test_a_command_that_is_not_there(void **state)
{
    (void)state;
    static const char *const argv[] = {"not-there", NULL};
    struct sandbox_root *root = root_or_fail();
    struct box box = box_run(root, &sleeper);
    struct belongings before = count_belongings(root);
    struct visit visit;
    visit_begin(&visit, &box, argv);
    visit_start(&visit);
    visit_end(&visit);
    assert_int_equal(visit.result, -ENOENT);
    assert_int_equal(visit.err.kind, ERROR_USAGE);
    assert_same_belongings(before, count_belongings(root));
    box_done(&box);
    sandbox_root_free(root);
}

/* At every moment of its start: nothing stays, not even a zombie, which would keep the container's
 * main process from ending. */
static void test_given_up_at_any_moment(void **state)
{
    (void)state;
    static const char *const argv[] = {"sleep", "100000", NULL};
    struct sandbox_root *root = root_or_fail();
    struct box box = box_run(root, &sleeper);
    struct belongings before = count_belongings(root);
    for (int i = 0; i < CANCELS; i++) {
        struct visit visit;
        const struct timespec pause = {.tv_nsec = i * 20000L}; /* the moment, not a wait */
        visit_begin(&visit, &box, argv);
        visit_start(&visit);
        nanosleep(&pause, NULL);
        visit_cancel(&visit);
        visit_end(&visit);
        if (visit.result == 0)
            assert_int_equal(visit.status, 128 + SIGKILL);
        else
            assert_int_equal(visit.result, -ECANCELED);
    }
    assert_same_belongings(before, count_belongings(root));
    sandbox_signal(box.sandbox, SIGKILL);
    assert_true(ends_within(sandbox_pidfd(box.sandbox), END_WAIT_MS));
    box_done(&box);
    sandbox_root_free(root);
}

/* With its children, one of them in the background and deaf to all that can be ignored. */
static void test_ended_with_its_children(void **state)
{
    (void)state;
    static const char *const argv[] = {
        "sh", "-c", "(trap '' TERM HUP INT; sleep 100000) & (sleep 100000; :) & echo x; wait",
        NULL};
    struct sandbox_root *root = root_or_fail();
    struct box box = box_run(root, &sleeper);
    pid_t members[16];
    int output[2];
    char byte;
    assert_return_code(pipe2(output, O_CLOEXEC), errno);
    struct visit visit;
    visit_begin(&visit, &box, argv);
    visit.output_fd = output[1];
    visit_start(&visit);
    assert_int_equal(read(output[0], &byte, 1), 1);
    assert_true(cgroup_members(sandbox_cgroup(box.sandbox), members, 16) > 1);
    visit_cancel(&visit);
    visit_end(&visit);
    assert_int_equal(visit.status, 128 + SIGKILL);
    int64_t deadline_ns = clock_monotonic_ns() + END_WAIT_MS * NS_PER_MS;
    while (cgroup_members(sandbox_cgroup(box.sandbox), members, 16) > 1)
        assert_true(clock_monotonic_ns() < deadline_ns); /* killed, and on their way out */
    close(output[0]);
    close(output[1]);
    box_done(&box);
    sandbox_root_free(root);
}

static void test_the_container_ends(void **state)
{
    (void)state;
    static const char *const argv[] = {"sh", "-c", "echo x; sleep 100000", NULL};
    struct sandbox_root *root = root_or_fail();
    struct box box = box_run(root, &sleeper);
    struct error err;
    int output[2];
    char byte;
    assert_return_code(pipe2(output, O_CLOEXEC), errno);
    struct visit visit;
    visit_begin(&visit, &box, argv);
    visit.output_fd = output[1];
    visit.look = true;
    visit_start(&visit);
    assert_int_equal(read(output[0], &byte, 1), 1);
    struct visit late; /* it has come in, but not started anything */
    visit_begin(&late, &box, argv);
    sandbox_signal(box.sandbox, SIGKILL);
    assert_true(ends_within(sandbox_pidfd(box.sandbox), END_WAIT_MS));
    visit_end(&visit);
    assert_int_equal(visit.status, 128 + SIGKILL);
    assert_true(visit.closed);
    visit_start(&late);
    visit_end(&late);
    assert_int_equal(late.result, -ESRCH);
    assert_int_equal(entrance_open(box.sandbox, &late.entrance, &err), -ESRCH);
    close(output[0]);
    close(output[1]);
    box_done(&box);
    sandbox_root_free(root);
}

/* In its cgroup from its first instruction on. */
static void test_its_memory_counts(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct box_request request = sleeper;
    request.limits.memory_bytes = 24ULL << 20;
    struct box box = box_run(root, &request);
    static const char *const argv[] = {"tail", "/dev/zero", NULL};
    struct visit visit;
    visit_begin(&visit, &box, argv);
    visit_start(&visit);
    visit_end(&visit);
    assert_int_equal(visit.result, 0);
    assert_int_equal(visit.status, 128 + SIGKILL);
    assert_true(box_metric(&box, METRIC_OOM_KILL) > 0);
    box_done(&box);
    sandbox_root_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_a_command_that_is_not_there),
        cmocka_unit_test(test_given_up_at_any_moment),
        cmocka_unit_test(test_ended_with_its_children),
        cmocka_unit_test(test_the_container_ends),
        cmocka_unit_test(test_its_memory_counts),
    };
    return cmocka_run_group_tests(tests, suite_setup, suite_teardown);
}
