/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel log's OOM reports: /dev/kmsg records and the text forms of the same lines.
 *
 * The OOM dump is rate limited (10 in 5 s for the whole machine): a missing line proves nothing.
 * What is left out then is the dump with its summary, which alone names the cgroups; the kill line
 * still comes. Pids are those of the initial pid namespace. Nothing here allocates. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define KMSG_TEXT_MAX   1024 /* a record's text, cut at this length */
#define KMSG_CGROUP_MAX 256
#define KMSG_COMM_MAX   64

struct kmsg_record {
    uint64_t sequence;
    int64_t boot_ns;          /* the log's own clock, ns since boot (printk's local clock) */
    bool from_kernel;         /* facility 0: written by the kernel, not through /dev/kmsg */
    char text[KMSG_TEXT_MAX]; /* may hold newlines; a NUL byte stays the four characters "\x00" */
};

enum kmsg_oom_kind {
    KMSG_NOT_OOM,
    KMSG_OOM_SUMMARY, /* oom-kill:constraint=... (5.0+) or "Task in /a killed as a result of ..." */
    KMSG_OOM_KILLED,  /* "... Killed process N (comm) total-vm:..." */
    KMSG_OOM_GROUP,   /* "Tasks in X are going to be killed due to memory.oom.group set" */
    KMSG_OOM_REAPED,  /* "oom_reaper: reaped process ..." */
    KMSG_OOM_INVOKED, /* "comm invoked oom-killer: ..." */
    KMSG_OOM_SELECTED, /* before 5.1: "... Kill process N (comm) score S or sacrifice child"; the
                          process that is killed can be a child of this one */
};

enum kmsg_scope { KMSG_SCOPE_UNKNOWN, KMSG_SCOPE_MEMCG, KMSG_SCOPE_GLOBAL };

struct kmsg_oom {
    enum kmsg_oom_kind kind;
    enum kmsg_scope scope;
    char oom_memcg[KMSG_CGROUP_MAX];  /* whose limit fired; "" unknown */
    char task_memcg[KMSG_CGROUP_MAX]; /* the victim's */
    char comm[KMSG_COMM_MAX];         /* the victim's; of INVOKED, the allocating task's */
    pid_t pid;                        /* 0 unknown */
    int64_t anon_rss_kib, file_rss_kib, shmem_rss_kib, total_vm_kib, pgtables_kib; /* -1 absent */
    int64_t oom_score_adj;
    bool has_oom_score_adj;
};

/* Open /dev/kmsg behind its last record, non-blocking. Returns the descriptor or -errno (-EPERM or
 * -EACCES where the log may not be read). */
int kmsg_open(void);
/* One record: 1 and `ret` filled, 0 none now, -EPIPE records were overwritten (go on reading),
 * otherwise -errno. */
int kmsg_read(int fd, struct kmsg_record *ret);

/* Split a raw /dev/kmsg record "6,339,5140900,-;text\n KEY=value" and undo its \xNN escapes. */
int kmsg_parse_record(const char *raw, struct kmsg_record *ret);
/* Recognise a line's text (without time stamp or syslog prefix): every format from 4.x to 6.18, and
 * those of RHEL 6 and 7. Returns ret->kind. Names may hold anything that a task can be called:
 * blanks, commas, parentheses, newlines, even ",task=". */
enum kmsg_oom_kind kmsg_parse_oom(const char *text, struct kmsg_oom *ret);

/* Whether the cgroup `path` is `ancestor` or lies below it; both as in the log. False for "". */
bool kmsg_path_within(const char *path, const char *ancestor);
