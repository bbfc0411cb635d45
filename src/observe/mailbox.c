/* SPDX-License-Identifier: Apache-2.0 */
/* How other threads add and remove targets: the target's slot is the message, its state says whose
 * turn it is. Any number of callers, no lock, no allocation; callers wait, the thread never does.
 */
#include "observe/observer-internal.h"

#include <errno.h>

static struct target *claim(struct observer *observer)
{
    for (unsigned i = 0; i < OBSERVER_TARGETS_MAX; i++) {
        struct target *target = &observer->targets[i];
        uint32_t expected = SLOT_FREE;
        if (atomic_compare_exchange_strong(&target->state, &expected, SLOT_CLAIMED)) {
            target_init(target);
            return target;
        }
    }
    return NULL;
}

/* The slot may have ended and been used again by the time that we look: what counts is that our
 * generation was answered. A failed one stays ours. */
static bool wait_for_answer(struct target *target, uint32_t generation)
{
    for (;;) {
        uint32_t answer = atomic_load(&target->acknowledged);
        int32_t ahead = (int32_t)(answer / 2 - generation);
        if (ahead > 0)
            return true;
        if (ahead == 0)
            return answer % 2 == 0;
        observer_futex_wait(&target->acknowledged, answer);
    }
}

int observer_add(struct observer *observer, uint32_t lifetime_id, const struct cgroup *cgroup,
                 int pidfd, struct error *err)
{
    if (lifetime_id == 0)
        return error_set(err, EINVAL, "watching a container: lifetime 0 is not a lifetime");
    struct target *target = claim(observer);
    if (!target)
        return error_set(err, ENOSPC, "watching a container: %d are watched already",
                         OBSERVER_TARGETS_MAX);
    int r = target_open(target, cgroup, pidfd, err);
    if (r < 0) {
        atomic_store(&target->state, SLOT_FREE);
        return error_wrap(err, "watching a container");
    }
    /* At most 2^31 - 1, so that twice of it fits the acknowledgement. */
    uint32_t generation = target->generation = (target->generation + 1) & INT32_MAX;
    atomic_store(&target->lifetime_id, lifetime_id);
    atomic_store(&target->state, SLOT_ADDING);
    observer_ring_doorbell(observer->command_fd);
    if (wait_for_answer(target, generation))
        return 0;
    int errnum = target->add_error;
    target_close(target);
    atomic_store(&target->lifetime_id, 0);
    atomic_store(&target->state, SLOT_FREE);
    return error_errno(err, errnum, "watching a container's descriptors");
}

void observer_remove(struct observer *observer, uint32_t lifetime_id)
{
    for (unsigned i = 0; lifetime_id != 0 && i < OBSERVER_TARGETS_MAX; i++) {
        struct target *target = &observer->targets[i];
        if (atomic_load(&target->lifetime_id) != lifetime_id)
            continue;
        uint32_t expected = SLOT_WATCHED;
        if (!atomic_compare_exchange_strong(&target->state, &expected, SLOT_REMOVING))
            continue;
        observer_ring_doorbell(observer->command_fd);
        while (atomic_load(&target->state) == SLOT_REMOVING)
            observer_futex_wait(&target->state, SLOT_REMOVING);
        return;
    }
}

static void answer_add(struct observer *observer, struct target *target)
{
    uint32_t generation = target->generation;
    int r = target_watch(observer, target);
    target->add_error = -r;
    atomic_store(&target->state, r < 0 ? SLOT_FAILED : SLOT_WATCHED);
    atomic_store(&target->acknowledged, generation * 2 + (r < 0));
    observer_futex_wake(&target->acknowledged);
}

void mailbox_serve(struct observer *observer)
{
    for (unsigned i = 0; i < OBSERVER_TARGETS_MAX; i++) {
        struct target *target = &observer->targets[i];
        switch (atomic_load(&target->state)) {
        case SLOT_ADDING:
            answer_add(observer, target);
            break;
        case SLOT_REMOVING:
            target_release(observer, target);
            break;
        default:
            break;
        }
    }
}
