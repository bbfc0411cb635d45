/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/arm.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/file.h"
#include "base/log.h"
#include "base/plural.h"
#include "base/size.h"
#include "lab/arm_heap.h"
#include "lab/arm_rows.h"
#include "lab/arm_stopping.h"
#include "lab/port.h"
#include "lab/run.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A container that ended so often without an OOM kill (or killed in an arm that expects none) has
 * shown all it can show. */
#define ENDS_WITHOUT_KILL_MAX 3
#define UNEXPECTED_KILLS_MAX  5

/* The traffic starts this long after the first readiness: room to write the phases' rows. */
#define TRAFFIC_LEAD_NS (20 * NS_PER_MS)

struct arm_run {
    struct lab *lab;
    const struct scenario_plan *scenario;
    const struct arm_plan *arm;
    struct arm_result result;
    enum { STEP_RUNNING, STEP_STOPPING, STEP_OVER } step;
    struct revision_states states; /* as they were when the arm ended */
    struct revision_template template;
    struct revision *revision;
    struct traffic_plan *traffic_plan;
    struct traffic *traffic;
    struct ring outcomes;
    bool ring_ready, ring_added;
    int64_t traffic_started_ns, killed_ns; /* the latter: the last time */
    uv_async_t traffic_done;
    uv_timer_t deadline;  /* of the whole arm */
    uv_timer_t readiness; /* of the current lifetime, until it is ready */
    struct arm_heap heap;
    struct arm_stopping stopping;
    unsigned handles;
    unsigned other_ends; /* ends that were no OOM kill */
    bool stopped;
    struct error failure; /* of the traffic or the store */
};

const char *arm_end_name(enum arm_end end)
{
    switch (end) {
    case ARM_RUNNING:
        break;
    case ARM_SEQUENCE_COMPLETE:
        return "sequence-complete";
    case ARM_SETTLED:
        return "settled";
    case ARM_KILL_STOP:
        return "kill-stop";
    case ARM_CRASH_LOOP:
        return "crash-loop";
    case ARM_NEVER_READY:
        return "never-ready";
    case ARM_DEADLINE:
        return "deadline";
    case ARM_FAILED:
        return "failed";
    case ARM_INTERRUPTED:
        return "interrupted";
    }
    return "running";
}

static void end_arm(struct arm_run *run, enum arm_end end)
{
    if (run->result.end == ARM_RUNNING)
        run->result.end = end;
}

static bool is_oom(enum end_cause cause)
{
    return cause == CAUSE_OOM_CONTAINER_LIMIT || cause == CAUSE_OOM_ANCESTOR_LIMIT ||
           cause == CAUSE_OOM_HOST;
}

/* --- traffic -------------------------------------------------------------------------------- */

static void on_traffic_done(void *context)
{
    struct arm_run *run = context;
    uv_async_send(&run->traffic_done); /* from the traffic thread */
}

static void on_traffic_done_async(uv_async_t *handle)
{
    struct arm_run *run = handle->data;
    end_arm(run,
            arm_stopping_is_settled_at_last(&run->stopping) ? ARM_SETTLED : ARM_SEQUENCE_COMPLETE);
}

static int start_traffic(struct arm_run *run, struct error *err)
{
    const struct plan *plan = run->lab->plan;
    char url[64];
    snprintf(url, sizeof(url), "%s://127.0.0.1:%u", plan->https ? "https" : "http",
             run->template.port);
    const struct traffic_options options = {
        .base_url = url,
        .insecure = true, /* a service under test shows whatever certificate it has */
        .arm_id = (uint32_t)run->result.arm_id,
        .outcomes = &run->outcomes,
        .on_done = on_traffic_done,
        .context = run,
    };
    run->traffic_started_ns = clock_monotonic_ns() + TRAFFIC_LEAD_NS;
    int r = arm_rows_traffic_started(run->lab->store, run->result.arm_id, run->traffic_plan,
                                     run->traffic_started_ns, err);
    if (r == 0)
        r = traffic_start(run->traffic_plan, &options, run->traffic_started_ns, &run->traffic, err);
    if (r == 0)
        arm_stopping_begin(&run->stopping, run->traffic_plan, run->traffic_started_ns);
    if (r == 0)
        arm_heap_schedule(&run->heap, run->revision, run->traffic_plan, run->traffic_started_ns);
    return r;
}

