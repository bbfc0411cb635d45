/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab run: plan, machine, lab, report, verdict. */
#include "base/cleanup.h"
#include "base/log.h"
#include "cli/ci_files.h"
#include "cli/job_summary.h"
#include "cli/junit.h"
#include "cli/report.h"
#include "cli/result.h"
#include "cli/run_failure.h"
#include "cli/run_junit.h"
#include "cli/run_lab.h"
#include "cli/run_options.h"
#include "cli/state.h"

struct run_arguments {
    struct plan_options plan;
    bool https, heap;
    const char *output, *format, *junit, *summary;
    bool quiet;
};

#define RUN_ARGUMENTS struct run_arguments
static const struct option_spec OPTIONS[] = {
    PLAN_SETTING_LIST(RUN_TEXT_OPTION) PLAN_COMPOUND_LIST(RUN_COMPOUND_OPTION) RUN_OPTION_OUTPUT,
    RUN_OPTION_JUNIT("write the gates and the verdict as JUnit XML"),
    RUN_OPTION_SUMMARY,
    OPTION_FORMAT(struct run_arguments),
    RUN_OPTION_QUIET,
    {.name = NULL},
};

static int run_plan(const struct invocation *invocation, const struct plan *plan, bool json,
                    const struct ci_files *files, struct run_directory *run, struct error *err)
{
    const struct run_arguments *arguments = invocation->arguments;
    CLEANUP(json_cleanup) json_t *result = NULL;
    struct lab_outcome outcome = {0};
    int r = cli_run_lab(invocation, plan, run, arguments->quiet, &outcome, err);
    if (r == 0)
        r = cli_report_write(run, &result, err);
    if (r == 0)
        r = job_summary_write_run(plan->name, result, files->summary, err);
    if (r == 0)
        r = cli_report_print(run, result, json, err);
    if (r == 0 && outcome.interrupted_by != 0)
        junit_write_failure("run", plan->name, "interrupted", files->junit);
    else if (r == 0)
        r = run_write_junit(plan->name, result, outcome.negative, files->junit, err);
    if (r < 0) {
        r = run_failure(run, err);
        ci_files_tell_failure(files, "run", plan->name, err->text);
        return r;
    }
    if (json && !arguments->quiet)
        log_info("report: %s/report.html", run->path);
    if (outcome.interrupted_by != 0)
        return STATUS_SIGNAL + outcome.interrupted_by;
    return outcome.negative ? STATUS_NEGATIVE : STATUS_DONE;
}

static void plan_cleanup(struct plan **plan)
{
    plan_free(*plan);
}

static int run_run(const struct invocation *invocation, struct error *err)
{
    struct run_arguments *arguments = invocation->arguments;
    CLEANUP(plan_cleanup) struct plan *plan = NULL;
    CLEANUP(run_directory_unlock) struct run_directory run = {.lock_fd = -1};
    CLEANUP(ci_files_close) struct ci_files files = {NULL};
    bool json = false;
    int r = format_parse(arguments->format, &json, err);
    arguments->plan.lab_file = invocation->operand_count > 0 ? invocation->operands[0] : NULL;
    arguments->plan.command = invocation->command;
    arguments->plan.https = arguments->https ? "true" : NULL;
    arguments->plan.heap = arguments->heap ? "true" : NULL;
    if (r == 0)
        r = plan_new(&arguments->plan, &plan, err);
    if (r == 0)
        r = plan_check_machine(plan, err);
    if (r == 0)
        r = ci_files_open(arguments->junit, arguments->summary, &files, err);
    if (r == 0)
        r = run_directory_make(plan->name, arguments->output, &run, err);
    if (r < 0)
        return r;
    return run_plan(invocation, plan, json, &files, &run, err);
}

const struct verb VERB_RUN = {
    .name = "run",
    .summary = "run the experiment: kill, raise, patch, fix, revert, and a verdict with its proof",
    .operands = "[LAB.yaml] [-- COMMAND ARG...]",
    .operand_values = "@file",
    .details =
        "Without a lab file and a command the built-in lab 'memory-leak-oomkilled' runs. With a "
        "command, it is your own service under the limit that --memory says: does it run out, does "
        "more memory cure it, and when --patch-env, --patch-command or --patch-memory says how, "
        "does "
        "the fix hold? Every option but --output, --junit, --summary, --format and --quiet is also "
        "a key of the lab file ('-': read it from standard input). Sizes: 512Mi, 0.5Gi, 500M. "
        "Times: 200ms, 1.5s, 5m. "
        "Rates: 50/s, 600/m.",
    .operands_max = 1,
    .takes_command = true,
    .options = OPTIONS,
    .arguments_bytes = sizeof(struct run_arguments),
    .run = run_run,
};
