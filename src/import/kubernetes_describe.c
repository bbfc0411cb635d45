/* SPDX-License-Identifier: Apache-2.0 */
/* `kubectl describe pod`: text for people, told apart by its indentation. Events have ages instead
 * of times ("56s (x25 over 5m55s)"), and when it was printed is not in it, so they have no time. */
#include "import/formats.h"
#include "import/kubernetes.h"

#include "base/size.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME_BYTES    256
#define MESSAGE_BYTES 1024

struct ending {
    bool terminated, running, waiting;
    char reason[NAME_BYTES], message[MESSAGE_BYTES];
    double exit_code; /* as it stands there; NAN */
    int signal;
    int64_t started_ns, finished_ns;
};

enum section { SECTION_NONE, SECTION_CONTAINERS, SECTION_EVENTS };
enum part { PART_NONE, PART_STATE, PART_LAST_STATE, PART_LIMITS };

struct reader {
    const struct fact_sink *sink;
    struct error *err;
    uint64_t line;
    enum section section;
    enum part part;
    char pod[NAME_BYTES], namespace[NAME_BYTES], pod_reason[NAME_BYTES];
    char pod_message[MESSAGE_BYTES];
    /* the container at hand */
    char container[NAME_BYTES], container_id[NAME_BYTES];
    struct ending state, last;
    double limit_bytes, restarts;
    uint64_t container_line;
    /* the table of events: where its columns begin */
    size_t reason_at, age_at, from_at, message_at;
};

bool import_kubernetes_describe_matches(const struct head *head,
                                        const struct import_options *options)
{
    (void)options;
    return head_first(head) == 'N' && head_has(head, "Name:") && head_has(head, "\nNamespace:") &&
           head_has(head, "\nContainers:");
}

static int month_of(const char *text)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++) {
        if (strncmp(text, names + (ptrdiff_t)3 * i, 3) == 0)
            return i;
    }
    return -1;
}

/* RFC 1123 with a zone: "Sun, 22 Nov 2026 11:36:42 +0000". */
static int64_t http_time(const char *text)
{
    int day, year, hour, minute, second, zone;
    char month[4];
    if (sscanf(text, "%*3[A-Za-z], %d %3s %d %d:%d:%d %d", &day, month, &year, &hour, &minute,
               &second, &zone) != 7)
        return FACT_TIME_UNKNOWN;
    char iso[64];
    snprintf(iso, sizeof(iso), "%04d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d", year,
             month_of(month) + 1, day, hour, minute, second, zone < 0 ? '-' : '+',
             abs(zone / 100) % 100, abs(zone % 100));
    return fact_time(iso);
}

static void copy(char *to, size_t size, const char *from)
{
    size_t length = strnlen(from, size - 1);
    memcpy(to, from, length);
    to[length] = '\0';
}

static void ending_init(struct ending *ending)
{
    *ending = (struct ending){
        .exit_code = NAN, .started_ns = FACT_TIME_UNKNOWN, .finished_ns = FACT_TIME_UNKNOWN};
}

static struct fact_place place_of(const struct reader *reader)
{
    return (struct fact_place){
        .app = reader->namespace[0] ? reader->namespace : NULL,
        .replica = reader->pod[0] ? reader->pod : NULL,
        .container = reader->container[0] ? reader->container : NULL,
        .container_id = reader->container_id[0] ? reader->container_id : NULL,
    };
}

static void begin(struct fact *fact, enum fact_kind kind, const struct reader *reader)
{
    fact_init(fact, kind, ORIGIN_KUBERNETES, reader->container_line);
    fact->place = place_of(reader);
}

static int give_end(const struct reader *reader, const struct ending *ending)
{
    struct fact fact;
    if (!ending->terminated)
        return 0;
    begin(&fact, FACT_END, reader);
    if (ending == &reader->last) /* the id shown is the present lifetime's */
        fact.place.container_id = NULL;
    fact.at_ns = ending->finished_ns;
    fact.started_ns = ending->started_ns;
    fact.exit_code = fact_exit_code(ending->exit_code, fact.line, reader->sink);
    fact.signal = ending->signal;
    fact.reason = ending->reason[0] ? ending->reason : NULL;
    fact.text = ending->message[0] ? ending->message : NULL;
    fact.oom_killed = strcmp(ending->reason, "OOMKilled") == 0;
    return fact_give(reader->sink, &fact, reader->err);
}

static int give_value(const struct reader *reader, enum fact_kind kind, double value)
{
    struct fact fact;
    begin(&fact, kind, reader);
    fact.value = value;
    return isnan(value) ? 0 : fact_give(reader->sink, &fact, reader->err);
}

