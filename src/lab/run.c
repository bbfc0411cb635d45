/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/run.h"

#include "analysis/view.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/panel.h"
#include "base/size.h"
#include "base/terminal.h"
#include "lab/live.h"
#include "lab/scenario.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Those that end a run in order: Ctrl-C, a polite kill, a closed terminal, Ctrl-\\. */
#define SIGNALS 4

/* A scenario on its way: the arm under way and the one that comes next. */
struct scenario_run {
    struct arm_run *current;           /* NULL between arms */
    struct stopping_question question; /* of the arm under way */
    size_t next;                       /* index of the arm after it */
    bool over;                         /* its gates are evaluated */
};

struct run {
    struct lab lab;
    struct scenario_findings *findings; /* one for each scenario */
    struct scenario_run *scenarios;     /* likewise */
    unsigned next_evidence;
    unsigned gates_failed;
    uv_signal_t signals[SIGNALS];
    uv_timer_t tick;   /* redraws the live view or the status line */
    struct live *live; /* NULL: none */
    bool handles_open;
    unsigned handles_closing;
};

/* --- the run's row --------------------------------------------------------------------------- */

static uint64_t memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
}

static int insert_run(struct run *run, struct error *err)
{
    const struct plan *plan = run->lab.plan;
    struct utsname host;
    if (uname(&host) < 0)
        return error_errno(err, errno, "asking for the kernel's version");
    json_t *json = plan_to_json(plan);
    AUTO_FREE char *lab_json = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(json);
    if (!lab_json)
        return error_errno(err, ENOMEM, "recording the plan");

    const struct store_value values[] = {
        STORE_STR("id", run->lab.options->run_id),
        STORE_STR("lab", plan->name),
        STORE_STR("command", run->lab.options->command_line),
        STORE_STR("lab_json", lab_json),
        STORE_INT("seed", plan->seed),
        STORE_INT("started_at_ns", clock_realtime_ns()),
        STORE_INT("monotonic_zero_ns", clock_monotonic_ns()),
        STORE_STR("tool_version", OOMLAB_VERSION),
        STORE_STR("kernel", host.release),
        STORE_INT("cgroup_version", platform_cgroup_version(run->lab.platform)),
        STORE_INT("cpus", sysconf(_SC_NPROCESSORS_ONLN)),
        STORE_INT("memory_bytes", memory_bytes()),
        STORE_DBL("sample_rate_hz", plan->sample_rate_hz),
        STORE_STR("backoff", plan->backoff.name),
        STORE_DBL("backoff_scale", plan->backoff.scale),
        STORE_INT("kernel_log", platform_kernel_log(run->lab.platform)),
        STORE_END,
    };
    return store_insert(run->lab.store, "run", values, NULL, err);
}

static int close_run(struct run *run, int exit_status, struct error *err)
{
    const struct store_value key = STORE_STR("id", run->lab.options->run_id);
    const struct store_value values[] = {
        STORE_INT("ended_ns", clock_monotonic_ns()),
        STORE_INT("dropped_observations", platform_dropped_observations(run->lab.platform)),
        STORE_INT("exit_status", exit_status),
        STORE_END,
    };
    return store_update(run->lab.store, "run", &key, values, err);
}

/* --- signals and what is shown --------------------------------------------------------------- */

static void on_signal(uv_signal_t *handle, int signal_number)
{
    struct run *run = handle->data;
    if (run->lab.interrupted_by != 0)
        run->lab.hurry = true;
    else
        run->lab.interrupted_by = signal_number;
}

static void draw_status_line(const struct run *run)
{
    char line[512] = "";
    size_t used = 0;
    for (size_t i = 0; i < run->lab.plan->scenario_count; i++) {
        char text[160];
        if (!run->scenarios[i].current)
            continue;
        arm_describe(run->scenarios[i].current, text, sizeof(text));
        used +=
            (size_t)snprintf(line + used, sizeof(line) - used, "%s%s", used ? " | " : "  ", text);
        if (used >= sizeof(line))
            break;
    }
    progress_update("%s", line);
}

static void on_tick(uv_timer_t *timer)
{
    const struct run *run = timer->data;
    if (run->live)
        live_draw(run->live, run->lab.interrupted_by != 0);
    else
        draw_status_line(run);
}

