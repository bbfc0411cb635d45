/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups as Linux shows them, v1 and v2 behind one interface: find, create, limit, read,
 * kill, remove. No policy: which limits and names is the caller's business.
 *
 * Which hierarchy counts is decided by who holds the memory controller, not by what is mounted: on
 * many hosts a v2 tree without it is mounted beside v1. */
#pragma once

#include "base/error.h"
#include "base/metrics.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum cgroup_version { CGROUP_NONE = 0, CGROUP_V1 = 1, CGROUP_V2 = 2 };

#define CGROUP_PATH_MAX 1024

/* The hierarchies in use. On v2 all of them are the unified one. */
enum cgroup_controller {
    CGROUP_MEMORY,
    CGROUP_CPU,
    CGROUP_CPUACCT,
    CGROUP_PIDS,
    CGROUP_CONTROLLERS
};

struct cgroup_host {
    enum cgroup_version version;
    bool available[CGROUP_CONTROLLERS];              /* controller can be used below `own` */
    char mount[CGROUP_CONTROLLERS][CGROUP_PATH_MAX]; /* mount point, "" when absent */
    char own[CGROUP_CONTROLLERS][CGROUP_PATH_MAX];   /* our own cgroup, absolute under the mount */
    char kernel_own[CGROUP_PATH_MAX]; /* our own memory cgroup as the kernel log names it; in a
                                         private cgroup namespace only the end of that name */
};

/* Read /proc/self/mountinfo and /proc/self/cgroup. Unavailable error when no hierarchy has memory.
 */
int cgroup_host_detect(struct cgroup_host *ret, struct error *err);
/* The same in the tree below a directory that stands for "/": a fixture. */
int cgroup_host_detect_at(int root_fd, struct cgroup_host *ret, struct error *err);
/* "memory", "cpu", ...; static storage. */
const char *cgroup_controller_name(enum cgroup_controller controller);

/* One container's cgroup: directory descriptors in every hierarchy. */
struct cgroup {
    enum cgroup_version version;
    int dir_fd[CGROUP_CONTROLLERS];                 /* -1 where absent; on v2 only MEMORY is set */
    char path[CGROUP_CONTROLLERS][CGROUP_PATH_MAX]; /* absolute directory, "" where absent */
    char kernel_path[CGROUP_PATH_MAX];              /* memory cgroup as the kernel log names it,
                                                       relative to the hierarchy's root */
};

struct cgroup_limits {
    uint64_t memory_bytes; /* 0 = no limit */
    bool forbid_swap;      /* v2 memory.swap.max=0; v1 memsw = limit + 1 page where it exists */
    bool oom_group;        /* v2 memory.oom.group=1; ignored on v1 */
    double cpu_cores;      /* 0 = no quota; period 100 ms */
    uint64_t pids_max;     /* 0 = no limit */
};

/* Open our own cgroup in every hierarchy that is available. On v2 memory need not be: the caller
 * may look for a better place with cgroup_open_above(). */
int cgroup_open_own(const struct cgroup_host *host, struct cgroup *ret, struct error *err);
/* v2: open the cgroup above. 1 and `ret` filled; 0 when `cgroup` is the topmost one visible. */
int cgroup_open_above(const struct cgroup_host *host, const struct cgroup *cgroup,
                      struct cgroup *ret, struct error *err);
/* v2: let the children of this cgroup have memory (an error otherwise), cpu and pids (as far as
 * they can be had). EBUSY when it holds processes and is not the hierarchy's root. v1: nothing to
 * do. */
int cgroup_enable_controllers(const struct cgroup *cgroup, struct error *err);
/* v2: take them away again, as far as the kernel allows that. */
void cgroup_disable_controllers(const struct cgroup *cgroup);

/* Create `name` (may contain '/', parents must exist) below `parent` in every hierarchy in which
 * the parent is open. All or nothing: a failure removes what was made. An existing one is EEXIST.
 */
int cgroup_create(const struct cgroup *parent, const char *name, struct cgroup *ret,
                  struct error *err);
int cgroup_set_limits(const struct cgroup *cgroup, const struct cgroup_limits *limits,
                      struct error *err);
/* Move a process in. The kernel waits for an RCU grace period, milliseconds to tens of them, before
 * it moves another one than the writer itself. */
