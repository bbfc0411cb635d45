/* SPDX-License-Identifier: Apache-2.0 */
/* OOM lines of many kernels. Lines marked [real] were seen in the wild or on the kernels of the
 * test environments; the others vary them to be awkward. */
#include "kernel/kmsg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct line {
    const char *text;
    enum kmsg_oom_kind kind;
    enum kmsg_scope scope;
    const char *oom_memcg, *task_memcg, *comm;
    pid_t pid;
};

#define POD      "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0330b2c1.slice"
#define FROM_418 "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0"

static const struct line lines[] = {
    /* [real] 6.18, cgroup v1 */
    {FROM_418 ",oom_memcg=/ceo,task_memcg=/ceo,task=python3,pid=2976,uid=0", KMSG_OOM_SUMMARY,
     KMSG_SCOPE_MEMCG, "/ceo", "/ceo", "python3", 2976},
    /* [real] 6.1 without CONFIG_CPUSETS; the limit is the parent's */
    {"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/oomlab-v2,task_memcg=/"
     "oomlab-v2/"
     "in,task=leaf,pid=684,uid=0",
     KMSG_OOM_SUMMARY, KMSG_SCOPE_MEMCG, "/oomlab-v2", "/oomlab-v2/in", "leaf", 684},
    /* [real] leptonai/gpud: cpuset with a name, a limit of the pod */
    {"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=cri-containerd-ec9e.scope,mems_"
     "allowed="
     "0-1,oom_memcg=" POD ",task_memcg=" POD
     "/cri-containerd-ec9e.scope,task=pt_main_thread,pid=461754,"
     "uid=0",
     KMSG_OOM_SUMMARY, KMSG_SCOPE_MEMCG, POD, POD "/cri-containerd-ec9e.scope", "pt_main_thread",
     461754},
    {"oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/"
     ",mems_allowed=0,global_oom,task_memcg=/"
     "user.slice/user-1000.slice/session-1.scope,task=chrome,pid=77,uid=1000",
     KMSG_OOM_SUMMARY, KMSG_SCOPE_GLOBAL, "", "/user.slice/user-1000.slice/session-1.scope",
     "chrome", 77},
    /* a mempolicy or cpuset may be the constraint of a host-wide kill too: the key decides */
    {"oom-kill:constraint=CONSTRAINT_MEMORY_POLICY,nodemask=0,cpuset=/,mems_allowed=0-1,global_oom,"
     "task_memcg=/,task=a,pid=5,uid=0",
     KMSG_OOM_SUMMARY, KMSG_SCOPE_GLOBAL, "", "/", "a", 5},
    {"oom-kill:constraint=CONSTRAINT_CPUSET,nodemask=(null),cpuset=jobs,mems_allowed=1,global_oom,"
     "task_memcg=/jobs,task=a,pid=5,uid=4294967295",
     KMSG_OOM_SUMMARY, KMSG_SCOPE_GLOBAL, "", "/jobs", "a", 5},
    /* without a memory controller there is neither key */
    {"oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),task=init,pid=9,uid=0", KMSG_OOM_SUMMARY,
     KMSG_SCOPE_UNKNOWN, "", "", "init", 9},
    /* names */
    {FROM_418 ",oom_memcg=/c,task_memcg=/c,task=a b,c,pid=15787,uid=0", KMSG_OOM_SUMMARY,
     KMSG_SCOPE_MEMCG, "/c", "/c", "a b,c", 15787},
    {FROM_418 ",oom_memcg=/c,task_memcg=/c,task=,task=z,pid=15793,uid=0", KMSG_OOM_SUMMARY,
     KMSG_SCOPE_MEMCG, "/c", "/c", ",task=z", 15793},
    {FROM_418 ",oom_memcg=/c,task_memcg=/c,task=,pid=1,uid=0,pid=42,uid=7", KMSG_OOM_SUMMARY,
     KMSG_SCOPE_MEMCG, "/c", "/c", ",pid=1,uid=0", 42},
    {FROM_418 ",oom_memcg=/c,task_memcg=/c,task=new\nline,pid=42,uid=7\n", KMSG_OOM_SUMMARY,
     KMSG_SCOPE_MEMCG, "/c", "/c", "new\nline", 42},
    {FROM_418 ",oom_memcg=/c,task_memcg=/c,task=,pid=42,uid=7", KMSG_OOM_SUMMARY, KMSG_SCOPE_MEMCG,
     "/c", "/c", "", 42},
    /* fifteen bytes that were left escaped, as dmesg does */
    {FROM_418
     ",oom_memcg=/c,task_memcg=/c,task=\\xc3\\xa9\\xc3\\xa9\\xc3\\xa9\\xc3\\xa9,pid=42,uid=7",
     KMSG_OOM_SUMMARY, KMSG_SCOPE_MEMCG, "/c", "/c", "\\xc3\\xa9\\xc3\\xa9\\xc3\\xa9\\xc3\\xa9",
     42},
    /* cgroups that imitate the keys */
    {FROM_418 ",oom_memcg=/a,task_memcg=/b,task_memcg=/a,task_memcg=/b/c,task=t,pid=1,uid=0",
     KMSG_OOM_SUMMARY, KMSG_SCOPE_MEMCG, "/a,task_memcg=/b", "/a,task_memcg=/b/c", "t", 1},
    {"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,oom_memcg=/"
     "y,mems_allowed=0,oom_memcg="
     "/r,task_memcg=/r/s,task=t,pid=1,uid=0",
     KMSG_OOM_SUMMARY, KMSG_SCOPE_MEMCG, "/r", "/r/s", "t", 1},
    {FROM_418 ",oom_memcg=/a,global_oom,task_memcg=/a,global_oom,task=t,pid=1,uid=0",
     KMSG_OOM_SUMMARY, KMSG_SCOPE_MEMCG, "/a,global_oom", "/a,global_oom", "t", 1},
    {FROM_418 ",oom_memcg=/,task_memcg=/x,task=t,pid=1,uid=0", KMSG_OOM_SUMMARY, KMSG_SCOPE_MEMCG,
     "/", "/x", "t", 1},
    /* a name is what fits behind the first ",task=": a cgroup whose own name ends like that within
     * fifteen bytes of the line's end is mistaken for a part of the name, never the reverse */
    {FROM_418 ",oom_memcg=/f,task_memcg=/f/child,task=x,task=sub,pid=15822,uid=0", KMSG_OOM_SUMMARY,
     KMSG_SCOPE_MEMCG, "/f", "/f/child", "x,task=sub", 15822},
    {FROM_418 ",oom_memcg=/f,task_memcg=/f/child,task=x,task=long-enough,pid=15822,uid=0",
     KMSG_OOM_SUMMARY, KMSG_SCOPE_MEMCG, "/f", "/f/child,task=x", "long-enough", 15822},
    /* cut by the log */
    {FROM_418 ",oom_memcg=/f,task_memcg=/f/child,ta", KMSG_OOM_SUMMARY, KMSG_SCOPE_MEMCG, "/f",
     "/f/child,ta", "", 0},
    {"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/f", KMSG_OOM_SUMMARY,
     KMSG_SCOPE_MEMCG, "/f", "", "", 0},
    {"oom-kill:constraint=", KMSG_OOM_SUMMARY, KMSG_SCOPE_UNKNOWN, "", "", "", 0},

    /* [real] before 5.0 (istio/istio 42734, docker on 4.x and 3.10) */
    {"Task in " POD "/docker-b272.scope killed as a result of limit of " POD "/docker-b272.scope",
     KMSG_OOM_SUMMARY, KMSG_SCOPE_MEMCG, POD "/docker-b272.scope", POD "/docker-b272.scope", "", 0},
    {"Task in /a/b killed as a result of limit of /a", KMSG_OOM_SUMMARY, KMSG_SCOPE_MEMCG, "/a",
     "/a/b", "", 0},
    {"Task in /a/x killed as a result of limit of /b killed as a result of limit of /a",
     KMSG_OOM_SUMMARY, KMSG_SCOPE_MEMCG, "/a", "/a/x killed as a result of limit of /b", "", 0},
    {"Task in killed as a result of limit of /a", KMSG_NOT_OOM, KMSG_SCOPE_UNKNOWN, "", "", "", 0},
    {"Memory limit reached of cgroup /b", KMSG_NOT_OOM, KMSG_SCOPE_UNKNOWN, "", "", "", 0},

    /* [real] 6.18 */
    {"Memory cgroup out of memory: Killed process 2976 (python3) total-vm:75160kB, "
     "anon-rss:65152kB, "
     "file-rss:1792kB, shmem-rss:0kB, UID:0 pgtables:188kB oom_score_adj:0",
     KMSG_OOM_KILLED, KMSG_SCOPE_MEMCG, "", "", "python3", 2976},
    /* [real] 5.3 (docker/for-linux 1001) */
    {"Out of memory: Killed process 15925 ((resolved)) total-vm:168424kB, anon-rss:4064kB, "
     "file-rss:3584kB, shmem-rss:0kB",
     KMSG_OOM_KILLED, KMSG_SCOPE_GLOBAL, "", "", "(resolved)", 15925},
    {"Out of memory (oom_kill_allocating_task): Killed process 3 (a) total-vm:1kB, anon-rss:1kB, "
     "file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0",
     KMSG_OOM_KILLED, KMSG_SCOPE_GLOBAL, "", "", "a", 3},
    /* [real] 3.10 to 4.x print no message (kubernetes 56891) */
    {"Killed process 28438 (java) total-vm:20255636kB, anon-rss:466160kB, file-rss:13684kB",
     KMSG_OOM_KILLED, KMSG_SCOPE_UNKNOWN, "", "", "java", 28438},
    /* [real] RHEL 7 (linux-test-project/ltp 1080) */
    {"Killed process 42452 (memcg_test_1), UID 0, total-vm:7296kB, anon-rss:96kB, file-rss:164kB, "
     "shmem-rss:0kB",
     KMSG_OOM_KILLED, KMSG_SCOPE_UNKNOWN, "", "", "memcg_test_1", 42452},
    /* RHEL 6 */
    {"Killed process 1234, UID 48, (httpd) total-vm:100kB, anon-rss:5kB, file-rss:6kB",
     KMSG_OOM_KILLED, KMSG_SCOPE_UNKNOWN, "", "", "httpd", 1234},
    {"Memory cgroup out of memory: Killed process 1 () total-vm:1kB) total-vm:75160kB, "
     "anon-rss:65152kB",
     KMSG_OOM_KILLED, KMSG_SCOPE_MEMCG, "", "", ") total-vm:1kB", 1},
    {"Memory cgroup out of memory: Killed process 15796 () score) total-vm:38808kB, "
     "anon-rss:27388kB",
     KMSG_OOM_KILLED, KMSG_SCOPE_MEMCG, "", "", ") score", 15796},
    {"Memory cgroup out of memory: Killed process 15799 (new\nline) total-vm:38808kB, anon-rss:1kB",
     KMSG_OOM_KILLED, KMSG_SCOPE_MEMCG, "", "", "new\nline", 15799},
    /* [real] 5.14+: nobody was killed */
    {"Memory cgroup out of memory: OOM victim 3804877 (stress) is already exiting. Skip killing "
     "the task",
     KMSG_NOT_OOM, KMSG_SCOPE_UNKNOWN, "", "", "", 0},
    {"Out of memory and no killable processes...", KMSG_NOT_OOM, KMSG_SCOPE_UNKNOWN, "", "", "", 0},
    {"Memory cgroup out of memory: Killed process -1 (x) total-vm:1kB", KMSG_NOT_OOM,
     KMSG_SCOPE_UNKNOWN, "", "", "", 0},
    {"Memory cgroup out of memory: Killed process 99999999999 (x) total-vm:1kB", KMSG_NOT_OOM,
     KMSG_SCOPE_UNKNOWN, "", "", "", 0},
    {"Memory cgroup out of memory: Killed process 12 (new", KMSG_OOM_KILLED, KMSG_SCOPE_MEMCG, "",
     "", "new", 12},
    {"Memory cgroup out of memory: Killed process 12 (longer than any name can be", KMSG_NOT_OOM,
     KMSG_SCOPE_UNKNOWN, "", "", "", 0},

    /* [real] (kubernetes 56891); another process was killed in its stead */
    {"Memory cgroup out of memory: Kill process 24572 (java) score 0 or sacrifice child",
     KMSG_OOM_SELECTED, KMSG_SCOPE_MEMCG, "", "", "java", 24572},
    {"Out of memory: Kill process 43805 (keystone-all) score 249 or sacrifice child",
     KMSG_OOM_SELECTED, KMSG_SCOPE_GLOBAL, "", "", "keystone-all", 43805},
    {"Memory cgroup out of memory: Kill process 7 (x) score 1) score 1999 or sacrifice child",
     KMSG_OOM_SELECTED, KMSG_SCOPE_MEMCG, "", "", "x) score 1", 7},

    /* [real] 6.1 */
    {"Tasks in /oomlab-v2/in are going to be killed due to memory.oom.group set", KMSG_OOM_GROUP,
     KMSG_SCOPE_UNKNOWN, "", "/oomlab-v2/in", "", 0},
    {"Tasks in /a are going home", KMSG_NOT_OOM, KMSG_SCOPE_UNKNOWN, "", "", "", 0},

    /* [real] (reportportal/kubernetes 203) */
    {"oom_reaper: reaped process 63214 (uwsgi), now anon-rss:0kB, file-rss:0kB, shmem-rss:92kB",
     KMSG_OOM_REAPED, KMSG_SCOPE_UNKNOWN, "", "", "uwsgi", 63214},
    /* 4.6 */
    {"oom_reaper: reaped process 9 (a), now b), now anon-rss:0kB, file-rss:0kB, shmem-rss:0lB",
     KMSG_OOM_REAPED, KMSG_SCOPE_UNKNOWN, "", "", "a), now b", 9},
    {"oom_reaper: unable to reap pid:9 (a)", KMSG_NOT_OOM, KMSG_SCOPE_UNKNOWN, "", "", "", 0},

    /* [real] (nestybox/sysbox 30; 4.x has the nodemask in between) */
    {"runc:[1:CHILD] invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=-999",
     KMSG_OOM_INVOKED, KMSG_SCOPE_UNKNOWN, "", "", "runc:[1:CHILD]", 0},
    {"a b,c invoked oom-killer: gfp_mask=0x14000c0(GFP_KERNEL), nodemask=(null),  order=0, "
     "oom_score_adj=0",
     KMSG_OOM_INVOKED, KMSG_SCOPE_UNKNOWN, "", "", "a b,c", 0},
    {"somebody said that java invoked oom-killer: ", KMSG_NOT_OOM, KMSG_SCOPE_UNKNOWN, "", "", "",
     0},

    {"", KMSG_NOT_OOM, KMSG_SCOPE_UNKNOWN, "", "", "", 0},
    {"oom-kill: nothing", KMSG_NOT_OOM, KMSG_SCOPE_UNKNOWN, "", "", "", 0},
    {" Killed process 28438 (java) total-vm:1kB", KMSG_NOT_OOM, KMSG_SCOPE_UNKNOWN, "", "", "", 0},
    {"Memory cgroup stats for /oom-kill:constraint=:", KMSG_NOT_OOM, KMSG_SCOPE_UNKNOWN, "", "", "",
     0},
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        const struct line *want = &lines[i];
        struct kmsg_oom got;
        memset(&got, 0xA5, sizeof(got));
        enum kmsg_oom_kind kind = kmsg_parse_oom(want->text, &got);
        if (kind != want->kind || got.kind != want->kind || got.scope != want->scope ||
            strcmp(got.oom_memcg, want->oom_memcg) != 0 ||
            strcmp(got.task_memcg, want->task_memcg) != 0 || strcmp(got.comm, want->comm) != 0 ||
            got.pid != want->pid)
            fail_msg("'%s': kind %d scope %d oom '%s' task '%s' comm '%s' pid %d", want->text,
                     got.kind, got.scope, got.oom_memcg, got.task_memcg, got.comm, got.pid);
    }
}

