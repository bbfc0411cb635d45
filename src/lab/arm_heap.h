/* SPDX-License-Identifier: Apache-2.0 */
/* The heap profile of an arm: whether its command can be profiled, and when the profile is stamped:
 * at the boundaries of the traffic's phases, and three times within each cycle. */
#pragma once

#include "lab/plan.h"
#include "platform/events.h"
#include "platform/platform.h"

#include <limits.h>
#include <stdbool.h>

#define ARM_HEAP_REASON_MAX 768
#define ARM_HEAP_REASONS    8

struct arm_heap {
    char library[PATH_MAX]; /* the recorder */
    unsigned reason_count;  /* why there is no profile, or one without some programs */
    char reasons[ARM_HEAP_REASONS][ARM_HEAP_REASON_MAX];
    bool closed;
    uv_timer_t timer;
    struct revision *revision;               /* borrowed */
    const struct traffic_phase_span *phases; /* borrowed from the traffic plan */
    size_t phase_count, phase;
    unsigned part; /* of the phase: what comes next */
    int64_t started_ns;
};

void arm_heap_open(struct arm_heap *heap, uv_loop_t *loop);
void arm_heap_close(struct arm_heap *heap);
bool arm_heap_is_closed(const struct arm_heap *heap);

/* The recorder for the arm's command (borrowed from `heap`), or NULL, and then a line on stderr
 * says why. */
const char *arm_heap_prepare(struct arm_heap *heap, const char *scenario,
                             const struct arm_plan *arm);
/* Say that something is not profiled, all of the arm or `partly` one of its programs, and why: each
 * reason once in an arm, and of more than ARM_HEAP_REASONS the first. */
void arm_heap_tell(struct arm_heap *heap, const char *scenario, const char *arm, bool partly,
                   const char *reason);

/* Keep each reason as an event of the arm: HEAP_UNPROFILED_EVENT. */
int arm_heap_record(const struct arm_heap *heap, const struct event_subject *arm,
                    struct error *err);

/* The traffic of the plan begins at `started_ns` (monotonic): stamp the revision's profile. */
void arm_heap_schedule(struct arm_heap *heap, struct revision *revision,
                       const struct traffic_plan *plan, int64_t started_ns);
/* No cycle after this one will come. */
void arm_heap_end_after(struct arm_heap *heap, unsigned cycle);
void arm_heap_stop(struct arm_heap *heap);
