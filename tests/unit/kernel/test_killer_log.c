/* SPDX-License-Identifier: Apache-2.0 */
/* What systemd-oomd 252 and earlyoom 1.7 wrote when they killed, and what they write besides. */
#include "kernel/killer_log.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(killer_of_name("systemd-oomd", 12), KILLER_OOMD);
    assert_int_equal(killer_of_name("earlyoom[12]", 8), KILLER_EARLYOOM);
    assert_int_equal(killer_of_name("earlyoomd", 9), KILLER_NONE);
    assert_int_equal(killer_of_name("", 0), KILLER_NONE);
    assert_string_equal(killer_name(KILLER_OOMD), "systemd-oomd");
}

static void test_oomd_pressure(void **state)
{
    (void)state;
    struct killer_log log;
    assert_true(killer_log_parse(
        KILLER_OOMD,
        "Killed /system.slice/a b.service due to memory pressure for /system.slice being 71.30% > "
        "50.00% for > 20s with reclaim activity",
        &log));
    assert_string_equal(log.cgroup, "/system.slice/a b.service");
    assert_int_equal(log.signal, SIGKILL);
    assert_int_equal(log.pid, 0);
}

static void test_oomd_swap(void **state)
{
    (void)state;
    struct killer_log log;
    assert_true(
        killer_log_parse(KILLER_OOMD,
                         "Killed /user.slice/x.scope due to memory used (1905340416) / total "
                         "(2059292672) and swap used (970000000) / total (1000000000) being "
                         "more than 90.00%",
                         &log));
    assert_string_equal(log.cgroup, "/user.slice/x.scope");
}

static void test_oomd_others(void **state)
{
    (void)state;
    struct killer_log log;
    assert_false(killer_log_parse(KILLER_OOMD,
                                  "Considered 3 cgroups for killing, top candidates were:", &log));
    assert_false(killer_log_parse(KILLER_OOMD,
                                  "Memory pressure for / is 60.00% > 50.00% for > 20s "
                                  "with reclaim activity",
                                  &log));
    assert_false(killer_log_parse(KILLER_OOMD, "Killed  due to memory used (", &log));
    assert_false(killer_log_parse(KILLER_OOMD, "Killed /x", &log));
    assert_false(killer_log_parse(KILLER_NONE, "Killed /x due to memory used (1", &log));
}

static void test_oomd_path_too_long(void **state)
{
    (void)state;
    char text[KMSG_CGROUP_MAX + 64] = "Killed /";
    memset(text + 8, 'x', KMSG_CGROUP_MAX);
    strcpy(text + 8 + KMSG_CGROUP_MAX, " due to memory used (1");
    struct killer_log log;
    assert_false(killer_log_parse(KILLER_OOMD, text, &log));
}

static void test_earlyoom(void **state)
{
    (void)state;
    struct killer_log log;
    assert_true(killer_log_parse(
        KILLER_EARLYOOM,
        "sending SIGKILL to process 4321 uid 0 \"py \"th\": on\": badness 900, VmRSS 120 MiB",
        &log));
    assert_int_equal(log.pid, 4321);
    assert_int_equal(log.signal, SIGKILL);
    assert_string_equal(log.comm, "py \"th");
    assert_true(killer_log_parse(
        KILLER_EARLYOOM, "sending SIGTERM to process 7 \"x\": badness 1, VmRSS 2 MiB", &log));
    assert_int_equal(log.signal, SIGTERM);
    assert_int_equal(log.pid, 7);
}

static void test_earlyoom_others(void **state)
{
    (void)state;
    static const char *const others[] = {
        "low memory! at or below SIGKILL limits: mem 4.00%, swap 0.00%",
        "sending SIGTERM when mem <= 10.00% and swap <= 10.00%,",
        "sending SIGKILL to process -3 uid 0 \"x\": badness",
        "sending SIGKILL to process 99999999999 uid 0 \"x\": badness",
        "sending SIGKILL to process ",
        "process exited after 0.1 seconds",
        "",
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct killer_log log;
        assert_false(killer_log_parse(KILLER_EARLYOOM, others[i], &log));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_oomd_pressure),
        cmocka_unit_test(test_oomd_swap),
        cmocka_unit_test(test_oomd_others),
        cmocka_unit_test(test_oomd_path_too_long),
        cmocka_unit_test(test_earlyoom),
        cmocka_unit_test(test_earlyoom_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