/* The cycle is the last: it settled the arm's question. */
static void on_settled(void *context, unsigned cycle)
{
    struct arm_run *run = context;
    traffic_end_after(run->traffic, cycle);
    arm_heap_end_after(&run->heap, cycle);
}

static int prepare_traffic(struct arm_run *run, struct error *err)
{
    int r = traffic_plan_new(&run->scenario->traffic, &run->traffic_plan, err);
    if (r < 0)
        return r;
    r = ring_init(&run->outcomes, sizeof(struct traffic_outcome),
                  traffic_plan_requests(run->traffic_plan) + 1);
    if (r < 0)
        return error_errno(err, -r, "making room for the requests' outcomes");
    run->ring_ready = true;
    const struct store_source source = {
        .ring = &run->outcomes,
        .urgent_fd = -1,
        .apply = arm_rows_apply_outcome,
    };
    r = store_writer_add(run->lab->store, &source, err);
    run->ring_added = r == 0;
    return r;
}

static int finish_traffic(struct arm_run *run, struct error *err)
{
    bool shorten = run->traffic && arm_stopping_is_asked(&run->stopping);
    arm_stopping_end(&run->stopping);
    traffic_free(steal_ptr(&run->traffic));
    int r = 0;
    if (run->ring_added)
        r = store_writer_remove(run->lab->store, &run->outcomes, err);
    run->ring_added = false;
    if (r == 0 && shorten)
        r = arm_rows_shorten(run->lab->store, run->result.arm_id, run->scenario->traffic,
                             run->traffic_started_ns, err);
    return r;
}

/* --- what the replica tells ----------------------------------------------------------------- */

static void on_ready(void *context, const struct lifetime_report *lifetime)
{
    struct arm_run *run = context;
    uv_timer_stop(&run->readiness);
    run->result.was_ready = true;
    log_debug("%s/%s lifetime %u is ready", run->scenario->name, arm_kind_name(run->arm->kind),
              lifetime->index);
    platform_stamp_heap(run->revision, 0);
    if (run->traffic || run->result.end != ARM_RUNNING)
        return;
    if (start_traffic(run, &run->failure) < 0)
        end_arm(run, ARM_FAILED);
}

static void on_not_ready(uv_timer_t *timer)
{
    end_arm(timer->data, ARM_NEVER_READY);
}

static void await_readiness(struct arm_run *run, int64_t after_ns)
{
    int64_t wait = after_ns + run->lab->plan->ready_deadline_ns;
    uv_timer_start(&run->readiness, on_not_ready, (uint64_t)(wait / NS_PER_MS), 0);
}

static void report_end(const struct arm_run *run, const struct lifetime_report *lifetime)
{
    if (run->lab->options->quiet)
        return;
    char uptime[DURATION_TEXT_MAX];
    log_info("  %s/%s  lifetime %u ended after %s: %s", run->scenario->name,
             arm_kind_name(run->arm->kind), lifetime->index,
             duration_format(lifetime->ended_ns - lifetime->started_ns, uptime),
             lifetime->death.explanation);
}

/* The budget, not a number, ends an arm that the stopping rule watches. */
static unsigned kills_max(const struct arm_run *run)
{
    return run->arm->kill_stop > 0                 ? run->arm->kill_stop
           : arm_stopping_is_asked(&run->stopping) ? UINT_MAX
                                                   : UNEXPECTED_KILLS_MAX;
}

static bool on_ended(void *context, const struct lifetime_report *lifetime)
{
    struct arm_run *run = context;
    if (run->result.end != ARM_RUNNING)
        return false; /* our own stop */
    report_end(run, lifetime);
    if (is_oom(lifetime->death.cause)) {
        run->result.kills++;
        run->killed_ns = lifetime->ended_ns;
    } else {
        run->other_ends++;
    }
    if (run->result.kills >= kills_max(run))
        end_arm(run, ARM_KILL_STOP);
    else if (is_oom(lifetime->death.cause) && arm_stopping_is_settled_by_kill(&run->stopping))
        end_arm(run, ARM_SETTLED);
    else if (run->other_ends >= ENDS_WITHOUT_KILL_MAX)
        end_arm(run, ARM_CRASH_LOOP);
    else
        await_readiness(run, lifetime->next_start_ns);
    if (run->result.end != ARM_RUNNING)
        return false;
    run->result.restarts++;
    return true;
}