int cgroup_attach(const struct cgroup *cgroup, pid_t pid, struct error *err);
/* v1: open what a process without threads moves itself in by, without that wait (Linux 5.5): it
 * writes "0" to each. `fds` are -1 where there is nothing to write, on v2 all of them. -errno
 * leaves nothing open. */
int cgroup_open_entrances(const struct cgroup *cgroup, int fds[CGROUP_CONTROLLERS]);
/* SIGKILL every process inside, cgroup.kill where it exists, until none is left or `deadline_ns`
 * (monotonic) has passed: -ETIMEDOUT. */
int cgroup_kill_all(const struct cgroup *cgroup, int64_t deadline_ns, struct error *err);
/* rmdir in every hierarchy, children first; waits (bounded) for dying members. Absent is success.
 * Goes by `path`; the directories need not be open. */
int cgroup_remove(const struct cgroup *cgroup, struct error *err);
/* The processes in the cgroup itself (not below), as our pid namespace numbers them; 0 stands for
 * one that it cannot see. Fills at most `max` and returns how many, or -errno. */
int cgroup_members(const struct cgroup *cgroup, pid_t *pids, unsigned max);
/* Close the descriptors. */
void cgroup_done(struct cgroup *cgroup);

/* Descriptors kept open for sampling; nothing here allocates. */
enum cgroup_file {
    CGROUP_FILE_USAGE,         /* memory.current | memory.usage_in_bytes */
    CGROUP_FILE_STAT,          /* memory.stat */
    CGROUP_FILE_EVENTS,        /* memory.events | memory.oom_control */
    CGROUP_FILE_EVENTS_LOCAL,  /* v2 memory.events.local */
    CGROUP_FILE_FAILCNT,       /* v1 memory.failcnt */
    CGROUP_FILE_MEMSW_FAILCNT, /* v1 memory.memsw.failcnt */
    CGROUP_FILE_PEAK,          /* memory.peak | memory.max_usage_in_bytes */
    CGROUP_FILE_KERNEL,        /* v1 memory.kmem.usage_in_bytes */
    CGROUP_FILE_SOCK,          /* v1 memory.kmem.tcp.usage_in_bytes */
    CGROUP_FILE_SWAP,          /* v2 memory.swap.current */
    CGROUP_FILE_PRESSURE,      /* v2 memory.pressure */
    CGROUP_FILE_CPU,           /* cpu.stat */
    CGROUP_FILE_CPUACCT,       /* v1 cpuacct.usage */
    CGROUP_FILE_PIDS,          /* pids.current */
    CGROUP_FILES
};

struct cgroup_reader {
    enum cgroup_version version;
    int fd[CGROUP_FILES]; /* -1 where absent */
};

int cgroup_reader_open(const struct cgroup *cgroup, struct cgroup_reader *ret, struct error *err);
void cgroup_reader_close(struct cgroup_reader *reader);

/* Read everything into `ret` (cleared first). Values that cannot be read stay absent. Never fails,
 * never allocates, safe in the observer thread. */
void cgroup_reader_sample(const struct cgroup_reader *reader, struct metrics *ret);
/* The same for the OOM counters alone (LIMIT_HITS, OOM, OOM_KILL, OOM_GROUP_KILL): the fast path.
 */
void cgroup_reader_sample_events(const struct cgroup_reader *reader, struct metrics *ret);

/* v1: an eventfd that fires on memory.oom_control; v2: -EOPNOTSUPP, poll the EVENTS descriptor for
 * EPOLLPRI instead. Returns the descriptor or -errno. */
int cgroup_oom_eventfd(const struct cgroup *cgroup, struct error *err);

/* Parsers, apart from the reading: `text` is a whole file. Only whole keys at a line's start match.
 */
void cgroup_parse_stat(enum cgroup_version version, const char *text, struct metrics *metrics);
void cgroup_parse_events_v2(const char *text, struct metrics *metrics);
void cgroup_parse_oom_control_v1(const char *text, struct metrics *metrics);
void cgroup_parse_cpu_stat(enum cgroup_version version, const char *text, struct metrics *metrics);
void psi_parse(const char *text, struct metrics *metrics);
