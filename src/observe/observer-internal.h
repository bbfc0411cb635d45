/* SPDX-License-Identifier: Apache-2.0 */
/* The observer's parts:
 *   observer.c   start and stop, memory, what the other threads call
 *   mailbox.c    adding and removing targets from other threads
 *   target.c     one target: its descriptors, counters, kills and end
 *   main_process.c whether the main process outlived a kill
 *   kernel_log.c reading the log, whom a line belongs to
 *   watch.c      the thread's loop
 *   processor.c  on which processor it waits for a kill
 *   lock_code.c  the pages of code that it runs
 * Everything is in one mapping made at the start, so that the thread never allocates. */
#pragma once

#include "observe/log_clock.h"
#include "observe/observer.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define OBSERVER_THREAD_NAME   "oomlab-observe"
#define OBSERVER_ANCESTORS_MAX 16

/* A slot's life: FREE -> (a caller) CLAIMED -> ADDING -> (the thread) WATCHED -> FREE, or ADDING ->
 * FAILED -> (the caller) FREE, or WATCHED -> (a caller) REMOVING -> (the thread) FREE. Who may
 * write the rest of the slot follows from it; the state is the only thing that both sides touch. */
enum slot_state { SLOT_FREE, SLOT_CLAIMED, SLOT_ADDING, SLOT_FAILED, SLOT_WATCHED, SLOT_REMOVING };

/* How closely a target's counters are watched between samples. */
enum alarm { ALARM_NONE, ALARM_MILD, ALARM_URGENT };

struct target {
    _Atomic uint32_t state;        /* enum slot_state; futex */
    _Atomic uint32_t acknowledged; /* generation * 2 + (1: it failed); futex */
    _Atomic uint32_t lifetime_id;
    uint32_t generation; /* counts the slot's uses; marks its epoll events */
    int add_error;       /* errno of a FAILED slot */

    /* Opened in observer_add(). */
    struct cgroup_reader reader;
    int oom_fd; /* v1: eventfd; -1 on v2 */
    int pidfd;
    int status_fd; /* the main process's in /proc; -1 unknown */
    int tasks_fd;  /* the cgroup's threads; -1: cannot be read */
    /* From the parent upwards. v2: memory.events.local; v1: memory.failcnt */
    int ancestor_fd[OBSERVER_ANCESTORS_MAX];
    unsigned ancestors;
    char kernel_path[CGROUP_PATH_MAX];
    struct metrics start;
    uint64_t start_ancestor_oom;

    /* The thread's own. */
    uint64_t oom_kill; /* counter up to which KILLs were pushed */
    uint64_t oom;      /* v2: counter as last seen */
    enum alarm alarm;
    int64_t alarm_from_ns, alarm_until_ns, next_poll_ns;
    bool look_around;           /* a new alarm: see to it that we are not in the way */
    uint64_t log_kills;         /* kill lines of the log that were this target's */
    bool log_incomplete;        /* lines were left out or lost: do not wait for more */
    int64_t log_stamp_ns;       /* kernel log stamp for the next KILL; 0 none */
    bool log_stamp_early;       /* it is the summary's: the kill line is not there yet */
    bool log_line_spoken_for;   /* the next kill line is of a KILL that was pushed already */
    int64_t kill_noticed_ns;    /* of the last KILL */
    bool main_awaits_look;      /* whether it outlived that is still to be seen */
    bool main_ran_after_kill;   /* it did */
    bool main_dying_after_kill; /* it had a SIGKILL pending, right after it */
    bool ending;
    int64_t end_deadline_ns; /* no later than this the END is pushed */
    struct observation end;
};

/* What the lines of a report say about those that follow: all are printed under one lock. */
struct log_context {
    bool has_summary;
    pid_t pid; /* the summary's victim; 0 unknown (before 5.0) */
    uint32_t lifetime_id;
    bool has_group;
    uint32_t group_lifetime_id;
    int64_t last_ns; /* log stamp of the last line that counted */
};

#define LOG_VICTIMS 16
#define NOTICES_MAX 256

struct observer {
    struct target targets[OBSERVER_TARGETS_MAX];
    struct ring ring;
    struct ring notices;
    struct observation scratch;

