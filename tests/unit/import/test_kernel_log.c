/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel logs in all their forms: one killed process is one kill, whoever wrote it down. */
#include "gather.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HARD  "a9cd6c1dde66af06ece05df51585bab13503b9a7bceceea87ea8aa2c00d76062"
#define CHILD "23bbccb3226864780e8df65c9776d84384f0cd22e9b55aa78f0ffac1e1a9e2b4"

static void assert_has(const struct gathered *gathered, const char *text)
{
    if (!strstr(buffer_text(&gathered->facts), text))
        fail_msg("'%s' is not in:\n%s", text, buffer_text(&gathered->facts));
}

static void read_fixture(const char *path, size_t kills, struct gathered *ret)
{
    gather_file(path, ret);
    if (ret->result != 0 || ret->count[FACT_OOM_KILL] != kills)
        fail_msg("%s: %d %s, %zu kills:\n%s", path, ret->result, ret->err.text,
                 ret->count[FACT_OOM_KILL], buffer_text(&ret->facts));
}

/* The same two kills, as every tool prints them; how exact the time is differs. */
static void test_forms_of_one_log(void **state)
{
    (void)state;
    static const struct {
        const char *path, *time;
        size_t kills;
    } forms[] = {
        {"kernel-log/podman-cgroup-v1.kmsg", "boot=5935.411160", 6},
        {"kernel-log/podman-cgroup-v1.dmesg", "boot=5935.411160", 2},
        {"kernel-log/podman-cgroup-v1.dmesg-x", "boot=5935.411160", 2},
        {"kernel-log/podman-cgroup-v1.dmesg-T", "at=2026-11-22T14:39:41.000000Z", 2},
        {"kernel-log/podman-cgroup-v1.dmesg-iso", "at=2026-11-22T14:39:41.411160Z", 2},
        {"kernel-log/podman-cgroup-v1.journal-json",
         "at=2026-11-22T14:39:41.511160Z boot=5935.411160", 6},
        {"kernel-log/podman-cgroup-v1.journal-short-iso", "at=2026-11-22T14:39:41.000000Z", 6},
        {"kernel-log/podman-cgroup-v1.journal-short-monotonic", "boot=5935.411160", 6},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        AUTO_GATHERED got;
        AUTO_BUFFER want = {0};
        read_fixture(forms[i].path, forms[i].kills, &got);
        buffer_printf(
            &want,
            "oom // id=a9cd6c1d cgroup=/oomlab-podman/libpod-" HARD
            " %s reason=only process oom{memcg pid=10798 comm=hog task=/oomlab-podman/libpod-" HARD
            " limit=/oomlab-podman/libpod-" HARD " anon=65024}",
            forms[i].time);
        assert_has(&got, buffer_text(&want));
        assert_has(&got, "pid=10883 comm=hog task=/oomlab-podman/libpod-" CHILD);
        assert_has(&got, "limit // id=a9cd6c1d cgroup=/oomlab-podman/libpod-" HARD);
        assert_has(&got, " 67108864\n");
        assert_string_equal(buffer_text(&got.warnings), "");
    }
}

/* RFC 3164 has neither year nor zone: the day is kept and the person told. */
static void test_a_year_that_is_missing(void **state)
{
    (void)state;
    AUTO_GATHERED got;
    read_fixture("kernel-log/podman-cgroup-v1.journal-short", 6, &got);
    assert_has(&got, "-11-22T14:39:41.000000Z reason=only process oom{memcg pid=10798");
    assert_non_null(strstr(buffer_text(&got.warnings), "without a year"));
}

static void test_awkward_names(void **state)
{
    (void)state;
    static const char *const names[] = {"comm=python3 ", "comm=a b,c ",   "comm=(x) ",
                                        "comm=,task=z ", "comm=) score ", "comm=new\nline ",
                                        "comm=sub "};
    AUTO_GATHERED raw, text;
    read_fixture("kernel-log/linux-6.18-cgroup-v1.kmsg", 8, &raw);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        assert_has(&raw, names[i]);
    assert_has(&raw, "pid=15822 comm=sub task=/oomlab-fix/child,task=x limit=/oomlab-fix anon");
    read_fixture("kernel-log/linux-6.18-cgroup-v1.dmesg", 8, &text);
}

/* An ancestor's limit is no limit of the container; the first victim of a group is named twice. */
static void test_ancestor_and_group(void **state)
{
    (void)state;
    AUTO_GATHERED got;
    read_fixture("kernel-log/linux-6.1-cgroup-v2.kmsg", 2, &got);
    assert_has(&got, "reason=only process oom{memcg pid=684 comm=leaf task=/oomlab-v2/in "
                     "limit=/oomlab-v2 anon=27452}");
    assert_int_equal(got.count[FACT_LIMIT], 1);
    assert_has(&got, "limit // cgroup=/oomlab-v2/in boot=5.670000 16777216\n");
}

