/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/arm_heap.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"
#include "heap/choose.h"
#include "heap/program.h"
#include "heap/recording.h"
#include "sandbox/command.h"

#include <stdio.h>
#include <string.h>

#define PARTS_OF_CYCLE 4

static void on_closed(uv_handle_t *handle)
{
    struct arm_heap *heap = handle->data;
    heap->closed = true;
}

void arm_heap_open(struct arm_heap *heap, uv_loop_t *loop)
{
    uv_timer_init(loop, &heap->timer);
    heap->timer.data = heap;
}

void arm_heap_close(struct arm_heap *heap)
{
    uv_close((uv_handle_t *)&heap->timer, on_closed);
}

bool arm_heap_is_closed(const struct arm_heap *heap)
{
    return heap->closed;
}

static bool was_told(const struct arm_heap *heap, const char *reason)
{
    for (unsigned i = 0; i < heap->reason_count; i++) {
        if (strncmp(heap->reasons[i], reason, ARM_HEAP_REASON_MAX - 1) == 0)
            return true;
    }
    return false;
}

void arm_heap_tell(struct arm_heap *heap, const char *scenario, const char *arm, bool partly,
                   const char *reason)
{
    if (heap->reason_count == ARM_HEAP_REASONS || was_told(heap, reason))
        return;
    log_warning("%s/%s runs without a heap profile%s: %s", scenario, arm,
                partly ? " of all of it" : "", reason);
    snprintf(heap->reasons[heap->reason_count++], ARM_HEAP_REASON_MAX, "%s", reason);
}

int arm_heap_record(const struct arm_heap *heap, const struct event_subject *arm, struct error *err)
{
    int r = 0;
    for (unsigned i = 0; i < heap->reason_count && r == 0; i++)
        r = event_add(arm, "Warning", HEAP_UNPROFILED_EVENT, NULL, err, "%s", heap->reasons[i]);
    return r;
}

/* The arm's own variable, or oomlab's. */
static const char *search_path(char *const *env)
{
    for (; env && *env; env++) {
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    }
    return getenv("PATH");
}

/* As the container will find it. A command that is not there fails by itself. */
static bool can_be_profiled(const struct arm_plan *arm, char *reason, size_t size)
{
    const char *path = search_path(arm->env);
    char variable[PATH_MAX];
    snprintf(variable, sizeof(variable), "PATH=%s", path ? path : "");
    const char *const env[] = {path ? variable : NULL, NULL};
    CLEANUP(command_done) struct command command = {0};
    struct error ignored;
    if (command_init(arm->command[0], env, NULL, &command, &ignored) < 0)
        return true;
    for (char **candidate = command.candidates; *candidate; candidate++) {
        if (access(*candidate, X_OK) == 0)
            return heap_program_can_be_profiled(*candidate, path, reason, size);
    }
    return true;
}

const char *arm_heap_prepare(struct arm_heap *heap, const char *scenario,
                             const struct arm_plan *arm)
{
    struct error err;
    char reason[PATH_MAX + 256];
    if (heap_library_find(heap->library, &err) < 0)
        arm_heap_tell(heap, scenario, arm_kind_name(arm->kind), false, err.text);
    else if (!can_be_profiled(arm, reason, sizeof(reason)))
        arm_heap_tell(heap, scenario, arm_kind_name(arm->kind), false, reason);
    else
        return heap->library;
    return NULL;
}

/* --- stamps --------------------------------------------------------------------------------- */

static unsigned parts_of(const struct traffic_phase_span *phase)
{
    return phase->phase == TRAFFIC_CYCLE ? PARTS_OF_CYCLE : 1;
}

static void wait_for_next(struct arm_heap *heap);

static void on_time(uv_timer_t *timer)
{
    struct arm_heap *heap = timer->data;
    const struct traffic_phase_span *phase = &heap->phases[heap->phase];
    bool begins = phase->phase == TRAFFIC_CYCLE && heap->part == 0;
    platform_stamp_heap(heap->revision, begins ? phase->cycle : 0);
    if (++heap->part >= parts_of(phase)) {
        heap->part = 0;
        heap->phase++;
    }
    wait_for_next(heap);
}

static void wait_for_next(struct arm_heap *heap)
{
    if (heap->phase >= heap->phase_count)
        return;
    const struct traffic_phase_span *phase = &heap->phases[heap->phase];
    int64_t length_ns = phase->end_ns - phase->start_ns;
    int64_t due_ns =
        heap->started_ns + phase->start_ns + length_ns / parts_of(phase) * (int64_t)heap->part;
    int64_t wait_ns = due_ns - clock_monotonic_ns();
    uv_timer_start(&heap->timer, on_time, wait_ns > 0 ? (uint64_t)(wait_ns / NS_PER_MS) : 0, 0);
}

void arm_heap_schedule(struct arm_heap *heap, struct revision *revision,
                       const struct traffic_plan *plan, int64_t started_ns)
{
    if (heap->library[0] == '\0')
        return;
    heap->revision = revision;
    heap->phases = traffic_plan_phases(plan, &heap->phase_count);
    heap->started_ns = started_ns;
    wait_for_next(heap);
}

void arm_heap_end_after(struct arm_heap *heap, unsigned cycle)
{
    size_t end = heap->phase;
    while (end < heap->phase_count && heap->phases[end].cycle <= cycle)
        end++;
    heap->phase_count = end;
    if (heap->phase >= heap->phase_count)
        uv_timer_stop(&heap->timer);
}

void arm_heap_stop(struct arm_heap *heap)
{
    uv_timer_stop(&heap->timer);
}
