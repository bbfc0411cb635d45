/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab check: the service under its limit against a budget of memory and growth, for CI. */
#include "cli/check.h"

#include "base/cleanup.h"
#include "base/size.h"
#include "cli/ci_files.h"
#include "cli/job_summary.h"
#include "cli/junit.h"
#include "cli/report.h"
#include "cli/result.h"
#include "cli/run_failure.h"
#include "cli/run_lab.h"
#include "cli/run_options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct check_arguments {
    struct plan_options plan;
    bool https, heap;
    const char *const *max_growth;
    const char *max_memory, *max_failed;
    bool allow_inconclusive;
    const char *junit, *summary;
    const char *output, *format;
    bool quiet;
};

#define RUN_ARGUMENTS struct check_arguments
static const struct option_spec OPTIONS[] = {
    {.name = "max-growth",
     .kind = OPTION_LIST,
     .argument = "GROWTH",
     .help = "what the service may keep: as 1KiB/request or 2MiB/h (s, m, h, d; repeatable)",
     .offset = offsetof(struct check_arguments, max_growth)},
    {.name = "max-memory",
     .kind = OPTION_TEXT,
     .argument = "SIZE",
     .help = "what it may need at its peak, page cache left out",
     .offset = offsetof(struct check_arguments, max_memory)},
    {.name = "max-failed",
     .kind = OPTION_TEXT,
     .argument = "PERCENT",
     .fallback = "1%",
     .help = "how many of the requests may fail",
     .offset = offsetof(struct check_arguments, max_failed)},
    {.name = "allow-inconclusive",
     .kind = OPTION_FLAG,
     .help = "what the measurement does not settle passes",
     .offset = offsetof(struct check_arguments, allow_inconclusive)},
    RUN_OPTION_JUNIT("write the checks as JUnit XML"),
    RUN_OPTION_SUMMARY,
    PLAN_SERVICE_SETTING_LIST(RUN_TEXT_OPTION) PLAN_SERVICE_COMPOUND_LIST(RUN_COMPOUND_OPTION)
        RUN_OPTION_OUTPUT,
    OPTION_FORMAT(struct check_arguments),
    RUN_OPTION_QUIET,
    {.name = NULL},
};

static void plan_cleanup(struct plan **plan)
{
    plan_free(*plan);
}

static int read_budget(const struct check_arguments *arguments, struct check_budget *ret,
                       struct error *err)
{
    struct check_budget budget = {
        .growth = {{NAN, NAN}},
        .failed_share = 0.01,
        .allow_inconclusive = arguments->allow_inconclusive,
    };
    for (size_t i = 0; arguments->max_growth && arguments->max_growth[i]; i++) {
        if (check_growth_parse(arguments->max_growth[i], &budget, err) < 0)
            return error_wrap(err, "--max-growth");
    }
    if (arguments->max_memory && size_parse(arguments->max_memory, &budget.memory_bytes, err) < 0)
        return error_wrap(err, "--max-memory");
    if (arguments->max_memory && budget.memory_bytes == 0)
        return error_usage(err, "--max-memory: a service needs more than nothing");
    if (arguments->max_failed &&
        check_share_parse(arguments->max_failed, &budget.failed_share, err) < 0)
        return error_wrap(err, "--max-failed");
    *ret = budget;
    return 0;
}

/* A budget that no arm can exceed would always pass. */
static int check_limits(const struct plan *plan, const struct check_budget *budget,
                        struct error *err)
{
    for (size_t i = 0; i < plan->scenario_count; i++) {
        char limit[SIZE_TEXT_MAX], most[SIZE_TEXT_MAX];
        uint64_t bytes = plan->scenarios[i].arms[0].memory_bytes;
        if (budget->memory_bytes > bytes)
            return error_usage(err,
                               "--max-memory: %s is more than the memory limit of '%s', %s, so it "
                               "could never be exceeded; give less, or raise --memory",
                               size_format_quantity(budget->memory_bytes, most),
                               plan->scenarios[i].name, size_format_quantity(bytes, limit));
    }
    return 0;
}