#define SUMMARY(pid)                                                                               \
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/c,"   \
    "task_memcg=/c,task=x,pid=" #pid ",uid=0\n"
#define KILL_TEXT(pid)                                                                             \
    "Memory cgroup out of memory: Killed process " #pid                                            \
    " (x) total-vm:8kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB"
#define KILLED(pid) KILL_TEXT(pid) "\n"

static void test_group_of_several(void **state)
{
    (void)state;
    AUTO_GATHERED got;
    gather("[    1.000000] " SUMMARY(7) "[    1.000001] " KILLED(
               7) "[    1.000002] Tasks in /c are going to be killed due to memory.oom.group set\n"
                  "[    1.000003] " KILLED(7) "[    1.000004] " KILLED(8),
           &got);
    assert_int_equal(got.result, 0);
    assert_string_equal(buffer_text(&got.facts),
                        "oom // cgroup=/c boot=1.000001 oom{memcg pid=7 comm=x task=/c limit=/c "
                        "anon=4}\noom // cgroup=/c boot=1.000003 reason=memory.oom.group oom{memcg "
                        "pid=7 comm=x task=/c limit=/c anon=4}\n"
                        "oom // cgroup=/c boot=1.000004 reason=memory.oom.group oom{memcg "
                        "pid=8 comm=x task=/c limit=/c anon=4}\n");
}

/* Another process in the table, or a table of somebody else: the victim was not all there was. */
static void test_only_process(void **state)
{
    (void)state;
    static const char *const tables[][2] = {
        {"[      7]     0     7     7641     5940    81920        0             0 x\n", "whole"},
        {"[      8]     0     8     7641     5940    81920        0             0 x\n", ""},
        {"[      7]     0     7     7641     5940    81920        0             0 x\n"
         "[    1.000000] [      8]     0     8     7641     5940    81920        0       0 y\n",
         ""},
    };
    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
        AUTO_GATHERED got;
        AUTO_BUFFER text = {0};
        buffer_printf(&text,
                      "[    1.000000] x invoked oom-killer: gfp_mask=0xcc0, order=0, "
                      "oom_score_adj=0\n[    1.000000] [  pid  ]   uid  tgid total_vm      rss "
                      "pgtables_bytes swapents oom_score_adj name\n[    1.000000] %s"
                      "[    1.000000] " SUMMARY(7) "[    1.000001] " KILLED(7),
                      tables[i][0]);
        gather(buffer_text(&text), &got);
        assert_int_equal(got.result, 0);
        assert_int_equal(got.count[FACT_OOM_KILL], 1);
        assert_true((strstr(buffer_text(&got.facts), "reason=only process") != NULL) ==
                    (tables[i][1][0] != '\0'));
    }
}

/* Two processors at once, a rate-limited report without its summary, and a log that ends between
 * the two lines of one. */
static void test_interleaved_and_incomplete(void **state)
{
    (void)state;
    AUTO_GATHERED got;
    gather(
        "[    1.000000] " SUMMARY(7) "[    1.000001] " SUMMARY(8) "[    1.000002] " KILLED(
            8) "[    1.000003] " KILLED(7) "[    2.000000] " KILLED(9) "[    3.000000] " SUMMARY(10),
        &got);
    assert_int_equal(got.count[FACT_OOM_KILL], 4);
    assert_has(&got, "boot=1.000003 oom{memcg pid=7 comm=x task=/c");
    assert_has(&got, "boot=2.000000 oom{memcg pid=9 comm=x task= limit= ");
    assert_has(&got, "boot=3.000000 oom{memcg pid=10 comm=x task=/c");
}

/* A pid comes round again: the same number much later is another kill. */
static void test_a_pid_twice(void **state)
{
    (void)state;
    AUTO_GATHERED got;
    gather("[    1.000000] " KILLED(7) "[  900.000000] " KILLED(7), &got);
    assert_int_equal(got.count[FACT_OOM_KILL], 2);
}

