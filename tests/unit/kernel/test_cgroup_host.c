/* SPDX-License-Identifier: Apache-2.0 */
/* Which hierarchy counts, on the kinds of hosts there are. */
#include "cgroup_fixture.h"
#include "kernel/cgroup-internal.h"

#define V1_LINE(id, root, options)                                                                 \
    id " 31 0:32 " root " /sys/fs/cgroup/" options " rw,relatime - cgroup cgroup rw," options "\n"

static struct cgroup_host host;
static struct error err;

static int detect(const struct fixture *fixture, const char *mounts, const char *membership)
{
    fixture_file(fixture, "proc/self/mountinfo", mounts);
    fixture_file(fixture, "proc/self/cgroup", membership);
    memset(&host, 0, sizeof(host));
    return cgroup_host_detect_at(fixture->fd, &host, &err);
}

/* The v2 tree is there too, without memory: v1 counts. */
static void test_hybrid(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    fixture_directory(&fixture, "sys/fs/cgroup/memory/box/inner");
    fixture_directory(&fixture, "sys/fs/cgroup/cpu,cpuacct");
    fixture_file(&fixture, "sys/fs/cgroup/unified/cgroup.controllers", "hugetlb\n");
    int r = detect(&fixture,
                   "22 1 254:0 / / rw - ext4 /dev/vda rw\n"
                   "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n" //
                   V1_LINE("35", "/", "memory") V1_LINE("36", "/", "cpu,cpuacct")
                       V1_LINE("37", "/", "cpuset"),
                   "5:cpuset:/\n4:memory:/box/inner\n3:cpu,cpuacct:/\n1:name=systemd:/x\n0::/\n");
    assert_int_equal(r, 0);
    assert_int_equal(host.version, CGROUP_V1);
    assert_string_equal(host.mount[CGROUP_MEMORY], "/sys/fs/cgroup/memory");
    assert_string_equal(host.own[CGROUP_MEMORY], "/sys/fs/cgroup/memory/box/inner");
    assert_string_equal(host.kernel_own, "/box/inner");
    assert_string_equal(host.own[CGROUP_CPU], "/sys/fs/cgroup/cpu,cpuacct");
    assert_string_equal(host.own[CGROUP_CPUACCT], "/sys/fs/cgroup/cpu,cpuacct");
    assert_true(host.available[CGROUP_MEMORY]);
    assert_true(host.available[CGROUP_CPU]);
    assert_false(host.available[CGROUP_PIDS]);
    assert_string_equal(host.mount[CGROUP_PIDS], "");
    fixture_remove(&fixture);
}

/* Docker on v1: the mount shows a part of the hierarchy, the membership names all of it. */
static void test_container_v1(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    fixture_directory(&fixture, "sys/fs/cgroup/memory/child");
    int r =
        detect(&fixture, V1_LINE("35", "/docker/abc", "memory"), "4:memory:/docker/abc/child\n");
    assert_int_equal(r, 0);
    assert_string_equal(host.own[CGROUP_MEMORY], "/sys/fs/cgroup/memory/child");
    assert_string_equal(host.kernel_own, "/docker/abc/child");
    /* A sibling with a common beginning is not inside. */
    r = detect(&fixture, V1_LINE("35", "/docker/abc", "memory"), "4:memory:/docker/abcdef\n");
    assert_int_equal(r, 0);
    assert_string_equal(host.own[CGROUP_MEMORY], "/sys/fs/cgroup/memory");
    assert_string_equal(host.kernel_own, "/docker/abc");
    fixture_remove(&fixture);
}

/* Of two mounts the one that shows us counts. */
static void test_two_mounts(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    fixture_directory(&fixture, "b/me");
    int r = detect(&fixture,
                   "35 31 0:32 /other /a rw - cgroup cgroup rw,memory\n"
                   "36 31 0:32 / /b rw - cgroup cgroup rw,memory\n"
                   "37 31 0:32 / /c rw - cgroup cgroup rw,memory\n",
                   "4:memory:/me\n");
    assert_int_equal(r, 0);
    assert_string_equal(host.own[CGROUP_MEMORY], "/b/me");
    fixture_remove(&fixture);
}

