/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/facts.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

static struct life_facts facts_of_a_container(void)
{
    struct life_facts facts;
    life_facts_init(&facts);
    facts.initial_pid_ns = true;
    facts.main_pid = 100;
    facts.cgroup_version = 2;
    strcpy(facts.kernel_path, "/oomlab-run/replica-1");
    return facts;
}

static struct kmsg_oom line(enum kmsg_oom_kind kind, pid_t pid, const char *oom_memcg)
{
    struct kmsg_oom oom = {.kind = kind, .scope = KMSG_SCOPE_MEMCG, .pid = pid};
    snprintf(oom.oom_memcg, sizeof(oom.oom_memcg), "%s", oom_memcg);
    return oom;
}

static enum kernel_log_scope scope_after(const char *oom_memcg)
{
    struct life_facts facts = facts_of_a_container();
    struct kmsg_oom oom = line(KMSG_OOM_SUMMARY, 100, oom_memcg);
    life_facts_add_kmsg(&facts, &oom);
    return facts.kernel_log;
}

static void test_scope_is_decided_by_whole_path_components(void **state)
{
    (void)state;
    assert_int_equal(scope_after("/oomlab-run/replica-1"), KERNEL_LOG_OWN);
    assert_int_equal(scope_after("/oomlab-run"), KERNEL_LOG_ANCESTOR);
    assert_int_equal(scope_after("/"), KERNEL_LOG_ANCESTOR);
    /* A sibling whose name is a prefix of ours is no ancestor. */
    assert_int_equal(scope_after("/oomlab-run/replica"), KERNEL_LOG_OWN);
    assert_int_equal(scope_after(""), KERNEL_LOG_NONE);
}

static void test_global_kill_is_the_hosts(void **state)
{
    (void)state;
    struct life_facts facts = facts_of_a_container();
    struct kmsg_oom oom = line(KMSG_OOM_SUMMARY, 100, "");
    oom.scope = KMSG_SCOPE_GLOBAL;
    life_facts_add_kmsg(&facts, &oom);
    assert_int_equal(facts.kernel_log, KERNEL_LOG_HOST);
}

static void test_main_process_decides_over_a_child(void **state)
{
    (void)state;
    struct life_facts facts = facts_of_a_container();
    struct kmsg_oom child = line(KMSG_OOM_SUMMARY, 200, "/oomlab-run/replica-1");
    struct kmsg_oom main_process = line(KMSG_OOM_SUMMARY, 100, "/oomlab-run");
    life_facts_add_kmsg(&facts, &child);
    assert_false(facts.victim_is_main);
    life_facts_add_kmsg(&facts, &main_process);
    assert_true(facts.victim_is_main);
    assert_int_equal(facts.kernel_log, KERNEL_LOG_ANCESTOR);
}

static void test_child_is_told_only_when_known(void **state)
{
    (void)state;
    struct kmsg_oom killed = line(KMSG_OOM_KILLED, 200, "");
    struct life_facts facts = facts_of_a_container();
    assert_true(life_facts_child_killed(&facts, &killed));
    assert_true(facts.oom_child_told);

    facts = facts_of_a_container();
    facts.initial_pid_ns = false; /* the log's pids are not ours */
    assert_false(life_facts_child_killed(&facts, &killed));

    facts = facts_of_a_container();
    facts.group_kill = true; /* everybody goes, the main process too */
    assert_false(life_facts_child_killed(&facts, &killed));

    facts = facts_of_a_container();
    facts.oom_group = true; /* the first line of a group's kill comes before the group's own */
    assert_false(life_facts_child_killed(&facts, &killed));
    assert_false(facts.oom_child_told);

    facts = facts_of_a_container();
    killed.pid = 100;
    assert_false(life_facts_child_killed(&facts, &killed));
}

static void test_absent_counters_stay_unknown(void **state)
{
    (void)state;
    struct life_facts facts = facts_of_a_container();
    struct observation end = {.kind = OBSERVATION_END};
    end.end.wait_code = CLD_KILLED;
    end.end.wait_status = SIGKILL;
    metrics_put(&end.end.start, METRIC_OOM_KILL, 1);
    metrics_put(&end.end.end, METRIC_OOM_KILL, 2);
    metrics_put(&end.end.end, METRIC_OOM, 7); /* known at the end only */
    struct death_facts death;
    life_facts_fill(&facts, &end, "tail", &death);
    assert_true(death.by_signal);
    assert_int_equal(death.signal, SIGKILL);
    assert_true(death.oom_kill.known);
    assert_int_equal(death.oom_kill.start, 1);
    assert_int_equal(death.oom_kill.end, 2);
    assert_false(death.oom.known);
    assert_false(death.ancestor_oom.known);
    assert_string_equal(death.console_tail, "tail");
}

/* A directory with attributes stands for a cgroup; systemd-oomd may choose one above ours. */
static void test_marks_of_systemd_oomd(void **state)
{
    (void)state;
    char path[] = "/var/tmp/oomlab-test-facts-XXXXXX";
    assert_non_null(mkdtemp(path));
    AUTO_CLOSE int above = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdirat(above, "container", 0755), 0);
    AUTO_CLOSE int own = openat(above, "container", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint64_t before = life_facts_oomd_marks(own);
    bool supported = fsetxattr(above, "user.oomd_ooms", "1", 1, 0) == 0;
    if (supported) {
        assert_int_equal(life_facts_oomd_marks(own), before + 1);
        assert_int_equal(fsetxattr(own, "user.oomd_kill", "12", 2, 0), 0);
        assert_int_equal(life_facts_oomd_marks(own), before + 13);
    }
    assert_false(life_facts_read_oom_group(own));
    assert_int_equal(unlinkat(above, "container", AT_REMOVEDIR), 0);
    assert_int_equal(rmdir(path), 0);
    if (!supported)
        skip(); /* the file system has no user attributes */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scope_is_decided_by_whole_path_components),
        cmocka_unit_test(test_global_kill_is_the_hosts),
        cmocka_unit_test(test_main_process_decides_over_a_child),
        cmocka_unit_test(test_child_is_told_only_when_known),
        cmocka_unit_test(test_absent_counters_stay_unknown),
        cmocka_unit_test(test_marks_of_systemd_oomd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