/* 4.x: the scope stands in the line before, the cgroups in a summary without a pid. */
static void test_old_kernels(void **state)
{
    (void)state;
    AUTO_GATHERED got;
    gather(
        "Jan  2 03:04:05 node kernel: [  100.000001] Task in /a/b killed as a result of limit of "
        "/a\n"
        "Jan  2 03:04:05 node kernel: [  100.000002] Memory cgroup out of memory: Kill process 12 "
        "(my app) "
        "score 900 or sacrifice child\n"
        "Jan  2 03:04:05 node kernel: [  100.000003] Killed process 12 (my app) total-vm:10kB, "
        "anon-rss:9kB, file-rss:1kB, shmem-rss:0kB\n"
        "Jan  2 03:04:07 node kernel: [  102.000002] Out of memory: Kill process 13 (z) score 9 or "
        "sacrifice child\n"
        "Jan  2 03:04:07 node kernel: [  102.000003] Killed process 13 (z) total-vm:10kB, "
        "anon-rss:9kB, file-rss:1kB, shmem-rss:0kB\n",
        &got);
    assert_int_equal(got.count[FACT_OOM_KILL], 2);
    assert_has(&got, "boot=100.000003 oom{memcg pid=12 comm=my app task=/a/b limit=/a anon=9}");
    assert_has(&got, "boot=102.000003 oom{global pid=13 comm=z task= limit= anon=9}");
}

/* Anybody may write such words to syslog or through /dev/kmsg; only the kernel's count. */
static void test_forgeries(void **state)
{
    (void)state;
    AUTO_GATHERED got;
    gather("Jan  2 03:04:05 node kernel: [  100.000001] usb 1-1: new device\n"
           "Jan  2 03:04:05 node app[12]: " KILLED(66) "Jan  2 03:04:05 node app: " KILLED(
               66) "<11>Jan  2 03:04:05 node kernel: " KILLED(66) "user  :notice: [   "
                                                                  "12.000000] " KILLED(
                                                                      66) "12,366,"
                                                                          "1849590378"
                                                                          ",-"
                                                                          ";" KILLED(66),
           &got);
    assert_int_equal(got.result, 0);
    assert_string_equal(buffer_text(&got.facts), "");
}

/* With a process id, a message id and structured data; the same from another program is no kill. */
static void test_syslog_5424_fields(void **state)
{
    (void)state;
    AUTO_GATHERED got;
    AUTO_GATHERED forged;
    gather("<3>1 2026-11-22T14:39:41.5+01:00 node kernel 0 ID47 [ex@1 a=\"b] \\\"c\"][o "
           "b=\"\"] " KILL_TEXT(5) "\n",
           &got);
    assert_int_equal(got.result, 0);
    assert_int_equal(got.count[FACT_OOM_KILL], 1);
    assert_has(&got, "at=2026-11-22T13:39:41.500000Z");
    gather("<3>1 2026-11-22T14:39:41.5Z node kernel - - - usb 1-1: an ordinary message\n"
           "<14>1 2026-11-22T14:39:41.5Z node app 7 - [ex@1 a=\"b\"] " KILL_TEXT(5) "\n",
           &forged);
    assert_int_equal(forged.result, 0);
    assert_int_equal(forged.count[FACT_OOM_KILL], 0);
}

/* dmesg --json; what a user wrote through /dev/kmsg has another facility. */
static void test_dmesg_json(void **state)
{
    (void)state;
    AUTO_GATHERED got;
    AUTO_GATHERED forged;
    AUTO_GATHERED cut;
    read_fixture("kernel-log/linux-6.18-cgroup-v1.dmesg-json", 1, &got);
    assert_has(&got, "pid=27040 comm=python3 task=/oomlab-diag-fix limit=/oomlab-diag-fix");
    assert_has(&got, " 25165824\n");
    gather("{\n \"dmesg\": [\n {\"pri\": 12, \"time\": 1.5, \"msg\": \"" KILL_TEXT(
               5) "\"\n },"
                  "{\"fac\": \"user\", \"pri\": \"warn\", \"time\": 1.5, \"msg\": \"" KILL_TEXT(
                      5) "\"}]}\n",
           &forged);
    assert_int_equal(forged.result, 0);
    assert_int_equal(forged.count[FACT_OOM_KILL], 0);
    gather("{\"dmesg\": [\n{\"pri\": 6, \"time\": 1.5, \"msg\": \"x\"},\n{\"pri\": 6, \"ti", &cut);
    assert_true(cut.result < 0);
    assert_non_null(strstr(cut.err.text, ":3:1:"));
}

static void test_syslog_5424(void **state)
{
    (void)state;
    AUTO_GATHERED got;
    gather("<3>1 2026-11-22T14:39:41.411104+01:00 node kernel - - - [ 5935.411160] " KILL_TEXT(5),
           &got);
    assert_string_equal(buffer_text(&got.facts),
                        "oom // at=2026-11-22T13:39:41.411104Z boot=5935.411160 oom{memcg pid=5 "
                        "comm=x task= limit= anon=4}\n");
}

