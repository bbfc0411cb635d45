/* SPDX-License-Identifier: Apache-2.0 */
/* A process in a memory-limited cgroup of its own, made by hand: below the observer's level there
 * is nothing but the kernel. The process is held until it is let go. */
#pragma once

#include "kernel/cgroup.h"
#include "observe/observer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MIB ((uint64_t)1 << 20)

/* Where cells are made. */
struct yard {
    enum cgroup_version version;
    struct cgroup top; /* oomlab-observe-PID */
    unsigned made;
};

/* 0, or -errno with the reason in `err`. */
int yard_open(struct yard *yard, struct error *err);
void yard_close(struct yard *yard);

struct cell {
    struct cgroup cgroup;
    pid_t pid;
    int pidfd;
    int go_fd; /* a byte lets the process go on; see cell_wait_go() */
};

/* Runs in the process; its return value is the exit status. */
typedef int (*cell_body)(int go_fd, void *context);

/* Fails the test when it cannot. `parent` NULL: the yard. */
void cell_start(struct yard *yard, const struct cgroup *parent, const struct cgroup_limits *limits,
                cell_body body, void *context, struct cell *ret);
/* Let the process go on (once more). */
void cell_go(struct cell *cell);
/* In the process: wait for the next cell_go(). */
void cell_wait_go(int go_fd);
/* Kill what is left, reap if nobody did, remove the cgroup. */
void cell_end(struct yard *yard, struct cell *cell);

/* Allocate and touch without end, `step_bytes` at a time. */
int body_hog(int go_fd, void *context);
/* Sleep until killed. */
int body_sleep(int go_fd, void *context);
/* Exit at once with the int that `context` points to. */
int body_exit(int go_fd, void *context);
/* Touch that much and keep it. */
void touch(uint64_t bytes);
