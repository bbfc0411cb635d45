/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling and limits in fixture trees: which files are read and written, and what their absence
 * means. */
#include "cgroup_fixture.h"
#include "kernel/cgroup-internal.h"

#include "base/file.h"

static struct cgroup open_fixture(const struct fixture *fixture, enum cgroup_version version,
                                  unsigned controllers)
{
    struct cgroup cgroup = {.version = version, .dir_fd = {-1, -1, -1, -1}};
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        if (!(controllers & (1U << i)))
            continue;
        const char *name = cgroup_controller_name((enum cgroup_controller)i);
        fixture_directory(fixture, name);
        cgroup.dir_fd[i] = openat(fixture->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_return_code(cgroup.dir_fd[i], errno);
        snprintf(cgroup.path[i], CGROUP_PATH_MAX, "%s/%s", fixture->path, name);
    }
    return cgroup;
}

static struct metrics sample(const struct cgroup *cgroup)
{
    struct cgroup_reader reader;
    struct metrics metrics;
    struct error err;
    if (cgroup_reader_open(cgroup, &reader, &err) < 0)
        fail_msg("%s", err.text);
    memset(&metrics, 0xFF, sizeof(metrics));
    cgroup_reader_sample(&reader, &metrics);
    cgroup_reader_close(&reader);
    return metrics;
}

