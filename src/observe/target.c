/* SPDX-License-Identifier: Apache-2.0 */
/* One watched container: from its descriptors to SAMPLE, KILL and END.
 *
 * The kernel tells of trouble before it counts the kill: v1's eventfd fires before the victim is
 * even chosen, and on v2 the notification for `oom` starts a 10 ms pause during which that for
 * `oom_kill` is held back (CGROUP_FILE_NOTIFY_MIN_INTV). So a notification only raises an alarm,
 * during which the counter is read again and again until it has risen. */
#include "observe/observer-internal.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define US INT64_C(1000)
#define MS INT64_C(1000000)

/* The kernel is at it: between the notification and the kill lies the report, 60 to 100 log lines
 * (0.3 to 4 ms here, more with a slow console). */
#define URGENT_POLL_NS      (100 * US)
#define URGENT_FOR_NS       (20 * MS)
#define URGENT_LATE_POLL_NS (1 * MS)
#define URGENT_UNTIL_NS     (250 * MS)
/* v2 `max` alone: the limit was hit, which may mean no more than that page cache is reclaimed. */
#define MILD_POLL_NS      (200 * US)
#define MILD_FOR_NS       (500 * MS)
#define MILD_LATE_POLL_NS (2 * MS)
#define MILD_UNTIL_NS     (12 * MS) /* the pause between two notifications, and a bit */

#define END_GRACE_NS (5 * MS) /* for the kill's line in the log */

#define EVENTS_TEXT_MAX 512

void target_init(struct target *target)
{
    for (int i = 0; i < CGROUP_FILES; i++)
        target->reader.fd[i] = -1;
    target->oom_fd = target->pidfd = target->tasks_fd = target->status_fd = -1;
    target->ancestors = 0;
    target->alarm = ALARM_NONE;
    target->alarm_until_ns = 0;
    target->look_around = false;
    target->log_kills = 0;
    target->log_incomplete = false;
    target->log_stamp_ns = 0;
    target->log_stamp_early = target->log_line_spoken_for = false;
    target->kill_noticed_ns = 0;
    target->main_awaits_look = false;
    target->main_ran_after_kill = target->main_dying_after_kill = false;
    target->ending = false;
}

/* The file of the parent, its parent and so on. It is missing outside of the mount (v2: in the
 * hierarchy's root already), which ends the walk. */
static void open_ancestors(struct target *target, int dir_fd, const char *file)
{
    char up[sizeof("../") * OBSERVER_ANCESTORS_MAX] = "";
    for (size_t used = 0; target->ancestors < OBSERVER_ANCESTORS_MAX; used += strlen("../")) {
        char path[sizeof(up) + sizeof("memory.events.local")];
        snprintf(up + used, sizeof(up) - used, "../");
        snprintf(path, sizeof(path), "%s%s", up, file);
        int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            break;
        target->ancestor_fd[target->ancestors++] = fd;
    }
}

static uint64_t sum_ancestor_oom(const struct target *target)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < target->ancestors; i++) {
        char text[EVENTS_TEXT_MAX];
        struct metrics metrics = {0};
        if (file_pread_text(target->ancestor_fd[i], text, sizeof(text)) <= 0)
            continue;
        if (target->reader.version == CGROUP_V1)
            metrics_put(&metrics, METRIC_OOM, strtoull(text, NULL, 10));
        else
            cgroup_parse_events_v2(text, &metrics);
        if (metrics_has(&metrics, METRIC_OOM))
            sum += metrics.value[METRIC_OOM];
    }
    return sum;
}

int target_open(struct target *target, const struct cgroup *cgroup, int pidfd, struct error *err)
{
    int r = cgroup_reader_open(cgroup, &target->reader, err);
    if (r < 0)
        return r;
    target->pidfd = fcntl(pidfd, F_DUPFD_CLOEXEC, 0);
    if (target->pidfd < 0)
        r = error_errno(err, errno, "duplicating its pidfd");
    if (r == 0 && cgroup->version == CGROUP_V1) {
        target->oom_fd = cgroup_oom_eventfd(cgroup, err);
        r = target->oom_fd < 0 ? target->oom_fd : 0;
    }
    if (r < 0) {
        target_close(target);
        return r;
    }
    int dir_fd = cgroup->dir_fd[CGROUP_MEMORY];
    target->tasks_fd = openat(dir_fd, cgroup->version == CGROUP_V1 ? "tasks" : "cgroup.threads",
                              O_RDONLY | O_CLOEXEC);
    target->status_fd = main_process_open(target->pidfd);
    open_ancestors(target, dir_fd,
                   cgroup->version == CGROUP_V1 ? "memory.failcnt" : "memory.events.local");
    snprintf(target->kernel_path, sizeof(target->kernel_path), "%s", cgroup->kernel_path);
    cgroup_reader_sample(&target->reader, &target->start);
    target->oom_kill = target->start.value[METRIC_OOM_KILL];
    target->oom = target->start.value[METRIC_OOM];
    target->start_ancestor_oom = sum_ancestor_oom(target);
    return 0;
}