static void test_killed_sizes(void **state)
{
    (void)state;
    struct kmsg_oom oom;
    kmsg_parse_oom(
        "Memory cgroup out of memory: Killed process 2976 (anon-rss:7kB) total-vm:75160kB, "
        "anon-rss:65152kB, file-rss:1792kB, shmem-rss:12kB, UID:0 pgtables:188kB "
        "oom_score_adj:-997",
        &oom);
    assert_int_equal(oom.total_vm_kib, 75160);
    assert_int_equal(oom.anon_rss_kib, 65152);
    assert_int_equal(oom.file_rss_kib, 1792);
    assert_int_equal(oom.shmem_rss_kib, 12);
    assert_int_equal(oom.pgtables_kib, 188);
    assert_true(oom.has_oom_score_adj);
    assert_int_equal(oom.oom_score_adj, -997);
}

static void test_absent_is_not_zero(void **state)
{
    (void)state;
    struct kmsg_oom oom;
    kmsg_parse_oom("Killed process 1 (java) total-vm:20255636kB, anon-rss:466160kB, file-rss:kB",
                   &oom);
    assert_int_equal(oom.anon_rss_kib, 466160);
    assert_int_equal(oom.file_rss_kib, -1);
    assert_int_equal(oom.shmem_rss_kib, -1);
    assert_int_equal(oom.pgtables_kib, -1);
    assert_false(oom.has_oom_score_adj);
}

