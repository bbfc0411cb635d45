/* SPDX-License-Identifier: Apache-2.0 */
/* A start that fails, at every step, says which and leaves nothing. Steps are made to fail by
 * seccomp filters that answer one system call with an error. */
#include "helper.h"

#include "sandbox/root.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char output[OUTPUT_BYTES];

static int start_and_release(struct sandbox_root *root, const struct box_request *request,
                             struct error *err)
{
    struct box box = {.sandbox = NULL, .output_fd = -1};
    int r = box_start(root, request, &box, err);
    if (r == 0) {
        r = sandbox_release(box.sandbox, err);
        box_done(&box);
    }
    return r;
}

static void assert_refused(const struct box_request *request, int code, enum error_kind kind,
                           const char *words)
{
    struct sandbox_root *root = root_or_fail();
    struct belongings before = count_belongings(root);
    struct error err = {.text = ""};
    int r = start_and_release(root, request, &err);
    if (r != code || err.kind != kind || !strstr(err.text, words))
        fail_msg("%d (kind %u): '%s', not %d (kind %u) with '%s'", r, err.kind, err.text, code,
                 kind, words);
    assert_true(strncmp(err.text, "starting 'box': ", strlen("starting 'box': ")) == 0);
    assert_same_belongings(before, count_belongings(root));
    sandbox_root_free(root);
}

static void test_command_not_found(void **state)
{
    (void)state;
    assert_refused(&(struct box_request){.command = "no-such-command"}, -ENOENT, ERROR_USAGE,
                   "command not found: 'no-such-command'; searched PATH=/usr/bin:/bin");
    assert_refused(&(struct box_request){.command = "/no/such"}, -ENOENT, ERROR_USAGE,
                   "executing '/no/such': No such file or directory");
    assert_refused(&(struct box_request){.command = ""}, -EINVAL, ERROR_USAGE, "empty");
}

static void make_file(char path[static 256], const char *text, mode_t mode)
{
    snprintf(path, 256, "%s/script", runtime_directory());
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    assert_return_code(fd, errno);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void test_command_not_executable(void **state)
{
    (void)state;
    char path[256];
    make_file(path, "#!/bin/sh\n", 0600);
    assert_refused(&(struct box_request){.command = path}, -EACCES, ERROR_USAGE, "chmod +x");
    make_file(path, "not a program", 0700);
    assert_refused(&(struct box_request){.command = path}, -ENOEXEC, ERROR_USAGE, "#! line");
    make_file(path, "#!/no/interpreter\n", 0700);
    assert_refused(&(struct box_request){.command = path}, -ENOENT, ERROR_USAGE, "interpreter");
    const char *const env[] = {"PATH=/nowhere:", NULL}; /* the last element: where we are */
    struct box_request by_name = {
        .command = "script", .env = env, .directory = runtime_directory()};
    assert_refused(&by_name, -ENOENT, ERROR_USAGE, "interpreter");
    unlink(path);
    assert_refused(&(struct box_request){.command = "/usr"}, -EACCES, ERROR_USAGE, "directory");
}

static void test_bad_directory(void **state)
{
    (void)state;
    assert_refused(&(struct box_request){.args = {"wait"}, .directory = "/no/such/place"}, -ENOENT,
                   ERROR_USAGE, "its working directory '/no/such/place'");
}

/* Somebody kills the held child: releasing it says so, and does not claim a start. */
static void test_killed_while_held(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct belongings before = count_belongings(root);
    struct box box;
    struct error err;
    assert_int_equal(box_start(root, &(struct box_request){.args = {"wait"}}, &box, &err), 0);
    assert_int_equal(sandbox_signal(box.sandbox, SIGKILL), 0);
    assert_true(ends_within(sandbox_pidfd(box.sandbox), 5000));
    assert_int_equal(sandbox_release(box.sandbox, &err), -ECHILD);
    assert_non_null(strstr(err.text, "killed before it could execute"));
    box_done(&box);
    assert_same_belongings(before, count_belongings(root));
    sandbox_root_free(root);
}

/* A system call (with its first argument, if that matters) that fails with `errnum`. */
struct block {
    int number;
    int errnum;
    long first_argument; /* -1: any */
    const char *words;   /* NULL: the start must succeed all the same */
};

static int install(const struct block *block)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    uint32_t action = SCMP_ACT_ERRNO((uint32_t)block->errnum);
    int r = block->first_argument < 0
                ? seccomp_rule_add(filter, action, block->number, 0)
                : seccomp_rule_add(filter, action, block->number, 1,
                                   SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)block->first_argument));
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
}

