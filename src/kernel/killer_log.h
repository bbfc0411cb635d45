/* SPDX-License-Identifier: Apache-2.0 */
/* What user-space OOM killers write into their own logs: systemd-oomd names a cgroup, earlyoom a
 * process. Only the message: who wrote it, and when, the log around it knows. Allocates nothing. */
#pragma once

#include "kernel/kmsg.h"

enum killer {
    KILLER_NONE,
    KILLER_OOMD,     /* systemd-oomd: it kills everything in a cgroup */
    KILLER_EARLYOOM, /* it kills one process, with SIGTERM first */
};

struct killer_log {
    enum killer killer;
    char cgroup[KMSG_CGROUP_MAX]; /* oomd: the cgroup, as in the kernel log; else "" */
    pid_t pid;                    /* earlyoom: in the pid namespace that it runs in; else 0 */
    int signal;                   /* SIGKILL or SIGTERM */
    char comm[KMSG_COMM_MAX];     /* earlyoom: the victim's name; else "" */
};

/* The name under which it logs ("systemd-oomd", "earlyoom"); NULL for KILLER_NONE. */
const char *killer_name(enum killer killer);
/* The killer that logs under this name, of `length` bytes, or KILLER_NONE. */
enum killer killer_of_name(const char *name, size_t length);

/* Recognise a message by which `killer` says that it killed (systemd 247 to 257, earlyoom 1.3 to
 * 1.8). True and `ret` filled, or false: it says something else. */
bool killer_log_parse(enum killer killer, const char *message, struct killer_log *ret);
