/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a status file shows a process that goes on: recorded texts, and real processes. */
#include "observe/observer-internal.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define STATUS(state, own, shared)                                                                 \
    "Name:\tpython3\nUmask:\t0022\nState:\t" state "\nSigQ:\t0/1\nSigPnd:\t" own                   \
    "\nShdPnd:\t" shared "\nSigBlk:\t0000000000000000\n"
#define NO_SIGNAL "0000000000000000"
#define KILLED    "0000000000000100"

static void test_texts(void **state)
{
    (void)state;
    assert_true(main_process_runs(STATUS("S (sleeping)", NO_SIGNAL, NO_SIGNAL)));
    assert_true(main_process_runs(STATUS("R (running)", NO_SIGNAL, "0000000000004000")));
    assert_false(main_process_runs(STATUS("S (sleeping)", NO_SIGNAL, KILLED)));
    assert_false(main_process_runs(STATUS("D (disk sleep)", KILLED, NO_SIGNAL)));
    assert_false(main_process_runs(STATUS("Z (zombie)", NO_SIGNAL, NO_SIGNAL)));
    assert_false(main_process_runs(STATUS("X (dead)", NO_SIGNAL, NO_SIGNAL)));
    assert_false(main_process_runs("Name:\tShdPnd:\nState:\tS (sleeping)\n"));
    assert_false(main_process_runs(""));
}

static void read_status(int fd, char *text, size_t size)
{
    assert_true(file_pread_text(fd, text, size) > 0);
}

/* A child that a pipe holds, and that is then a zombie. */
static void test_real_process(void **state)
{
    (void)state;
    int hold[2];
    assert_int_equal(pipe(hold), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        close(hold[1]);
        _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(hold[0]);
    AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    assert_true(pidfd >= 0);
    AUTO_CLOSE int status = main_process_open(pidfd);
    assert_true(status >= 0);
    char text[4096];
    read_status(status, text, sizeof(text));
    assert_true(main_process_runs(text));

    close(hold[1]);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    read_status(status, text, sizeof(text));
    assert_false(main_process_runs(text));

    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(file_pread_text(status, text, sizeof(text)) <= 0);
    assert_int_equal(main_process_open(pidfd), -1); /* reaped: its pid is -1 */
}

/* Not at once after the kill, and then once only. */
static void test_looks_when_the_signal_must_be_there(void **state)
{
    (void)state;
    AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    struct target target = {.status_fd = main_process_open(pidfd)};
    main_process_look(&target, 10);
    assert_false(target.main_ran_after_kill); /* no kill */
    main_process_note_kill(&target, 1000);
    main_process_look(&target, 2000);
    assert_false(target.main_ran_after_kill);
    assert_true(target.main_awaits_look);
    main_process_look(&target, 1000 + 3000000);
    assert_true(target.main_ran_after_kill);
    main_process_note_kill(&target, 9000000); /* another: nothing is known again */
    assert_false(target.main_ran_after_kill);
    close_fd(&target.status_fd);
    main_process_note_kill(&target, 9000000);
    main_process_look(&target, 90000000);
    assert_false(target.main_ran_after_kill);
}

static void test_a_pending_sigkill_is_the_kills_own_if_seen_at_once(void **state)
{
    (void)state;
    static const char killed[] = STATUS("D (disk sleep)", NO_SIGNAL, KILLED);
    assert_true(main_process_is_killed(killed));
    assert_true(main_process_is_killed(STATUS("R (running)", KILLED, NO_SIGNAL)));
    assert_false(main_process_is_killed(STATUS("Z (zombie)", NO_SIGNAL, KILLED)));
    assert_false(main_process_is_killed(STATUS("S (sleeping)", NO_SIGNAL, NO_SIGNAL)));
    assert_false(main_process_is_killed(""));
    AUTO_CLOSE int file = memfd_create("status", MFD_CLOEXEC);
    assert_int_equal(write(file, killed, sizeof(killed) - 1), sizeof(killed) - 1);
    struct target target = {.status_fd = file};
    main_process_note_kill(&target, 1000);
    main_process_look(&target, 1000 + 3000000);
    assert_true(target.main_dying_after_kill);
    assert_false(target.main_ran_after_kill);
    main_process_note_kill(&target, 1000); /* a look that comes late */
    assert_false(target.main_dying_after_kill);
    main_process_look(&target, 1000 + 300000000);
    assert_false(target.main_dying_after_kill || target.main_ran_after_kill);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_real_process),
        cmocka_unit_test(test_looks_when_the_signal_must_be_there),
        cmocka_unit_test(test_a_pending_sigkill_is_the_kills_own_if_seen_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
