/* SPDX-License-Identifier: Apache-2.0 */
/* What az prints as JSON: NDJSON of `az containerapp logs show`, rows of `az monitor log-analytics
 * query`, `az containerapp show` and `revision list`, metrics. One value at a time. */
#include "import/azure.h"

#include "base/size.h"
#include "import/formats.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *first_text(const json_t *object, const char *const *names)
{
    for (; *names; names++) {
        const char *text = json_text_at(object, *names);
        if (text)
            return text;
    }
    return NULL;
}

#define FIRST(object, ...) first_text((object), (const char *const[]){__VA_ARGS__, NULL})

static void remember(char to[AZURE_NAME_MAX], const char *text, size_t length)
{
    if (length < AZURE_NAME_MAX) {
        memcpy(to, text, length);
        to[length] = '\0';
    }
}

/* "Successfully Connected to container: 'c' [Revision: 'r', Replica: 'p']" names what follows. */
static bool read_connection(const char *text, struct azure_context *context)
{
    static const char *const marks[] = {"[Revision: '", "Replica: '"};
    char *const to[] = {context->revision, context->replica};
    if (strncmp(text, "Successfully Connected to container", 35) != 0)
        return strncmp(text, "Connecting to the container", 27) == 0;
    for (size_t i = 0; i < 2; i++) {
        const char *from = strstr(text, marks[i]);
        if (from)
            remember(to[i], from + strlen(marks[i]), strcspn(from + strlen(marks[i]), "'"));
    }
    return true;
}

static int read_console(const json_t *object, uint64_t line, struct azure_context *context,
                        const struct fact_sink *sink, struct error *err)
{
    const char *text = FIRST(object, "Log", "log");
    if (!text || read_connection(text, context))
        return 0;
    /* The stream's own mark: "F " (full) or "P " (partial) as in the CRI log format. */
    if ((text[0] == 'F' || text[0] == 'P') && (text[1] == ' ' || text[1] == '\0'))
        text += text[1] ? 2 : 1;
    const struct azure_row row = {
        .time = FIRST(object, "TimeStamp", "time"), .message = text, .count = NAN, .line = line};
    bool console = context->console;
    context->console = true;
    int r = azure_row_read(&row, context, sink, err);
    context->console = console;
    return r;
}

static int read_row(const json_t *object, uint64_t line, struct azure_context *context,
                    const struct fact_sink *sink, struct error *err)
{
    const struct azure_row row = {
        .time = FIRST(object, "TimeGenerated", "TimeGenerated [UTC]", "TimeStamp", "time_t"),
        .message = FIRST(object, "Log_s", "Msg", "Log"),
        .reason = FIRST(object, "Reason_s", "Reason"),
        .app = FIRST(object, "ContainerAppName_s", "ContainerAppName"),
        .revision = FIRST(object, "RevisionName_s", "RevisionName"),
        .replica = FIRST(object, "ReplicaName_s", "ReplicaName", "ContainerGroupName_s"),
        .container = FIRST(object, "ContainerName_s", "ContainerName"),
        .count = fmax(json_number_at(object, "Count_d"), json_number_at(object, "Count")),
        .line = line,
    };
    bool console = context->console;
    if (!row.reason && (json_text_at(object, "Stream_s") || json_text_at(object, "Stream") ||
                        json_text_at(object, "ContainerName_s")))
        context->console = true;
    int r = azure_row_read(&row, context, sink, err);
    context->console = console;
    return r;
}

static int give_limit(const char *memory, const char *app, const char *revision, uint64_t line,
                      const struct fact_sink *sink, struct error *err)
{
    uint64_t bytes = 0;
    struct error ignored = {0};
    if (!memory || size_parse(memory, &bytes, &ignored) < 0 || bytes == 0)
        return 0;
    struct fact fact;
    fact_init(&fact, FACT_LIMIT, ORIGIN_AZURE, line);
    fact.place.app = app;
    fact.place.revision = revision;
    fact.value = (double)bytes;
    fact.text = memory;
    return fact_give(sink, &fact, err);
}

/* The first container's memory of an app or a revision. */
static const char *memory_of(const json_t *object)
{
    const char *flat = json_text_at(object, "memory");
    if (flat)
        return flat;
    const json_t *containers = json_at(object, "properties.template.containers");
    return json_text_at(json_array_get(containers, 0), "resources.memory");
}

static int read_revision(const json_t *object, uint64_t line, struct azure_context *context,
                         const struct fact_sink *sink, struct error *err)
{
    const char *name = json_text_at(object, "name");
    const json_t *properties = json_at(object, "properties");
    if (!properties)
        properties = object;
    struct fact fact;
    fact_init(&fact, FACT_STATE, ORIGIN_AZURE, line);
    fact.place.revision = name;
    fact.at_ns = fact_time(json_text_at(properties, "createdTime"));
    fact.reason = json_text_at(properties, "healthState");
    char text[AZURE_NAME_MAX];
    const char *running = json_text_at(properties, "runningState");
    const char *provisioning = json_text_at(properties, "provisioningState");
    snprintf(text, sizeof(text), "healthState %s, runningState %s, provisioningState %s",
             fact.reason ? fact.reason : "-", running ? running : "-",
             provisioning ? provisioning : "-");
    fact.text = text;
    if (json_is_true(json_at(properties, "active")))
        remember(context->revision, name, strlen(name));
    int r = fact_give(sink, &fact, err);
    return r < 0 ? r : give_limit(memory_of(object), NULL, name, line, sink, err);
}

