/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the main process outlived a counted kill. The counter says that *somebody* of the cgroup
 * was killed; a main process that runs on without a SIGKILL pending was not it, whatever ends it
 * later and however soon.
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

bool main_process_runs(const char *status)
{
    const char *state = value_of(status, "State:");
    const char *shared = value_of(status, "ShdPnd:");
    const char *own = value_of(status, "SigPnd:");
    if (!state || !shared || !own || *state == 'Z' || *state == 'X')
        return false;
    return !sigkill_in(shared) && !sigkill_in(own);
}

void main_process_note_kill(struct target *target, int64_t now_ns)
{
    target->kill_noticed_ns = now_ns;
    target->main_ran_after_kill = false;
    target->main_awaits_look = target->status_fd >= 0;
}

void main_process_look(struct target *target, int64_t now_ns)
{
    if (!target->main_awaits_look || now_ns - target->kill_noticed_ns < SETTLE_NS)
        return;
    char text[STATUS_BYTES];
    target->main_awaits_look = false;
    target->main_ran_after_kill =
        file_pread_text(target->status_fd, text, sizeof(text)) > 0 && main_process_runs(text);
}
