/* SPDX-License-Identifier: Apache-2.0 */
/* What a command finds inside: namespaces, environment, descriptors; how its end is seen. */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char output[OUTPUT_BYTES];

static void assert_line(const char *key, const char *expected)
{
    char value[256];
    line_value(output, key, value);
    if (strcmp(value, expected) != 0)
        fail_msg("%s: '%s' instead of '%s'", key, value, expected);
}

static void test_inside(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    /* libc's own signal 33, as make's children have it; libc itself refuses to touch it. */
    static const struct {
        void (*handler)(int);
        unsigned long rest[7];
    } ignore = {.handler = SIG_IGN};
    static const unsigned long normal[8];
    assert_return_code(syscall(SYS_rt_sigaction, 33, &ignore, NULL, 8), errno);
    signal(SIGUSR1, SIG_IGN);                /* must not be inherited */
    int stray = open("/dev/null", O_RDONLY); /* nor must a descriptor without O_CLOEXEC */
    struct box_request request = {.name = "inside", .args = {"report"}, .directory = "/usr"};
    siginfo_t end = box_run_to_end(root, &request, output);
    close(stray);
    signal(SIGUSR1, SIG_DFL);
    syscall(SYS_rt_sigaction, 33, normal, NULL, 8);
    assert_int_equal(end.si_code, CLD_EXITED);
    assert_int_equal(end.si_status, 0);
    assert_line("pid", "1");
    assert_line("Pid:", "1");
    assert_line("self", "1");
    assert_line("ppid", "0");
    assert_line("sid", "1");
    assert_line("hostname", "inside");
    assert_line("cwd", "/usr");
    assert_line("stdin", "0");
    assert_line("descriptors", "0 1 2");
    assert_line("NoNewPrivs:", "1");
    assert_line("SigBlk:", "0000000000000000");
    assert_line("SigIgn:", "0000000000000000");
    assert_line("parent-visible", "0");
    sandbox_root_free(root);
}

static void test_held_until_released(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct box box;
    struct error err;
    struct box_request request = {.args = {"wait"}};
    assert_int_equal(box_start(root, &request, &box, &err), 0);
    pid_t members[4];
    assert_int_equal(cgroup_members(sandbox_cgroup(box.sandbox), members, 4), 1);
    assert_int_equal(members[0], sandbox_pid(box.sandbox));
    assert_false(ends_within(sandbox_pidfd(box.sandbox), 50));
    char byte;
    fcntl(box.output_fd, F_SETFL, O_NONBLOCK);
    assert_int_equal(read(box.output_fd, &byte, 1), -1); /* no word from the command yet */
    fcntl(box.output_fd, F_SETFL, 0);
    assert_int_equal(sandbox_release(box.sandbox, &err), 0);
    box_read(&box, output, "waiting\n");
    assert_int_equal(sandbox_release(box.sandbox, &err), -EALREADY);
    box_done(&box);
    sandbox_root_free(root);
}

static void test_host_unchanged(void **state)
{
    (void)state;
    char before[256];
    char after[256];
    gethostname(before, sizeof(before));
    struct sandbox_root *root = root_or_fail();
    struct box box = box_run(root, &(struct box_request){.name = "other", .args = {"wait"}});
    box_read(&box, output, "waiting\n");
    char own[32];
    char link[32];
    snprintf(own, sizeof(own), "%d", getpid());
    ssize_t n = readlink("/proc/self", link, sizeof(link) - 1);
    assert_true(n > 0);
    link[n] = '\0';
    assert_string_equal(link, own);
    gethostname(after, sizeof(after));
    assert_string_equal(before, after);
    box_done(&box);
    sandbox_root_free(root);
}

static void test_environment_exact(void **state)
{
    (void)state;
    const char *const env[] = {"A=1", "EMPTY=", "PATH=/nowhere", "B=two words", NULL};
    struct sandbox_root *root = root_or_fail();
    setenv("LEAKED", "from oomlab", 1);
    box_run_to_end(root, &(struct box_request){.args = {"env"}, .env = env}, output);
    unsetenv("LEAKED");
    assert_string_equal(output, "A=1\nEMPTY=\nPATH=/nowhere\nB=two words\n");
    sandbox_root_free(root);
}

