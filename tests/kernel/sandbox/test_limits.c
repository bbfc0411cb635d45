/* SPDX-License-Identifier: Apache-2.0 */
/* Limits have their effect, and the counters show it. */
#include "helper.h"

#include "base/duration.h"
#include "base/size.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static char output[OUTPUT_BYTES];

static void test_oom_kill(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct box_request request = {.args = {"alloc", "64"}, .limits = {.memory_bytes = 16 * MIB}};
    struct box box = box_run(root, &request);
    siginfo_t end = box_wait(&box);
    assert_int_equal(end.si_code, CLD_KILLED);
    assert_int_equal(end.si_status, SIGKILL);
    assert_true(box_metric(&box, METRIC_OOM_KILL) >= 1);
    assert_true(box_metric(&box, METRIC_LIMIT_HITS) >= 1);
    assert_true(box_metric(&box, METRIC_PEAK) <= 16 * MIB);
    assert_true(box_metric(&box, METRIC_PEAK) >= 15 * MIB);
    box_read(&box, output, NULL);
    assert_string_equal(output, "");
    box_done(&box);
    sandbox_root_free(root);
}

static void test_enough_memory_survives(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct box_request request = {.args = {"alloc", "8"}, .limits = {.memory_bytes = 16 * MIB}};
    struct box box = box_run(root, &request);
    siginfo_t end = box_wait(&box);
    assert_int_equal(end.si_code, CLD_EXITED);
    assert_int_equal(box_metric(&box, METRIC_OOM_KILL), 0);
    assert_true(box_metric(&box, METRIC_PEAK) >= 8 * MIB);
    box_done(&box);
    sandbox_root_free(root);
}

/* v1 kills the child alone; v2 with oom.group the whole container, without it the child alone. */
static void check_child_kill(bool oom_group)
{
    struct sandbox_root *root = root_or_fail();
    struct box_request request = {.args = {"alloc-in-child", "64"},
                                  .limits = {.memory_bytes = 16 * MIB, .oom_group = oom_group}};
    struct box box = box_run(root, &request);
    box_read(&box, output, NULL);
    siginfo_t end = box_wait(&box);
    assert_true(box_metric(&box, METRIC_OOM_KILL) >= 1);
    if (sandbox_root_version(root) == CGROUP_V2 && oom_group) {
        assert_int_equal(end.si_code, CLD_KILLED);
        assert_true(box_metric(&box, METRIC_OOM_GROUP_KILL) >= 1);
        assert_string_equal(output, "");
    } else {
        assert_int_equal(end.si_code, CLD_EXITED);
        assert_string_equal(output, "child signal 9\n");
    }
    box_done(&box);
    sandbox_root_free(root);
}

static void test_child_kill(void **state)
{
    (void)state;
    check_child_kill(false);
}

static void test_group_kill(void **state)
{
    (void)state;
    check_child_kill(true);
}

/* How far a process comes in so little differs by kernel and moment; what is said must be true. */
static void test_limit_too_small_to_start(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct belongings before = count_belongings(root);
    static const uint64_t sizes[] = {4096, 16384, 65536};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        struct box box = {.sandbox = NULL};
        struct error err = {.text = ""};
        struct box_request request = {.args = {"wait"}, .limits = {.memory_bytes = sizes[i]}};
        int r = box_start(root, &request, &box, &err);
        if (r == 0)
            r = sandbox_release(box.sandbox, &err);
        /* Killed after exec took over is a kill like any other: only the counter tells. */
        if (r == 0) {
            assert_int_equal(box_wait(&box).si_status, SIGKILL);
            assert_true(box_metric(&box, METRIC_OOM_KILL) >= 1);
        } else {
            if (!strstr(err.text, "too small to start"))
                fail_msg("%s", err.text);
            assert_int_equal(err.kind, ERROR_USAGE);
        }
        if (box.sandbox)
            box_done(&box);
    }
    assert_same_belongings(before, count_belongings(root));
    sandbox_root_free(root);
}

static void test_cpu_quota(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct box_request request = {.args = {"spin", "1000"}, .limits = {.cpu_cores = 0.2}};
    struct box box;
    struct error err;
    if (box_start(root, &request, &box, &err) < 0) {
        sandbox_root_free(root);
        assert_int_equal(err.kind, ERROR_UNAVAILABLE);
        print_message("no cpu controller: %s\n", err.text);
        skip();
    }
    assert_int_equal(sandbox_release(box.sandbox, &err), 0);
    box_read(&box, output, NULL);
    box_wait(&box);
    int cpu_ms = 0;
    assert_int_equal(sscanf(output, "cpu %d ms", &cpu_ms), 1);
    /* Only a quota throttles; how much CPU is left is coarse on a busy or emulated machine. */
    assert_true(box_metric(&box, METRIC_CPU_THROTTLED) > 200 * (uint64_t)NS_PER_MS);
    if (cpu_ms > 800)
        fail_msg("%d ms of CPU in a second at a fifth of a core", cpu_ms);
    assert_true(box_metric(&box, METRIC_CPU) > 50 * (uint64_t)NS_PER_MS);
    box_done(&box);
    sandbox_root_free(root);
}

static void test_cpu_quota_too_small(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct belongings before = count_belongings(root);
    static const double cores[] = {0.001, -1, 1e12};
    for (size_t i = 0; i < sizeof(cores) / sizeof(*cores); i++) {
        struct box box;
        struct error err;
        struct box_request request = {.args = {"wait"}, .limits = {.cpu_cores = cores[i]}};
        assert_int_equal(box_start(root, &request, &box, &err), -EINVAL);
        assert_int_equal(err.kind, ERROR_USAGE);
    }
    assert_same_belongings(before, count_belongings(root));
    sandbox_root_free(root);
}

static void test_pids_limit(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct box_request request = {.args = {"forks", "50"}, .limits = {.pids_max = 10}};
    struct box box;
    struct error err;
    if (box_start(root, &request, &box, &err) < 0) {
        sandbox_root_free(root);
        assert_int_equal(err.kind, ERROR_UNAVAILABLE);
        print_message("no pids controller: %s\n", err.text);
        skip();
    }
    assert_int_equal(sandbox_release(box.sandbox, &err), 0);
    char expected[64];
    snprintf(expected, sizeof(expected), "forked 9 errno %d\n", EAGAIN);
    box_read(&box, output, "\n");
    assert_string_equal(output, expected);
    box_done(&box);
    sandbox_root_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oom_kill),
        cmocka_unit_test(test_enough_memory_survives),
        cmocka_unit_test(test_child_kill),
        cmocka_unit_test(test_group_kill),
        cmocka_unit_test(test_limit_too_small_to_start),
        cmocka_unit_test(test_cpu_quota),
        cmocka_unit_test(test_cpu_quota_too_small),
        cmocka_unit_test(test_pids_limit),
    };
    return cmocka_run_group_tests(tests, suite_setup, suite_teardown);
}
