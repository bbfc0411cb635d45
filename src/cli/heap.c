/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab heap: which code held the memory at a kill or at the end of a lifetime, and which of it
 * grew. */
#include "heap/view.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/heap_print.h"
#include "cli/result.h"
#include "cli/state.h"
#include "cli/verb.h"
#include "heap/diff.h"
#include "heap/fold.h"
#include "heap/json.h"
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TOP_DEFAULT "20"

struct heap_arguments {
    const char *format, *arm, *lifetime, *at, *top, *since, *pprof, *flamegraph;
    bool growth, size, collapsed, diff;
};

static void store_cleanup(struct store **store)
{
    store_close(*store);
}

static void view_cleanup(struct heap_view **view)
{
    heap_view_free(*view);
}

static int read_number(const char *option, const char *text, unsigned least, unsigned *ret,
                       struct error *err)
{
    char *end = NULL;
    if (!text)
        return 0;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || value < least || value > 1000000)
        return error_usage(err, "--%s: '%s' is not a number from %u to 1000000", option, text,
                           least);
    *ret = (unsigned)value;
    return 0;
}

struct options {
    struct heap_choice choice;
    unsigned top;
};

static int read_options(const struct heap_arguments *arguments, struct options *ret,
                        struct error *err)
{
    *ret = (struct options){.choice = {.arm = arguments->arm, .by_size = arguments->size}};
    if (arguments->growth && arguments->size)
        return error_usage(err, "--growth and --size are two orders; give one");
    if (arguments->at && !heap_moment_parse(arguments->at, &ret->choice.at))
        return error_usage(err, "--at: '%s' is neither 'end' nor 'kill'", arguments->at);
    int r = read_number("lifetime", arguments->lifetime, 1, &ret->choice.lifetime, err);
    if (r == 0)
        r = read_number("since", arguments->since, 1, &ret->choice.since_cycle, err);
    if (r == 0)
        r = read_number("top", arguments->top ? arguments->top : TOP_DEFAULT, 0, &ret->top, err);
    /* What was added since a cycle is not what grows with the whole lifetime's requests. */
    ret->choice.by_size |= ret->choice.since_cycle > 0 && !arguments->growth;
    return r;
}

/* "RUN", or "RUN:ARM". */
static int load(const char *name, const struct heap_choice *choice, struct heap_view **ret,
                int64_t *ret_end_ns, struct error *err)
{
    CLEANUP(store_cleanup) struct store *store = NULL;
    struct run_directory run = {.lock_fd = -1};
    struct heap_choice of_arm = *choice;
    const char *colon = run_operand_colon(name);
    AUTO_FREE char *directory = colon ? strndup(name, (size_t)(colon - name)) : strdup(name);
    if (!directory)
        return error_errno(err, ENOMEM, "reading the profile");
    if (colon && choice->arm)
        return error_usage(err, "'%s' names an arm, and so does --arm; give one", name);
    if (colon)
        of_arm.arm = colon + 1;
    int r = run_directory_find(directory, &run, err);
    if (r == 0)
        r = store_open(run.path, &store, err);
    if (r == 0)
        r = heap_view_new(store, run.path, &of_arm, ret, err);
    if (r != 0)
        return r;
    if ((*ret)->missing_lifetime > 0)
        log_warning("%s: the profile of lifetime %u is missing, which would tell more; this is "
                    "lifetime %u",
                    (*ret)->arm, (*ret)->missing_lifetime, (*ret)->lifetime);
    if ((*ret)->names_damaged)
        log_warning("%s: names that were kept with the run are damaged; those come from the "
                    "programs' files, as far as they are there",
                    (*ret)->arm);
    sqlite3_stmt *row = NULL;
    *ret_end_ns = 0;
    if ((*ret)->at_ns != 0 &&
        store_prepare(store, "SELECT started_at_ns - monotonic_zero_ns FROM run", &row, err) == 0 &&
        sqlite3_step(row) == SQLITE_ROW)
        *ret_end_ns = (*ret)->at_ns + sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    return 0;
}

static int write_files(const struct heap_arguments *arguments, const struct heap_view *view,
                       int64_t end_ns, struct error *err)
{
    int r = 0;
    if (arguments->pprof)
        r = heap_pprof_write(view, end_ns, arguments->pprof, err);
    if (r == 0 && arguments->flamegraph) {
        AUTO_BUFFER svg = {0};
        r = heap_flamegraph(view, &svg, err);
        if (r == 0)
            r = file_write_output(arguments->flamegraph, svg.data, svg.length, err);
    }
    return r;
}

static int show_folded(const struct heap_view *view, struct error *err)
{
    AUTO_BUFFER folded = {0};
    int r = heap_fold(view, &folded, err);
    if (r == 0)
        fputs(buffer_text(&folded), stdout);
    return r;
}