static void test_unified(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    fixture_file(&fixture, "sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
    fixture_file(&fixture, "sys/fs/cgroup/user.slice/cgroup.controllers", "memory pids\n");
    int r =
        detect(&fixture, "30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n",
               "0::/user.slice\n");
    assert_int_equal(r, 0);
    assert_int_equal(host.version, CGROUP_V2);
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        assert_string_equal(host.own[i], "/sys/fs/cgroup/user.slice");
    assert_string_equal(host.kernel_own, "/user.slice");
    assert_true(host.available[CGROUP_MEMORY]);
    assert_true(host.available[CGROUP_PIDS]);
    assert_true(host.available[CGROUP_CPUACCT]);
    assert_false(host.available[CGROUP_CPU]);
    fixture_remove(&fixture);
}

/* The root has memory, our own cgroup was not given it. */
static void test_unified_not_delegated(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    fixture_file(&fixture, "sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n");
    fixture_file(&fixture, "sys/fs/cgroup/me/cgroup.controllers", "pids\n");
    int r = detect(&fixture, "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/me\n");
    assert_int_equal(r, 0);
    assert_int_equal(host.version, CGROUP_V2);
    assert_false(host.available[CGROUP_MEMORY]);
    /* Gone, or outside of our namespace: the top of what we see. */
    r = detect(&fixture, "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/../x\n");
    assert_int_equal(r, 0);
    assert_string_equal(host.own[CGROUP_MEMORY], "/sys/fs/cgroup");
    fixture_remove(&fixture);
}

static void test_no_memory_anywhere(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    fixture_file(&fixture, "sys/fs/cgroup/cgroup.controllers", "cpu pids\n");
    static const char *const mounts[] = {
        "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        V1_LINE("35", "/", "cpu"),
        "",
        "30 22 0:26 / /sys/fs/cgroup rw - tmpfs cgroup2 rw,memory\n",
        "30 22 0:26 / /nowhere rw - cgroup2 cgroup2 rw\n",
    };
    for (size_t i = 0; i < sizeof(mounts) / sizeof(*mounts); i++) {
        assert_true(detect(&fixture, mounts[i], "4:memory:/\n0::/\n") < 0);
        assert_int_equal(err.kind, ERROR_UNAVAILABLE);
    }
    fixture_remove(&fixture);
}

static void test_escapes(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    fixture_directory(&fixture, "my cgroups/a:b");
    int r = detect(&fixture, "35 31 0:32 / /my\\040cgroups rw - cgroup cgroup rw,memory\n",
                   "4:memory:/a:b\n");
    assert_int_equal(r, 0);
    assert_string_equal(host.own[CGROUP_MEMORY], "/my cgroups/a:b");
    fixture_remove(&fixture);
}

static void test_path_too_long(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    char membership[2 * CGROUP_PATH_MAX];
    snprintf(membership, sizeof(membership), "4:memory:/%0*d\n", CGROUP_PATH_MAX - 8, 0);
    assert_int_equal(detect(&fixture, V1_LINE("35", "/", "memory"), membership), -ENAMETOOLONG);
    fixture_remove(&fixture);
}

/* The machine that runs the test: whatever it is, the answer is a directory or "unavailable". */
static void test_this_machine(void **state)
{
    (void)state;
    int r = cgroup_host_detect(&host, &err);
    if (r < 0) {
        assert_int_equal(err.kind, ERROR_UNAVAILABLE);
        return;
    }
    assert_int_equal(access(host.own[CGROUP_MEMORY], F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hybrid),
        cmocka_unit_test(test_container_v1),
        cmocka_unit_test(test_two_mounts),
        cmocka_unit_test(test_unified),
        cmocka_unit_test(test_unified_not_delegated),
        cmocka_unit_test(test_no_memory_anywhere),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_path_too_long),
        cmocka_unit_test(test_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
