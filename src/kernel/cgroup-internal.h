/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the cgroup files of this folder and their tests; not for other folders. */
#pragma once

#include "base/error.h"
#include "kernel/cgroup.h"

#include <stdbool.h>

/* A number at `text` that fills it up to white space or the end: digits only, no sign. */
bool cgroup_parse_number(const char *text, uint64_t *ret);
/* Whether the blank-separated list (cgroup.controllers) has the whole word. */
bool cgroup_list_has(const char *list, const char *word);

/* What the two files say, before anything is looked up in the tree. */
struct cgroup_scan {
    struct cgroup_place {
        bool member; /* a line of /proc/self/cgroup named it */
        bool mounted;
        bool covers;                /* the mount shows our own cgroup */
        char path[CGROUP_PATH_MAX]; /* our own cgroup, from /proc/self/cgroup */
        char root[CGROUP_PATH_MAX]; /* the part of the hierarchy that the mount shows */
        char mount[CGROUP_PATH_MAX];
    } v1[CGROUP_CONTROLLERS], v2;
};

/* Fill in `path` and `member`. Both cut `text` into pieces. */
void cgroup_scan_membership(char *text, struct cgroup_scan *scan);
/* Fill in `root`, `mount`, `mounted` and `covers`; call it second. Of several mounts of a hierarchy
 * the first that shows our own cgroup counts. */
void cgroup_scan_mounts(char *text, struct cgroup_scan *scan);

/* SIGKILL and wait through pidfds, without cgroup.kill: v1, and v2 before 5.14. `dir_fd` and
 * everything below it. -ETIMEDOUT after the deadline. */
int cgroup_kill_members(int dir_fd, int64_t deadline_ns);
/* v2: wait until nothing lives in the cgroup or below it: 0, -ETIMEDOUT, -errno. */
int cgroup_wait_empty(int dir_fd, int64_t deadline_ns);
/* Call `visit` for each child directory until it fails; returns that failure. */
int cgroup_each_child(int dir_fd, int (*visit)(int dir_fd, const char *name, void *data),
                      void *data);
