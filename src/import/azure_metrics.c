/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers from Azure: `az monitor metrics list`, and cgroup files that were read in a replica. */
#include "import/azure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The name behind "/containerapps/" in a resource id; false when there is none. */
static bool app_of(const char *id, char ret[AZURE_NAME_MAX])
{
    const char *from = id ? strcasestr(id, "/containerapps/") : NULL;
    if (!from)
        return false;
    from += strlen("/containerapps/");
    size_t length = strcspn(from, "/");
    if (length == 0 || length >= AZURE_NAME_MAX)
        return false;
    memcpy(ret, from, length);
    ret[length] = '\0';
    return true;
}

static void place_of(const json_t *series, struct fact_place *place)
{
    const json_t *labels = json_at(series, "metadatavalues");
    for (size_t i = 0; i < json_array_size(labels); i++) {
        const json_t *label = json_array_get(labels, i);
        const char *name = json_text_at(label, "name.value"), *value = json_text_at(label, "value");
        if (!name || !value || !*value)
            continue;
        if (strcasecmp(name, "podname") == 0 || strcasecmp(name, "replicaname") == 0)
            place->replica = value;
        else if (strcasecmp(name, "revisionname") == 0)
            place->revision = value;
    }
}

/* The highest is the one that meets a limit. */
static double value_of(const json_t *point)
{
    static const char *const names[] = {"maximum", "average", "total", "minimum", NULL};
    for (const char *const *name = names; *name; name++) {
        double value = json_number_at(point, *name);
        if (!isnan(value))
            return value;
    }
    return NAN;
}

static int read_series(const json_t *series, struct fact *fact, const struct fact_sink *sink,
                       struct error *err)
{
    place_of(series, &fact->place);
    const json_t *data = json_at(series, "data");
    for (size_t i = 0; i < json_array_size(data); i++) {
        const json_t *point = json_array_get(data, i);
        fact->value = value_of(point);
        fact->at_ns = fact_time(json_text_at(point, "timeStamp"));
        if (isnan(fact->value) || fact->at_ns == FACT_TIME_UNKNOWN)
            continue;
        int r = fact_give(sink, fact, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_metric(const json_t *metric, uint64_t line, const struct fact_sink *sink,
                       struct error *err)
{
    const char *name = json_text_at(metric, "name.value");
    if (!name)
        return 0;
    bool bytes = strcmp(name, "WorkingSetBytes") == 0, restarts = strcmp(name, "RestartCount") == 0;
    bool percent = strcmp(name, "MemoryPercentage") == 0;
    double limit = sink->options ? sink->options->limit_bytes : (double)NAN;
    if (percent && isnan(limit))
        fact_warn(sink, line, "MemoryPercentage is of the limit, which it does not name: --limit");
    if (!bytes && !restarts)
        return 0;
    char app[AZURE_NAME_MAX];
    bool has_app = app_of(json_text_at(metric, "id"), app);
    const json_t *all = json_at(metric, "timeseries");
    int r = 0;
    for (size_t i = 0; i < json_array_size(all) && r == 0; i++) {
        struct fact fact;
        fact_init(&fact, restarts ? FACT_RESTART_COUNT : FACT_SAMPLE, ORIGIN_AZURE, line);
        fact.metric = METRIC_WORKING_SET;
        fact.place.app = has_app ? app : NULL;
        r = read_series(json_array_get(all, i), &fact, sink, err);
    }
    return r;
}

int azure_metrics_read(const json_t *document, uint64_t line, const struct fact_sink *sink,
                       struct error *err)
{
    const json_t *metrics = json_at(document, "value");
    int r = 0;
    for (size_t i = 0; i < json_array_size(metrics) && r == 0; i++)
        r = read_metric(json_array_get(metrics, i), line, sink, err);
    return r;
}

/* --- cgroup files -------------------------------------------------------------------------------
 */

/* The number at the beginning of a text that may end in carriage returns; NAN. */
static double number_of(const char *text)
{
    char *end = NULL;
    double value = text ? strtod(text, &end) : NAN;
    return text && end != text ? value : NAN;
}

/* The value of a whole key of memory.stat; NAN. */
static double stat_value(const char *stat, const char *key)
{
    size_t length = strlen(key);
    for (const char *at = stat; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
        if (strncmp(at, key, length) == 0 && at[length] == ' ')
            return number_of(at + length + 1);
    }
    return NAN;
}

static int give_sample(struct fact *fact, enum metric metric, double value,
                       const struct fact_sink *sink, struct error *err)
{
    if (!(value >= 0 && value < 0x1p63)) /* unknown, or no size */
        return 0;
    fact->metric = metric;
    fact->value = value;
    return fact_give(sink, fact, err);
}

int azure_cgroup_read(const json_t *object, uint64_t line, const struct fact_sink *sink,
                      struct error *err)
{
    const char *stat = json_text_at(object, "memory_stat_raw");
    double usage = number_of(json_text_at(object, "memory_usage_in_bytes_raw"));
    double limit = number_of(json_text_at(object, "memory_limit_in_bytes_raw"));
    double inactive = stat_value(stat, "total_inactive_file");
    struct fact fact;
    fact_init(&fact, FACT_SAMPLE, ORIGIN_CGROUP, line);
    fact.place = (struct fact_place){.app = json_text_at(object, "app_name"),
                                     .revision = json_text_at(object, "active_revision"),
                                     .replica = json_text_at(object, "replica_name")};
    fact.at_ns = fact_time(json_text_at(object, "captured_at_utc"));
    const struct {
        enum metric metric;
        double value;
    } samples[] = {
        {METRIC_USAGE, usage},
        {METRIC_WORKING_SET, fmax(0, usage - inactive)},
        {METRIC_ANON, stat_value(stat, "total_rss")},
        {METRIC_FILE, stat_value(stat, "total_cache")},
        {METRIC_ACTIVE_FILE, stat_value(stat, "total_active_file")},
        {METRIC_INACTIVE_FILE, inactive},
        {METRIC_SHMEM, stat_value(stat, "total_shmem")},
    };
    int r = 0;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]) && r == 0; i++) {
        if (samples[i].metric != METRIC_WORKING_SET || !(isnan(usage) || isnan(inactive)))
            r = give_sample(&fact, samples[i].metric, samples[i].value, sink, err);
    }
    if (r < 0 || !(limit > 0 && limit < 0x1p60))
        return r;
    fact.kind = FACT_LIMIT;
    fact.value = limit;
    return fact_give(sink, &fact, err);
}