static void open_handles(struct run *run)
{
    static const int numbers[SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    uv_loop_t *loop = platform_loop(run->lab.platform);
    for (size_t i = 0; i < SIGNALS; i++) {
        uv_signal_init(loop, &run->signals[i]);
        run->signals[i].data = run;
        uv_signal_start(&run->signals[i], on_signal, numbers[i]);
    }
    uv_timer_init(loop, &run->tick);
    run->tick.data = run;
    if (!run->lab.options->quiet)
        uv_timer_start(&run->tick, on_tick, 100, 100);
    run->handles_open = true;
    /* A service that closes its port must cost a failed request, not oomlab. */
    signal(SIGPIPE, SIG_IGN);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct run *run = handle->data;
    run->handles_closing--;
}

static void close_handles(struct run *run)
{
    if (!run->handles_open)
        return;
    panel_clear();
    run->handles_closing = SIGNALS + 1;
    for (size_t i = 0; i < SIGNALS; i++)
        uv_close((uv_handle_t *)&run->signals[i], on_handle_closed);
    uv_close((uv_handle_t *)&run->tick, on_handle_closed);
    while (run->handles_closing > 0)
        platform_run_once(run->lab.platform);
}

/* --- arms ------------------------------------------------------------------------------------ */

static void announce(const struct run *run, const struct scenario_plan *scenario,
                     const struct arm_plan *arm)
{
    if (run->lab.options->quiet)
        return;
    char size[SIZE_TEXT_MAX];
    log_info("%s/%s  limit %s  %s", scenario->name, arm_kind_name(arm->kind),
             size_format_quantity(arm->memory_bytes, size), arm_kind_purpose(arm->kind));
}

/* One's own service that was not killed needs no arms that are about the kill. */
static bool is_pointless(const struct scenario_findings *findings, enum arm_kind kind)
{
    const struct arm_findings *trigger = &findings->arms[ARM_TRIGGER];
    if (findings->plan->expect != EXPECT_NOTHING || kind == ARM_TRIGGER || kind == ARM_CONTROL)
        return false;
    if (!trigger->ran || trigger->verdict.kills > 0 || trigger->verdict.child_kills > 0 ||
        (kind == ARM_RAISE && trigger->verdict.held_at_limit))
        return false;
    /* The patch is the known-good arm against which small growth shows. */
    return !(kind == ARM_PATCH && (trigger->verdict.class == VERDICT_LEAK ||
                                   trigger->verdict.class == VERDICT_INCONCLUSIVE));
}

static enum stopping_question_kind question_kind(enum arm_kind kind)
{
    return kind == ARM_TRIGGER  ? STOPPING_CAUSE
           : kind == ARM_RAISE  ? STOPPING_RAISE
           : kind == ARM_REVERT ? STOPPING_RETURNS
                                : STOPPING_SURVIVES;
}

/* What the arm is to answer, from what the trigger showed. */
static struct stopping_question
question_of(const struct plan *plan, const struct scenario_findings *findings, enum arm_kind kind)
{
    const struct arm_findings *trigger = &findings->arms[ARM_TRIGGER];
    struct stopping_question question = {
        .kind = question_kind(kind),
        .confidence = findings->plan->confidence,
        .predictions = findings->predictions,
        .prediction_count = findings->prediction_count,
    };
    if (plan->to_growth_budget) {
        question.kind = STOPPING_BUDGET;
        question.growth = plan->growth;
    }
    if (!trigger->ran)
        return question;
    question.cause = trigger->verdict.class;
    question.by_time = trigger->verdict.driver == DRIVER_TIME;
    for (size_t i = 0; i < trigger->data.count; i++) {
        const struct lifetime_series *lifetime = &trigger->data.lifetimes[i];
        if (!cause_is_kernel_oom(lifetime->cause))
            continue;
        question.requests_to_kill = fmax(question.requests_to_kill, lifetime->requests_completed);
        question.seconds_to_kill = fmax(question.seconds_to_kill, lifetime->uptime_s);
    }
    return question;
}

/* Start the next arm that has a point; false in `*ret_started` when none is left. */
static int begin_next_arm(struct run *run, size_t index, bool *ret_started, struct error *err)
{
    struct scenario_findings *findings = &run->findings[index];
    struct scenario_run *scenario = &run->scenarios[index];
    *ret_started = false;
    while (scenario->next < findings->plan->arm_count) {
        const struct arm_plan *arm = &findings->plan->arms[scenario->next++];
        if (is_pointless(findings, arm->kind)) {
            live_arm_skipped(run->live, index, scenario->next - 1);
            if (!run->lab.options->quiet)
                log_info("%s/%s  skipped: %s", findings->plan->name, arm_kind_name(arm->kind),
                         findings->arms[ARM_TRIGGER].verdict.runtime_limit
                             ? "the runtime's own limit ended the trigger, not the container's"
                             : "the trigger was not killed, so there is nothing to compare");
            continue;
        }
        announce(run, findings->plan, arm);
        int r = 0;
        if (arm->kind == ARM_RAISE)
            r = findings_predict(run->lab.store, findings, arm, err);
        scenario->question = question_of(run->lab.plan, findings, arm->kind);
        if (r == 0)
            r = arm_begin(&run->lab, findings->plan, arm,
                          findings->plan->until_settled ? &scenario->question : NULL,
                          &scenario->current, err);
        if (r == 0)
            live_arm_began(run->live, index, scenario->next - 1, scenario->current);
        *ret_started = r == 0;
        return r;
    }
    return 0;
}

/* The arm under way is over: judge it. */
static int finish_arm(struct run *run, size_t index, struct error *err)
{
    struct scenario_findings *findings = &run->findings[index];
    struct scenario_run *scenario = &run->scenarios[index];
    const struct arm_plan *arm = &findings->plan->arms[scenario->next - 1];
    struct arm_result result;
    live_arm_ended(run->live, index);
    int r = arm_finish(steal_ptr(&scenario->current), &result, err);
    if (r < 0)
        return r;
    if (result.end == ARM_FAILED && result.failure.code != 0) {
        /* Without a trigger there is no experiment. Another arm that cannot start (a patch command
         * with a typing error, say) is a result: what the arms before it showed is kept. */
        *err = result.failure;
        r = error_wrap(err, "%s/%s", findings->plan->name, arm_kind_name(arm->kind));
        if (arm->kind == ARM_TRIGGER)
            return r;
        log_error("%s", err->text);
    }
    if (result.end == ARM_INTERRUPTED)
        return 0; /* half an arm is kept as evidence, but is not judged */
    r = findings_add_arm(run->lab.store, findings, arm->kind, &result, &run->next_evidence, err);
    if (r == 0 && arm->kind == ARM_RAISE)
        r = findings_settle_predictions(run->lab.store, findings, arm->kind, err);
    return r;
}

static int step_scenario(struct run *run, size_t index, struct error *err)
{
    struct scenario_run *scenario = &run->scenarios[index];
    int r = 0;
    if (scenario->current) {
        if (!arm_step(scenario->current))
            return 0;
        r = finish_arm(run, index, err);
    }
    bool started = false;
    bool stopping = run->lab.interrupted_by != 0 || run->lab.cancelled;
    if (r == 0 && !stopping)
        r = begin_next_arm(run, index, &started, err);
    if (started)
        return 0;
    scenario->over = true;
    if (r == 0 && !stopping)
        r = findings_gates(run->lab.store, &run->findings[index], &run->gates_failed, err);
    return r;
}

/* One step of everything that may go on now. False in `*ret_active`: all scenarios are over. */
static int step(struct run *run, bool *ret_active, struct error *err)
{
    *ret_active = false;
    for (size_t i = 0; i < run->lab.plan->scenario_count; i++) {
        if (run->scenarios[i].over)
            continue;
        int r = step_scenario(run, i, err);
        if (r < 0)
            return r;
        *ret_active |= !run->scenarios[i].over;
        if (*ret_active && !run->lab.plan->side_by_side)
            break;
    }
    return 0;
}

/* After an error in one scenario the others' arms are ended in order, not dropped. */
static void cancel(struct run *run)
{
    bool active = false;
    int r = 0;
    run->lab.cancelled = true;
    do {
        /* A step ends at the first error; its scenario is over then, and the others' turn comes. */
        struct error ignored;
        r = step(run, &active, &ignored);
        if (r == 0 && active)
            platform_run_once(run->lab.platform);
    } while (r < 0 || active);
}

static int drive(struct run *run, struct error *err)
{
    for (size_t i = 0; i < run->lab.plan->scenario_count; i++)
        run->findings[i].plan = &run->lab.plan->scenarios[i];
    bool active = true;
    while (active) {
        int r = step(run, &active, err);
        if (r < 0) {
            cancel(run);
            return r;
        }
        if (active)
            platform_run_once(run->lab.platform);
    }
    return 0;
}

static int run_scenarios(struct run *run, struct lab_outcome *ret, struct error *err)
{
    const struct plan *plan = run->lab.plan;
    int r = insert_run(run, err);
    if (r == 0)
        r = drive(run, err);
    ret->interrupted_by = run->lab.interrupted_by;
    if (r < 0) {
        struct error ignored;
        close_run(run, err->kind == ERROR_USAGE ? 2 : 1, &ignored);
        return r;
    }
    bool negative = false;
    if (run->lab.interrupted_by == 0 && plan->heap)
        r = findings_keep_profiles(&run->lab, run->findings, &run->next_evidence, err);
    if (r == 0 && run->lab.interrupted_by == 0)
        r = findings_conclude(run->lab.store, plan, run->findings, run->gates_failed, &negative,
                              err);
    ret->negative = negative;
    int status = run->lab.interrupted_by != 0 ? 128 + run->lab.interrupted_by : negative ? 3 : 0;
    if (r == 0)
        r = close_run(run, status, err);
    return r;
}

static int run_with_platform(struct run *run, struct lab_outcome *ret, struct error *err)
{
    const struct platform_options options = {
        .directory = run->lab.options->directory,
        .run_id = run->lab.options->run_id,
        .store = run->lab.store,
        .sample_rate_hz = run->lab.plan->sample_rate_hz,
    };
    int r = platform_new(&options, &run->lab.platform, err);
    if (r < 0)
        return r;
    if (!run->lab.options->quiet && live_possible())
        r = live_new(run->lab.plan, run->lab.store, &run->live, err);
    if (r == 0) {
        open_handles(run);
        r = run_scenarios(run, ret, err);
        close_handles(run);
    }
    live_free(run->live);
    platform_free(run->lab.platform);
    return r;
}

static int learn_request(const struct traffic_request *request, struct redactor *redactor)
{
    int r = redactor_learn_text(redactor, request->path, strlen(request->path));
    if (r == 0 && request->body)
        r = redactor_learn_text(redactor, request->body, request->body_bytes);
    for (const char *const *header = request->headers; r == 0 && header && *header; header++)
        r = redactor_learn(redactor, *header, ':');
    return r;
}

/* What the containers and the requests are given must work, and must not be written down. They are
 * given our own environment, too. */
static int learn_secrets(const struct plan *plan, struct redactor *redactor, struct error *err)
{
    int r = redactor_learn_env(redactor, environ);
    for (size_t i = 0; i < plan->scenario_count; i++) {
        const struct scenario_plan *scenario = &plan->scenarios[i];
        for (size_t k = 0; k < scenario->arm_count; k++) {
            if (r == 0 && scenario->arms[k].command)
                r = redactor_learn_command(redactor, scenario->arms[k].command);
            if (r == 0)
                r = redactor_learn_env(redactor, scenario->arms[k].env);
        }
        for (size_t k = 0; r == 0 && k < scenario->traffic.request_count; k++)
            r = learn_request(&scenario->traffic.requests[k], redactor);
    }
    return r < 0 ? error_errno(err, -r, "preparing the run") : 0;
}

int lab_run(const struct plan *plan, const struct lab_options *options, struct lab_outcome *ret,
            struct error *err)
{
    *ret = (struct lab_outcome){0};
    struct run run = {
        .lab = {.plan = plan, .options = options},
        .next_evidence = 1,
    };
    run.findings = calloc(plan->scenario_count, sizeof(*run.findings));
    run.scenarios = calloc(plan->scenario_count, sizeof(*run.scenarios));
    if (!run.findings || !run.scenarios) {
        free(run.findings);
        free(run.scenarios);
        return error_errno(err, ENOMEM, "preparing the run");
    }

    int r = store_create(options->directory, &run.lab.store, err);
    if (r == 0)
        r = learn_secrets(plan, store_redactor(run.lab.store), err);
    if (r == 0)
        r = store_writer_start(run.lab.store, err);
    if (r == 0) {
        r = run_with_platform(&run, ret, err);
        struct error writer;
        int stopped = store_writer_stop(run.lab.store, &writer);
        if (r == 0 && stopped < 0) {
            *err = writer;
            r = stopped;
        }
    }
    store_close(run.lab.store);
    for (size_t i = 0; i < plan->scenario_count; i++)
        scenario_findings_done(&run.findings[i]);
    free(run.findings);
    free(run.scenarios);
    return r;
}