static int give_state(const struct reader *reader)
{
    struct fact_place place = place_of(reader);
    const struct ending *state = &reader->state;
    struct fact fact;
    if (state->waiting)
        return kubernetes_give_waiting(&place, state->reason[0] ? state->reason : NULL,
                                       state->message[0] ? state->message : NULL,
                                       reader->container_line, reader->sink, reader->err);
    if (!state->running)
        return give_end(reader, state);
    begin(&fact, FACT_RUNNING, reader);
    fact.started_ns = state->started_ns;
    return fact_give(reader->sink, &fact, reader->err);
}

/* The container at hand is complete. */
static int flush_container(struct reader *reader)
{
    struct fact fact;
    if (reader->container[0] == '\0')
        return 0;
    begin(&fact, FACT_CONTAINER, reader);
    int r = fact_give(reader->sink, &fact, reader->err);
    if (r >= 0)
        r = give_value(reader, FACT_LIMIT, reader->limit_bytes);
    if (r >= 0)
        r = give_end(reader, &reader->last);
    if (r >= 0)
        r = give_state(reader);
    if (r >= 0)
        r = give_value(reader, FACT_RESTART_COUNT, reader->restarts);
    reader->container[0] = reader->container_id[0] = '\0';
    return r;
}

static int flush_pod(struct reader *reader)
{
    int r = flush_container(reader);
    if (r >= 0 && reader->pod_reason[0]) {
        struct fact fact;
        begin(&fact, FACT_STOP, reader);
        fact.reason = reader->pod_reason;
        fact.text = reader->pod_message[0] ? reader->pod_message : NULL;
        r = fact_give(reader->sink, &fact, reader->err);
    }
    reader->pod_reason[0] = reader->pod_message[0] = '\0';
    return r;
}

/* "Key:   value" at some depth; the value is "" where there is none. */
static bool split(char *text, char **ret_key, char **ret_value)
{
    char *colon = strchr(text, ':');
    if (!colon)
        return false;
    *colon = '\0';
    *ret_key = text;
    *ret_value = colon + 1 + strspn(colon + 1, " \t");
    for (size_t n = strlen(*ret_value); n > 0 && (*ret_value)[n - 1] == ' '; n--)
        (*ret_value)[n - 1] = '\0';
    return true;
}

static int take_pod_line(struct reader *reader, char *key, char *value)
{
    int r = 0;
    if (strcmp(key, "Name") == 0) {
        r = flush_pod(reader);
        copy(reader->pod, sizeof(reader->pod), value);
        reader->namespace[0] = '\0';
    } else if (strcmp(key, "Namespace") == 0) {
        copy(reader->namespace, sizeof(reader->namespace), value);
    } else if (strcmp(key, "Reason") == 0) {
        copy(reader->pod_reason, sizeof(reader->pod_reason), value);
    } else if (strcmp(key, "Message") == 0) {
        copy(reader->pod_message, sizeof(reader->pod_message), value);
    }
    bool containers = strcmp(key, "Containers") == 0 || strcmp(key, "Init Containers") == 0 ||
                      strcmp(key, "Ephemeral Containers") == 0;
    if (r >= 0)
        r = flush_container(reader);
    reader->section = containers                   ? SECTION_CONTAINERS
                      : strcmp(key, "Events") == 0 ? SECTION_EVENTS
                                                   : SECTION_NONE;
    reader->reason_at = 0;
    return r;
}

static int begin_container(struct reader *reader, const char *name)
{
    int r = flush_container(reader);
    copy(reader->container, sizeof(reader->container), name);
    reader->container_line = reader->line;
    reader->container_id[0] = '\0';
    reader->part = PART_NONE;
    reader->limit_bytes = reader->restarts = NAN;
    ending_init(&reader->state);
    ending_init(&reader->last);
    return r;
}

static void begin_ending(struct ending *ending, const char *value)
{
    ending_init(ending);
    ending->terminated = strcmp(value, "Terminated") == 0;
    ending->running = strcmp(value, "Running") == 0;
    ending->waiting = strcmp(value, "Waiting") == 0;
}

static void take_container_line(struct reader *reader, const char *key, const char *value)
{
    reader->part = PART_NONE;
    if (strcmp(key, "Container ID") == 0) {
        const char *slashes = strstr(value, "://");
        copy(reader->container_id, sizeof(reader->container_id), slashes ? slashes + 3 : value);
    } else if (strcmp(key, "State") == 0) {
        reader->part = PART_STATE;
        begin_ending(&reader->state, value);
    } else if (strcmp(key, "Last State") == 0) {
        reader->part = PART_LAST_STATE;
        begin_ending(&reader->last, value);
    } else if (strcmp(key, "Restart Count") == 0) {
        char *end;
        double count = strtod(value, &end);
        reader->restarts = end != value && count >= 0 ? count : NAN;
    } else if (strcmp(key, "Limits") == 0) {
        reader->part = PART_LIMITS;
    }
}

