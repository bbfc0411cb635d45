/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab clean: remove runs. */
#include "base/cleanup.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/plural.h"
#include "cli/result.h"
#include "cli/state.h"
#include "cli/verb.h"
#include "lab/plan_value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct clean_arguments {
    const char *keep, *older_than, *format;
    bool yes;
};

/* The chosen runs; those that are being written are left alone. */
struct chosen {
    struct run_directory *runs;
    size_t count;
};

static void chosen_done(struct chosen *chosen)
{
    for (size_t i = 0; i < chosen->count; i++)
        run_directory_unlock(&chosen->runs[i]);
    free(chosen->runs);
}

static bool already_chosen(const struct chosen *chosen, const struct run_directory *run)
{
    for (size_t i = 0; i < chosen->count; i++) {
        if (strcmp(chosen->runs[i].path, run->path) == 0)
            return true;
    }
    return false;
}

static int choose(struct chosen *chosen, struct run_directory *run, struct error *err)
{
    if (already_chosen(chosen, run))
        return 0;
    int r = run_directory_lock(run, err);
    if (r == -EBUSY) {
        log_warning("%s: left alone", err->text);
        return 0;
    }
    if (r == 0)
        chosen->runs[chosen->count++] = *run;
    return r;
}

static int choose_named(const struct invocation *invocation, struct chosen *chosen,
                        struct error *err)
{
    for (size_t i = 0; i < invocation->operand_count; i++) {
        struct run_directory run;
        int r = run_directory_find(invocation->operands[i], &run, err);
        if (r == 0)
            r = choose(chosen, &run, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* When a run began, out of its id ("20261122-131502-..."); false when the id does not say. */
static bool id_time(const char *id, time_t *ret)
{
    struct tm time = {0};
    const char *end = strptime(id, "%Y%m%d-%H%M%S", &time);
    if (!end || *end != '-')
        return false;
    *ret = timegm(&time);
    return true;
}

/* All but the newest `keep`; of those, only the ones that began before `before`. */
static int choose_old(char *const *ids, uint64_t keep, time_t before, struct chosen *chosen,
                      struct error *err)
{
    size_t count = strv_length(ids);
    for (size_t i = 0; i + keep < count; i++) {
        struct run_directory run;
        time_t began = 0;
        if (!id_time(ids[i], &began) || began >= before)
            continue;
        int r = run_directory_of_id(ids[i], &run, err);
        if (r == 0)
            r = choose(chosen, &run, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* "30d", or a duration as everywhere else. Days are not among those: no other setting is so long.
 */
static int age_parse(const char *text, int64_t *ret_s, struct error *err)
{
    char *end = NULL;
    errno = 0;
    long long days = strtoll(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && strcmp(end, "d") == 0) {
        if (errno != 0 || days > 36500)
            return error_usage(err, "'%s' is out of range (0d to 36500d)", text);
        *ret_s = days * INT64_C(86400);
        return 0;
    }
    int64_t ns = 0;
    int r = duration_parse(text, &ns, err);
    *ret_s = ns / INT64_C(1000000000);
    return r;
}

/* Ask on the terminal; where there is none, --yes has to say it. */
static int confirm(const struct chosen *chosen, bool *ret_yes, struct error *err)
{
    char answer[16] = "";
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return error_usage(err, "there is no terminal to ask on; say --yes to remove %zu run%s",
                           chosen->count, plural((double)chosen->count));
    for (size_t i = 0; i < chosen->count; i++)
        fprintf(stderr, "  %s\n", chosen->runs[i].path);
    fprintf(stderr, "Remove %s %zu run%s? [y/N] ", chosen->count == 1 ? "this" : "these",
            chosen->count, plural((double)chosen->count));
    if (!fgets(answer, sizeof(answer), stdin))
        fputc('\n', stderr);
    *ret_yes = answer[0] == 'y' || answer[0] == 'Y';
    return 0;
}

static int remove_all(const struct chosen *chosen, bool json, struct error *err)
{
    CLEANUP(json_cleanup) json_t *removed = json_array();
    int r = 0;
    for (size_t i = 0; r == 0 && i < chosen->count; i++) {
        r = run_directory_remove(&chosen->runs[i], err);
        if (r == 0)
            json_array_append_new(removed, json_string(chosen->runs[i].path));
        if (r == 0 && !json)
            printf("removed %s\n", chosen->runs[i].path);
    }
    if (r == 0 && json)
        return json_print(json_pack("{s:s, s:O}", "schema", "oomlab.clean/1", "removed", removed),
                          stdout, err);
    return r;
}

static int choose_runs(const struct invocation *invocation, struct chosen *chosen,
                       struct error *err)
{
    const struct clean_arguments *arguments = invocation->arguments;
    CLEANUP(strv_cleanup) char **ids = NULL;
    uint64_t keep = 0;
    int64_t age_s = -1;
    if (arguments->keep && count_parse(arguments->keep, 0, 1000000, &keep, err) < 0)
        return error_wrap(err, "--keep");
    if (arguments->older_than && age_parse(arguments->older_than, &age_s, err) < 0)
        return error_wrap(err, "--older-than");
    if ((arguments->keep || arguments->older_than) && invocation->operand_count > 0)
        return error_usage(err, "%s is for all runs; leave it or the RUNs out",
                           arguments->keep ? "--keep" : "--older-than");
    int r = invocation->operand_count > 0 ? 0 : run_ids_list(&ids, err);
    if (r < 0)
        return r;
    chosen->runs = calloc(strv_length(ids) + invocation->operand_count + 1, sizeof(*chosen->runs));
    if (!chosen->runs)
        return error_errno(err, ENOMEM, "choosing the runs");
    if (invocation->operand_count > 0)
        return choose_named(invocation, chosen, err);
    /* Without an age every run is old enough, one whose clock ran ahead too. */
    time_t before = arguments->older_than ? time(NULL) - age_s : (time_t)INT64_MAX;
    return choose_old(ids, keep, before, chosen, err);
}

static int run_clean(const struct invocation *invocation, struct error *err)
{
    const struct clean_arguments *arguments = invocation->arguments;
    CLEANUP(chosen_done) struct chosen chosen = {0};
    bool json = false;
    bool yes = arguments->yes;
    int r = format_parse(arguments->format, &json, err);
    if (r == 0)
        r = choose_runs(invocation, &chosen, err);
    if (r == 0 && !yes && chosen.count > 0)
        r = confirm(&chosen, &yes, err);
    if (r < 0)
        return r;
    if (chosen.count == 0 && !json) {
        puts("There is nothing to remove.");
        return STATUS_DONE;
    }
    if (!yes && chosen.count > 0)
        chosen_done(&chosen), chosen = (struct chosen){0};
    return remove_all(&chosen, json, err);
}

static const struct option_spec OPTIONS[] = {
    {.name = "keep",
     .kind = OPTION_TEXT,
     .argument = "N",
     .help = "keep the newest N runs (default: none)",
     .offset = offsetof(struct clean_arguments, keep)},
    {.name = "older-than",
     .kind = OPTION_TEXT,
     .argument = "AGE",
     .help = "only runs that began longer ago than this: 30d, 12h",
     .offset = offsetof(struct clean_arguments, older_than)},
    {.name = "yes",
     .letter = 'y',
     .kind = OPTION_FLAG,
     .help = "do not ask",
     .offset = offsetof(struct clean_arguments, yes)},
    OPTION_FORMAT(struct clean_arguments),
    {.name = NULL},
};

const struct verb VERB_CLEAN = {
    .name = "clean",
    .summary = "remove runs: the named ones, the old ones, or all but the newest",
    .operands = "[RUN...]",
    .operand_values = "@run",
    .details =
        "RUN is a run's id or the beginning of one, its directory, or 'last'. Without RUNs all "
        "runs are removed but those that --keep spares. A run that is going on is left "
        "alone.",
    .operands_max = 10000,
    .options = OPTIONS,
    .arguments_bytes = sizeof(struct clean_arguments),
    .run = run_clean,
};