static void on_failed(void *context, const struct error *err)
{
    struct arm_run *run = context;
    run->result.failure = *err;
    end_arm(run, ARM_FAILED);
}

static void on_unprofiled(void *context, bool partly, const struct error *err)
{
    struct arm_run *run = context;
    arm_heap_tell(&run->heap, run->scenario->name, arm_kind_name(run->arm->kind), partly,
                  err->text);
}

static void on_stopped(void *context)
{
    struct arm_run *run = context;
    run->stopped = true;
}

/* --- running -------------------------------------------------------------------------------- */

static void on_deadline(uv_timer_t *timer)
{
    end_arm(timer->data, ARM_DEADLINE);
}

static void open_handles(struct arm_run *run)
{
    uv_loop_t *loop = platform_loop(run->lab->platform);
    uv_async_init(loop, &run->traffic_done, on_traffic_done_async);
    uv_timer_init(loop, &run->deadline);
    uv_timer_init(loop, &run->readiness);
    run->traffic_done.data = run;
    run->deadline.data = run;
    run->readiness.data = run;
    arm_heap_open(&run->heap, loop);
    arm_stopping_open(&run->stopping, loop);
    run->handles = 3;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct arm_run *run = handle->data;
    run->handles--;
}

/* Handles live in `run`: wait until the loop has let go of them. */
static void close_handles(struct arm_run *run)
{
    uv_close((uv_handle_t *)&run->traffic_done, on_handle_closed);
    uv_close((uv_handle_t *)&run->deadline, on_handle_closed);
    uv_close((uv_handle_t *)&run->readiness, on_handle_closed);
    arm_heap_close(&run->heap);
    arm_stopping_close(&run->stopping);
    while (run->handles > 0 || !run->stopping.closed || !arm_heap_is_closed(&run->heap))
        platform_run_once(run->lab->platform);
}

static int fill_template(struct arm_run *run, struct error *err)
{
    const struct plan *plan = run->lab->plan;
    const struct arm_plan *arm = run->arm;
    run->template = (struct revision_template){
        .app = run->scenario->app,
        .suffix = arm_kind_name(arm->kind),
        .command = arm->command,
        .env = arm->env,
        .memory_bytes = arm->memory_bytes,
        .cpu_cores = arm->cpu_cores,
        .pids_max = plan->pids_max,
        .port = plan->port,
        .https = plan->https,
        .readiness = plan->readiness,
        .liveness = plan->liveness,
        .startup = plan->startup,
        .backoff = plan->backoff,
        .stop_grace_ns = plan->stop_grace_ns,
    };
    if (plan->heap) {
        run->template.heap.rate_bytes = plan->heap_rate_bytes;
        run->template.heap.library = arm_heap_prepare(&run->heap, run->scenario->name, arm);
    }
    if (plan->port == 0)
        return port_choose(&run->template.port, err);
    return port_check_free(plan->port, err);
}

static int deploy(struct arm_run *run, struct error *err)
{
    const struct replica_listener listener = {
        .context = run,
        .ready = on_ready,
        .ended = on_ended,
        .failed = on_failed,
        .stopped = on_stopped,
        .unprofiled = on_unprofiled,
    };
    uv_timer_start(&run->deadline, on_deadline,
                   (uint64_t)(run->lab->plan->arm_deadline_ns / NS_PER_MS), 0);
    await_readiness(run, 0);
    return platform_deploy(run->lab->platform, &run->template, run->result.arm_id, &listener,
                           &run->revision, err);
}

static void remember_failure(struct arm_run *run, int r, const struct error *err)
{
    if (r < 0 && run->failure.code == 0)
        run->failure = *err;
}

/* The arm has ended: note its states, end the traffic, ask the container to stop. */
static void begin_stop(struct arm_run *run)
{
    struct error err;
    revision_get_states(run->revision, &run->states);
    remember_failure(run, finish_traffic(run, &err), &err);
    enum platform_kill reason =
        run->result.end == ARM_DEADLINE || run->result.end == ARM_NEVER_READY
            ? PLATFORM_KILL_DEADLINE
            : PLATFORM_KILL_STOP;
    run->step = STEP_STOPPING;
    arm_heap_stop(&run->heap);
    platform_deactivate(run->lab->platform, run->revision, reason);
}

