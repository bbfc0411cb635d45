/* SPDX-License-Identifier: Apache-2.0 */
/* From lines of a kernel log to kills. A report has several lines (the invocation, the limit, the
 * summary with the cgroups, the kill line with the sizes); one killed process is one fact. */
#pragma once

#include "import/facts.h"
#include "import/kernel_log_line.h"

#define KERNEL_KILLS_PENDING 8

/* The reasons of kill facts that tell of a whole cgroup's end. */
#define KERNEL_KILLS_GROUP "memory.oom.group"
#define KERNEL_KILLS_SOLE  "only process" /* the report's table lists no other */

struct kernel_summary {
    bool used;
    bool sole; /* the victim was the only process that the report lists */
    struct kmsg_oom oom;
    int64_t at_ns, boot_ns;
    uint64_t line;
    char text[KMSG_TEXT_MAX];
};

/* What earlyoom says that it is about to do; its next line may say that nothing came of it. */
struct announced_kill {
    bool used;
    int64_t at_ns, boot_ns;
    uint64_t line;
    char text[KMSG_TEXT_MAX];
};

struct kernel_kills {
    struct kernel_summary pending[KERNEL_KILLS_PENDING]; /* summaries without their kill line yet */
    size_t next;                                         /* slot to fill */
    struct {
        pid_t pid;
        int64_t at_ns, boot_ns;
        bool whole;
    } recent[KERNEL_KILLS_PENDING]; /* told already: a group kill names its first victim twice */
    size_t next_recent;
    bool in_group;                   /* kill lines that follow belong to this cgroup */
    char group[KMSG_CGROUP_MAX];     /* memory.oom.group */
    char group_oom[KMSG_CGROUP_MAX]; /* whose limit fired */
    enum kmsg_scope selected_scope;  /* before 5.1: of the "Kill process" line */
    bool in_report;                  /* behind "invoked oom-killer" */
    double usage_bytes, limit_bytes; /* of this report's "memory: usage"; NAN */
    unsigned tasks;                  /* rows of this report's table */
    pid_t task;                      /* in its last row */
    struct announced_kill announced;
    bool warned_year;
};

void kernel_kills_init(struct kernel_kills *kills);
/* One line of the log, taken apart; a user-space killer's too, whose kills are facts of their own
 * kind. */
int kernel_kills_line(struct kernel_kills *kills, const struct kernel_log_line *line,
                      uint64_t number, const struct fact_sink *sink, struct error *err);
/* The log is over: summaries that never got their kill line are kills all the same. */
int kernel_kills_end(struct kernel_kills *kills, const struct fact_sink *sink, struct error *err);