/* In a process of its own, because filters stay. Its exit status is the verdict. */
static int run_blocked(const struct block *block)
{
    struct sandbox_root *root = root_or_fail();
    struct belongings before = count_belongings(root);
    if (install(block) < 0)
        return 2;
    struct error err = {.text = ""};
    struct box box = {.sandbox = NULL, .output_fd = -1};
    int r = box_start(root, &(struct box_request){.args = {"say"}}, &box, &err);
    if (r == 0)
        r = sandbox_release(box.sandbox, &err);
    if (r == 0) {
        box_read(&box, output, NULL);
        if (!strstr(output, "to stdout\n") || box_wait(&box).si_status != 0)
            return 3;
    }
    if (box.sandbox)
        box_done(&box);
    struct belongings after = count_belongings(root);
    if (memcmp(&before, &after, sizeof(before)) != 0) {
        fprintf(stderr,
                "left: descriptors %d->%d, mounts %d->%d, cgroups %d->%d, "
                "children %d->%d\n",
                before.descriptors, after.descriptors, before.mounts, after.mounts, before.cgroups,
                after.cgroups, before.children, after.children);
        return 4;
    }
    sandbox_root_free(root);
    if (block->words ? r == 0 || !strstr(err.text, block->words) : r < 0) {
        fprintf(stderr, "%d: '%s', expected '%s'\n", r, err.text,
                block->words ? block->words : "success");
        return 5;
    }
    return count_records() == 0 ? 0 : 6;
}

static void check_blocks(const struct block *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pid_t child = fork_process();
        if (child == 0)
            _exit(run_blocked(&blocks[i]));
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (status != 0) {
            char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, blocks[i].number);
            fail_msg("%s with errno %d: status %x", name, blocks[i].errnum, (unsigned)status);
        }
    }
}

static void test_every_step_blocked(void **state)
{
    (void)state;
    static const struct block blocks[] = {
        {SCMP_SYS(mkdirat), EROFS, -1, "creating the cgroup"},
        {SCMP_SYS(socketpair), EMFILE, -1, "preparing its descriptors: Too many open files"},
        {SCMP_SYS(prctl), EINVAL, PR_SET_PDEATHSIG, "kill it together with oomlab"},
        {SCMP_SYS(dup3), EMFILE, -1, "arranging its descriptors"},
        {SCMP_SYS(close_range), EPERM, -1, "arranging its descriptors"},
        {SCMP_SYS(mount), EINVAL, -1, "making its mounts private: Invalid argument"},
        {SCMP_SYS(sethostname), EPERM, -1, "setting its host name"},
        {SCMP_SYS(setsid), EPERM, -1, "starting its session"},
        {SCMP_SYS(prctl), EINVAL, PR_SET_NO_NEW_PRIVS, "forbidding it new privileges"},
        {SCMP_SYS(execve), E2BIG, -1, "Argument list too long"},
        {SCMP_SYS(execve), ENOMEM, -1, "too small to start"},
        {SCMP_SYS(mount), ENOMEM, -1, "too small to start"},
    };
    check_blocks(blocks, sizeof(blocks) / sizeof(*blocks));
}

/* /proc alone: the source argument cannot be compared, but the first mount's is NULL. */
static void test_proc_refused(void **state)
{
    (void)state;
    pid_t child = fork_process();
    if (child == 0) {
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
        struct sandbox_root *root = root_or_fail();
        int r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EBUSY), SCMP_SYS(mount), 1,
                                 SCMP_A0(SCMP_CMP_NE, 0));
        if (r < 0 || seccomp_load(filter) < 0)
            _exit(2);
        struct error err = {.text = ""};
        r = start_and_release(root, &(struct box_request){.args = {"say"}}, &err);
        sandbox_root_free(root);
        _exit(r == -EBUSY && strstr(err.text, "mounting its own /proc") ? 0 : 3);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Old kernels and container runtimes' filters: the start works without these. */
