/* SPDX-License-Identifier: Apache-2.0 */
/* The observer's thread: waits for what the kernel tells, and samples. */
#include "observe/observer-internal.h"

#include "base/clock.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EVENTS_MAX 32
#define NICE       (-10)

static uint64_t event_key(const struct observer *observer, enum watch_kind kind,
                          const struct target *target)
{
    if (!target)
        return kind;
    uint64_t slot = (uint64_t)(target - observer->targets);
    return kind | slot << 8 | (uint64_t)target->generation << 32;
}

int observer_watch(struct observer *observer, int fd, uint32_t events, enum watch_kind kind,
                   const struct target *target)
{
    struct epoll_event event = {.events = events, .data.u64 = event_key(observer, kind, target)};
    return epoll_ctl(observer->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void observer_unwatch(struct observer *observer, int fd)
{
    if (fd >= 0)
        epoll_ctl(observer->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

bool observer_has_room(const struct observer *observer, enum observation_kind kind)
{
    size_t room = ring_room(&observer->ring), capacity = observer->ring.capacity;
    switch (kind) {
    case OBSERVATION_SAMPLE:
        return room > capacity / 4;
    case OBSERVATION_KMSG:
        return room > capacity / 8;
    case OBSERVATION_KILL:
    case OBSERVATION_END:
        break;
    }
    return room > 0;
}

bool observer_push(struct observer *observer, struct observation *observation)
{
    if (!observer_has_room(observer, observation->kind)) {
        if (observation->kind == OBSERVATION_SAMPLE)
            observer_count(&observer->ring.dropped, 1);
        return false;
    }
    int64_t now_ns = clock_monotonic_ns();
    if (now_ns <= observer->last_recorded_ns)
        now_ns = observer->last_recorded_ns + 1;
    observer->last_recorded_ns = now_ns;
    observation->recorded_ns = now_ns;
    ring_push(&observer->ring, observation);
    if (observation->kind != OBSERVATION_SAMPLE)
        observer_ring_doorbell(observer->urgent_fd);
    return true;
}

void observer_notice_kill(struct observer *observer, const struct observation *kill)
{
    const struct observer_notice notice = {.lifetime_id = kill->lifetime_id, .at_ns = kill->at_ns};
    if (ring_push(&observer->notices, &notice))
        observer_ring_doorbell(observer->notice_fd);
}

static bool is_live(const struct target *target)
{
    return atomic_load(&target->state) == SLOT_WATCHED;
}

static void on_tick(struct observer *observer)
{
    uint64_t due;
    if (read(observer->tick_fd, &due, sizeof(due)) != sizeof(due))
        return;
    observer_count(&observer->ticks, 1);
    observer_count(&observer->ticks_missed, due - 1);
    if (observer->kmsg_paused && observer_has_room(observer, OBSERVATION_KMSG)) {
        observer->kmsg_paused = false;
        observer_watch(observer, observer->kmsg_fd, EPOLLIN, WATCH_KMSG, NULL);
    }
    for (unsigned i = 0; i < OBSERVER_TARGETS_MAX; i++) {
        struct target *target = &observer->targets[i];
        if (is_live(target) && !target->ending)
            target_sample(observer, target);
    }
}

static void drain_counter(int fd)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof(count));
    (void)n; /* EAGAIN: another event of this batch took it */
}

static void on_event(struct observer *observer, uint64_t key)
{
    enum watch_kind kind = (enum watch_kind)(key & 0xff);
    struct target *target = &observer->targets[(key >> 8) & 0xff];
    bool current = is_live(target) && target->generation == key >> 32;
    switch (kind) {
    case WATCH_TICK:
        on_tick(observer);
        break;
    case WATCH_POLL: /* serve_polls() follows every batch */
        drain_counter(observer->poll_fd);
        break;
    case WATCH_COMMAND:
        drain_counter(observer->command_fd);
        mailbox_serve(observer);
        break;
    case WATCH_KMSG:
        kernel_log_drain(observer);
        break;
    case WATCH_OOM:
        if (current && !target->ending)
            target_on_oom(observer, target);
        break;
    case WATCH_END:
        if (current && !target->ending)
            target_on_end(observer, target);
        break;
    }
}

/* The log is looked at whenever a counter is: its readers are woken through irq_work that may wait
 * for the next timer tick. */
static void serve_polls(struct observer *observer)
{
    bool drained = false;
    for (unsigned i = 0; i < OBSERVER_TARGETS_MAX; i++) {
        struct target *target = &observer->targets[i];
        if (!is_live(target) || (target_next_ns(target) > clock_monotonic_ns() && !target->ending))
            continue;
        if (!drained)
            kernel_log_drain(observer);
        drained = true;
        target_poll(observer, target, clock_monotonic_ns());
    }
}

static void arm_poll(struct observer *observer)
{
    int64_t next_ns = INT64_MAX;
    for (unsigned i = 0; i < OBSERVER_TARGETS_MAX; i++) {
        const struct target *target = &observer->targets[i];
        if (is_live(target) && target_next_ns(target) < next_ns)
            next_ns = target_next_ns(target);
    }
    if (next_ns == INT64_MAX)
        processor_return(observer);
    if (next_ns == observer->poll_armed_ns && next_ns == INT64_MAX)
        return;
    struct itimerspec timer = {0};
    if (next_ns != INT64_MAX) {
        timer.it_value.tv_sec = next_ns / 1000000000;
        timer.it_value.tv_nsec = next_ns % 1000000000;
    }
    timerfd_settime(observer->poll_fd, TFD_TIMER_ABSTIME, &timer, NULL);
    observer->poll_armed_ns = next_ns;
}

/* Ahead of whatever competes for the processors, but last among the real-time threads. */
static void set_priority(struct observer *observer)
{
    prctl(PR_SET_TIMERSLACK, 1UL);
    if (observer->no_realtime)
        return;
    struct sched_param parameter = {.sched_priority = sched_get_priority_min(SCHED_RR)};
    if (sched_setscheduler(0, SCHED_RR, &parameter) == 0)
        atomic_store_explicit(&observer->realtime, true, memory_order_relaxed);
    else
        setpriority(PRIO_PROCESS, 0, NICE);
}

void *observer_main(void *argument)
{
    struct observer *observer = argument;
    prctl(PR_SET_NAME, OBSERVER_THREAD_NAME);
    set_priority(observer);
    processor_init(observer);
    if (observer->has_kmsg) {
        log_clock_open(&observer->log_clock);
        log_clock_calibrate(&observer->log_clock, OBSERVER_THREAD_NAME);
        atomic_store_explicit(&observer->log_clock_error_ns, observer->log_clock.error_ns,
                              memory_order_relaxed);
    }
    atomic_store(&observer->ready, 1);
    observer_futex_wake(&observer->ready);
    while (!atomic_load(&observer->stop)) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(observer->epoll_fd, events, EVENTS_MAX, -1);
        observer_count(&observer->wakeups, 1);
        for (int i = 0; i < n; i++)
            on_event(observer, events[i].data.u64);
        serve_polls(observer);
        arm_poll(observer);
    }
    return NULL;
}