static void end_stop(struct arm_run *run)
{
    struct error err;
    const char *reason =
        arm_stopping_reason(&run->stopping, run->result.end == ARM_SEQUENCE_COMPLETE);
    if (reason && !run->lab->options->quiet)
        log_info("  %s/%s  %s", run->scenario->name, arm_kind_name(run->arm->kind), reason);
    platform_forget(run->lab->platform, steal_ptr(&run->revision));
    const struct event_subject subject = {
        .store = run->lab->store, .arm_id = run->result.arm_id, .app = run->template.app};
    remember_failure(run, arm_heap_record(&run->heap, &subject, &err), &err);
    remember_failure(run,
                     arm_rows_ended(run->lab->store, run->result.arm_id,
                                    arm_end_name(run->result.end), reason, &run->states, &err),
                     &err);
    run->step = STEP_OVER;
}

bool arm_step(struct arm_run *run)
{
    if (run->lab->interrupted_by != 0 || run->lab->cancelled)
        end_arm(run, ARM_INTERRUPTED);
    if (store_failed(run->lab->store))
        end_arm(run, ARM_FAILED);
    if (run->step == STEP_RUNNING && run->result.end != ARM_RUNNING)
        begin_stop(run);
    if (run->step == STEP_STOPPING && run->lab->hurry)
        platform_hurry(run->revision);
    /* The platform acts on an end once it is durable. A store that has failed tells no more ends.
     */
    if (run->step == STEP_STOPPING && !run->stopped && store_failed(run->lab->store))
        platform_abandon(run->revision);
    if (run->step == STEP_STOPPING && run->stopped)
        end_stop(run);
    return run->step == STEP_OVER;
}

static int begin(struct arm_run *run, struct error *err)
{
    int r = fill_template(run, err);
    if (r == 0)
        r = prepare_traffic(run, err);
    if (r == 0)
        r = arm_rows_started(run->lab->store, run->scenario, run->arm, &run->template,
                             run->traffic_plan, &run->result.arm_id, err);
    run->stopping.arm_id = run->result.arm_id;
    if (r == 0)
        r = deploy(run, err);
    return r;
}

static void free_run(struct arm_run *run)
{
    struct error ignored;
    finish_traffic(run, &ignored);
    close_handles(run);
    traffic_plan_free(run->traffic_plan);
    if (run->ring_ready)
        ring_done(&run->outcomes);
    free(run);
}

int arm_begin(struct lab *lab, const struct scenario_plan *scenario, const struct arm_plan *arm,
              const struct stopping_question *question, struct arm_run **ret, struct error *err)
{
    struct arm_run *run = calloc(1, sizeof(*run));
    if (!run)
        return error_errno(err, ENOMEM, "beginning an arm");
    run->lab = lab;
    run->scenario = scenario;
    run->arm = arm;
    open_handles(run);
    if (question)
        arm_stopping_ask(&run->stopping, question, lab->store, on_settled, run);
    if (begin(run, err) < 0) {
        free_run(run);
        return error_wrap(err, "%s/%s", scenario->name, arm_kind_name(arm->kind));
    }
    *ret = run;
    return 0;
}

int arm_finish(struct arm_run *run, struct arm_result *ret, struct error *err)
{
    *ret = run->result;
    int r = run->failure.code;
    if (r < 0) {
        *err = run->failure;
        error_wrap(err, "%s/%s", run->scenario->name, arm_kind_name(run->arm->kind));
    }
    free_run(run);
    return r;
}

void arm_get_status(const struct arm_run *run, struct arm_status *ret)
{
    *ret = (struct arm_status){
        .arm_id = run->result.arm_id,
        .kills = run->result.kills,
        .killed_ns = run->killed_ns,
        .alive = run->revision && replica_lifetime_id(revision_replica(run->revision)) != 0,
        .traffic_started_ns = run->traffic_started_ns,
        .traffic_plan = run->traffic_plan,
    };
    if (run->traffic)
        traffic_progress(run->traffic, &ret->progress);
}

void arm_describe(const struct arm_run *run, char *text, size_t size)
{
    struct traffic_progress progress = {0};
    if (run->traffic)
        traffic_progress(run->traffic, &progress);
    snprintf(text, size, "%s/%s %u/%zu requests, %u failed, %u kill%s", run->scenario->name,
             arm_kind_name(run->arm->kind), progress.due, traffic_plan_requests(run->traffic_plan),
             progress.failed, run->result.kills, plural((double)run->result.kills));
}