static void take_ending_line(struct ending *ending, const char *key, const char *value)
{
    char *end;
    long number = strtol(value, &end, 10);
    bool is_number = end != value && *end == '\0';
    if (strcmp(key, "Reason") == 0)
        copy(ending->reason, sizeof(ending->reason), value);
    else if (strcmp(key, "Message") == 0)
        copy(ending->message, sizeof(ending->message), value);
    else if (strcmp(key, "Exit Code") == 0 && is_number)
        ending->exit_code = (double)number;
    else if (strcmp(key, "Signal") == 0 && is_number && number > 0 && number < 65)
        ending->signal = (int)number;
    else if (strcmp(key, "Started") == 0)
        ending->started_ns = http_time(value);
    else if (strcmp(key, "Finished") == 0)
        ending->finished_ns = http_time(value);
}

static void take_part_line(struct reader *reader, const char *key, const char *value)
{
    struct error ignored = {0};
    uint64_t bytes;
    if (reader->part == PART_STATE)
        take_ending_line(&reader->state, key, value);
    else if (reader->part == PART_LAST_STATE)
        take_ending_line(&reader->last, key, value);
    else if (reader->part == PART_LIMITS && strcmp(key, "memory") == 0 &&
             size_parse(value, &bytes, &ignored) == 0 && bytes > 0)
        reader->limit_bytes = (double)bytes;
}

/* The header names the columns, and its words stand where they begin. */
static bool take_events_header(struct reader *reader, const char *text)
{
    const char *reason = strstr(text, "Reason"), *age = strstr(text, "Age");
    const char *from = strstr(text, "From"), *message = strstr(text, "Message");
    /* In this order only: a row that reaches its message then holds the columns before it. */
    if (!reason || !age || !from || !message || age <= reason || from <= age || message <= from)
        return false;
    reader->reason_at = (size_t)(reason - text);
    reader->age_at = (size_t)(age - text);
    reader->from_at = (size_t)(from - text);
    reader->message_at = (size_t)(message - text);
    return true;
}

static void column(const char *text, size_t from, size_t to, char *ret, size_t size)
{
    size_t length = to - from < size ? to - from : size - 1;
    memcpy(ret, text + from, length);
    while (length > 0 && ret[length - 1] == ' ')
        length--;
    ret[length] = '\0';
}

static int take_event(struct reader *reader, const char *text)
{
    char reason[NAME_BYTES], age[NAME_BYTES];
    if (reader->reason_at == 0) {
        take_events_header(reader, text);
        return 0;
    }
    if (strlen(text) <= reader->message_at || text[reader->reason_at] == '-')
        return 0;
    column(text, reader->reason_at, reader->age_at, reason, sizeof(reason));
    column(text, reader->age_at, reader->from_at, age, sizeof(age));
    const char *times = strstr(age, "(x");
    struct kubernetes_event event = {
        .place = place_of(reader),
        .reason = reason,
        .message = text + reader->message_at,
        .at_ns = FACT_TIME_UNKNOWN,
        .count = times ? strtoull(times + 2, NULL, 10) : 1,
        .line = reader->line,
    };
    event.place.container = event.place.container_id = NULL;
    return kubernetes_give_event(&event, reader->sink, reader->err);
}

static int take_line(struct reader *reader, char *text)
{
    size_t depth = strspn(text, " ");
    char *key, *value;
    if (text[depth] == '\0')
        return 0;
    if (reader->section == SECTION_EVENTS && depth > 0)
        return take_event(reader, text);
    if (!split(text + depth, &key, &value))
        return 0;
    if (depth == 0)
        return take_pod_line(reader, key, value);
    if (reader->section != SECTION_CONTAINERS)
        return 0;
    if (depth == 2)
        return begin_container(reader, key);
    if (depth == 4)
        take_container_line(reader, key, value);
    else if (depth >= 6)
        take_part_line(reader, key, value);
    return 0;
}

int import_kubernetes_describe_read(struct input *input, const struct fact_sink *sink,
                                    struct error *err)
{
    struct reader reader = {.sink = sink, .err = err};
    struct line line;
    int r;
    while ((r = input_line(input, &line, err)) > 0) {
        reader.line = line.number;
        r = take_line(&reader, line.text);
        if (r < 0)
            return r;
    }
    return r < 0 ? r : flush_pod(&reader);
}
