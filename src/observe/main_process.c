/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the main process outlived a counted kill. The counter says that *somebody* of the cgroup
 * was killed; a main process that runs on without a SIGKILL pending was not it, whatever ends it
 * later and however soon.
 *
 * One that has a SIGKILL pending right then was the victim, however long the kernel takes to free
 * its memory: seconds for a large process under a small CPU quota.
 *
 * The kernel sends the victim its SIGKILL right after it counted (mm/oom_kill.c,
 * __oom_kill_process()), and the bit stays in the shared pending set until the process is gone. */
#include "observe/observer-internal.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The kernel may be preempted between counting and signalling: don't look at once. */
#define SETTLE_NS INT64_C(2000000)

/* A SIGKILL that is seen so soon after the kill was counted is the kill's own. A busy machine can
 * keep us from looking for longer: then it may be anybody's. */
#define CLOSE_NS INT64_C(100000000)

#define STATUS_BYTES 4096

/* The value of a line, or NULL. */
static const char *value_of(const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) == 0)
            return line + length + strspn(line + length, " \t");
    }
    return NULL;
}

int main_process_open(int pidfd)
{
    char path[64], text[512];
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
    AUTO_CLOSE int info = open(path, O_RDONLY | O_CLOEXEC);
    if (info < 0 || file_pread_text(info, text, sizeof(text)) <= 0)
        return -1;
    const char *pid = value_of(text, "Pid:");
    if (!pid || strtol(pid, NULL, 10) <= 0)
        return -1;
    snprintf(path, sizeof(path), "/proc/%ld/status", strtol(pid, NULL, 10));
    return open(path, O_RDONLY | O_CLOEXEC);
}

static bool sigkill_in(const char *set)
{
    return set && (strtoull(set, NULL, 16) >> (SIGKILL - 1) & 1);
}

/* A status that says all that is asked of it, of a process that is not dead. */
static bool is_alive(const char *status)
{
    const char *state = value_of(status, "State:");
    return state && *state != 'Z' && *state != 'X' && value_of(status, "ShdPnd:") &&
           value_of(status, "SigPnd:");
}

bool main_process_is_killed(const char *status)
{
    return is_alive(status) &&
           (sigkill_in(value_of(status, "ShdPnd:")) || sigkill_in(value_of(status, "SigPnd:")));
}

bool main_process_runs(const char *status)
{
    return is_alive(status) && !main_process_is_killed(status);
}

void main_process_note_kill(struct target *target, int64_t now_ns)
{
    target->kill_noticed_ns = now_ns;
    target->main_ran_after_kill = target->main_dying_after_kill = false;
    target->main_awaits_look = target->status_fd >= 0;
}

void main_process_look(struct target *target, int64_t now_ns)
{
    if (!target->main_awaits_look || now_ns - target->kill_noticed_ns < SETTLE_NS)
        return;
    char text[STATUS_BYTES];
    target->main_awaits_look = false;
    if (file_pread_text(target->status_fd, text, sizeof(text)) <= 0)
        return;
    target->main_ran_after_kill = main_process_runs(text);
    target->main_dying_after_kill =
        now_ns - target->kill_noticed_ns <= CLOSE_NS && main_process_is_killed(text);
}
