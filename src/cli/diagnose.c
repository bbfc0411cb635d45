/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab diagnose: a verdict from evidence that somebody else recorded. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/duration.h"
#include "base/file.h"
#include "base/log.h"
#include "base/size.h"
#include "cli/diagnose_text.h"
#include "cli/result.h"
#include "cli/state.h"
#include "cli/verb.h"
#include "import/collect.h"
#include "import/conclude.h"
#include "import/prometheus_live.h"
#include "report/report.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>

struct diagnose_arguments {
    const char *limit, *csv_time, *csv_bytes, *output, *format;
    const char *prometheus, *namespace, *pod, *last;
};

static void store_cleanup(struct store **store)
{
    store_close(*store);
}

static void collector_cleanup(struct collector **collector)
{
    collector_free(*collector);
}

/* Without --output the evidence lives in a directory that goes away with this process. */
struct workplace {
    struct run_directory run;
    bool temporary;
};

static void workplace_done(struct workplace *place)
{
    struct error ignored = {0};
    if (place->temporary && place->run.path[0])
        run_directory_remove(&place->run, &ignored);
    run_directory_unlock(&place->run);
}

static int make_workplace(const char *output, struct workplace *ret, struct error *err)
{
    if (output)
        return run_directory_make("diagnosis", output, &ret->run, err);
    const char *base = getenv("TMPDIR");
    if (!base || *base != '/')
        base = "/tmp";
    if (snprintf(ret->run.path, sizeof(ret->run.path), "%s/oomlab-diagnose-XXXXXX", base) >=
        (int)sizeof(ret->run.path))
        return error_usage(err, "TMPDIR is too long");
    if (!mkdtemp(ret->run.path)) {
        ret->run.path[0] = '\0';
        return error_errno(err, errno, "making a directory in '%s'", base);
    }
    ret->temporary = true;
    return run_id_make("diagnosis", ret->run.id, err);
}

static int read_sources(const struct invocation *invocation, struct collector *collector,
                        struct error *err)
{
    bool standard = false;
    int r = 0;
    for (size_t i = 0; i < invocation->operand_count && r == 0; i++) {
        AUTO_INPUT *input = NULL;
        bool is_standard = strcmp(invocation->operands[i], "-") == 0;
        if (is_standard && standard)
            return error_usage(err, "'-' is given twice; standard input can be read once");
        standard = standard || is_standard;
        r = input_open(invocation->operands[i], &input, err);
        if (r == 0)
            r = collector_read(collector, input, err);
    }
    return r;
}

static int query_live(const struct diagnose_arguments *arguments, struct collector *collector,
                      struct error *err)
{
    if (!arguments->prometheus)
        return 0;
    struct prometheus_query query = {
        .url = arguments->prometheus, .namespace = arguments->namespace, .pod = arguments->pod};
    int r = 0;
    if (!query.namespace || !query.pod)
        return error_usage(err, "--prometheus needs --namespace and --pod: whose memory?");
    r = duration_parse(arguments->last ? arguments->last : "6h", &query.last_ns, err);
    if (r == 0 && query.last_ns <= 0)
        r = error_usage(err, "--last: '%s' is no time to look back", arguments->last);
    if (r < 0)
        return r;
    struct fact_sink sink;
    r = collector_begin(collector, arguments->prometheus, "live queries of Prometheus", &sink, err);
    if (r < 0)
        return r;
    r = prometheus_live_read(&query, &sink, err);
    struct error ignored = {0};
    int ended = collector_end(collector, r < 0 ? &ignored : err);
    return r < 0 ? r : ended;
}

static void print_warnings(const struct collector *collector)
{
    const char *const *warnings;
    size_t count = collector_warnings(collector, &warnings);
    for (size_t i = 0; i < count; i++)
        log_warning("%s", warnings[i]);
    if (count == WARNINGS_MAX)
        log_warning("there may be more; the first %d are shown", WARNINGS_MAX);
}

/* The words as a shell would take them, in single quotes where needed. */
static int quote_command(const struct invocation *invocation, struct buffer *ret, struct error *err)
{
    for (int i = 0; i < invocation->argc; i++) {
        const char *word = invocation->argv[i];
        buffer_puts(ret, i ? " '" : "'");
        for (; *word; word++) {
            if (*word == '\'')
                buffer_puts(ret, "'\\''");
            else
                buffer_append(ret, word, 1);
        }
        buffer_puts(ret, "'");
    }
    return ret->failed ? error_errno(err, ENOMEM, "recording the command line") : 0;
}

