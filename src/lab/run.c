/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/run.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/size.h"
#include "lab/scenario.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

struct run {
    struct lab lab;
    struct scenario_findings *findings; /* one for each scenario */
    unsigned next_evidence;
    unsigned gates_failed;
    uv_signal_t signals[2];
    bool signals_open;
    unsigned signals_closing;
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

/* --- signals --------------------------------------------------------------------------------- */

static void on_signal(uv_signal_t *handle, int signal_number)
{
    struct run *run = handle->data;
    run->lab.interrupted_by = signal_number;
}

static void open_signals(struct run *run)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < 2; i++) {
        uv_signal_init(platform_loop(run->lab.platform), &run->signals[i]);
        run->signals[i].data = run;
        uv_signal_start(&run->signals[i], on_signal, numbers[i]);
    }
    run->signals_open = true;
    /* A service that closes its port must cost a failed request, not oomlab. */
    signal(SIGPIPE, SIG_IGN);
}

static void on_signal_closed(uv_handle_t *handle)
{
    struct run *run = handle->data;
    run->signals_closing--;
}

static void close_signals(struct run *run)
{
    if (!run->signals_open)
        return;
    run->signals_closing = 2;
    for (size_t i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&run->signals[i], on_signal_closed);
    while (run->signals_closing > 0)
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
    if (!trigger->ran || trigger->verdict.kills > 0)
        return false;
    return !(kind == ARM_PATCH && trigger->verdict.class == VERDICT_LEAK);
}

static int run_arm(struct run *run, struct scenario_findings *findings, const struct arm_plan *arm,
                   struct error *err)
{
    const struct scenario_plan *scenario = findings->plan;
    struct store *store = run->lab.store;
    if (is_pointless(findings, arm->kind)) {
        if (!run->lab.options->quiet)
            log_info("%s/%s  skipped: the trigger was not killed, so there is nothing to compare",
                     scenario->name, arm_kind_name(arm->kind));
        return 0;
    }
    announce(run, scenario, arm);
    int r = 0;
    if (arm->kind == ARM_RAISE)
        r = findings_predict(store, findings, arm, err);
    struct arm_result result;
    if (r == 0)
        r = arm_run(&run->lab, scenario, arm, &result, err);
    if (r < 0)
        return r;
    if (result.end == ARM_FAILED && result.failure.code != 0) {
        /* Without a trigger there is no experiment. Another arm that cannot start (a patch command
         * with a typing error, say) is a result: what the arms before it showed is kept. */
        *err = result.failure;
        r = error_wrap(err, "%s/%s", scenario->name, arm_kind_name(arm->kind));
        if (arm->kind == ARM_TRIGGER)
            return r;
        log_error("%s", err->text);
    }
    if (result.end == ARM_INTERRUPTED)
        return 0; /* half an arm is kept as evidence, but is not judged */
    r = findings_add_arm(store, findings, arm->kind, &result, &run->next_evidence, err);
    if (r == 0 && arm->kind == ARM_RAISE)
        r = findings_settle_predictions(store, findings, arm->kind, err);
    return r;
}

static int run_scenario(struct run *run, struct scenario_findings *findings, struct error *err)
{
    for (size_t i = 0; i < findings->plan->arm_count; i++) {
        if (run->lab.interrupted_by != 0)
            return 0;
        int r = run_arm(run, findings, &findings->plan->arms[i], err);
        if (r < 0)
            return r;
    }
    if (run->lab.interrupted_by != 0)
        return 0;
    return findings_gates(run->lab.store, findings, &run->gates_failed, err);
}

static int run_scenarios(struct run *run, struct lab_outcome *ret, struct error *err)
{
    const struct plan *plan = run->lab.plan;
    int r = insert_run(run, err);
    for (size_t i = 0; r == 0 && i < plan->scenario_count; i++) {
        run->findings[i].plan = &plan->scenarios[i];
        r = run_scenario(run, &run->findings[i], err);
    }
    ret->interrupted_by = run->lab.interrupted_by;
    if (r < 0) {
        struct error ignored;
        close_run(run, err->kind == ERROR_USAGE ? 2 : 1, &ignored);
        return r;
    }
    bool negative = false;
    if (run->lab.interrupted_by == 0)
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
    open_signals(run);
    r = run_scenarios(run, ret, err);
    close_signals(run);
    platform_free(run->lab.platform);
    return r;
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
    if (!run.findings)
        return error_errno(err, ENOMEM, "preparing the run");

    int r = store_create(options->directory, &run.lab.store, err);
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
    return r;
}
