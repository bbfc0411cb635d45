/* SPDX-License-Identifier: Apache-2.0 */
/* The heap profile of a replica's containers. */
#include "heap/recording.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "platform/replica_internal.h"

#include <errno.h>

static void tell_unprofiled(const struct replica *replica, const struct error *err)
{
    if (replica->listener.unprofiled)
        replica->listener.unprofiled(replica->listener.context, err);
}

void replica_heap_start(struct replica *replica)
{
    const struct revision_template *template = replica->template;
    struct error err;
    if (template->heap.library &&
        heap_recording_new(sandbox_pid(replica->sandbox), template->memory_bytes,
                           template->heap.rate_bytes, &replica->heap, &err) < 0)
        tell_unprofiled(replica, &err);
}

void replica_heap_save(struct replica *replica)
{
    struct error err;
    if (!replica->heap)
        return;
    if (heap_recording_attached(replica->heap) == 0) {
        error_set(&err, ENOTSUP,
                  "no process of the container loaded the recorder: nothing was profiled");
        tell_unprofiled(replica, &err);
    } else if (heap_recording_save(replica->heap, replica->core->directory, replica->id, &err) <
               0) {
        tell_unprofiled(replica, &err);
    }
    heap_recording_free(steal_ptr(&replica->heap));
}

void replica_stamp_heap(struct replica *replica, unsigned cycle)
{
    struct error err;
    if (replica->heap && !replica->has_end &&
        heap_recording_stamp(replica->heap, clock_monotonic_ns(), cycle, &err) < 0)
        tell_unprofiled(replica, &err);
}
