/* SPDX-License-Identifier: Apache-2.0 */
/* Starts one process tree inside a memory-limited cgroup and its own namespaces, and stops it.
 *
 * It does not restart, probe or judge. A container is born held: it exists in its cgroup and
 * namespaces but has not executed the command, so that a watcher can be put on it first; then
 * sandbox_release() lets it run. Death of oomlab kills every container (PR_SET_PDEATHSIG), and the
 * next start sweeps the cgroups that are left (sandbox_sweep()). */
#pragma once

#include "base/error.h"
#include "kernel/cgroup.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Our place in the cgroup tree for one run of oomlab: a cgroup that holds the containers' cgroups
 * and never a process of oomlab itself, a lock that shows that its owner lives. */
struct sandbox_root;

/* Make the run's parent cgroup: own cgroup or hierarchy root when root; a delegated systemd scope
 * on a systemd host (user scope as an ordinary user). Sweeps dead owners' leftovers first. `run_id`
 * becomes part of the cgroup's name (oomlab-<run_id>). Unavailable error where nothing can be had.
 */
int sandbox_root_new(const char *run_id, struct sandbox_root **ret, struct error *err);
/* Kill and remove everything below, then the root itself. NULL is fine. */
void sandbox_root_free(struct sandbox_root *root);
enum cgroup_version sandbox_root_version(const struct sandbox_root *root);
/* Remove what owners that died left behind, and only that. Returns how many cgroups, or -errno. */
int sandbox_sweep(struct error *err);

/* Whose process it is. In a user namespace that is what the one user of this machine looks like. */
#define SANDBOX_GROUPS_MAX 64
struct sandbox_user {
    uid_t uid;
    gid_t gid;
    gid_t groups[SANDBOX_GROUPS_MAX];
    unsigned group_count;
};

/* Whether containers get a user namespace with one user in it, because this process may not mount:
 * files of others are nobody's there. */
bool sandbox_has_one_user(void);

struct sandbox_spec {
    const char *name;        /* unique within the run; cgroup and host name */
    const char *const *argv; /* NULL-terminated; argv[0] is looked up in the environment's PATH */
    const char *const *env;  /* NULL-terminated "K=V"; the whole environment */
    const char *directory;   /* NULL: oomlab's own, or "/" of another root, where a
                                missing one is made */
    const char *root;        /* a directory that becomes its "/"; NULL: this machine's */
    /* A directory for what it writes, made by sandbox_start() and removed with the container: its
     * root is then only read (overlayfs). NULL: the root is used in place. Both paths absolute. */
    const char *layer;
    const struct sandbox_user *user; /* NULL: oomlab's own */
    struct cgroup_limits limits;
    int stdout_fd, stderr_fd; /* duplicated into the child; the caller keeps its own */
};

struct sandbox; /* one container, one lifetime */

/* Make the cgroup with its limits and the held child. On error nothing is left behind, and `err`
 * names the step. Call it from the main thread: the kernel kills the container when the thread that
 * made it ends. A main process that changes its own user loses that death signal; the next start's
 * sweep ends it then. */
int sandbox_start(struct sandbox_root *root, const struct sandbox_spec *spec, struct sandbox **ret,
                  struct error *err);
/* Let the held child execute the command. A failed exec (not found, no permission, bad format) is
 * an error here; the child is then gone, and sandbox_free() is still due. */
int sandbox_release(struct sandbox *sandbox, struct error *err);

pid_t sandbox_pid(const struct sandbox *sandbox); /* as oomlab's pid namespace sees it */
int sandbox_pidfd(const struct sandbox *sandbox); /* borrowed */
const struct cgroup *sandbox_cgroup(const struct sandbox *sandbox); /* borrowed */

/* Send a signal to the main process through its pidfd; 0 or -errno (-ESRCH: it is gone). */
int sandbox_signal(struct sandbox *sandbox, int signal_number);
/* How the main process stands to a signal. As PID 1 of its namespace it does not get one that it
 * does not catch, nor blocks, nor waits for: the kernel drops it. */
struct signal_stance {
    bool caught;
    bool blocked;  /* by the main thread */
    bool sleeping; /* the main thread: what it blocks now it does not block for a moment only */
    bool awaited;  /* by sigwait(3) and the like; true also when that cannot be found out */
    bool pending;
};
void sandbox_signal_stance(const struct sandbox *sandbox, int signal_number,
                           struct signal_stance *ret);
/* SIGKILL everything in the cgroup and wait (bounded) until it is empty. */
int sandbox_kill(struct sandbox *sandbox, struct error *err);
/* Kill what is left, reap, remove the cgroup, free. NULL is fine. Call it only after the end was
 * recorded: the counters go with the cgroup. */
void sandbox_free(struct sandbox *sandbox);

/* One line of `oomlab doctor`. */
enum doctor_state { DOCTOR_OK, DOCTOR_LIMITED, DOCTOR_MISSING };
struct doctor_item {
    const char *name; /* static, e.g. "memory controller" */
    enum doctor_state state;
    char found[256];  /* what is there */
    char advice[256]; /* what to do; "" when OK */
};
/* Examine this machine: cgroup version, controllers, where containers would go, swap, namespaces,
 * kernel log, PSI, memory, memlock, systemd. Returns the number of items written. */
unsigned sandbox_examine(struct doctor_item *items, unsigned max_items);
