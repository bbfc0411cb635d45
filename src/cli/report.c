/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab report: make a run's report again from its evidence, and print the summary. */
#include "cli/report.h"

#include "base/cleanup.h"
#include "cli/result.h"
#include "cli/verb.h"
#include "report/report.h"
#include "store/store.h"

static void store_cleanup(struct store **store)
{
    store_close(*store);
}

int cli_report_write(const struct run_directory *run, json_t **ret, struct error *err)
{
    CLEANUP(store_cleanup) struct store *store = NULL;
    int r = store_open(run->path, &store, err);
    return r < 0 ? r : report_write_all(store, run->path, ret, err);
}

int cli_report_print(const struct run_directory *run, const json_t *result, bool json,
                     struct error *err)
{
    if (json)
        return json_print(json_incref((json_t *)result), stdout, err);
    int r = report_print_summary(result, stdout, err);
    if (r == 0)
        printf("\nReport: %s/report.html (and report.md, result.json)\n", run->path);
    return r;
}

int cli_report(const struct run_directory *run, bool json, struct error *err)
{
    CLEANUP(json_cleanup) json_t *result = NULL;
    int r = cli_report_write(run, &result, err);
    return r < 0 ? r : cli_report_print(run, result, json, err);
}

struct report_arguments {
    const char *format;
};

static int run_report(const struct invocation *invocation, struct error *err)
{
    const struct report_arguments *arguments = invocation->arguments;
    CLEANUP(run_directory_unlock) struct run_directory run = {.lock_fd = -1};
    bool json = false;
    int r = format_parse(arguments->format, &json, err);
    if (r == 0)
        r = run_directory_find(invocation->operands[0], &run, err);
    if (r == 0)
        r = run_directory_lock(&run, err);
    return r < 0 ? r : cli_report(&run, json, err);
}

static const struct option_spec OPTIONS[] = {OPTION_FORMAT(struct report_arguments),
                                             {.name = NULL}};

const struct verb VERB_REPORT = {
    .name = "report",
    .summary = "make a run's report again from its evidence, and print the summary",
    .operands = "RUN",
    .operand_values = "@run",
    .details = "RUN is a run's id or the beginning of one, its directory, or 'last'.",
    .operands_min = 1,
    .operands_max = 1,
    .options = OPTIONS,
    .arguments_bytes = sizeof(struct report_arguments),
    .run = run_report,
};
