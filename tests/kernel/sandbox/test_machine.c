/* SPDX-License-Identifier: Apache-2.0 */
/* The examination of the machine, and what an ordinary user gets. */
#include "helper.h"

#include "sandbox/root.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ITEMS  32
#define NOBODY 65534

static const struct doctor_item *find_item(const struct doctor_item *items, unsigned count,
                                           const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(items[i].name, name) == 0)
            return &items[i];
    fail_msg("no item '%s'", name);
    return NULL;
}

static void test_examine(void **state)
{
    (void)state;
    struct doctor_item items[ITEMS];
    struct sandbox_root *root = root_or_fail();
    struct belongings before = count_belongings(root);
    unsigned count = sandbox_examine(items, ITEMS);
    assert_same_belongings(before, count_belongings(root));
    assert_true(count >= 10 && count < ITEMS);
    for (unsigned i = 0; i < count; i++) {
        assert_non_null(items[i].name);
        assert_true(items[i].found[0] != '\0');
        assert_int_equal(items[i].state == DOCTOR_OK, items[i].advice[0] == '\0');
        print_message("%-22s %u %s%s%s\n", items[i].name, items[i].state, items[i].found,
                      items[i].advice[0] ? " -- " : "", items[i].advice);
    }
    char version[8];
    snprintf(version, sizeof(version), "v%d,", (int)sandbox_root_version(root));
    const struct doctor_item *item = find_item(items, count, "cgroup version");
    assert_true(strncmp(item->found, version, strlen(version)) == 0);
    assert_int_equal(find_item(items, count, "memory controller")->state, DOCTOR_OK);
    assert_int_equal(find_item(items, count, "namespaces")->state, DOCTOR_OK);
    assert_int_equal(find_item(items, count, "place for containers")->state, DOCTOR_OK);
    assert_int_equal(count_records(), 1);
    sandbox_root_free(root);
}

static void test_examine_bounded(void **state)
{
    (void)state;
    struct doctor_item items[3];
    memset(items, 0x55, sizeof(items));
    assert_int_equal(sandbox_examine(items, 2), 2);
    assert_int_equal(((unsigned char *)&items[2])[0], 0x55);
}

/* Nobody, without supplementary groups and a directory for records of its own. */
static void become_nobody(void)
{
    char directory[300];
    snprintf(directory, sizeof(directory), "%s/nobody", runtime_directory());
    if (chmod(runtime_directory(), 0755) < 0 || mkdir(directory, 0700) < 0 ||
        chown(directory, NOBODY, NOBODY) < 0 || setgroups(0, NULL) < 0 ||
        setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 || /* as after an exec */
        setenv("OOMLAB_RUNTIME_DIR", directory, 1) < 0)
        _exit(2);
}

static int in_nobody(int (*work)(const char *), const char *argument)
{
    pid_t child = fork_process();
    if (child == 0) {
        become_nobody();
        _exit(work(argument));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    char directory[300];
    snprintf(directory, sizeof(directory), "%s/nobody", runtime_directory());
    assert_int_equal(rmdir(directory), 0);
    assert_return_code(chmod(runtime_directory(), 0700), errno);
    return status;
}

static int expect_unavailable(const char *argument)
{
    (void)argument;
    struct error err = {.text = ""};
    struct sandbox_root *root = NULL;
    int r = sandbox_root_new("test-nobody", &root, &err);
    fprintf(stderr, "%s\n", err.text);
    if (r >= 0 || err.kind != ERROR_UNAVAILABLE || !strstr(err.text, "as root"))
        return 3;
    struct doctor_item items[ITEMS];
    unsigned count = sandbox_examine(items, ITEMS);
    const struct doctor_item *item = find_item(items, count, "place for containers");
    return item->state == DOCTOR_MISSING && item->advice[0] ? 0 : 4;
}

static void test_ordinary_user_unavailable(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("only root can become an ordinary user\n");
        skip();
    }
    assert_int_equal(in_nobody(expect_unavailable, NULL), 0);
}

/* The delegation that a system manager would make: a cgroup of the user's own, with the process
 * inside. */
static struct cgroup delegate(struct sandbox_root *root)
{
    struct cgroup cgroup;
    struct error err;
    assert_int_equal(cgroup_create(&root->cgroup, "delegated", &cgroup, &err), 0);
    static const char *const files[] = {".", "cgroup.procs", "cgroup.subtree_control", "tasks"};
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        for (size_t j = 0; cgroup.dir_fd[i] >= 0 && j < sizeof(files) / sizeof(*files); j++)
            if (fchownat(cgroup.dir_fd[i], files[j], NOBODY, NOBODY, 0) < 0 && errno != ENOENT)
                fail_msg("%s: %s", files[j], strerror(errno));
    return cgroup;
}

static char output[OUTPUT_BYTES];

static int use_root(struct sandbox_root *root)
{
    char value[256];
    struct error err = {.text = ""};
    struct box box;
    int r = box_start(root, &(struct box_request){.args = {"report"}}, &box, &err);
    if (r == 0)
        r = sandbox_release(box.sandbox, &err);
    if (r < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 4;
    }
    box_read(&box, output, NULL);
    box_wait(&box);
    box_done(&box);
    line_value(output, "pid", value);
    if (strcmp(value, "1") != 0)
        return 5;
    line_value(output, "uid", value);
    if (strcmp(value, "65534") != 0)
        return 6;
    line_value(output, "self", value);
    if (strcmp(value, "1") != 0)
        return 7;
    struct box_request greedy = {.args = {"alloc", "64"}, .limits = {.memory_bytes = 16 << 20}};
    box = box_run(root, &greedy);
    siginfo_t end = box_wait(&box);
    bool killed = end.si_status == SIGKILL && box_metric(&box, METRIC_OOM_KILL) > 0;
    box_done(&box);
    return killed ? 0 : 8;
}

static int run_as_nobody(void)
{
    struct error err = {.text = ""};
    struct sandbox_root *root = NULL;
    if (sandbox_root_new("test-user", &root, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 3;
    }
    int r = use_root(root);
    sandbox_root_free(root);
    return r == 0 && count_records() < 0 ? 10 : r;
}

static void test_ordinary_user_delegated(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("only root can delegate to an ordinary user\n");
        skip();
    }
    struct sandbox_root *root = root_or_fail();
    struct cgroup cgroup = delegate(root);
    pid_t child = fork_process();
    if (child == 0) {
        struct error err;
        if (cgroup_attach(&cgroup, getpid(), &err) < 0)
            _exit(9);
        become_nobody();
        _exit(run_as_nobody());
    }
    int status = -1;
    pid_t ended = waitpid(child, &status, 0);
    char directory[300];
    snprintf(directory, sizeof(directory), "%s/nobody", runtime_directory());
    int removed = rmdir(directory);
    int restored = chmod(runtime_directory(), 0700);
    cgroup_done(&cgroup);
    sandbox_root_free(root);
    assert_int_equal(ended, child);
    assert_int_equal(status, 0);
    assert_int_equal(removed, 0);
    assert_int_equal(restored, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examine),
        cmocka_unit_test(test_examine_bounded),
        cmocka_unit_test(test_ordinary_user_unavailable),
        cmocka_unit_test(test_ordinary_user_delegated),
    };
    return cmocka_run_group_tests(tests, suite_setup, suite_teardown);
}
