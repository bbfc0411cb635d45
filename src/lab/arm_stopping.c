/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/arm_stopping.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"
#include "lab/arm_rows.h"
#include "lab/series.h"

#include <stdio.h>

void arm_stopping_open(struct arm_stopping *stopping, uv_loop_t *loop)
{
    uv_timer_init(loop, &stopping->timer);
    stopping->timer.data = stopping;
}

void arm_stopping_ask(struct arm_stopping *stopping, const struct stopping_question *question,
                      struct store *store, void (*on_settled)(void *context, unsigned cycle),
                      void *context)
{
    stopping->asked = true;
    stopping->question = *question;
    stopping->store = store;
    stopping->on_settled = on_settled;
    stopping->context = context;
}

bool arm_stopping_is_asked(const struct arm_stopping *stopping)
{
    return stopping->asked;
}

/* What cannot be read now leaves it open: the arm goes on, and its end reports the fault. */
static bool judge(struct arm_stopping *stopping)
{
    struct arm_data data;
    struct error err;
    int64_t now_ns = clock_monotonic_ns();
    int r = arm_rows_answered_by(stopping->store, stopping->arm_id, now_ns, &err);
    if (r == 0)
        r = arm_data_load_so_far(stopping->store, stopping->arm_id, now_ns, &data, &err);
    if (r < 0) {
        log_debug("the stopping rule: %s", err.text);
        return false;
    }
    r = stopping_judge(&data.series, &stopping->question, &stopping->last);
    arm_data_done(&data);
    log_debug("the stopping rule, look %u: %ssettled: %s", stopping->question.look,
              stopping->last.settled ? "" : "not ", stopping->last.reason);
    return r == 0 && stopping->last.settled;
}

/* The end of a cycle, and of the pause after it. False: there is no such cycle in the plan. */
static bool find_pause(const struct traffic_plan *plan, unsigned cycle, int64_t *ret_start_ns,
                       int64_t *ret_end_ns)
{
    size_t count = 0;
    bool found = false;
    const struct traffic_phase_span *spans = traffic_plan_phases(plan, &count);
    for (size_t i = 0; i < count; i++) {
        if (spans[i].cycle != cycle || spans[i].phase == TRAFFIC_COOLDOWN)
            continue;
        if (spans[i].phase == TRAFFIC_CYCLE)
            *ret_start_ns = *ret_end_ns = spans[i].end_ns;
        else if (spans[i].phase == TRAFFIC_GAP)
            *ret_end_ns = spans[i].end_ns;
        found = true;
    }
    return found;
}

static void on_cycle_end(uv_timer_t *timer);

/* In the middle of the pause: answers have come by then, and the next cycle has not begun. */
static void await_cycle_end(struct arm_stopping *stopping)
{
    int64_t start_ns = 0, end_ns = 0;
    stopping->cycle = stopping_next_look(stopping->cycle);
    if (!find_pause(stopping->plan, stopping->cycle, &start_ns, &end_ns))
        return;
    int64_t wait_ns = stopping->started_ns + (start_ns + end_ns) / 2 - clock_monotonic_ns();
    uv_timer_start(&stopping->timer, on_cycle_end,
                   wait_ns > 0 ? (uint64_t)(wait_ns / NS_PER_MS) : 0, 0);
}

static void on_cycle_end(uv_timer_t *timer)
{
    struct arm_stopping *stopping = timer->data;
    int64_t start_ns = 0, end_ns = 0;
    stopping->question.look++;
    if (!judge(stopping)) {
        await_cycle_end(stopping);
        return;
    }
    find_pause(stopping->plan, stopping->cycle, &start_ns, &end_ns);
    /* Without a pause the next cycle has begun. */
    stopping->on_settled(stopping->context, stopping->cycle + (start_ns == end_ns));
}

void arm_stopping_begin(struct arm_stopping *stopping, const struct traffic_plan *plan,
                        int64_t started_ns)
{
    if (!stopping->asked)
        return;
    stopping->plan = plan;
    stopping->started_ns = started_ns;
    stopping->question.planned_s = (double)traffic_plan_duration_ns(plan) / 1e9;
    await_cycle_end(stopping);
}

bool arm_stopping_is_settled_by_kill(struct arm_stopping *stopping)
{
    return stopping->asked && judge(stopping);
}

bool arm_stopping_is_settled_at_last(struct arm_stopping *stopping)
{
    if (!stopping->asked || stopping->last.settled)
        return stopping->asked;
    stopping->question.look++;
    return judge(stopping);
}

void arm_stopping_end(struct arm_stopping *stopping)
{
    uv_timer_stop(&stopping->timer);
}

const char *arm_stopping_reason(struct arm_stopping *stopping, bool budget_spent)
{
    const struct stopping *last = &stopping->last;
    if (!stopping->asked || last->reason[0] == '\0')
        return NULL;
    snprintf(stopping->reason, sizeof(stopping->reason), "%s: %s.",
             last->settled  ? "Settled"
             : budget_spent ? "Not settled within the budget"
                            : "Not settled",
             last->reason);
    return stopping->reason;
}

static void on_closed(uv_handle_t *handle)
{
    struct arm_stopping *stopping = handle->data;
    stopping->closed = true;
}

void arm_stopping_close(struct arm_stopping *stopping)
{
    uv_close((uv_handle_t *)&stopping->timer, on_closed);
}