static void test_output_captured(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    box_run_to_end(root, &(struct box_request){.args = {"say"}}, output);
    assert_non_null(strstr(output, "to stdout\n"));
    assert_non_null(strstr(output, "to stderr\n"));

    struct box box = box_run(root, &(struct box_request){.args = {"flood", "8"}});
    size_t total = 0;
    for (ssize_t n; (n = read(box.output_fd, output, sizeof(output))) > 0;)
        total += (size_t)n;
    assert_int_equal(total, 8 << 20);
    box_wait(&box);
    box_done(&box);
    sandbox_root_free(root);
}

/* 0, 1 and 2 closed or swapped in oomlab: the child's must be right all the same. */
static void test_low_descriptors(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    int saved = fcntl(0, F_DUPFD_CLOEXEC, 10);
    close(0);
    struct box_request request = {.args = {"report"}};
    siginfo_t end = box_run_to_end(root, &request, output);
    if (saved >= 0) {
        dup2(saved, 0);
        close(saved);
    }
    assert_int_equal(end.si_status, 0);
    assert_line("descriptors", "0 1 2");
    assert_line("stdin", "0");
    sandbox_root_free(root);
}

static void test_ends(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    siginfo_t end = box_run_to_end(root, &(struct box_request){.args = {"exit", "7"}}, output);
    assert_int_equal(end.si_code, CLD_EXITED);
    assert_int_equal(end.si_status, 7);
    end = box_run_to_end(root, &(struct box_request){.args = {"exit", "137"}}, output);
    assert_int_equal(end.si_code, CLD_EXITED);
    assert_int_equal(end.si_status, 137);

    struct box box = box_run(root, &(struct box_request){.args = {"wait"}});
    box_read(&box, output, "waiting\n");
    assert_int_equal(sandbox_signal(box.sandbox, SIGKILL), 0);
    end = box_wait(&box);
    assert_int_equal(end.si_code, CLD_KILLED);
    assert_int_equal(end.si_status, SIGKILL);
    assert_int_equal(sandbox_signal(box.sandbox, SIGTERM), -ESRCH);
    box_done(&box);
    sandbox_root_free(root);
}

static void test_looked_up_in_path(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    const char *const env[] = {"PATH=/nowhere:/bin:/usr/bin", NULL};
    struct box_request request = {.command = "echo", .args = {"found"}, .env = env};
    box_run_to_end(root, &request, output);
    assert_string_equal(output, "found\n");
    sandbox_root_free(root);
}

static void test_two_at_once(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    struct box first = box_run(root, &(struct box_request){.name = "first", .args = {"wait"}});
    struct box second = box_run(root, &(struct box_request){.name = "second", .args = {"wait"}});
    box_read(&first, output, "waiting\n");
    box_read(&second, output, "waiting\n");
    struct box third;
    struct error err;
    struct box_request same = {.name = "first", .args = {"wait"}};
    assert_int_equal(box_start(root, &same, &third, &err), -EEXIST);
    box_done(&first);
    assert_false(ends_within(sandbox_pidfd(second.sandbox), 50));
    box_done(&second);
    sandbox_root_free(root);
}

static void test_refused_names(void **state)
{
    (void)state;
    struct sandbox_root *root = root_or_fail();
    static const char *const names[] = {"", ".", "..", "a/b", "../x", "a b", "a\nb"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct box box;
        struct error err;
        struct box_request request = {.name = names[i], .args = {"wait"}};
        assert_int_equal(box_start(root, &request, &box, &err), -EINVAL);
        assert_int_equal(err.kind, ERROR_USAGE);
        struct sandbox_root *other = NULL;
        assert_true(sandbox_root_new(names[i], &other, &err) < 0 || strchr(names[i], '.'));
        sandbox_root_free(other);
    }
    sandbox_root_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inside),
        cmocka_unit_test(test_held_until_released),
        cmocka_unit_test(test_host_unchanged),
        cmocka_unit_test(test_environment_exact),
        cmocka_unit_test(test_output_captured),
        cmocka_unit_test(test_low_descriptors),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_looked_up_in_path),
        cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_refused_names),
    };
    return cmocka_run_group_tests(tests, suite_setup, suite_teardown);
}