void target_close(struct target *target)
{
    cgroup_reader_close(&target->reader);
    close_fd(&target->oom_fd);
    close_fd(&target->pidfd);
    close_fd(&target->tasks_fd);
    close_fd(&target->status_fd);
    while (target->ancestors > 0)
        close_fd(&target->ancestor_fd[--target->ancestors]);
}

int target_watch(struct observer *observer, struct target *target)
{
    int r;
    if (target->oom_fd >= 0)
        r = observer_watch(observer, target->oom_fd, EPOLLIN, WATCH_OOM, target);
    else
        r = observer_watch(observer, target->reader.fd[CGROUP_FILE_EVENTS], EPOLLPRI, WATCH_OOM,
                           target);
    return r < 0 ? r : observer_watch(observer, target->pidfd, EPOLLIN, WATCH_END, target);
}

void target_release(struct observer *observer, struct target *target)
{
    /* The caller may hold duplicates: closing alone would leave them in the epoll set. */
    observer_unwatch(observer, target->pidfd);
    observer_unwatch(observer, target->oom_fd);
    observer_unwatch(observer, target->reader.fd[CGROUP_FILE_EVENTS]);
    target_close(target);
    atomic_store(&target->lifetime_id, 0);
    atomic_store(&target->state, SLOT_FREE);
    observer_futex_wake(&target->state);
}

void target_alarm(struct target *target, enum alarm alarm, int64_t now_ns)
{
    /* A new sign of urgency begins a new series of frequent looks. */
    if (target->alarm < alarm || alarm == ALARM_URGENT) {
        target->alarm = alarm;
        target->alarm_from_ns = now_ns;
        target->next_poll_ns = now_ns;
        target->look_around = true;
    }
    int64_t until_ns = now_ns + (alarm == ALARM_URGENT ? URGENT_UNTIL_NS : MILD_UNTIL_NS);
    if (target->alarm_until_ns < until_ns)
        target->alarm_until_ns = until_ns;
}

static int64_t poll_interval_ns(const struct target *target, int64_t now_ns)
{
    int64_t age_ns = now_ns - target->alarm_from_ns;
    if (target->alarm == ALARM_URGENT)
        return age_ns < URGENT_FOR_NS ? URGENT_POLL_NS : URGENT_LATE_POLL_NS;
    return age_ns < MILD_FOR_NS ? MILD_POLL_NS : MILD_LATE_POLL_NS;
}

static bool has_risen(const struct target *target, const struct metrics *metrics)
{
    return metrics_has(metrics, METRIC_OOM_KILL) &&
           metrics->value[METRIC_OOM_KILL] > target->oom_kill;
}

/* False when the ring has no room: then the kill is still unrecorded, and is seen again at the next
 * look. */
static bool record_kill(struct observer *observer, struct target *target, int64_t noticed_ns)
{
    kernel_log_drain(observer);
    struct observation *kill = &observer->scratch;
    kill->kind = OBSERVATION_KILL;
    kill->lifetime_id = atomic_load(&target->lifetime_id);
    kill->at_ns = noticed_ns;
    cgroup_reader_sample(&target->reader, &kill->kill.metrics);
    if (!has_risen(target, &kill->kill.metrics))
        return true;
    kill->kill.kills = kill->kill.metrics.value[METRIC_OOM_KILL] - target->oom_kill;
    int64_t kernel_ns = target->log_stamp_ns
                            ? log_clock_to_monotonic(&observer->log_clock, target->log_stamp_ns)
                            : 0;
    kill->kill.kernel_ns = kernel_ns < noticed_ns ? kernel_ns : noticed_ns;
    if (!observer_push(observer, kill))
        return false;
    observer_notice_kill(observer, kill);
    target->oom_kill += kill->kill.kills;
    main_process_note_kill(target, noticed_ns);
    target->log_line_spoken_for = target->log_stamp_ns != 0 && target->log_stamp_early;
    target->log_stamp_ns = 0;
    /* Another may follow at once: a group, or one that did not free enough. */
    target->alarm = ALARM_NONE;
    target->alarm_until_ns = 0;
    target_alarm(target, ALARM_MILD, noticed_ns);
    target->look_around = false; /* the kill's line is being printed: see processor.c */
    return true;
}

/* Once for each new sign of trouble: it costs some 10 us a task. */
static void make_way(struct observer *observer, struct target *target)
{
    if (target->alarm == ALARM_NONE || !target->look_around)
        return;
    target->look_around = false;
    processor_step_aside(observer, target);
}

static void look(struct observer *observer, struct target *target)
{
    struct metrics metrics;
    cgroup_reader_sample_events(&target->reader, &metrics);
    int64_t now_ns = clock_monotonic_ns();
    if (metrics_has(&metrics, METRIC_OOM) && metrics.value[METRIC_OOM] > target->oom) {
        target->oom = metrics.value[METRIC_OOM];
        target_alarm(target, ALARM_URGENT, now_ns);
    }
    if (has_risen(target, &metrics))
        record_kill(observer, target, now_ns);
    else if (!target->ending)
        main_process_look(target, now_ns);
}