static int tell(const struct check_arguments *arguments, const struct check_budget *budget,
                const struct plan *plan, const struct run_directory *run,
                const struct check_rows *rows, FILE *junit, struct error *err)
{
    bool json = false;
    const char *github = getenv("GITHUB_ACTIONS");
    bool annotate = github && strcmp(github, "true") == 0;
    int r = format_parse(arguments->format, &json, err);
    if (r == 0)
        r = check_write_junit(rows, budget, plan->name, junit, err);
    if (r < 0)
        return r;
    return json ? json_print(check_to_json(rows, budget, run), stdout, err)
                : check_print_text(rows, budget, run, annotate, stdout, err);
}

static int check_plan(const struct invocation *invocation, const struct check_budget *budget,
                      const struct plan *plan, const struct ci_files *files,
                      const struct run_directory *run, struct error *err)
{
    const struct check_arguments *arguments = invocation->arguments;
    CLEANUP(check_rows_done) struct check_rows rows = {0};
    CLEANUP(json_cleanup) json_t *result = NULL;
    struct lab_outcome outcome = {0};
    int r = cli_run_lab(invocation, plan, run, arguments->quiet, &outcome, err);
    if (r == 0)
        r = cli_report_write(run, &result, err);
    if (r < 0) {
        r = run_failure(run, err);
        ci_files_tell_failure(files, "check", plan->name, err->text);
        return r;
    }
    if (outcome.interrupted_by != 0) {
        ci_files_tell_failure(files, "check", plan->name, "interrupted");
        return STATUS_SIGNAL + outcome.interrupted_by;
    }
    r = check_judge(run, result, budget, &rows, err);
    if (r == 0)
        r = check_write_summary(&rows, budget, plan->name, result, files->summary, err);
    if (r == 0)
        r = tell(arguments, budget, plan, run, &rows, files->junit, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < rows.count; i++) {
        if (!check_row_passes(&rows.items[i], budget))
            return STATUS_NEGATIVE;
    }
    return STATUS_DONE;
}

static int make_plan(const struct invocation *invocation, const struct check_budget *budget,
                     struct plan **ret, struct error *err)
{
    struct check_arguments *arguments = invocation->arguments;
    if (invocation->operand_count == 0 && !invocation->command)
        return error_usage(err, "what is to be checked? Give a lab file, or a command after '--'");
    arguments->plan.lab_file = invocation->operand_count > 0 ? invocation->operands[0] : NULL;
    arguments->plan.command = invocation->command;
    arguments->plan.https = arguments->https ? "true" : NULL;
    arguments->plan.heap = arguments->heap ? "true" : NULL;
    arguments->plan.trigger_only = true;
    arguments->plan.growth = &budget->growth;
    int r = plan_new(&arguments->plan, ret, err);
    if (r == 0)
        r = check_limits(*ret, budget, err);
    return r < 0 ? r : plan_check_machine(*ret, err);
}

static int run_check(const struct invocation *invocation, struct error *err)
{
    const struct check_arguments *arguments = invocation->arguments;
    CLEANUP(plan_cleanup) struct plan *plan = NULL;
    CLEANUP(run_directory_unlock) struct run_directory run = {.lock_fd = -1};
    CLEANUP(ci_files_close) struct ci_files files = {NULL};
    struct check_budget budget = {0};
    bool json = false;
    int r = format_parse(arguments->format, &json, err);
    if (r == 0)
        r = read_budget(arguments, &budget, err);
    if (r == 0)
        r = make_plan(invocation, &budget, &plan, err);
    if (r == 0)
        r = ci_files_open(arguments->junit, arguments->summary, &files, err);
    if (r == 0)
        r = run_directory_make(plan->name, arguments->output, &run, err);
    return r < 0 ? r : check_plan(invocation, &budget, plan, &files, &run, err);
}

const struct verb VERB_CHECK = {
    .name = "check",
    .summary = "hold a service to a budget of memory and growth, for CI",
    .operands = "[LAB.yaml] [-- COMMAND ARG...]",
    .operand_values = "@file",
    .details =
        "Runs the service once under its limit (of a lab file: the arm 'trigger' of each scenario, "
        "over at the first kill) and says PASS or FAIL for each check: no kill, no other end, the "
        "requests served, no leak, and what --max-growth and --max-memory allow. Exit status 0 "
        "when all pass, 3 when one does not; what stays inconclusive does not pass. With "
        "--max-growth a leak within that budget passes. Other options are those of 'oomlab run'.",
    .operands_max = 1,
    .takes_command = true,
    .options = OPTIONS,
    .arguments_bytes = sizeof(struct check_arguments),
    .run = run_check,
};
