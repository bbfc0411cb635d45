/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the kernel log, and whom its lines belong to.
 *
 * Only the summary and the group line name a cgroup; a line is matched to a target through it,
 * never by a pid alone. The kill lines that follow belong to the same report: the kernel prints it
 * under one lock, and the pid ties them together. When reports are rate limited the summary is
 * missing and the kill line stays unmatched. Lines that came through /dev/kmsg are not the
 * kernel's: a container that may write there cannot forge a kill. */
#include "observe/observer-internal.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

/* The lines of one report follow each other closely, even through a slow serial console. */
#define REPORT_GAP_NS INT64_C(1000000000)

/* Records read in one go, so that a flood of other messages does not stop everything else. */
#define DRAIN_MAX 1024

static bool is_watched(const struct target *target)
{
    uint32_t state = atomic_load(&target->state);
    return state == SLOT_WATCHED || state == SLOT_REMOVING;
}

/* In a private cgroup namespace we know only the end of our cgroup's name (see
 * cgroup_host_detect()); it holds the run's unique id. */
static bool holds_path(const char *path, const char *part)
{
    size_t length = strlen(part);
    if (length < 2)
        return false;
    for (const char *p = path; (p = strstr(p, part)); p++)
        if (p[length] == '\0' || p[length] == '/')
            return true;
    return false;
}

/* The target whose cgroup is `path` or the nearest one above it. */
static struct target *match(struct observer *observer, const char *path)
{
    struct target *best = NULL, *partial = NULL;
    for (unsigned i = 0; i < OBSERVER_TARGETS_MAX; i++) {
        struct target *target = &observer->targets[i];
        if (!is_watched(target))
            continue;
        if (kmsg_path_within(path, target->kernel_path)) {
            if (!best || strlen(target->kernel_path) > strlen(best->kernel_path))
                best = target;
        } else if (holds_path(path, target->kernel_path)) {
            partial = target;
        }
    }
    return best ? best : partial;
}

static struct target *find(struct observer *observer, uint32_t lifetime_id)
{
    for (unsigned i = 0; lifetime_id != 0 && i < OBSERVER_TARGETS_MAX; i++) {
        struct target *target = &observer->targets[i];
        if (is_watched(target) && atomic_load(&target->lifetime_id) == lifetime_id)
            return target;
    }
    return NULL;
}

static uint32_t lifetime_of(const struct target *target)
{
    return target ? atomic_load(&target->lifetime_id) : 0;
}

/* The stamp that the next KILL carries: the summary's until the kill line is there. A kill line can
 * also come after its KILL was pushed; then it says nothing about the next one. */
static void note_summary(struct target *target, const struct kmsg_record *record)
{
    target->log_stamp_ns = record->boot_ns;
    target->log_stamp_early = true;
    target->log_line_spoken_for = false;
}

static void note_killed(struct target *target, const struct kmsg_record *record)
{
    target->log_kills++;
    if (!target->log_line_spoken_for) {
        target->log_stamp_ns = record->boot_ns;
        target->log_stamp_early = false;
    }
    target->log_line_spoken_for = false;
}

static uint32_t on_summary(struct observer *observer, const struct kmsg_record *record,
                           const struct kmsg_oom *oom, int64_t now_ns)
{
    struct target *target = match(observer, oom->task_memcg);
    observer->log_context = (struct log_context){
        .has_summary = true,
        .pid = oom->pid,
        .lifetime_id = lifetime_of(target),
    };
    if (target) {
        note_summary(target, record);
        target_alarm(target, ALARM_URGENT, now_ns);
    }
    return lifetime_of(target);
}

static uint32_t on_group(struct observer *observer, const struct kmsg_oom *oom)
{
    observer->log_context.has_group = true;
    observer->log_context.group_lifetime_id = lifetime_of(match(observer, oom->task_memcg));
    return observer->log_context.group_lifetime_id;
}

/* A kill without a report: the log leaves reports out, nobody need wait for theirs. */
static void on_kill_without_report(struct observer *observer)
{
    for (unsigned i = 0; i < OBSERVER_TARGETS_MAX; i++)
        if (is_watched(&observer->targets[i]))
            observer->targets[i].log_incomplete = true;
}

static uint32_t on_killed(struct observer *observer, const struct kmsg_record *record,
                          const struct kmsg_oom *oom)
{
    struct log_context *context = &observer->log_context;
    uint32_t lifetime_id;
    if (context->has_group) {
        lifetime_id = context->group_lifetime_id;
    } else if (context->has_summary && (context->pid == 0 || context->pid == oom->pid)) {
        lifetime_id = context->lifetime_id;
        context->has_summary = false;
    } else {
        on_kill_without_report(observer);
        return 0;
    }
    struct target *target = find(observer, lifetime_id);
    if (target)
        note_killed(target, record);
    observer->log_victims[observer->next_log_victim].pid = oom->pid;
    observer->log_victims[observer->next_log_victim].lifetime_id = lifetime_id;
    observer->next_log_victim = (observer->next_log_victim + 1) % LOG_VICTIMS;
    return lifetime_id;
}