static void test_sample_v1(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    fixture_file(&fixture, "memory/memory.usage_in_bytes", "1000000\n");
    fixture_file(&fixture, "memory/memory.stat", "total_rss 5\ntotal_inactive_file 400000\n");
    fixture_file(&fixture, "memory/memory.oom_control",
                 "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
    fixture_file(&fixture, "memory/memory.failcnt", "93\n");
    fixture_file(&fixture, "memory/memory.max_usage_in_bytes", "1200000\n");
    fixture_file(&fixture, "memory/memory.kmem.usage_in_bytes", "77\n");
    fixture_file(&fixture, "memory/memory.kmem.tcp.usage_in_bytes", "78\n");
    fixture_file(&fixture, "cpu/cpu.stat", "throttled_time 9\n");
    fixture_file(&fixture, "cpuacct/cpuacct.usage", "123\n");
    fixture_file(&fixture, "pids/pids.current", "4\n");
    struct cgroup cgroup = open_fixture(&fixture, CGROUP_V1, 0xF);
    struct metrics metrics = sample(&cgroup);
    assert_int_equal(metrics.value[METRIC_WORKING_SET], 600000);
    assert_int_equal(metrics.value[METRIC_LIMIT_HITS], 93);
    assert_int_equal(metrics.value[METRIC_OOM_KILL], 2);
    assert_int_equal(metrics.value[METRIC_PEAK], 1200000);
    assert_int_equal(metrics.value[METRIC_KERNEL], 77);
    assert_int_equal(metrics.value[METRIC_SOCK], 78);
    assert_int_equal(metrics.value[METRIC_CPU], 123);
    assert_int_equal(metrics.value[METRIC_CPU_THROTTLED], 9);
    assert_int_equal(metrics.value[METRIC_PIDS], 4);
    assert_false(metrics_has(&metrics, METRIC_OOM));
    assert_false(metrics_has(&metrics, METRIC_FILE));
    cgroup_done(&cgroup);
    fixture_remove(&fixture);
}

/* Old v2: no peak, no swap, no pressure, cpu and pids not enabled. */
static void test_sample_v2_sparse(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    fixture_file(&fixture, "memory/memory.current", "4096\n");
    fixture_file(&fixture, "memory/memory.stat", "anon 1\ninactive_file 8192\n");
    fixture_file(&fixture, "memory/memory.events", "max 3\noom 1\noom_kill 1\n");
    fixture_file(&fixture, "memory/cpu.stat", "usage_usec 10\n");
    struct cgroup cgroup = open_fixture(&fixture, CGROUP_V2, 1);
    struct metrics metrics = sample(&cgroup);
    assert_true(metrics_has(&metrics, METRIC_WORKING_SET));
    assert_int_equal(metrics.value[METRIC_WORKING_SET], 0); /* floored */
    assert_int_equal(metrics.value[METRIC_CPU], 10000);
    assert_int_equal(metrics.value[METRIC_LIMIT_HITS], 3);
    static const enum metric absent[] = {METRIC_PEAK, METRIC_SWAP, METRIC_PSI_SOME, METRIC_PIDS,
                                         METRIC_OOM_GROUP_KILL};
    for (size_t i = 0; i < sizeof(absent) / sizeof(*absent); i++)
        assert_false(metrics_has(&metrics, absent[i]));
    struct error err;
    assert_int_equal(cgroup_oom_eventfd(&cgroup, &err), -EOPNOTSUPP);
    cgroup_done(&cgroup);
    fixture_remove(&fixture);
}

static void test_reader_needs_usage_and_events(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    fixture_file(&fixture, "memory/memory.current", "4096\n");
    struct cgroup cgroup = open_fixture(&fixture, CGROUP_V2, 1);
    struct cgroup_reader reader;
    struct error err;
    assert_int_equal(cgroup_reader_open(&cgroup, &reader, &err), -ENOENT);
    assert_non_null(strstr(err.text, "memory.events"));
    cgroup_done(&cgroup);
    fixture_remove(&fixture);
}

/* A statistic longer than the buffer: the line that was cut off must not count as a number. */
static void test_long_stat(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    fixture_file(&fixture, "memory/memory.current", "4096\n");
    fixture_file(&fixture, "memory/memory.events", "oom_kill 0\n");
    char *text = malloc(20000);
    assert_non_null(text);
    strcpy(text, "anon 7\n");
    size_t used = strlen(text);
    while (used < 16384 - 10) {
        text[used] = used % 2 ? '\n' : 'x';
        used++;
    }
    text[used - 1] = '\n';
    strcpy(text + used, "file 1234567890\n"); /* the 16383rd byte lies inside of the number */
    fixture_file(&fixture, "memory/memory.stat", text);
    free(text);
    struct cgroup cgroup = open_fixture(&fixture, CGROUP_V2, 1);
    struct metrics metrics = sample(&cgroup);
    assert_int_equal(metrics.value[METRIC_ANON], 7);
    assert_false(metrics_has(&metrics, METRIC_FILE));
    cgroup_done(&cgroup);
    fixture_remove(&fixture);
}

static void assert_file(const struct fixture *fixture, const char *name, const char *expected)
{
    char text[64];
    assert_true(file_read_text(fixture->fd, name, text, sizeof(text)) >= 0);
    if (strcmp(text, expected) != 0)
        fail_msg("%s holds '%s' instead of '%s'", name, text, expected);
}

static const struct cgroup_limits all_limits = {
    .memory_bytes = 536870912,
    .forbid_swap = true,
    .oom_group = true,
    .cpu_cores = 0.25,
    .pids_max = 100,
};

static void test_limits_v2(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    static const char *const files[] = {"memory.max", "memory.swap.max", "memory.oom.group",
                                        "cpu.max", "pids.max"};
    static const char *const values[] = {"536870912", "0", "1", "25000 100000", "100"};
    struct cgroup cgroup = open_fixture(&fixture, CGROUP_V2, 1);
    char name[64];
    for (size_t i = 0; i < 5; i++) {
        snprintf(name, sizeof(name), "memory/%s", files[i]);
        fixture_file(&fixture, name, "");
    }
    struct error err;
    assert_int_equal(cgroup_set_limits(&cgroup, &all_limits, &err), 0);
    for (size_t i = 0; i < 5; i++) {
        snprintf(name, sizeof(name), "memory/%s", files[i]);
        assert_file(&fixture, name, values[i]);
    }
    cgroup_done(&cgroup);
    fixture_remove(&fixture);
}

static void test_limits_v1(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    fixture_file(&fixture, "memory/memory.limit_in_bytes", "");
    fixture_file(&fixture, "memory/memory.memsw.limit_in_bytes", "");
    fixture_file(&fixture, "cpu/cpu.cfs_period_us", "");
    fixture_file(&fixture, "cpu/cpu.cfs_quota_us", "");
    fixture_file(&fixture, "pids/pids.max", "");
    struct cgroup cgroup = open_fixture(&fixture, CGROUP_V1, 0xF);
    struct error err;
    assert_int_equal(cgroup_set_limits(&cgroup, &all_limits, &err), 0);
    char with_page[32];
    snprintf(with_page, sizeof(with_page), "%ld", 536870912 + sysconf(_SC_PAGESIZE));
    assert_file(&fixture, "memory/memory.limit_in_bytes", "536870912");
    assert_file(&fixture, "memory/memory.memsw.limit_in_bytes", with_page);
    assert_file(&fixture, "cpu/cpu.cfs_period_us", "100000");
    assert_file(&fixture, "cpu/cpu.cfs_quota_us", "25000");
    assert_file(&fixture, "pids/pids.max", "100");
    cgroup_done(&cgroup);
    fixture_remove(&fixture);
}

/* Without swap accounting the limit is set all the same; without a controller that was asked for
 * there is a clear refusal, and one that was not asked for is not missed. */
static void test_limits_absent(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    fixture_file(&fixture, "memory/memory.limit_in_bytes", "");
    fixture_file(&fixture, "memory/memory.swappiness", "");
    struct cgroup cgroup = open_fixture(&fixture, CGROUP_V1, 1);
    struct cgroup_limits limits = {.memory_bytes = 4096, .forbid_swap = true};
    struct error err;
    assert_int_equal(cgroup_set_limits(&cgroup, &limits, &err), 0);
    assert_file(&fixture, "memory/memory.swappiness", "0");
    limits.cpu_cores = 1;
    assert_true(cgroup_set_limits(&cgroup, &limits, &err) < 0);
    assert_int_equal(err.kind, ERROR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "CPU quota of 1 "));
    limits.cpu_cores = 0;
    limits.pids_max = 5;
    assert_true(cgroup_set_limits(&cgroup, &limits, &err) < 0);
    assert_int_equal(err.kind, ERROR_UNAVAILABLE);
    cgroup_done(&cgroup);

    fixture_file(&fixture, "memory/memory.max", "");
    cgroup = open_fixture(&fixture, CGROUP_V2, 1);
    limits = (struct cgroup_limits){.memory_bytes = 4096, .forbid_swap = true};
    assert_int_equal(cgroup_set_limits(&cgroup, &limits, &err), 0);
    limits.cpu_cores = 0.5;
    assert_true(cgroup_set_limits(&cgroup, &limits, &err) < 0);
    assert_int_equal(err.kind, ERROR_UNAVAILABLE);
    cgroup_done(&cgroup);
    fixture_remove(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample_v1),
        cmocka_unit_test(test_sample_v2_sparse),
        cmocka_unit_test(test_reader_needs_usage_and_events),
        cmocka_unit_test(test_long_stat),
        cmocka_unit_test(test_limits_v2),
        cmocka_unit_test(test_limits_v1),
        cmocka_unit_test(test_limits_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