    size_t map_bytes;
    void *stack;
    size_t stack_bytes;
    pthread_t thread;
    bool has_thread;
    bool locked;
    bool no_realtime;
    double rate_hz;

    int epoll_fd, tick_fd, poll_fd, command_fd, urgent_fd, notice_fd;
    int kmsg_fd; /* -1: cannot be read */
    bool has_kmsg;
    bool kmsg_paused; /* the ring is short of room */
    int64_t poll_armed_ns;
    int64_t last_recorded_ns;
    struct log_clock log_clock;
    struct log_context log_context;
    struct {
        pid_t pid;
        uint32_t lifetime_id;
    } log_victims[LOG_VICTIMS]; /* for the reaper's lines, which come later */
    unsigned next_log_victim;

    cpu_set_t processors; /* that the thread may run on */
    bool can_step_aside, stepped_aside;

    _Atomic uint32_t ready; /* futex: the thread runs */
    _Atomic bool stop;
    _Atomic uint64_t ticks, ticks_missed, samples, samples_dropped, wakeups, polls, log_gaps;
    _Atomic int64_t log_clock_error_ns;
    _Atomic bool realtime;
};

/* What an epoll event is about; a target's events carry its slot and generation too. */
enum watch_kind { WATCH_TICK, WATCH_POLL, WATCH_COMMAND, WATCH_KMSG, WATCH_OOM, WATCH_END };

static inline void observer_count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* observer.c */
void observer_futex_wait(_Atomic uint32_t *word, uint32_t value);
void observer_futex_wake(_Atomic uint32_t *word);
void observer_ring_doorbell(int fd);

/* lock_code.c: lock the pages of code that the thread runs, as far as the limit goes. */
void observer_lock_code(void);

/* watch.c: the thread. */
void *observer_main(void *observer);
int observer_watch(struct observer *observer, int fd, uint32_t events, enum watch_kind kind,
                   const struct target *target);
void observer_unwatch(struct observer *observer, int fd);
/* Records that may be pushed while that much of the ring stays free for more important ones. */
bool observer_has_room(const struct observer *observer, enum observation_kind kind);
/* Stamp and push; false when there is no room. KILL, KMSG and END ring the consumer. */
bool observer_push(struct observer *observer, struct observation *observation);
/* Give notice of a KILL that was pushed. */
void observer_notice_kill(struct observer *observer, const struct observation *kill);

/* mailbox.c, called by the thread when the command descriptor fires. */
void mailbox_serve(struct observer *observer);

/* target.c */
void target_init(struct target *target);
int target_open(struct target *target, const struct cgroup *cgroup, int pidfd, struct error *err);
void target_close(struct target *target);
/* The rest is the thread's. */
int target_watch(struct observer *observer, struct target *target);
/* Close and give the slot back; also after a removal was asked for. */
void target_release(struct observer *observer, struct target *target);
void target_alarm(struct target *target, enum alarm alarm, int64_t now_ns);
void target_sample(struct observer *observer, struct target *target);
void target_on_oom(struct observer *observer, struct target *target);
void target_on_end(struct observer *observer, struct target *target);
/* Polls the counters if it is time to; finishes an end that is due. */
void target_poll(struct observer *observer, struct target *target, int64_t now_ns);
/* When target_poll() has something to do next; INT64_MAX never. */
int64_t target_next_ns(const struct target *target);

/* main_process.c */
/* /proc/PID/status of the pidfd's process; -1 where that is not to be had. */
int main_process_open(int pidfd);
/* Does this text of a status file show a process that is neither dead nor about to be killed? False
 * when it does not say. */
bool main_process_runs(const char *status);
/* Does it show one that lives and has a SIGKILL pending? */
bool main_process_is_killed(const char *status);
void main_process_note_kill(struct target *target, int64_t now_ns);
/* Look, once for each kill, as soon as its SIGKILL must have reached the victim. */
void main_process_look(struct target *target, int64_t now_ns);

/* processor.c, the thread's */
void processor_init(struct observer *observer);
/* Leave the processor that a task of this target is on; once until processor_return(). */
void processor_step_aside(struct observer *observer, const struct target *target);
void processor_return(struct observer *observer);

/* kernel_log.c */
void kernel_log_drain(struct observer *observer);