static int read_app(const json_t *object, uint64_t line, struct azure_context *context,
                    const struct fact_sink *sink, struct error *err)
{
    const char *name = json_text_at(object, "name");
    remember(context->app, name, strlen(name));
    return give_limit(memory_of(object), name, NULL, line, sink, err);
}

int azure_json_read(const json_t *value, uint64_t line, struct azure_context *context,
                    const struct fact_sink *sink, struct error *err)
{
    if (json_is_array(value)) {
        int r = 0;
        for (size_t i = 0; i < json_array_size(value) && r == 0; i++)
            r = azure_json_read(json_array_get(value, i), line, context, sink, err);
        return r;
    }
    if (json_text_at(value, "memory_stat_raw"))
        return azure_cgroup_read(value, line, sink, err);
    if (json_is_array(json_at(value, "value")) && json_at(value, "interval"))
        return azure_metrics_read(value, line, sink, err);
    if (FIRST(value, "Log_s", "Msg"))
        return read_row(value, line, context, sink, err);
    if (json_at(value, "TimeGenerated") && json_at(value, "Log"))
        return read_row(value, line, context, sink, err);
    if (FIRST(value, "TimeStamp", "time") && FIRST(value, "Log", "log"))
        return read_console(value, line, context, sink, err);
    if (!json_text_at(value, "name"))
        return 0;
    if (FIRST(value, "healthState", "properties.healthState"))
        return read_revision(value, line, context, sink, err);
    return memory_of(value) ? read_app(value, line, context, sink, err) : 0;
}

bool import_azure_json_matches(const struct head *head, const struct import_options *options)
{
    (void)options;
    char first = head_first(head);
    if (first != '{' && first != '[')
        return false;
    static const char *const words[] = {
        "\"ContainerAppName\"", "\"EventSource\"",        "\"Log_s\"",       "\"healthState\"",
        "\"Reason_s\"",         "\"displayDescription\"", "\"timeseries\"",  "\"memory_stat_raw\"",
        "\"runningState\"",     "Microsoft.App/",         "\"RevisionName\""};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (head_has(head, words[i]))
            return true;
    }
    return head_has(head, "\"TimeStamp\"") && head_has(head, "\"Log\"");
}

/* One row a line, as `az containerapp logs show` streams them? */
static bool is_stream(const struct head *head)
{
    const char *end = memchr(head->text, '\n', head->length);
    size_t length = end ? (size_t)(end - head->text) : head->length;
    while (length > 0 && (head->text[length - 1] == '\r' || head->text[length - 1] == ' '))
        length--;
    const struct head line = {.text = head->text, .length = length};
    return length > 1 && line.text[0] == '{' && line.text[length - 1] == '}' &&
           head_has(&line, "\"TimeStamp\"") &&
           (head_has(&line, "\"Msg\"") || head_has(&line, "\"Log\""));
}

/* Of a long stream only the lines are parsed that can say something about a life or a death. */
static int read_stream(struct input *input, const struct fact_sink *sink, struct error *err)
{
    static const char *const needles[] = {
        "terminated with exit code", "ContainerStarted", "ProbeFailed", "ackOff",
        "Failed to pull image",      "AssigningReplica", "\"Log\"",
    };
    struct azure_context context = {0};
    struct line line;
    int r;
    while ((r = input_find(input, needles, sizeof(needles) / sizeof(needles[0]), &line, err)) ==
           1) {
        json_error_t fault;
        if (line.cut) {
            fact_warn(sink, line.number, "a line of more than %zu bytes is passed over",
                      INPUT_LINE_MAX);
            continue;
        }
        input_make_utf8(line.text, line.length);
        json_t *value = json_loadb(line.text, line.length, JSON_ALLOW_NUL, &fault);
        if (!value)
            return input_error(input, line.number, (uint64_t)fault.column, err,
                               "this is no JSON: %s", fault.text);
        r = azure_json_read(value, line.number, &context, sink, err);
        json_decref(value);
        if (r < 0)
            return r;
    }
    if (r == 0 && input_cut_row(input))
        fact_warn(sink, input_cut_row(input), "the file seems to be cut off in its last line");
    return r;
}

int import_azure_json_read(struct input *input, const struct fact_sink *sink, struct error *err)
{
    struct azure_context context = {0};
    struct head head;
    int begun = input_head(input, &head, err);
    if (begun < 0)
        return begun;
    if (is_stream(&head))
        return read_stream(input, sink, err);
    for (;;) {
        json_t *value = NULL;
        uint64_t line = 0;
        int r = input_json(input, &value, &line, err);
        if (r <= 0)
            return r;
        r = azure_json_read(value, line, &context, sink, err);
        json_decref(value);
        if (r < 0)
            return r;
    }
}
