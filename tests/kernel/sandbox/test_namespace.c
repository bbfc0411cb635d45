/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab inside a container: a private cgroup namespace whose visible root is our own cgroup. On v2
 * the only way is a leaf for our own process, and only when no other process is in the way. */
#include "helper.h"

#include "sandbox/root.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

static char output[OUTPUT_BYTES];

/* Join the cgroup, make it our namespace's root, and mount what that shows where the tree was. */
static void enter_namespace(struct sandbox_root *root, const struct cgroup *cgroup)
{
    struct cgroup_host host;
    struct error err;
    bool v1 = sandbox_root_version(root) == CGROUP_V1;
    if (cgroup_host_detect(&host, &err) < 0 || cgroup_attach(cgroup, getpid(), &err) < 0 ||
        unshare(CLONE_NEWCGROUP | CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        _exit(10);
    const char *top = host.mount[CGROUP_MEMORY];
    if (umount2(top, MNT_DETACH) < 0 ||
        mount("none", top, v1 ? "cgroup" : "cgroup2", 0, v1 ? "memory" : NULL) < 0)
        _exit(11);
}

static int run_inside(void)
{
    struct sandbox_root *root = NULL;
    struct error err;
    if (sandbox_root_new("test-inside", &root, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return err.kind == ERROR_UNAVAILABLE ? 20 : 12;
    }
    bool v2 = sandbox_root_version(root) == CGROUP_V2;
    struct box_request request = {.args = {"alloc", "64"}, .limits = {.memory_bytes = 16 << 20}};
    struct box box = box_run(root, &request);
    siginfo_t end = box_wait(&box);
    bool killed = end.si_status == SIGKILL && box_metric(&box, METRIC_OOM_KILL) > 0;
    bool moved = root->has_self;
    box_done(&box);
    sandbox_root_free(root);
    if (!killed)
        return 13;
    if (moved != v2)
        return 14;
    /* Back where we were, and no leaf left: it would count as a child. */
    char path[CGROUP_PATH_MAX + 32];
    struct cgroup_host host;
    if (cgroup_host_detect(&host, &err) < 0)
        return 15;
    snprintf(path, sizeof(path), "%s/oomlab-test-inside.self", host.own[CGROUP_MEMORY]);
    return access(path, F_OK) == 0 ? 16 : 0;
}

static int status_inside(bool with_another)
{
    struct sandbox_root *root = root_or_fail();
    struct cgroup cgroup;
    struct error err;
    assert_int_equal(cgroup_create(&root->cgroup, "inside", &cgroup, &err), 0);
    pid_t other = -1;
    if (with_another) {
        other = fork_process();
        if (other == 0)
            for (;;)
                pause();
        assert_int_equal(cgroup_attach(&cgroup, other, &err), 0);
    }
    pid_t child = fork_process();
    if (child == 0) {
        enter_namespace(root, &cgroup);
        _exit(run_inside());
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (with_another) {
        pid_t member = 0;
        assert_int_equal(cgroup_members(&cgroup, &member, 1), 1); /* where it was */
        assert_int_equal(member, other);
        kill(other, SIGKILL);
        waitpid(other, NULL, 0);
    }
    assert_int_equal(cgroup_remove(&cgroup, &err), 0);
    cgroup_done(&cgroup);
    sandbox_root_free(root);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_alone_in_namespace(void **state)
{
    (void)state;
    assert_int_equal(status_inside(false), 0);
}

static void test_others_in_namespace(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    bool v2 = sandbox_root_version(root) == CGROUP_V2;
    sandbox_root_free(root);
    assert_int_equal(status_inside(true), v2 ? 20 : 0);
}

/* A parent that cannot hand out memory because processes live in it, below one that can: the
 * nearest above is taken, and nobody is moved. */
static void test_walks_up(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct cgroup cgroup;
    struct error err;
    assert_int_equal(cgroup_create(&root->cgroup, "busy", &cgroup, &err), 0);
    pid_t child = fork_process();
    if (child == 0) {
        if (cgroup_attach(&cgroup, getpid(), &err) < 0)
            _exit(10);
        struct sandbox_root *inner = root_or_fail();
        const char *expected = inner->cgroup.version == CGROUP_V1
                                   ? cgroup.path[CGROUP_MEMORY]
                                   : root->cgroup.path[CGROUP_MEMORY];
        int status = strcmp(inner->parent.path[CGROUP_MEMORY], expected) == 0 ? 0 : 11;
        if (inner->has_self)
            status = 12;
        box_run_to_end(inner, &(struct box_request){.args = {"say"}}, output);
        sandbox_root_free(inner);
        _exit(status);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(cgroup_remove(&cgroup, &err), 0);
    cgroup_done(&cgroup);
    sandbox_root_free(root);
}

/* systemd owns the tree of its machine: there the way is a scope, which is tested by all others. */
static int setup(void **state)
{
    if (access("/run/systemd/system", F_OK) == 0) {
        fprintf(stderr, "skipped: systemd runs this machine\n");
        exit(77);
    }
    return suite_setup(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone_in_namespace),
        cmocka_unit_test(test_others_in_namespace),
        cmocka_unit_test(test_walks_up),
    };
    return cmocka_run_group_tests(tests, setup, suite_teardown);
}
