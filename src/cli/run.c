/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab run: plan, machine, lab, report, verdict. */
#include "lab/run.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "cli/report.h"
#include "cli/run_failure.h"
#include "cli/state.h"
#include "cli/verb.h"
#include "lab/plan.h"
#include "lab/plan_settings.h"

#include <errno.h>
#include <string.h>

struct run_arguments {
    struct plan_options plan;
    bool https;
    const char *output, *format;
    bool quiet;
};

/* What completion offers for a setting's value. */
#define VALUES_MEMORY         NULL
#define VALUES_RAISE          NULL
#define VALUES_CPU            NULL
#define VALUES_PATCH_MEMORY   NULL
#define VALUES_PATCH_CPU      NULL
#define VALUES_PORT           "auto"
#define VALUES_REQUESTS_FILE  "@file"
#define VALUES_RATE           NULL
#define VALUES_ARRIVAL        "uniform poisson"
#define VALUES_CYCLES         NULL
#define VALUES_PER_CYCLE      NULL
#define VALUES_IDLE           NULL
#define VALUES_GAP            NULL
#define VALUES_COOLDOWN       NULL
#define VALUES_READY          "http:/ tcp none"
#define VALUES_READY_DEADLINE NULL
#define VALUES_LIVENESS       "http:/ tcp none"
#define VALUES_STARTUP        "http:/ tcp none"
#define VALUES_BACKOFF        "kubernetes fast"
#define VALUES_ARMS           "trigger raise patch fix control revert"
#define VALUES_SCENARIOS      "hard leak healthy"
#define VALUES_DEADLINE       NULL
#define VALUES_SAMPLE_RATE    NULL
#define VALUES_PIDS_MAX       NULL
#define VALUES_STOP_GRACE     NULL
#define VALUES_SEED           NULL
#define VALUES_SIDE_BY_SIDE   "yes no"

#define AT(field) offsetof(struct run_arguments, plan.field)

static const struct option_spec OPTIONS[] = {
#define TEXT_OPTION(id, field, option, value, scope, initial, text)                                \
    {.name = (option),                                                                             \
     .kind = OPTION_TEXT,                                                                          \
     .argument = (value),                                                                          \
     .fallback = (initial),                                                                        \
     .help = (text),                                                                               \
     .values = VALUES_##id,                                                                        \
     .offset = AT(field)},
    PLAN_SETTING_LIST(TEXT_OPTION)
#undef TEXT_OPTION
#define KIND_HTTPS           OPTION_FLAG
#define KIND_ENV             OPTION_LIST
#define KIND_PATCH_ENV       OPTION_LIST
#define KIND_PATCH_COMMAND   OPTION_TEXT
#define KIND_REQUESTS        OPTION_LIST
#define KIND_KILLS           OPTION_TEXT
#define OFFSET_https         offsetof(struct run_arguments, https)
#define OFFSET_env           AT(env)
#define OFFSET_patch_env     AT(patch_env)
#define OFFSET_patch_command AT(patch_command)
#define OFFSET_requests      AT(requests)
#define OFFSET_kills         AT(kills)
#define COMPOUND_OPTION(id, field, option, key, value, scope, text)                                \
    {.name = (option),                                                                             \
     .kind = KIND_##id,                                                                            \
     .argument = (value),                                                                          \
     .help = (text),                                                                               \
     .offset = OFFSET_##field},
        PLAN_COMPOUND_LIST(COMPOUND_OPTION)
#undef COMPOUND_OPTION
            {.name = "output",
             .kind = OPTION_TEXT,
             .argument = "DIR",
             .help = "where the run goes: a directory that is new or empty (default: "
                     "$XDG_STATE_HOME/oomlab/runs/ID)",
             .values = "@file",
             .offset = offsetof(struct run_arguments, output)},
    OPTION_FORMAT(struct run_arguments),
    {.name = "quiet",
     .letter = 'q',
     .kind = OPTION_FLAG,
     .help = "no progress on standard error",
     .offset = offsetof(struct run_arguments, quiet)},
    {.name = NULL},
};

/* One word as a shell would have to be given it. */
static void quote_word(struct buffer *text, const char *word)
{
    if (word[0] != '\0' && word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789%+,-./:=@_")] == '\0') {
        buffer_puts(text, word);
        return;
    }
    buffer_puts(text, "'");
    for (; *word; word++) {
        if (*word == '\'')
            buffer_puts(text, "'\\''");
        else
            buffer_append(text, word, 1);
    }
    buffer_puts(text, "'");
}

static int quote_command_line(const struct invocation *invocation, struct buffer *text,
                              struct error *err)
{
    for (int i = 0; i < invocation->argc; i++) {
        if (i > 0)
            buffer_puts(text, " ");
        quote_word(text, invocation->argv[i]);
    }
    return text->failed ? error_errno(err, ENOMEM, "recording the command line") : 0;
}

static int run_plan(const struct invocation *invocation, const struct plan *plan, bool json,
                    struct run_directory *run, struct error *err)
{
    const struct run_arguments *arguments = invocation->arguments;
    AUTO_BUFFER command_line = {0};
    struct lab_outcome outcome = {0};
    int r = quote_command_line(invocation, &command_line, err);
    if (r < 0)
        return r;
    const struct lab_options options = {
        .directory = run->path,
        .run_id = run->id,
        .command_line = buffer_text(&command_line),
        .quiet = arguments->quiet,
    };
    r = lab_run(plan, &options, &outcome, err);
    if (r == 0)
        r = cli_report(run, json, err);
    if (r < 0)
        return run_failure(run, err);
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
    bool json = false;
    int r = format_parse(arguments->format, &json, err);
    arguments->plan.lab_file = invocation->operand_count > 0 ? invocation->operands[0] : NULL;
    arguments->plan.command = invocation->command;
    arguments->plan.https = arguments->https ? "true" : NULL;
    if (r == 0)
        r = plan_new(&arguments->plan, &plan, err);
    if (r == 0)
        r = plan_check_machine(plan, err);
    if (r == 0)
        r = run_directory_make(plan->name, arguments->output, &run, err);
    if (r < 0)
        return r;
    return run_plan(invocation, plan, json, &run, err);
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
        "the fix hold? Every option but --output, --format and --quiet is also a key of the lab "
        "file "
        "('-': read it from standard input). Sizes: 512Mi, 0.5Gi, 500M. Times: 200ms, 1.5s, 5m. "
        "Rates: 50/s, 600/m.",
    .operands_max = 1,
    .takes_command = true,
    .options = OPTIONS,
    .arguments_bytes = sizeof(struct run_arguments),
    .run = run_run,
};
