/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of cgroup files, and of memory pressure. */
#include "kernel/cgroup-internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void assert_metric(const struct metrics *metrics, enum metric metric, uint64_t value)
{
    if (!metrics_has(metrics, metric))
        fail_msg("%s is absent", metric_name(metric));
    if (metrics->value[metric] != value)
        fail_msg("%s is %llu instead of %llu", metric_name(metric),
                 (unsigned long long)metrics->value[metric], (unsigned long long)value);
}

static unsigned count_present(const struct metrics *metrics)
{
    return (unsigned)__builtin_popcountll(metrics->present);
}

/* As 6.18 prints it, shortened; the plain values are the cgroup's own, the total_ ones count. */
static const char stat_v1[] = "cache 4096\nrss 8192\nrss_huge 2097152\nshmem 1\nswap 5\n"
                              "inactive_file 3\nactive_file 2\nhierarchical_memory_limit 16777216\n"
                              "total_cache 40960\ntotal_rss 81920\ntotal_rss_huge 7\n"
                              "total_shmem 10\ntotal_mapped_file 9\ntotal_swap 50\n"
                              "total_inactive_file 30\ntotal_active_file 20\n";

static void test_stat_v1(void **state)
{
    (void)state;
    struct metrics metrics = {.present = 0};
    cgroup_parse_stat(CGROUP_V1, stat_v1, &metrics);
    assert_metric(&metrics, METRIC_ANON, 81920);
    assert_metric(&metrics, METRIC_FILE, 40960);
    assert_metric(&metrics, METRIC_SHMEM, 10);
    assert_metric(&metrics, METRIC_SWAP, 50);
    assert_metric(&metrics, METRIC_INACTIVE_FILE, 30);
    assert_metric(&metrics, METRIC_ACTIVE_FILE, 20);
    assert_int_equal(count_present(&metrics), 6);
}

static const char stat_v2[] =
    "anon 1708032\nfile 2641920\nkernel 557056\nkernel_stack 49152\npagetables 155648\n"
    "sec_pagetables 0\npercpu 1440\nsock 4096\nvmalloc 0\nshmem 8192\nfile_mapped 12288\n"
    "inactive_anon 1699840\nactive_anon 1\ninactive_file 135168\nactive_file 2498560\n"
    "unevictable 0\nslab_reclaimable 199184\nslab_unreclaimable 107880\nslab 307064\n"
    "workingset_refault_anon 0\npgfault 5190\nthp_fault_alloc 0\n";

static void test_stat_v2(void **state)
{
    (void)state;
    struct metrics metrics = {.present = 0};
    cgroup_parse_stat(CGROUP_V2, stat_v2, &metrics);
    assert_metric(&metrics, METRIC_ANON, 1708032);
    assert_metric(&metrics, METRIC_FILE, 2641920);
    assert_metric(&metrics, METRIC_KERNEL, 557056);
    assert_metric(&metrics, METRIC_KERNEL_STACK, 49152);
    assert_metric(&metrics, METRIC_PAGETABLES, 155648);
    assert_metric(&metrics, METRIC_PERCPU, 1440);
    assert_metric(&metrics, METRIC_SOCK, 4096);
    assert_metric(&metrics, METRIC_SHMEM, 8192);
    assert_metric(&metrics, METRIC_INACTIVE_FILE, 135168);
    assert_metric(&metrics, METRIC_ACTIVE_FILE, 2498560);
    assert_metric(&metrics, METRIC_SLAB, 307064);
    assert_int_equal(count_present(&metrics), 11);
}

/* Before 5.18 there is no "kernel": absent, and neither kernel_stack nor 0 in its place. */
static void test_absent_is_not_zero(void **state)
{
    (void)state;
    struct metrics metrics = {.present = 0};
    cgroup_parse_stat(CGROUP_V2, "kernel_stack 5\nanonymous 7\nfile_mapped 1\n", &metrics);
    assert_int_equal(count_present(&metrics), 1);
    assert_metric(&metrics, METRIC_KERNEL_STACK, 5);
}

static void test_malformed_lines(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",           "anon",
        "anon\n",     "anon \n",
        "anon x\n",   "anon -1\n",
        "anon 1x\n",  " anon 1\n",
        "xanon 1\n",  "anon\t1\n",
        "anon  1\n",  "anon +1\n",
        "anon 0x1\n", "anon 18446744073709551616\n",
        "\n\n\n",     "file\nanon",
        "anon 1.5\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct metrics metrics = {.present = 0};
        cgroup_parse_stat(CGROUP_V2, texts[i], &metrics);
        if (metrics.present)
            fail_msg("'%s' gave a value", texts[i]);
    }
    struct metrics metrics = {.present = 0};
    cgroup_parse_stat(CGROUP_V2, "anon 18446744073709551615", &metrics);
    assert_metric(&metrics, METRIC_ANON, UINT64_MAX);
}

