/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing survives a kill, and nothing is left behind. */
#include "helper.h"

#include "base/clock.h"
#include "base/duration.h"
#include "kernel/cgroup-internal.h"
#include "sandbox/root.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static char output[OUTPUT_BYTES];

static int64_t started_ns;

static void start_clock(void)
{
    started_ns = clock_monotonic_ns();
}

static int64_t elapsed_ms(void)
{
    return (clock_monotonic_ns() - started_ns) / NS_PER_MS;
}

static void test_term_ignored(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct box box = box_run(root, &(struct box_request){.args = {"ignore-term"}});
    box_read(&box, output, "ignoring\n");
    assert_int_equal(sandbox_signal(box.sandbox, SIGTERM), 0);
    assert_false(ends_within(sandbox_pidfd(box.sandbox), 100));
    struct error err;
    start_clock();
    assert_int_equal(sandbox_kill(box.sandbox, &err), 0);
    assert_true(elapsed_ms() < 2000);
    siginfo_t end = box_wait(&box);
    assert_int_equal(end.si_code, CLD_KILLED);
    assert_int_equal(end.si_status, SIGKILL);
    box_done(&box);
    sandbox_root_free(root);
}

static void test_tree_killed(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct belongings before = count_belongings(root);
    struct box box = box_run(root, &(struct box_request){.args = {"tree"}});
    box_read(&box, output, "grown\n");
    pid_t members[16];
    int count = cgroup_members(sandbox_cgroup(box.sandbox), members, 16);
    assert_true(count >= 6); /* main, two pairs, the daemon */
    struct error err;
    assert_int_equal(sandbox_kill(box.sandbox, &err), 0);
    assert_int_equal(cgroup_members(sandbox_cgroup(box.sandbox), members, 16), 0);
    box_done(&box);
    assert_same_belongings(before, count_belongings(root));
    sandbox_root_free(root);
}

/* The main process ends by itself: the kernel ends its namespace. */
static void test_orphans_end_with_main(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct box box = box_run(root, &(struct box_request){.args = {"forks", "20"}});
    box_wait(&box);
    pid_t members[16];
    assert_int_equal(cgroup_members(sandbox_cgroup(box.sandbox), members, 16), 0);
    box_done(&box);
    sandbox_root_free(root);
}

/* Without the namespace's help: a cgroup of ordinary processes, through cgroup_kill_all() and
 * through its way without cgroup.kill. */
static void check_kill_plain(int (*kill_all)(const struct cgroup *cgroup))
{
    struct sandbox_root *root = root_or_fail();
    struct error err;
    struct cgroup cgroup;
    assert_int_equal(cgroup_create(&root->cgroup, "plain", &cgroup, &err), 0);
    pid_t children[100];
    for (size_t i = 0; i < 100; i++) {
        children[i] = fork_process();
        if (children[i] == 0)
            for (;;)
                pause();
        assert_int_equal(cgroup_attach(&cgroup, children[i], &err), 0);
    }
    assert_int_equal(kill_all(&cgroup), 0);
    pid_t member;
    assert_int_equal(cgroup_members(&cgroup, &member, 1), 0);
    for (size_t i = 0; i < 100; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, WNOHANG), children[i]);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    assert_int_equal(cgroup_remove(&cgroup, &err), 0);
    assert_int_equal(cgroup_remove(&cgroup, &err), 0); /* absent is fine */
    cgroup_done(&cgroup);
    sandbox_root_free(root);
}

static int kill_by_interface(const struct cgroup *cgroup)
{
    struct error err;
    return cgroup_kill_all(cgroup, clock_monotonic_ns() + 10 * NS_PER_S, &err);
}

static int kill_by_members(const struct cgroup *cgroup)
{
    return cgroup_kill_members(cgroup->dir_fd[CGROUP_MEMORY], clock_monotonic_ns() + 10 * NS_PER_S);
}

static void test_kill_plain(void **state)
{
    (void)state;
    check_kill_plain(kill_by_interface);
    check_kill_plain(kill_by_members);
}

static void test_free_unreleased(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct belongings before = count_belongings(root);
    struct box box;
    struct error err;
    assert_int_equal(box_start(root, &(struct box_request){.args = {"wait"}}, &box, &err), 0);
    box_done(&box);
    assert_same_belongings(before, count_belongings(root));
    sandbox_root_free(root);
    sandbox_root_free(NULL);
    sandbox_free(NULL);
}

/* The root takes its containers with it. */
static void test_root_free_kills(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct box box = box_run(root, &(struct box_request){.args = {"tree"}});
    box_read(&box, output, "grown\n");
    sandbox_root_free(root);
    assert_true(ends_within(sandbox_pidfd(box.sandbox), 5000));
    assert_int_equal(count_records(), 0);
    box_done(&box);
}

static void test_fifty_starts(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct belongings before = count_belongings(root);
    for (int i = 0; i < 50; i++) {
        static const struct box_request requests[] = {
            {.args = {"exit", "0"}},
            {.args = {"tree"}},
            {.args = {"alloc", "64"}, .limits = {.memory_bytes = 16 << 20}},
        };
        struct box box = box_run(root, &requests[i % 3]);
        if (i % 3 == 1)
            box_read(&box, output, "grown\n");
        else
            box_wait(&box);
        box_done(&box);
    }
    assert_same_belongings(before, count_belongings(root));
    char path[CGROUP_PATH_MAX];
    snprintf(path, sizeof(path), "%s", root->cgroup.path[CGROUP_MEMORY]);
    assert_int_equal(count_records(), 1);
    sandbox_root_free(root);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(count_records(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_term_ignored),          cmocka_unit_test(test_tree_killed),
        cmocka_unit_test(test_orphans_end_with_main), cmocka_unit_test(test_kill_plain),
        cmocka_unit_test(test_free_unreleased),       cmocka_unit_test(test_root_free_kills),
        cmocka_unit_test(test_fifty_starts),
    };
    return cmocka_run_group_tests(tests, suite_setup, suite_teardown);
}