static int show_one(const struct invocation *invocation, const struct options *options, bool json,
                    struct error *err)
{
    const struct heap_arguments *arguments = invocation->arguments;
    CLEANUP(view_cleanup) struct heap_view *view = NULL;
    int64_t end_ns = 0;
    int r = load(invocation->operands[0], &options->choice, &view, &end_ns, err);
    if (r == 0)
        r = write_files(arguments, view, end_ns, err);
    if (r != 0)
        return r;
    char at[TIMESTAMP_TEXT_MAX];
    if (arguments->collapsed)
        return show_folded(view, err);
    if (json)
        return json_print(
            heap_json(view, end_ns ? timestamp_format(end_ns, at) : NULL, options->top), stdout,
            err);
    if (!arguments->pprof && !arguments->flamegraph)
        heap_print(view, options->top, stdout);
    return 0;
}

static int show_difference(const struct invocation *invocation, const struct options *options,
                           bool json, struct error *err)
{
    CLEANUP(view_cleanup) struct heap_view *before = NULL;
    CLEANUP(view_cleanup) struct heap_view *after = NULL;
    struct heap_difference *differences = NULL;
    size_t count = 0;
    int64_t ignored;
    int r = load(invocation->operands[0], &options->choice, &before, &ignored, err);
    if (r == 0)
        r = load(invocation->operands[1], &options->choice, &after, &ignored, err);
    if (r == 0)
        r = heap_diff(before, after, &differences, &count, err);
    if (r != 0)
        return r;
    if (json)
        r = json_print(heap_difference_json(before, after, differences, count, options->top),
                       stdout, err);
    else
        heap_difference_print(before, after, differences, count, options->top, stdout);
    heap_diff_free(differences, count);
    return r;
}

static unsigned is_stdout(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

static int run_heap(const struct invocation *invocation, struct error *err)
{
    const struct heap_arguments *arguments = invocation->arguments;
    struct options options;
    bool json = false;
    int r = format_parse(arguments->format, &json, err);
    if (r == 0)
        r = read_options(arguments, &options, err);
    if (r != 0)
        return r;
    if (invocation->operand_count != (arguments->diff ? 2 : 1))
        return error_usage(err, arguments->diff ? "--diff compares two runs: give RUN RUN"
                                                : "two runs are compared with --diff");
    if (arguments->diff && (arguments->pprof || arguments->flamegraph || arguments->collapsed))
        return error_usage(err, "--diff goes with neither --pprof, --flamegraph nor --collapsed");
    unsigned to_stdout = is_stdout(arguments->pprof) + is_stdout(arguments->flamegraph);
    if (to_stdout > 1 || (to_stdout == 1 && (json || arguments->collapsed)))
        return error_usage(err, "standard output takes one format: give '-' once, and neither "
                                "--collapsed nor --format json with it");
    if (json && arguments->collapsed)
        return error_usage(err, "--collapsed is a format of its own; leave --format json out");
    return arguments->diff ? show_difference(invocation, &options, json, err)
                           : show_one(invocation, &options, json, err);
}

#define TEXT(field, value, text)                                                                   \
    .kind = OPTION_TEXT, .argument = (value), .help = (text),                                      \
    .offset = offsetof(struct heap_arguments, field)
#define FLAG(field, text)                                                                          \
    .kind = OPTION_FLAG, .help = (text), .offset = offsetof(struct heap_arguments, field)

static const struct option_spec OPTIONS[] = {
    {.name = "arm",
     TEXT(arm, "ARM", "whose profile, as trigger or leak/raise (default: the first)"),
     .values = "trigger raise patch fix control revert"},
    {.name = "lifetime",
     TEXT(lifetime, "N",
          "which process of the arm (default: the last that was killed for memory)")},
    {.name = "at",
     TEXT(at, "MOMENT",
          "end, or kill: the last of a child process that the container outlived (default: where "
          "more was held)"),
     .values = "end kill"},
    {.name = "top", TEXT(top, "N", "show so many stacks; 0: all"), .fallback = TOP_DEFAULT},
    {.name = "growth", FLAG(growth, "rank by growth per request (the default without --since)")},
    {.name = "size", FLAG(size, "rank by bytes held, or added")},
    {.name = "since", TEXT(since, "CYCLE", "only what was added since that cycle began")},
    {.name = "collapsed", FLAG(collapsed, "print 'outer;inner BYTES' lines for flame graph tools")},
    {.name = "pprof",
     TEXT(pprof, "FILE",
          "write a profile for 'go tool pprof', as FILE.pb.gz; '-': standard output"),
     .values = "@file"},
    {.name = "flamegraph",
     TEXT(flamegraph, "FILE", "write a flame graph, as FILE.svg; '-': standard output"),
     .values = "@file"},
    {.name = "diff", FLAG(diff, "compare the profiles of two runs, or of two arms of one")},
    OPTION_FORMAT(struct heap_arguments),
    {.name = NULL},
};

const struct verb VERB_HEAP = {
    .name = "heap",
    .summary = "show which code held the memory at the kill, and which of it grew",
    .operands = "RUN[:ARM] [RUN[:ARM]]",
    .operand_values = "@run",
    .details =
        "The run must have been recorded with 'oomlab run --heap'. RUN is a run's id or the "
        "beginning of one, its directory, or 'last'; ARM, as in --arm, tells two arms of one run "
        "apart for --diff. Bytes are estimates from samples, with "
        "an interval that covers the truth with 95 %.",
    .operands_min = 1,
    .operands_max = 2,
    .options = OPTIONS,
    .arguments_bytes = sizeof(struct heap_arguments),
    .run = run_heap,
};
