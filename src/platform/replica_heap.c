/* SPDX-License-Identifier: Apache-2.0 */
/* The heap profile of a replica's containers. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "platform/replica_internal.h"

#include <errno.h>
#include <limits.h>

/* How often it is seen which of its processes are gone, and what the others run. */
#define REAP_PERIOD_MS 200
#define MEMBERS_MOST   512

static void tell_unprofiled(const struct replica *replica, bool partly, const struct error *err)
{
    if (replica->listener.unprofiled)
        replica->listener.unprofiled(replica->listener.context, partly, err);
}

static void examine(struct replica *replica, pid_t pid)
{
    struct error err;
    char reason[PATH_MAX + 256];
    bool main = pid == sandbox_pid(replica->sandbox);
    if (heap_process_is_profiled(&replica->programs, pid, main, clock_monotonic_ns(), reason,
                                 sizeof(reason)))
        return;
    error_set(&err, ENOTSUP, "%s", reason);
    tell_unprofiled(replica, !main, &err);
}

/* A shell or an entrypoint that is profiled may have executed a program that cannot be, or without
 * the recorder, in its own place or as a child. */
static void examine_processes(struct replica *replica)
{
    pid_t pids[MEMBERS_MOST];
    int count = cgroup_members(sandbox_cgroup(replica->sandbox), pids, MEMBERS_MOST);
    examine(replica, sandbox_pid(replica->sandbox));
    for (int i = 0; i < count; i++) {
        if (pids[i] > 0)
            examine(replica, pids[i]);
    }
}

static void on_reap_time(uv_timer_t *timer)
{
    struct replica *replica = timer->data;
    if (replica->has_end)
        return;
    recorder_take_notices(replica->core->recorder);
    heap_recording_reap(replica->heap, sandbox_pid(replica->sandbox));
    examine_processes(replica);
}

void replica_heap_start(struct replica *replica)
{
    const struct revision_template *template = replica->template;
    struct error err;
    if (!template->heap.library)
        return;
    if (heap_recording_new(sandbox_pid(replica->sandbox), template->memory_bytes,
                           template->heap.rate_bytes, &replica->heap, &err) < 0)
        tell_unprofiled(replica, false, &err);
    else
        uv_timer_start(&replica->heap_timer, on_reap_time, REAP_PERIOD_MS, REAP_PERIOD_MS);
}

void replica_heap_drop(struct replica *replica)
{
    uv_timer_stop(&replica->heap_timer);
    heap_recording_free(steal_ptr(&replica->heap));
}

void replica_heap_save(struct replica *replica, enum heap_ending ending)
{
    struct error err;
    if (!replica->heap)
        return;
    recorder_take_notices(replica->core->recorder);
    pid_t main_pid = replica->sandbox ? sandbox_pid(replica->sandbox) : 0;
    if (heap_recording_is_intact(replica->heap) && heap_recording_attached(replica->heap) == 0) {
        error_set(&err, ENOTSUP,
                  "no process of the container loaded the recorder: nothing was profiled");
        tell_unprofiled(replica, false, &err);
    } else if (heap_recording_save(replica->heap, ending, main_pid, replica->core->directory,
                                   replica->id, &err) < 0) {
        tell_unprofiled(replica, false, &err);
    }
    replica_heap_drop(replica);
}

void replica_notice_kill(struct replica *replica, int64_t at_ns)
{
    if (replica->heap && !replica->has_end)
        heap_recording_killed(replica->heap, at_ns, sandbox_pid(replica->sandbox),
                              life_facts_read_oom_group(replica_memory_fd(replica)));
}

void replica_stamp_heap(struct replica *replica, unsigned cycle)
{
    struct error err;
    if (replica->heap && !replica->has_end) {
        recorder_take_notices(replica->core->recorder);
        examine_processes(replica);
    }
    if (replica->heap && !replica->has_end &&
        heap_recording_stamp(replica->heap, clock_monotonic_ns(), cycle, &err) < 0)
        tell_unprofiled(replica, false, &err);
}