void target_on_oom(struct observer *observer, struct target *target)
{
    int64_t now_ns = clock_monotonic_ns();
    if (target->oom_fd >= 0) {
        uint64_t times;
        if (read(target->oom_fd, &times, sizeof(times)) != sizeof(times))
            return;
        target_alarm(target, ALARM_URGENT, now_ns);
    } else {
        target_alarm(target, ALARM_MILD, now_ns);
        char byte;
        /* A cgroup that is gone polls ready for ever. */
        if (pread(target->reader.fd[CGROUP_FILE_EVENTS], &byte, 1, 0) < 0)
            observer_unwatch(observer, target->reader.fd[CGROUP_FILE_EVENTS]);
    }
    look(observer, target);
    make_way(observer, target);
}

void target_sample(struct observer *observer, struct target *target)
{
    struct observation *sample = &observer->scratch;
    cgroup_reader_sample(&target->reader, &sample->metrics);
    sample->kind = OBSERVATION_SAMPLE;
    sample->lifetime_id = atomic_load(&target->lifetime_id);
    sample->at_ns = clock_monotonic_ns();
    bool risen = has_risen(target, &sample->metrics);
    int64_t at_ns = sample->at_ns;
    if (observer_push(observer, sample))
        observer_count(&observer->samples, 1);
    else
        observer_count(&observer->samples_dropped, 1);
    if (risen)
        record_kill(observer, target, at_ns);
    else
        main_process_look(target, at_ns);
}

static int64_t timeval_ns(struct timeval time)
{
    return (int64_t)time.tv_sec * 1000000000 + (int64_t)time.tv_usec * 1000;
}

/* glibc's waitid() hides the system call's rusage. */
static void reap(struct target *target)
{
    if (target->end.end.wait_code != 0)
        return;
    siginfo_t info = {0};
    struct rusage usage = {0};
    if (syscall(SYS_waitid, P_PIDFD, target->pidfd, &info, WEXITED | WNOHANG, &usage) < 0 ||
        info.si_pid == 0)
        return;
    target->end.end.wait_code = info.si_code;
    target->end.end.wait_status = info.si_status;
    target->end.end.user_ns = (uint64_t)timeval_ns(usage.ru_utime);
    target->end.end.system_ns = (uint64_t)timeval_ns(usage.ru_stime);
}

/* Every kill has its line in the log soon, unless the log leaves some out or cannot be read. */
static bool awaits_log(const struct observer *observer, const struct target *target)
{
    uint64_t kills = target->oom_kill - target->start.value[METRIC_OOM_KILL];
    return observer->has_kmsg && !target->log_incomplete && kills > target->log_kills;
}

static void finish_end(struct observer *observer, struct target *target, int64_t now_ns)
{
    struct metrics *metrics = &target->end.end.end;
    cgroup_reader_sample(&target->reader, metrics);
    bool recorded = !has_risen(target, metrics) || record_kill(observer, target, now_ns);
    if (recorded && awaits_log(observer, target) && now_ns < target->end_deadline_ns) {
        target_alarm(target, ALARM_URGENT, now_ns); /* the log does not always wake its readers */
        return;
    }
    reap(target);
    target->end.end.main_ran_after_kill = target->main_ran_after_kill;
    target->end.end.main_dying_after_kill = target->main_dying_after_kill;
    target->end.end.ancestor_oom[1] = sum_ancestor_oom(target);
    if (recorded && observer_push(observer, &target->end))
        target_release(observer, target);
    else
        target->end_deadline_ns = now_ns + END_GRACE_NS; /* until the consumer made room */
}

void target_on_end(struct observer *observer, struct target *target)
{
    int64_t now_ns = clock_monotonic_ns();
    observer_unwatch(observer, target->pidfd);
    struct observation *end = &target->end;
    memset(end, 0, sizeof(*end));
    end->kind = OBSERVATION_END;
    end->lifetime_id = atomic_load(&target->lifetime_id);
    end->at_ns = now_ns;
    end->end.start = target->start;
    end->end.has_ancestor_oom = target->reader.version == CGROUP_V2 || target->ancestors > 0;
    end->end.ancestor_oom[0] = target->start_ancestor_oom;
    target->ending = true;
    target->end_deadline_ns = now_ns + END_GRACE_NS;
    look(observer, target);
    reap(target);
    kernel_log_drain(observer);
    finish_end(observer, target, now_ns);
}

void target_poll(struct observer *observer, struct target *target, int64_t now_ns)
{
    if (target->alarm != ALARM_NONE && now_ns >= target->next_poll_ns) {
        observer_count(&observer->polls, 1);
        target->next_poll_ns = now_ns + poll_interval_ns(target, now_ns);
        if (!target->ending) {
            look(observer, target);
            make_way(observer, target);
        }
        if (now_ns >= target->alarm_until_ns)
            target->alarm = ALARM_NONE;
    }
    if (target->ending && (now_ns >= target->end_deadline_ns || !awaits_log(observer, target)))
        finish_end(observer, target, now_ns);
}

int64_t target_next_ns(const struct target *target)
{
    int64_t next_ns = target->alarm == ALARM_NONE ? INT64_MAX : target->next_poll_ns;
    return target->ending && target->end_deadline_ns < next_ns ? target->end_deadline_ns : next_ns;
}
