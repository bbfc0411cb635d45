/* SPDX-License-Identifier: Apache-2.0 */
/* How a replica's container is ended: stopped, restarted, abandoned. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "heap/recording.h"
#include "platform/replica_internal.h"

#include <signal.h>

/* Between two looks whether a signal would arrive. */
#define HANDLER_POLL_NS (20 * NS_PER_MS)
#define BLOCKED_LOOKS   5

static void kill_container(struct replica *replica)
{
    struct error ignored;
    replica->facts.platform_sent_sigkill = true;
    sandbox_kill(replica->sandbox, &ignored);
}

static void on_grace(uv_timer_t *timer);

static void wait_for(struct replica *replica, int64_t ns)
{
    uv_timer_start(&replica->timer, on_grace, (uint64_t)((ns + NS_PER_MS - 1) / NS_PER_MS), 0);
}

/* Whether it would arrive. Shells and posix_spawn(3) block all signals for moments; one that is
 * unblocked without a handler is dropped after all. Who sleeps with it blocked, or has had it
 * blocked for some looks, reads it some other way, as from a signalfd(2). */
static bool takes_term(struct replica *replica, const struct signal_stance *stance)
{
    replica->term_blocked = stance->blocked ? replica->term_blocked + 1 : 0;
    return stance->caught || stance->awaited ||
           (stance->blocked && (stance->sleeping || replica->term_blocked >= BLOCKED_LOOKS));
}

/* The first process of a PID namespace gets no signal that it neither catches nor blocks: SIGTERM
 * for a program that has not come so far yet would be lost, and the whole grace be waited. So it is
 * sent as soon as it can arrive, and once: a second one makes many programs give up their clean
 * end. No event tells when a process has set up a handler; it is looked at for as long as the grace
 * is.
 */
static void send_term(struct replica *replica)
{
    struct signal_stance stance;
    sandbox_signal_stance(replica->sandbox, SIGTERM, &stance);
    if (replica->term == TERM_QUEUED && !stance.pending)
        replica->term = stance.caught || stance.blocked ? TERM_SENT : TERM_UNSENT;
    if (replica->term != TERM_UNSENT || !takes_term(replica, &stance))
        return;
    replica->term = stance.caught || stance.awaited ? TERM_SENT : TERM_QUEUED;
    sandbox_signal(replica->sandbox, SIGTERM);
}

static void on_grace(uv_timer_t *timer)
{
    struct replica *replica = timer->data;
    int64_t left_ns = replica->grace_end_ns - clock_monotonic_ns();
    if (left_ns <= 0) {
        kill_container(replica);
        return;
    }
    if (replica->term != TERM_SENT)
        send_term(replica);
    bool sent = replica->term == TERM_SENT;
    wait_for(replica, sent || left_ns < HANDLER_POLL_NS ? left_ns : HANDLER_POLL_NS);
}

void replica_end_container(struct replica *replica, enum platform_kill reason)
{
    recorder_set_platform_kill(replica->core->recorder, replica->id, reason);
    if (replica->facts.platform_kill == PLATFORM_KILL_NONE) {
        replica->facts.platform_kill = reason;
        replica->term = TERM_UNSENT;
        replica->term_blocked = 0;
    }
    /* What a tidy program gives back now was held until now. */
    replica_heap_save(replica, HEAP_ENDING_STOP);
    replica->grace_end_ns = clock_monotonic_ns() + replica->template->stop_grace_ns;
    on_grace(&replica->timer);
}

void replica_stop(struct replica *replica, enum platform_kill reason)
{
    replica->stopping = true;
    replica->stop_reason = reason;
    switch (replica->state) {
    case REPLICA_RUNNING:
        replica_probes_stop(replica);
        replica_end_container(replica, reason);
        break;
    case REPLICA_ENDING:
        break; /* finish_lifetime() tells */
    case REPLICA_BACKOFF:
        uv_timer_stop(&replica->timer);
        replica_tell_stopped(replica);
        break;
    case REPLICA_NEW:
    case REPLICA_STOPPED:
        replica_tell_stopped(replica);
        break;
    }
}

void replica_restart(struct replica *replica)
{
    if (replica->stopping)
        return;
    switch (replica->state) {
    case REPLICA_RUNNING:
        replica->restarting = true;
        replica_probes_stop(replica);
        replica->is_ready = false;
        replica_end_container(replica, PLATFORM_KILL_STOP);
        break;
    case REPLICA_ENDING:
        replica->restarting = true;
        break;
    case REPLICA_BACKOFF:
    case REPLICA_STOPPED:
        uv_timer_stop(&replica->timer);
        backoff_init(&replica->backoff, &replica->template->backoff);
        replica->backoff_ns = 0;
        replica_start_lifetime(replica);
        break;
    case REPLICA_NEW:
        break;
    }
}

void replica_abandon(struct replica *replica)
{
    struct error ignored;
    uv_timer_stop(&replica->timer);
    replica_probes_stop(replica);
    if (replica->sandbox)
        sandbox_kill(replica->sandbox, &ignored);
    replica->id = 0;
    replica->stopping = true;
    console_close(steal_ptr(&replica->console));
    sandbox_free(steal_ptr(&replica->sandbox));
    replica_heap_drop(replica);
    replica_tell_stopped(replica);
}

void replica_hurry(struct replica *replica)
{
    if (replica->stopping && replica->state == REPLICA_RUNNING)
        kill_container(replica);
}
