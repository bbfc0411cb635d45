/* SPDX-License-Identifier: Apache-2.0 */
/* After kill -9 of oomlab: its containers die at once, the next start removes their cgroups, and
 * nobody else's. */
#include "helper.h"

#include "sandbox/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char output[OUTPUT_BYTES];

struct note {
    pid_t init;
    char cgroup[CGROUP_PATH_MAX];
};

/* An oomlab of its own: starts a container, says where, waits to be killed. */
static _Noreturn void be_owner(int report_fd, bool released)
{
    struct sandbox_root *root = root_or_fail();
    struct box box;
    struct error err;
    if (box_start(root, &(struct box_request){.args = {"tree"}}, &box, &err) < 0)
        _exit(2);
    if (released) {
        if (sandbox_release(box.sandbox, &err) < 0)
            _exit(3);
        box_read(&box, output, "grown\n");
    }
    struct note note = {.init = sandbox_pid(box.sandbox)};
    memcpy(note.cgroup, root->cgroup.path[CGROUP_MEMORY], sizeof(note.cgroup));
    if (write(report_fd, &note, sizeof(note)) != (ssize_t)sizeof(note))
        _exit(4);
    for (;;)
        pause();
}

static pid_t start_owner(bool released, struct note *note)
{
    int report[2];
    assert_return_code(pipe2(report, O_CLOEXEC), errno);
    pid_t owner = fork_process();
    if (owner == 0)
        be_owner(report[1], released);
    close(report[1]);
    assert_int_equal(read(report[0], note, sizeof(*note)), sizeof(*note));
    close(report[0]);
    return owner;
}

static void kill_owner(pid_t owner)
{
    int status;
    kill(owner, SIGKILL);
    assert_int_equal(waitpid(owner, &status, 0), owner);
}

static bool has_systemd(void)
{
    return access("/run/systemd/system", F_OK) == 0;
}

static void check_killed_owner(bool released)
{
    struct sandbox_root *neighbour = root_or_fail();
    struct box box = box_run(neighbour, &(struct box_request){.args = {"wait"}});
    box_read(&box, output, "waiting\n");

    struct note note;
    pid_t owner = start_owner(released, &note);
    int init = (int)syscall(SYS_pidfd_open, note.init, 0);
    assert_return_code(init, errno);
    kill_owner(owner);
    assert_true(ends_within(init, 5000));
    close(init);
    if (!has_systemd()) /* it may be faster than our sweep */
        assert_int_equal(access(note.cgroup, F_OK), 0);
    assert_int_equal(count_records(), 2);

    struct sandbox_root *next = root_or_fail();
    assert_int_equal(access(note.cgroup, F_OK), -1);
    assert_int_equal(count_records(), 2);
    sandbox_root_free(next);

    assert_false(ends_within(sandbox_pidfd(box.sandbox), 50));
    assert_int_equal(access(neighbour->cgroup.path[CGROUP_MEMORY], F_OK), 0);
    box_done(&box);
    sandbox_root_free(neighbour);
    assert_int_equal(count_records(), 0);
}

static void test_killed_owner(void **state)
{
    (void)state;
    check_killed_owner(true);
}

static void test_killed_owner_of_held(void **state)
{
    (void)state;
    check_killed_owner(false);
}

/* Ten owners killed at random moments of start and work; then one ordinary start. */
static void test_killed_anywhere(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        pid_t owner = fork_process();
        if (owner == 0) {
            struct sandbox_root *root = root_or_fail();
            for (;;)
                box_run_to_end(root, &(struct box_request){.args = {"report"}}, output);
        }
        usleep(1000 + i * 1700);
        kill_owner(owner);
    }
    struct error err;
    int swept = sandbox_sweep(&err);
    assert_true(swept >= 0 && swept <= 10);
    assert_int_equal(count_records(), 0);
    struct sandbox_root *root = root_or_fail();
    struct belongings before = count_belongings(root);
    assert_int_equal(before.cgroups, 0);
    box_run_to_end(root, &(struct box_request){.args = {"say"}}, output);
    sandbox_root_free(root);
    assert_int_equal(sandbox_sweep(&err), 0);
}

/* Processes that the death signal did not reach: one without it, in the left cgroup. */
static void test_sweep_kills(void **state)
{
    (void)state;
    struct note note;
    pid_t owner = start_owner(true, &note);
    char procs[CGROUP_PATH_MAX + 32];
    snprintf(procs, sizeof(procs), "%s/box/cgroup.procs", note.cgroup);
    pid_t stray = fork_process();
    if (stray == 0)
        for (;;)
            pause();
    int fd = open(procs, O_WRONLY | O_CLOEXEC);
    assert_true(dprintf(fd, "%d", stray) > 0);
    close(fd);
    kill_owner(owner);
    struct error err;
    assert_int_equal(sandbox_sweep(&err), 1);
    int status;
    assert_int_equal(waitpid(stray, &status, 0), stray);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(access(note.cgroup, F_OK), -1);
}

