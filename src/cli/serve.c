/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab serve: the local container-apps platform and its API. */
#include "api/serve.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/size.h"
#include "cli/serve_place.h"
#include "cli/state.h"
#include "cli/verb.h"
#include "lab/plan_value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Azure's is ten minutes, which is for pulling images and for nodes that are added. */
#define PROGRESS_DEADLINE (INT64_C(2) * 60 * NS_PER_S)

struct serve_arguments {
    const char *state, *socket, *port, *backoff, *sample_rate, *max_memory, *max_replicas,
        *retention, *progress_deadline;
    bool systemd, tcp, any_size;
};

int serve_place(const char *name, char ret[static PLACE_MAX], struct error *err)
{
    char runs[PATH_MAX];
    int r = state_runs_directory(runs, err);
    if (r < 0)
        return r;
    char *end = strrchr(runs, '/');
    *end = '\0';
    int length = snprintf(ret, PLACE_MAX, "%s/serve%s%s", runs, name[0] ? "/" : "", name);
    return length > 0 && length < PLACE_MAX ? 0 : error_usage(err, "the state's path is too long");
}

/* Like mkdir -p: the default place may lack its parents. */
static int make_parents(const char *path, struct error *err)
{
    char part[PLACE_MAX];
    snprintf(part, sizeof(part), "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return error_errno(err, errno, "making '%s'", part);
        *slash = '/';
    }
    return 0;
}

static int parse_count(const char *name, const char *text, long least, long most, long *ret,
                       struct error *err)
{
    char *end = NULL;
    if (!text)
        return 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < least || value > most)
        return error_usage(err, "--%s is a number from %ld to %ld, not '%.40s'", name, least, most,
                           text);
    *ret = value;
    return 0;
}

static uint64_t memory_of_machine(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

static int parse(const struct serve_arguments *arguments, struct serve_options *options,
                 struct error *err)
{
    long port = 0;
    long replicas = 250;
    double rate = 1;
    int r = parse_count("port", arguments->port, 0, 65535, &port, err);
    if (r == 0)
        r = parse_count("max-replicas", arguments->max_replicas, 1, 250, &replicas, err);
    if (r == 0 && arguments->sample_rate)
        r = rate_parse(arguments->sample_rate, &rate, err);
    if (r == 0 && (rate < 1 || rate > 100))
        r = error_usage(err, "--sample-rate is 1/s to 100/s");
    if (r == 0 && arguments->max_memory)
        r = size_parse(arguments->max_memory, &options->memory_max_bytes, err);
    if (r == 0 && arguments->retention)
        r = duration_parse(arguments->retention, &options->retention_ns, err);
    if (r == 0 && arguments->progress_deadline)
        r = duration_parse(arguments->progress_deadline, &options->progress_deadline_ns, err);
    if (r == 0 && options->progress_deadline_ns < NS_PER_S)
        r = error_usage(err, "--progress-deadline is 1s or more");
    if (r == 0)
        r = backoff_parse(arguments->backoff ? arguments->backoff : "kubernetes",
                          &options->template.backoff, err);
    options->tcp = arguments->tcp || arguments->port;
    options->port = (uint16_t)port;
    options->replicas_max = (unsigned)replicas;
    options->sample_rate_hz = rate;
    options->systemd = arguments->systemd;
    options->template.any_size = arguments->any_size;
    return r;
}

static int run_serve(const struct invocation *invocation, struct error *err)
{
    const struct serve_arguments *arguments = invocation->arguments;
    char directory[PLACE_MAX];
    char socket[PLACE_MAX + 8];
    char runs[PATH_MAX] = "";
    struct serve_options options = {
        .memory_max_bytes = memory_of_machine(),
        .retention_ns = INT64_C(7) * 24 * 3600 * NS_PER_S,
        .progress_deadline_ns = PROGRESS_DEADLINE,
    };
    int r = parse(arguments, &options, err);
    if (r == 0 && arguments->state)
        snprintf(directory, sizeof(directory), "%s", arguments->state);
    else if (r == 0)
        r = serve_place("", directory, err);
    if (r == 0 && !arguments->state)
        r = make_parents(directory, err);
    if (r < 0)
        return r;
    snprintf(socket, sizeof(socket), "%s/socket", directory);
    struct error no_runs; /* without a home there are none to be shown */
    state_runs_directory(runs, &no_runs);
    options.runs = runs;
    options.directory = directory;
    options.socket = arguments->socket ? arguments->socket : socket;
    r = serve_run(&options, err);
    return r < 0 ? r : STATUS_DONE;
}

#define OPTION(long_name, option_kind, member, value, initial, text)                               \
    {                                                                                              \
        .name = (long_name), .kind = (option_kind), .argument = (value), .fallback = (initial),    \
        .help = (text), .offset = offsetof(struct serve_arguments, member)                         \
    }

static const struct option_spec OPTIONS[] = {
    OPTION("state", OPTION_TEXT, state, "DIR", "$XDG_STATE_HOME/oomlab/serve",
           "where apps, events and metrics are kept"),
    OPTION("socket", OPTION_TEXT, socket, "PATH", "DIR/socket", "the API's unix socket, mode 0600"),
    OPTION("tcp", OPTION_FLAG, tcp, NULL, NULL,
           "listen on 127.0.0.1, too, for clients with the token in DIR/token, and for a browser, "
           "whose address for the page is in DIR/page"),
    OPTION("port", OPTION_TEXT, port, "N", "any free one", "the same, on this port"),
    OPTION("systemd", OPTION_FLAG, systemd, NULL, NULL,
           "take the socket that systemd made, if any, and tell it when serve is ready"),
    OPTION("backoff", OPTION_TEXT, backoff, "kubernetes|fast|FIRST,MAX", "kubernetes",
           "waits between restarts"),
    OPTION("progress-deadline", OPTION_TEXT, progress_deadline, "TIME", "2m",
           "for a new revision to become ready, before its operation fails"),
    OPTION("sample-rate", OPTION_TEXT, sample_rate, "RATE", "1/s", "how often memory is read"),
    OPTION("max-memory", OPTION_TEXT, max_memory, "SIZE", "this machine's memory",
           "what the limits of all replicas may add up to"),
    OPTION("max-replicas", OPTION_TEXT, max_replicas, "N", "250", "replicas of all apps together"),
    OPTION("retention", OPTION_TEXT, retention, "TIME", "7 days",
           "how long events and metrics are kept"),
    OPTION("allow-any-size", OPTION_FLAG, any_size, NULL, NULL,
           "CPU and memory need not be one of Azure's pairs"),
    {.name = NULL},
};

const struct verb VERB_SERVE = {
    .name = "serve",
    .summary = "run a local Container Apps platform with Azure's API",
    .operands = "",
    .details = "It runs in the foreground until SIGTERM or Ctrl-C (a second one does not wait for "
               "containers to end by themselves). Apps, revisions, events and metrics outlive it: "
               "the next serve starts what was active. 'oomlab containerapp' and 'oomlab monitor' "
               "talk to it.",
    .options = OPTIONS,
    .arguments_bytes = sizeof(struct serve_arguments),
    .run = run_serve,
};