static void test_hostile(void **state)
{
    (void)state;
    static const char *const inputs[] = {
        "[    1.000000] oom-kill:",
        "[    1.000000] Killed process 99999999999999999999 (x) total-vm:\n",
        "4,,,;Killed process",
        "<999999999999>Killed process 1 (",
        "[99999999999999.000000] kill",
        "Jan 99 99:99:99 h kernel: Killed process 1 (x) total-vm:1kB\n",
        "9999-99-99T99:99:99 h kernel: Killed process 1 (x) total-vm:1kB\n",
    };
    for (size_t i = 0; i < sizeof(inputs) / sizeof(*inputs); i++) {
        AUTO_GATHERED got;
        gather(inputs[i], &got);
        assert_true(got.count[FACT_OOM_KILL] <= 1);
    }
    AUTO_BUFFER line = {0};
    buffer_puts(&line, "[    1.000000] ");
    for (size_t i = 0; i < 300000; i++)
        buffer_puts(&line, "kill ill");
    buffer_puts(&line, "\n[    2.000000] " KILLED(5));
    AUTO_GATHERED got;
    gather(buffer_text(&line), &got);
    assert_int_equal(got.count[FACT_OOM_KILL], 1);
}

#define OOMD_WORDS                                                                                 \
    "Killed /a/b.scope due to memory pressure for /a being 6.11% > 1.00% for > 1s with reclaim "   \
    "activity\n"
#define EARLYOOM_WORDS                                                                             \
    "sending SIGKILL to process 199 uid 0 \"python3\": badness 763, VmRSS 139 MiB\n"

static void test_user_space_killers(void **state)
{
    (void)state;
    static const char *const forms[][2] = {
        {"2026-11-26T14:09:23+0000 vm ", "[226]: "},
        {"<30>1 2026-11-26T14:09:23Z vm ", " 226 - - "},
        {"1795702163.000000 vm ", "[226]: "},
        {"Thu 2026-11-26 14:09:23 UTC vm ", "[226]: "},
        {"2026-11-26T14:09:23+00:00 vm ", ": "},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        const char *before = forms[i][0], *behind = forms[i][1];
        AUTO_GATHERED got;
        AUTO_BUFFER lines = {0};
        buffer_printf(&lines, "%ssystemd-oomd%s%s%searlyoom%s%s", before, behind, OOMD_WORDS,
                      before, behind, EARLYOOM_WORDS);
        const char *text = buffer_text(&lines);
        gather(text, &got);
        if (got.result != 0 || got.count[FACT_KILLER_KILL] != 2 || got.count[FACT_OOM_KILL] != 0)
            fail_msg("%s: %s\n%s", text, got.err.text, buffer_text(&got.facts));
        assert_has(&got, "killer // cgroup=/a/b.scope at=2026-11-26T14:09:23.000000Z");
        assert_has(&got, "killer //python3 at=2026-11-26T14:09:23.000000Z");
        assert_has(&got, "pid=199 comm=python3");
    }
}

/* The tag must be the killer's own, and in the journal the process too. */
static void test_killers_that_are_none(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "2026-11-26T14:09:23+0000 vm systemd-oomd-x[226]: " OOMD_WORDS,
        "2026-11-26T14:09:23+0000 vm app[226]: systemd-oomd[1]: " OOMD_WORDS,
        "2026-11-26T14:09:23+0000 vm earlyoom[226]: " OOMD_WORDS,
        "2026-11-26T14:09:23+0000 vm kernel: " EARLYOOM_WORDS,
        "{\"__REALTIME_TIMESTAMP\":\"1795702163000000\",\"_TRANSPORT\":\"syslog\","
        "\"SYSLOG_IDENTIFIER\":\"systemd-oomd\",\"_COMM\":\"logger\","
        "\"MESSAGE\":\"Killed /a due to memory pressure for /a being 71.00% > 50.00%\"}\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        AUTO_GATHERED got;
        char text[1024];
        snprintf(text, sizeof(text), "%s%s", texts[i],
                 texts[i][0] == '{' ? "" : "2026-11-26T14:09:24+0000 vm kernel: hello\n");
        gather(text, &got);
        if (got.result != 0 || got.count[FACT_KILLER_KILL] + got.count[FACT_OOM_KILL] != 0)
            fail_msg("%s: %s\n%s", text, got.err.text, buffer_text(&got.facts));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms_of_one_log),
        cmocka_unit_test(test_a_year_that_is_missing),
        cmocka_unit_test(test_awkward_names),
        cmocka_unit_test(test_ancestor_and_group),
        cmocka_unit_test(test_group_of_several),
        cmocka_unit_test(test_only_process),
        cmocka_unit_test(test_interleaved_and_incomplete),
        cmocka_unit_test(test_a_pid_twice),
        cmocka_unit_test(test_old_kernels),
        cmocka_unit_test(test_forgeries),
        cmocka_unit_test(test_syslog_5424),
        cmocka_unit_test(test_syslog_5424_fields),
        cmocka_unit_test(test_dmesg_json),
        cmocka_unit_test(test_user_space_killers),
        cmocka_unit_test(test_killers_that_are_none),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