static void test_fallbacks(void **state)
{
    (void)state;
    static const struct block blocks[] = {
        {SCMP_SYS(clone3), ENOSYS, -1, NULL},
        {SCMP_SYS(clone3), EINVAL, -1, NULL},
        {SCMP_SYS(clone3), EPERM, -1, NULL},
        {SCMP_SYS(close_range), ENOSYS, -1, NULL},
    };
    check_blocks(blocks, sizeof(blocks) / sizeof(*blocks));
}

/* A child that may not move itself into its cgroups is moved: it never runs outside of them. The
 * filter refuses to write a single byte. */
static int run_outside(void)
{
    struct sandbox_root *root = root_or_fail();
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    struct error err = {.text = ""};
    struct box box;
    pid_t member = 0;
    int r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(write), 1,
                             SCMP_A2(SCMP_CMP_EQ, 1));
    if (r < 0 || seccomp_load(filter) < 0)
        return 2;
    if (box_start(root, &(struct box_request){.args = {"wait"}}, &box, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 3;
    }
    bool inside = true;
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        struct cgroup one = {.dir_fd = {sandbox_cgroup(box.sandbox)->dir_fd[i]}};
        if (one.dir_fd[CGROUP_MEMORY] >= 0)
            inside = inside && cgroup_members(&one, &member, 1) == 1 &&
                     member == sandbox_pid(box.sandbox);
    }
    box_done(&box);
    sandbox_root_free(root);
    return inside ? 0 : 4;
}

static void test_moved_by_parent(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    bool is_v1 = sandbox_root_version(root) == CGROUP_V1;
    sandbox_root_free(root);
    if (!is_v1) {
        print_message("cgroup v2 starts a child in its cgroup\n");
        skip();
    }
    pid_t child = fork_process();
    if (child == 0)
        _exit(run_outside());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* No memory for a process: no other way is tried. */
static void test_no_clone_at_all(void **state)
{
    (void)state;
    static const struct block v1 = {SCMP_SYS(clone), EAGAIN, -1, "cloning a process"};
    static const struct block v2 = {SCMP_SYS(clone3), EAGAIN, -1, "cloning a process"};
    struct sandbox_root *root = root_or_fail();
    bool is_v1 = sandbox_root_version(root) == CGROUP_V1;
    sandbox_root_free(root);
    check_blocks(is_v1 ? &v1 : &v2, 1);
}

/* The run's root itself: what was made before the failure goes too. */
static void test_root_fails(void **state)
{
    (void)state;
    static const struct block blocks[] = {
        {SCMP_SYS(mkdirat), EROFS, -1, "creating the cgroup"},
        {SCMP_SYS(flock), ENOLCK, -1, "locking the record"},
    };
    for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++) {
        pid_t child = fork_process();
        if (child == 0) {
            struct error err = {.text = ""};
            struct sandbox_root *root = NULL;
            if (install(&blocks[i]) < 0)
                _exit(2);
            int r = sandbox_root_new("test-blocked", &root, &err);
            _exit(r < 0 && !root && strstr(err.text, blocks[i].words) ? 0 : 3);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        struct error err;
        assert_int_equal(sandbox_sweep(&err), 0);
        assert_int_equal(count_records(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_not_found),  cmocka_unit_test(test_command_not_executable),
        cmocka_unit_test(test_bad_directory),      cmocka_unit_test(test_killed_while_held),
        cmocka_unit_test(test_every_step_blocked), cmocka_unit_test(test_proc_refused),
        cmocka_unit_test(test_fallbacks),          cmocka_unit_test(test_no_clone_at_all),
        cmocka_unit_test(test_root_fails),         cmocka_unit_test(test_moved_by_parent),
    };
    return cmocka_run_group_tests(tests, suite_setup, suite_teardown);
}