static void test_events_v2(void **state)
{
    (void)state;
    struct metrics metrics = {.present = 0};
    cgroup_parse_events_v2("low 1\nhigh 2\nmax 93\noom 4\noom_kill 2\noom_group_kill 1\n"
                           "sock_throttled 6\n",
                           &metrics);
    assert_metric(&metrics, METRIC_LIMIT_HITS, 93);
    assert_metric(&metrics, METRIC_OOM, 4);
    assert_metric(&metrics, METRIC_OOM_KILL, 2);
    assert_metric(&metrics, METRIC_OOM_GROUP_KILL, 1);
    assert_int_equal(count_present(&metrics), 4);
    metrics.present = 0;
    cgroup_parse_events_v2("low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n", &metrics); /* before 5.17 */
    assert_false(metrics_has(&metrics, METRIC_OOM_GROUP_KILL));
    assert_metric(&metrics, METRIC_OOM_KILL, 0);
}

static void test_oom_control_v1(void **state)
{
    (void)state;
    struct metrics metrics = {.present = 0};
    cgroup_parse_oom_control_v1("oom_kill_disable 0\nunder_oom 1\noom_kill 3\n", &metrics);
    assert_metric(&metrics, METRIC_OOM_KILL, 3);
    assert_int_equal(count_present(&metrics), 1);
    metrics.present = 0;
    cgroup_parse_oom_control_v1("oom_kill_disable 1\nunder_oom 0\n", &metrics); /* before 4.13 */
    assert_int_equal(metrics.present, 0);
}

static void test_cpu_stat(void **state)
{
    (void)state;
    struct metrics metrics = {.present = 0};
    cgroup_parse_cpu_stat(CGROUP_V2,
                          "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnr_periods 10\n"
                          "nr_throttled 8\nthrottled_usec 700\n",
                          &metrics);
    assert_metric(&metrics, METRIC_CPU, 1500000);
    assert_metric(&metrics, METRIC_CPU_THROTTLED, 700000);
    metrics.present = 0;
    cgroup_parse_cpu_stat(CGROUP_V1, "nr_periods 10\nnr_throttled 8\nthrottled_time 700\n",
                          &metrics);
    assert_metric(&metrics, METRIC_CPU_THROTTLED, 700);
    assert_int_equal(count_present(&metrics), 1);
    metrics.present = 0;
    cgroup_parse_cpu_stat(CGROUP_V2, "usage_usec 18446744073709551615\n", &metrics);
    assert_int_equal(metrics.present, 0); /* does not fit in nanoseconds */
}

static void test_psi(void **state)
{
    (void)state;
    struct metrics metrics = {.present = 0};
    psi_parse("some avg10=1.53 avg60=0.44 avg300=0.10 total=123456\n"
              "full avg10=0.00 avg60=0.00 avg300=0.00 total=789\n",
              &metrics);
    assert_metric(&metrics, METRIC_PSI_SOME, 123456);
    assert_metric(&metrics, METRIC_PSI_FULL, 789);
    static const char *const texts[] = {"",
                                        "some",
                                        "some total",
                                        "some avg10=1 total=",
                                        "some total=x\n",
                                        "fuller avg total=1\n",
                                        "total=5\n",
                                        "some avg10=1\nx total=4\n",
                                        " some avg total=1\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        metrics.present = 0;
        psi_parse(texts[i], &metrics);
        if (metrics.present)
            fail_msg("'%s' gave a value", texts[i]);
    }
}

static void test_word_lists(void **state)
{
    (void)state;
    assert_true(cgroup_list_has("cpuset cpu io memory hugetlb pids\n", "memory"));
    assert_true(cgroup_list_has("memory", "memory"));
    assert_true(cgroup_list_has("cpu pids\n", "pids"));
    assert_false(cgroup_list_has("cpuset io\n", "cpu"));
    assert_false(cgroup_list_has("\n", "memory"));
    assert_false(cgroup_list_has("", "memory"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stat_v1),
        cmocka_unit_test(test_stat_v2),
        cmocka_unit_test(test_absent_is_not_zero),
        cmocka_unit_test(test_malformed_lines),
        cmocka_unit_test(test_events_v2),
        cmocka_unit_test(test_oom_control_v1),
        cmocka_unit_test(test_cpu_stat),
        cmocka_unit_test(test_psi),
        cmocka_unit_test(test_word_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
