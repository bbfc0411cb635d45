/* SPDX-License-Identifier: Apache-2.0 */
/* One row of the store a fact. Which container a fact is about is kept once for each different way
 * of naming it (place); that these are one container is found later. */
#include "import/collect.h"

#include "base/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define PLACES_MAX    4096  /* different containers in one diagnosis */
#define BATCH_FACTS   20000 /* one transaction */
#define TEXT_MAX      1024
#define PLACE_KEY_MAX 2048

struct collector {
    struct store *store;
    const struct import_options *options;
    uint64_t place_hashes[PLACES_MAX];
    int64_t place_ids[PLACES_MAX];
    size_t place_count, last_place;
    int64_t source_id;
    const char *source_name; /* of the source being read; borrowed */
    uint64_t facts, in_batch, source_facts;
    char *warnings[WARNINGS_MAX]; /* owned */
    size_t warning_count;
    bool open; /* a transaction */
};

const char *fact_kind_name(enum fact_kind kind)
{
    static const char *const names[FACT_COUNT] = {
        "container",     "start",    "end",         "running",     "restart-count", "sample",
        "limit",         "oom-kill", "probe",       "stop",        "backoff",       "state",
        "image-failure", "console",  "last-reason", "killer-kill",
    };
    return names[kind];
}

const char *fact_origin_name(enum fact_origin origin)
{
    static const char *const names[ORIGIN_COUNT] = {
        "azure", "kubernetes", "docker",  "prometheus", "kernel-log",
        "csv",   "cgroup",     "console", "killer-log",
    };
    return names[origin];
}

int collector_new(struct store *store, const struct import_options *options, struct collector **ret,
                  struct error *err)
{
    struct collector *collector = calloc(1, sizeof(*collector));
    if (!collector)
        return error_errno(err, ENOMEM, "reading the sources");
    collector->store = store;
    collector->options = options;
    *ret = collector;
    return 0;
}

void collector_free(struct collector *collector)
{
    if (!collector)
        return;
    for (size_t i = 0; i < collector->warning_count; i++)
        free(collector->warnings[i]);
    free(collector);
}

uint64_t collector_facts(const struct collector *collector)
{
    return collector->facts;
}

size_t collector_warnings(const struct collector *collector, const char *const **ret)
{
    *ret = (const char *const *)collector->warnings;
    return collector->warning_count;
}

static void warn(void *context, uint64_t line, const char *text)
{
    struct collector *collector = context;
    char clean[TEXT_MAX];
    if (collector->warning_count == WARNINGS_MAX)
        return;
    input_clean(text, strlen(text), clean, sizeof(clean));
    char place[32] = "";
    if (line > 0)
        snprintf(place, sizeof(place), ":%ju", (uintmax_t)line);
    if (asprintf(&collector->warnings[collector->warning_count], "%s%s: %s", collector->source_name,
                 place, clean) >= 0)
        collector->warning_count++;
}

/* FNV-1a over all names of the place, with their ends. */
static uint64_t place_hash(const struct fact_place *place)
{
    const char *const names[] = {place->app,       place->revision, place->replica,
                                 place->container, place->pod_uid,  place->container_id,
                                 place->cgroup};
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (const char *at = names[i] ? names[i] : "\1"; *at; at++)
            hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
        hash = (hash ^ 0xFF) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static int insert_place(struct collector *collector, const struct fact_place *place, int64_t *ret,
                        struct error *err)
{
    const struct store_value values[] = {
        STORE_STR("app", place->app),         STORE_STR("revision", place->revision),
        STORE_STR("replica", place->replica), STORE_STR("container", place->container),
        STORE_STR("pod_uid", place->pod_uid), STORE_STR("container_id", place->container_id),
        STORE_STR("cgroup", place->cgroup),   STORE_END,
    };
    return store_insert(collector->store, "place", values, ret, err);
}

static int find_place(struct collector *collector, const struct fact_place *place, int64_t *ret,
                      struct error *err)
{
    uint64_t hash = place_hash(place);
    size_t at = collector->last_place;
    if (at >= collector->place_count || collector->place_hashes[at] != hash) {
        for (at = 0; at < collector->place_count && collector->place_hashes[at] != hash;)
            at++;
    }
    if (at == PLACES_MAX)
        return error_usage(err, "the sources name more than %d containers; give fewer of them",
                           PLACES_MAX);
    if (at == collector->place_count) {
        int r = insert_place(collector, place, &collector->place_ids[at], err);
        if (r < 0)
            return r;
        collector->place_hashes[at] = hash;
        collector->place_count++;
    }
    collector->last_place = at;
    *ret = collector->place_ids[at];
    return 0;
}

static struct store_value time_value(const char *column, int64_t ns)
{
    if (ns == FACT_TIME_UNKNOWN)
        return (struct store_value)STORE_NIL(column);
    return (struct store_value)STORE_INT(column, ns);
}

static struct store_value known(const char *column, bool is_known, int64_t value)
{
    if (!is_known)
        return (struct store_value)STORE_NIL(column);
    return (struct store_value)STORE_INT(column, value);
}

/* Of a program's output only what may speak of memory is kept. */
static bool worth_keeping(const struct fact *fact)
{
    static const char *const words[] = {"iB",     "MB",        "GB",        "KB",   "emory",
                                        "MEMORY", "bad_alloc", "allocated", "heap", "Killed"};
    if (fact->kind != FACT_CONSOLE)
        return true;
    for (size_t i = 0; fact->text && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strstr(fact->text, words[i]))
            return true;
    }
    return false;
}