static void test_long_paths_are_cut(void **state)
{
    (void)state;
    char text[KMSG_TEXT_MAX] = FROM_418 ",oom_memcg=/a,task_memcg=/a/";
    size_t used = strlen(text);
    memset(text + used, 'b', 400);
    strcpy(text + used + 400, ",task=t,pid=3,uid=0");
    struct kmsg_oom oom;
    assert_int_equal(kmsg_parse_oom(text, &oom), KMSG_OOM_SUMMARY);
    assert_int_equal(strlen(oom.task_memcg), KMSG_CGROUP_MAX - 1);
    assert_string_equal(oom.comm, "t");
}

static void test_path_within(void **state)
{
    (void)state;
    assert_true(kmsg_path_within("/a", "/a"));
    assert_true(kmsg_path_within("/a/b", "/a"));
    assert_true(kmsg_path_within("/a", "/"));
    assert_false(kmsg_path_within("/ab", "/a"));
    assert_false(kmsg_path_within("/a", "/a/b"));
    assert_false(kmsg_path_within("/a", ""));
    assert_false(kmsg_path_within("", "/a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_killed_sizes),
        cmocka_unit_test(test_absent_is_not_zero),
        cmocka_unit_test(test_long_paths_are_cut),
        cmocka_unit_test(test_path_within),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
