/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab advise: what a run says that infrastructure code should say. */
#include "base/cleanup.h"
#include "cli/result.h"
#include "cli/state.h"
#include "cli/verb.h"
#include "report/advice.h"
#include "report/report.h"

#include <errno.h>

struct advise_arguments {
    const char *target;
};

static void store_cleanup(struct store **store)
{
    store_close(*store);
}

static int print_advice(struct store *store, const struct advice_target *target, struct error *err)
{
    CLEANUP(json_cleanup) json_t *result = NULL;
    CLEANUP(advice_done) struct advice advice = {.result = NULL};
    AUTO_BUFFER text = {0};
    int r = report_result(store, &result, err);
    if (r == 0)
        r = advice_read(store, result, &advice, err);
    if (r < 0)
        return r;
    target->write(&advice, &text);
    if (text.failed)
        return error_errno(err, ENOMEM, "writing the advice");
    fputs(buffer_text(&text), stdout);
    return STATUS_DONE;
}

static int run_advise(const struct invocation *invocation, struct error *err)
{
    const struct advise_arguments *arguments = invocation->arguments;
    CLEANUP(run_directory_unlock) struct run_directory run = {.lock_fd = -1};
    CLEANUP(store_cleanup) struct store *store = NULL;
    if (!arguments->target)
        return error_usage(err, "--for is missing; say --for %s", ADVICE_TARGETS);
    const struct advice_target *target = advice_target_find(arguments->target);
    if (!target)
        return error_usage(err, "--for: '%.40s' is none of %s", arguments->target, ADVICE_TARGETS);
    int r = run_directory_find(invocation->operands[0], &run, err);
    if (r == 0)
        r = run_directory_lock(&run, err);
    if (r == 0)
        r = store_open(run.path, &store, err);
    return r < 0 ? r : print_advice(store, target, err);
}

static const struct option_spec OPTIONS[] = {
    {.name = "for",
     .kind = OPTION_TEXT,
     .argument = "TARGET",
     .help = "where it goes: " ADVICE_TARGETS,
     .values = "kubernetes azure compose systemd prometheus",
     .offset = offsetof(struct advise_arguments, target)},
    {.name = NULL},
};

const struct verb VERB_ADVISE = {
    .name = "advise",
    .summary = "print what a run says for infrastructure code: memory, probes, alert rules",
    .operands = "RUN",
    .operand_values = "@run",
    .details = "RUN is a run's id or the beginning of one, its directory, or 'last'. Only a limit "
               "that was shown to hold is given: a leak gets none, and the comments say why.",
    .operands_min = 1,
    .operands_max = 1,
    .options = OPTIONS,
    .arguments_bytes = sizeof(struct advise_arguments),
    .run = run_advise,
};