static void write_record(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", runtime_directory(), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* A record names what it likes: only cgroups of its own name are touched. */
static void test_foreign_paths_untouched(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct box box = box_run(root, &(struct box_request){.args = {"wait"}});
    char directory[300];
    snprintf(directory, sizeof(directory), "%s/oomlab-fake", runtime_directory());
    mkdir(directory, 0700);
    char text[4 * CGROUP_PATH_MAX];
    snprintf(text, sizeof(text),
             "memory %s\nmemory %s/../%s\nmemory %s\nself %s\nmemory relative/oomlab-fake\nmemory\n"
             "nonsense\n\n",
             root->cgroup.path[CGROUP_MEMORY], root->parent.path[CGROUP_MEMORY], "oomlab-fake",
             directory, directory);
    write_record("oomlab-fake.run", text);
    struct error err;
    assert_int_equal(sandbox_sweep(&err), 0);
    assert_false(ends_within(sandbox_pidfd(box.sandbox), 50));
    assert_int_equal(access(directory, F_OK), 0);
    assert_int_equal(rmdir(directory), 0);
    assert_int_equal(count_records(), 1);
    box_done(&box);
    sandbox_root_free(root);
}

static void test_directory_must_be_ours(void **state)
{
    (void)state;
    struct error err;
    struct sandbox_root *root = NULL;
    assert_return_code(chmod(runtime_directory(), 0755), errno);
    assert_int_equal(sandbox_root_new("test-mode", &root, &err), -EPERM);
    assert_non_null(strstr(err.text, "0700"));
    assert_int_equal(sandbox_sweep(&err), -EPERM);
    assert_return_code(chmod(runtime_directory(), 0700), errno);

    char link[300];
    snprintf(link, sizeof(link), "%s/link", runtime_directory());
    assert_return_code(symlink("/tmp", link), errno);
    assert_return_code(setenv("OOMLAB_RUNTIME_DIR", link, 1), errno);
    assert_true(sandbox_root_new("test-link", &root, &err) < 0);
    assert_return_code(setenv("OOMLAB_RUNTIME_DIR", runtime_directory(), 1), errno);
    unlink(link);
    assert_null(root);
}

static void test_same_run_refused(void **state)
{
    (void)state;
    struct error err;
    struct sandbox_root *first = NULL;
    struct sandbox_root *second = NULL;
    assert_int_equal(sandbox_root_new("test-same", &first, &err), 0);
    assert_int_equal(sandbox_root_new("test-same", &second, &err), -EEXIST);
    assert_null(second);
    assert_int_equal(access(first->cgroup.path[CGROUP_MEMORY], F_OK), 0);
    sandbox_root_free(first);
}

/* Many start and end at once; every sweep sees the others' records, none may take them. */
static void test_starting_together(void **state)
{
    (void)state;
    pid_t owners[6];
    for (size_t i = 0; i < 6; i++) {
        owners[i] = fork_process();
        if (owners[i] == 0) {
            for (int j = 0; j < 10; j++) {
                struct sandbox_root *root = root_or_fail();
                struct box box = box_run(root, &(struct box_request){.args = {"wait"}});
                box_read(&box, output, "waiting\n");
                if (strcmp(output, "waiting\n") != 0 ||
                    ends_within(sandbox_pidfd(box.sandbox), 0) ||
                    access(root->cgroup.path[CGROUP_MEMORY], F_OK) < 0)
                    _exit(3);
                box_done(&box);
                sandbox_root_free(root);
            }
            _exit(0);
        }
    }
    for (size_t i = 0; i < 6; i++) {
        int status;
        assert_int_equal(waitpid(owners[i], &status, 0), owners[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count_records(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_owner),
        cmocka_unit_test(test_killed_owner_of_held),
        cmocka_unit_test(test_killed_anywhere),
        cmocka_unit_test(test_sweep_kills),
        cmocka_unit_test(test_foreign_paths_untouched),
        cmocka_unit_test(test_directory_must_be_ours),
        cmocka_unit_test(test_same_run_refused),
        cmocka_unit_test(test_starting_together),
    };
    return cmocka_run_group_tests(tests, suite_setup, suite_teardown);
}