static const char *clean_or_null(const char *text, char clean[TEXT_MAX])
{
    return text ? input_clean(text, strlen(text), clean, TEXT_MAX) : NULL;
}

static int insert_fact(struct collector *collector, const struct fact *fact, int64_t place_id,
                       struct error *err)
{
    char reason[TEXT_MAX], text[TEXT_MAX], comm[TEXT_MAX];
    const struct kmsg_oom *oom = fact->oom;
    const struct store_value values[] = {
        STORE_INT("source_id", collector->source_id),
        STORE_INT("line", fact->line),
        STORE_INT("place_id", place_id),
        STORE_STR("kind", fact_kind_name(fact->kind)),
        STORE_STR("origin", fact_origin_name(fact->origin)),
        time_value("at_ns", fact->at_ns),
        time_value("boot_ns", fact->boot_ns),
        time_value("started_ns", fact->started_ns),
        known("exit_code", fact->exit_code != FACT_CODE_UNKNOWN, fact->exit_code),
        known("signal", fact->signal > 0, fact->signal),
        STORE_INT("oom_killed", fact->oom_killed),
        STORE_STR("reason", clean_or_null(fact->reason, reason)),
        STORE_STR("text", clean_or_null(fact->text, text)),
        known("metric", fact->kind == FACT_SAMPLE, (int64_t)fact->metric),
        STORE_DBL("value", isfinite(fact->value) ? fact->value : 0),
        STORE_INT("count", fact->count ? fact->count : 1),
        known("oom_kind", oom != NULL, oom ? (int64_t)oom->kind : 0),
        known("oom_scope", oom != NULL, oom ? (int64_t)oom->scope : 0),
        STORE_STR("oom_memcg", oom && oom->oom_memcg[0] ? oom->oom_memcg : NULL),
        STORE_STR("task_memcg", oom && oom->task_memcg[0] ? oom->task_memcg : NULL),
        STORE_STR("comm", oom ? clean_or_null(oom->comm, comm) : NULL),
        known("pid", oom && oom->pid > 0, oom ? oom->pid : 0),
        STORE_END,
    };
    return store_insert(collector->store, "fact", values, NULL, err);
}

/* A value that a sample cannot have: what a hostile file may hold. */
static bool sane(const struct fact *fact)
{
    bool counted =
        fact->kind == FACT_SAMPLE || fact->kind == FACT_LIMIT || fact->kind == FACT_RESTART_COUNT;
    return !counted || (fact->value >= 0 && fact->value < 0x1p60);
}

static int next_batch(struct collector *collector, struct error *err)
{
    int r = collector->open ? store_commit(collector->store, err) : 0;
    collector->open = false;
    collector->in_batch = 0;
    if (r == 0)
        r = store_begin(collector->store, err);
    collector->open = r == 0;
    return r;
}

static int take(void *context, const struct fact *fact, struct error *err)
{
    struct collector *collector = context;
    collector->source_facts++;
    if (!worth_keeping(fact) || !sane(fact))
        return 0;
    int64_t place_id = 0;
    int r = find_place(collector, &fact->place, &place_id, err);
    if (r == 0)
        r = insert_fact(collector, fact, place_id, err);
    if (r < 0)
        return r;
    collector->facts++;
    return ++collector->in_batch < BATCH_FACTS ? 0 : next_batch(collector, err);
}

int collector_begin(struct collector *collector, const char *name, const char *format,
                    struct fact_sink *ret, struct error *err)
{
    const struct store_value values[] = {STORE_STR("name", name), STORE_STR("format", format),
                                         STORE_END};
    collector->source_name = name;
    collector->source_facts = 0;
    int r = store_insert(collector->store, "source", values, &collector->source_id, err);
    *ret = (struct fact_sink){
        .take = take, .warn = warn, .context = collector, .options = collector->options};
    return r < 0 ? r : next_batch(collector, err);
}

int collector_end(struct collector *collector, struct error *err)
{
    collector->source_name = NULL;
    if (!collector->open)
        return 0;
    collector->open = false;
    return store_commit(collector->store, err);
}

static int not_recognised(const struct input *input, const struct head *head, struct error *err)
{
    if (head->length == 0)
        return input_error(input, 0, 0, err, "the source is empty");
    if (memchr(head->text, '\0', head->length))
        return input_error(input, 1, 1, err,
                           "this is binary; give the text or JSON that the tool printed");
    return input_error(input, 1, 1, err,
                       "no known format: 'oomlab help diagnose' lists them; for a table of times "
                       "and bytes give --csv-time and --csv-bytes");
}

int collector_read(struct collector *collector, struct input *input, struct error *err)
{
    struct head head;
    int r = input_head(input, &head, err);
    if (r < 0)
        return r;
    const struct import_format *format = import_recognise(&head, collector->options);
    if (!format)
        return not_recognised(input, &head, err);
    struct fact_sink sink;
    r = collector_begin(collector, input_name(input), format->name, &sink, err);
    if (r == 0)
        r = format->read(input, &sink, err);
    struct error later = {0};
    int ended = collector_end(collector, r < 0 ? &later : err);
    return r < 0 ? r : ended;
}