/* The reaper names a pid only, but one that a report named before: the newest of that number. */
static uint32_t on_reaped(const struct observer *observer, const struct kmsg_oom *oom)
{
    for (unsigned i = 1; i <= LOG_VICTIMS; i++) {
        unsigned at = (observer->next_log_victim + LOG_VICTIMS - i) % LOG_VICTIMS;
        if (observer->log_victims[at].pid == oom->pid)
            return observer->log_victims[at].lifetime_id;
    }
    return 0;
}

/* A kill is coming, we do not know whose: on v1 nothing else tells of one by the host's limit. */
static void on_invoked(struct observer *observer, int64_t now_ns)
{
    observer->log_context = (struct log_context){0};
    for (unsigned i = 0; i < OBSERVER_TARGETS_MAX; i++)
        if (is_watched(&observer->targets[i]))
            target_alarm(&observer->targets[i], ALARM_MILD, now_ns);
}

static uint32_t attribute(struct observer *observer, const struct kmsg_record *record,
                          const struct kmsg_oom *oom, int64_t now_ns)
{
    struct log_context *context = &observer->log_context;
    if (oom->kind == KMSG_OOM_REAPED) /* comes at any time, from a thread of its own */
        return on_reaped(observer, oom);
    if (record->boot_ns - context->last_ns > REPORT_GAP_NS)
        *context = (struct log_context){0};
    uint32_t lifetime_id = 0;
    switch (oom->kind) {
    case KMSG_OOM_SUMMARY:
        lifetime_id = on_summary(observer, record, oom, now_ns);
        break;
    case KMSG_OOM_GROUP:
        lifetime_id = on_group(observer, oom);
        break;
    case KMSG_OOM_KILLED:
        lifetime_id = on_killed(observer, record, oom);
        break;
    case KMSG_OOM_SELECTED:
        lifetime_id = context->has_summary ? context->lifetime_id : 0;
        break;
    case KMSG_OOM_INVOKED:
        on_invoked(observer, now_ns);
        break;
    case KMSG_OOM_REAPED:
    case KMSG_NOT_OOM:
        break;
    }
    context->last_ns = record->boot_ns;
    return lifetime_id;
}

static void handle(struct observer *observer, const struct kmsg_record *record, int64_t now_ns)
{
    struct kmsg_oom oom;
    if (!record->from_kernel || kmsg_parse_oom(record->text, &oom) == KMSG_NOT_OOM)
        return;
    log_clock_calibrate(&observer->log_clock, OBSERVER_THREAD_NAME);
    atomic_store_explicit(&observer->log_clock_error_ns, observer->log_clock.error_ns,
                          memory_order_relaxed);
    int64_t kernel_ns = log_clock_to_monotonic(&observer->log_clock, record->boot_ns);
    struct observation *line = &observer->scratch;
    line->kind = OBSERVATION_KMSG;
    line->lifetime_id = attribute(observer, record, &oom, now_ns);
    line->at_ns = now_ns;
    line->kmsg.record = *record;
    line->kmsg.oom = oom;
    line->kmsg.kernel_ns = kernel_ns < now_ns ? kernel_ns : now_ns;
    observer_push(observer, line);
}

/* Records were overwritten before we read them: some lines never come. */
static void on_gap(struct observer *observer)
{
    observer_count(&observer->log_gaps, 1);
    observer->log_context = (struct log_context){0};
    on_kill_without_report(observer);
}

void kernel_log_drain(struct observer *observer)
{
    for (int i = 0; i < DRAIN_MAX && observer->kmsg_fd >= 0; i++) {
        if (!observer_has_room(observer, OBSERVATION_KMSG)) {
            if (!observer->kmsg_paused)
                observer_unwatch(observer, observer->kmsg_fd);
            observer->kmsg_paused = true;
            return;
        }
        struct kmsg_record record;
        int r = kmsg_read(observer->kmsg_fd, &record);
        if (r == 0)
            return;
        if (r == -EPIPE) {
            on_gap(observer);
        } else if (r == 1) {
            int64_t now_ns = clock_monotonic_ns();
            log_clock_observe(&observer->log_clock, record.boot_ns, now_ns);
            handle(observer, &record, now_ns);
        } else if (r != -EINVAL) { /* EINVAL: a record in a form unknown to us, read and gone */
            observer_unwatch(observer, observer->kmsg_fd);
            return;
        }
    }
}