static int write_result(const struct workplace *place, const json_t *result, struct error *err)
{
    if (place->temporary)
        return 0;
    AUTO_CLOSE int directory = open(place->run.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return error_errno(err, errno, "opening '%s'", place->run.path);
    AUTO_FREE char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    if (!file)
        return error_errno(err, errno, "writing the result");
    int r = report_dump(result, file, err);
    if (fclose(file) != 0 && r == 0)
        r = error_errno(err, errno, "writing the result");
    return r < 0 ? r : file_replace(directory, "result.json", text, length, err);
}

static int diagnose(const struct invocation *invocation, const struct import_options *options,
                    const struct workplace *place, bool json, struct error *err)
{
    CLEANUP(store_cleanup) struct store *store = NULL;
    CLEANUP(collector_cleanup) struct collector *collector = NULL;
    CLEANUP(json_cleanup) json_t *result = NULL;
    AUTO_BUFFER command = {0};
    struct conclusion conclusion = {0};
    int r = store_create(place->run.path, &store, err);
    if (r == 0)
        r = collector_new(store, options, &collector, err);
    if (r == 0)
        r = read_sources(invocation, collector, err);
    if (r == 0)
        r = query_live(invocation->arguments, collector, err);
    if (collector)
        print_warnings(collector);
    if (r == 0)
        r = quote_command(invocation, &command, err);
    if (r == 0)
        r = conclude(store, options, place->run.id, buffer_text(&command), &conclusion, err);
    if (r == 0)
        r = report_result(store, &result, err);
    if (r == 0)
        r = write_result(place, result, err);
    if (r == 0 && json)
        r = report_dump(result, stdout, err);
    else if (r == 0)
        diagnose_print(result, stdout);
    if (r < 0)
        return r;
    return conclusion.negative ? STATUS_NEGATIVE : STATUS_DONE;
}

static int parse_options(const struct diagnose_arguments *arguments, struct import_options *ret,
                         struct error *err)
{
    uint64_t limit = 0;
    *ret = (struct import_options){
        .csv_time = arguments->csv_time, .csv_bytes = arguments->csv_bytes, .limit_bytes = NAN};
    if (!arguments->prometheus && (arguments->namespace || arguments->pod || arguments->last))
        return error_usage(err, "--namespace, --pod and --last need --prometheus URL");
    if (!arguments->limit)
        return 0;
    int r = size_parse(arguments->limit, &limit, err);
    if (r < 0)
        return error_wrap(err, "--limit");
    if (limit == 0)
        return error_usage(err, "--limit: 0 is no limit");
    ret->limit_bytes = (double)limit;
    return 0;
}

static int run_diagnose(const struct invocation *invocation, struct error *err)
{
    const struct diagnose_arguments *arguments = invocation->arguments;
    __attribute__((cleanup(workplace_done))) struct workplace place = {.run.lock_fd = -1};
    struct import_options options;
    bool json = false;
    int r = format_parse(arguments->format, &json, err);
    if (r == 0)
        r = parse_options(arguments, &options, err);
    if (r == 0 && invocation->operand_count == 0 && !arguments->prometheus)
        r = error_usage(err,
                        "a source is missing: a file, '-' for standard input, or --prometheus");
    if (r == 0)
        r = make_workplace(arguments->output, &place, err);
    return r < 0 ? r : diagnose(invocation, &options, &place, json, err);
}

#define TEXT(option, member, value, text, offered)                                                 \
    {                                                                                              \
        .name = (option), .kind = OPTION_TEXT, .argument = (value), .help = (text),                \
        .values = (offered), .offset = offsetof(struct diagnose_arguments, member)                 \
    }

static const struct option_spec OPTIONS[] = {
    TEXT("limit", limit, "SIZE", "the memory limit, where the sources do not name it", NULL),
    TEXT("csv-time", csv_time, "COLUMN", "of a CSV: the column of times, by name or number", NULL),
    TEXT("csv-bytes", csv_bytes, "COLUMN", "of a CSV: the column of bytes, by name or number",
         NULL),
    TEXT("prometheus", prometheus, "URL", "ask this server, besides or instead of sources", NULL),
    TEXT("namespace", namespace, "NAME", "with --prometheus: the pod's namespace", NULL),
    TEXT("pod", pod, "NAME", "with --prometheus: the pod", NULL),
    TEXT("last", last, "TIME", "with --prometheus: how far back, for example 6h", NULL),
    TEXT("output", output, "DIR",
         "keep the evidence and result.json in a directory that is new or empty", "@file"),
    OPTION_FORMAT(struct diagnose_arguments),
    {.name = NULL},
};

const struct verb VERB_DIAGNOSE = {
    .name = "diagnose",
    .summary = "a verdict from evidence recorded elsewhere: logs, events, metrics, kernel logs",
    .operands = "[SOURCE...]",
    .operand_values = "@file",
    .details =
        "A SOURCE is a file, or '-' for standard input; its format is recognised from its content, "
        "and several may be given. Azure: 'az containerapp logs show --type system', Log Analytics "
        "rows as JSON, CSV or table, 'revision list', 'az monitor metrics list'. Kubernetes: "
        "'kubectl get pod -o json' or yaml, 'get events -o json', 'describe pod'. Docker and "
        "Podman: 'inspect'. Prometheus: answers of query and query_range, cAdvisor's /metrics. "
        "Kernel logs: "
        "/dev/kmsg, dmesg (text or --json), 'journalctl -k', syslog. Tables of times and bytes: "
        "sar, CSV.",
    .operands_max = 1000,
    .options = OPTIONS,
    .arguments_bytes = sizeof(struct diagnose_arguments),
    .run = run_diagnose,
};
