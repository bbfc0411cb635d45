/* SPDX-License-Identifier: Apache-2.0 */
/* A row of Azure Container Apps' system or console log. The reason is read from the text where a
 * query left the column out: both say the same. Azure never says OOM. */
#include "import/azure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool begins(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

static bool is_reason(const struct azure_row *row, const char *reason)
{
    return row->reason && strcmp(row->reason, reason) == 0;
}

/* The text between quotes behind `before`; "" when there is none. */
static const char *quoted_after(const char *text, const char *before, char ret[AZURE_NAME_MAX])
{
    ret[0] = '\0';
    const char *from = strstr(text, before);
    if (!from)
        return ret;
    from += strlen(before);
    size_t length = strcspn(from, "'\"");
    if (from[length] == '\0' || length >= AZURE_NAME_MAX)
        return ret;
    memcpy(ret, from, length);
    ret[length] = '\0';
    return ret;
}

static const char *known(const char *text, const char *fallback)
{
    return text && *text ? text : fallback && *fallback ? fallback : NULL;
}

/* The system log has no column for the container: its messages name it. */
static const char *container_of(const char *message, char ret[AZURE_NAME_MAX])
{
    static const char *const marks[] = {"Container '", "Started container '", "Created container '",
                                        "Back-off restarting failed container '"};
    for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
        if (begins(message, marks[i]))
            return quoted_after(message, marks[i], ret);
    }
    return NULL;
}

static void fill(struct fact *fact, enum fact_kind kind, enum fact_origin origin,
                 const struct azure_row *row, const struct azure_context *context)
{
    fact_init(fact, kind, origin, row->line);
    fact->at_ns = fact_time(row->time);
    fact->text = row->message;
    fact->reason = row->reason;
    fact->count = row->count >= 1 && row->count < 1e9 ? (uint64_t)row->count : 1;
    fact->place.app = known(row->app, context->app);
    fact->place.revision = known(row->revision, context->revision);
    fact->place.replica = known(row->replica, context->replica);
    fact->place.container = known(row->container, NULL);
}

static bool never_ran(const char *reason)
{
    return begins(reason, "ImagePullFailure") || begins(reason, "ContainerCreateFailure") ||
           begins(reason, "ErrImagePull") || begins(reason, "ImagePullBackOff");
}

/* "Container 'x' was terminated with exit code '137' and reason 'ProcessExited'". */
static int read_end(const struct azure_row *row, struct azure_context *context,
                    const struct fact_sink *sink, struct error *err)
{
    char code[AZURE_NAME_MAX], reason[AZURE_NAME_MAX];
    quoted_after(row->message, "exit code '", code);
    quoted_after(row->message, "and reason '", reason);
    struct fact fact;
    fill(&fact, never_ran(reason) ? FACT_IMAGE_FAILURE : FACT_END, ORIGIN_AZURE, row, context);
    char *end = code;
    long number = strtol(code, &end, 10);
    if (end != code && *end == '\0')
        fact.exit_code = fact_exit_code((double)number, fact.line, sink);
    /* ProcessExited rows come without a reason in the text: they echo a ContainerTerminated. */
    fact.reason = reason[0] ? reason : "ProcessExited";
    return fact_give(sink, &fact, err);
}

static int give(const struct azure_row *row, enum fact_kind kind, struct azure_context *context,
                const struct fact_sink *sink, struct error *err)
{
    struct fact fact;
    fill(&fact, kind, kind == FACT_CONSOLE ? ORIGIN_CONSOLE : ORIGIN_AZURE, row, context);
    return fact_give(sink, &fact, err);
}

static int read_assignment(const struct azure_row *row, struct azure_context *context,
                           const struct fact_sink *sink, struct error *err)
{
    char replica[AZURE_NAME_MAX];
    struct azure_row named = *row;
    if (!known(row->replica, NULL) && *quoted_after(row->message, "Replica '", replica))
        named.replica = replica;
    return give(&named, FACT_CONTAINER, context, sink, err);
}

/* The kind of a row that is neither an end nor an assignment; FACT_COUNT: nothing of interest. */
static enum fact_kind kind_of(const struct azure_row *row, const struct azure_context *context)
{
    const char *text = row->message;
    if (is_reason(row, "ContainerStarted") || begins(text, "Started container '"))
        return FACT_START;
    if (strstr(text, "failed startup probe, will be restarted") ||
        strstr(text, "failed liveness probe, will be restarted"))
        return FACT_STOP;
    if (is_reason(row, "ProbeFailed") || (begins(text, "Probe of ") && strstr(text, " failed")))
        return FACT_PROBE_FAILURE;
    if (is_reason(row, "ContainerBackOff") || begins(text, "Back-off restarting"))
        return FACT_BACKOFF;
    if (begins(text, "Failed to pull image") || is_reason(row, "ImagePullBackOff") ||
        is_reason(row, "PullingImageFailed"))
        return FACT_IMAGE_FAILURE;
    bool program = context->console && (!row->reason || !*row->reason);
    return program ? FACT_CONSOLE : FACT_COUNT;
}

static int read_named(const struct azure_row *row, struct azure_context *context,
                      const struct fact_sink *sink, struct error *err)
{
    if (!context->console || (row->reason && *row->reason)) {
        if (strstr(row->message, "was terminated with exit code '"))
            return read_end(row, context, sink, err);
        if (is_reason(row, "AssigningReplica") ||
            (begins(row->message, "Replica '") && strstr(row->message, "has been scheduled")))
            return read_assignment(row, context, sink, err);
    }
    enum fact_kind kind =
        context->console && !(row->reason && *row->reason) ? FACT_CONSOLE : kind_of(row, context);
    if (kind == FACT_COUNT || (kind == FACT_CONSOLE && !*row->message))
        return 0;
    if (fact_time(row->time) == FACT_TIME_UNKNOWN && row->time && *row->time)
        fact_warn(sink, row->line, "'%.40s' is no time; the row counts without one", row->time);
    return give(row, kind, context, sink, err);
}

int azure_row_read(const struct azure_row *row, struct azure_context *context,
                   const struct fact_sink *sink, struct error *err)
{
    if (!row->message)
        return 0;
    char container[AZURE_NAME_MAX];
    struct azure_row named = *row;
    bool program = context->console && (!row->reason || !*row->reason);
    if (!program && !known(row->container, NULL))
        named.container = container_of(row->message, container);
    return read_named(&named, context, sink, err);
}
