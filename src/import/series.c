/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics of cAdvisor (kubelet) and kube-state-metrics that say something about memory and
 * ends. */
#include "import/series.h"

#include "base/duration.h"
#include "import/cgroup_ids.h"

#include <math.h>
#include <string.h>

/* cAdvisor shows v1's "no limit", 2^63 rounded down to pages, and v2's "max" as 0. */
#define UNLIMITED_BYTES 9.2e18
#define EPOCH_S_MAX     9e9

enum meaning {
    MEANS_SAMPLE,
    MEANS_LIMIT,
    MEANS_KSM_LIMIT, /* of several resources */
    MEANS_RESTARTS,
    MEANS_LAST_REASON,
    MEANS_WAITING_REASON,
    MEANS_START_TIME,
};

static const struct known {
    const char *name;
    enum meaning meaning;
    enum metric metric;
    double scale;
} KNOWN[] = {
    {"container_memory_working_set_bytes", MEANS_SAMPLE, METRIC_WORKING_SET, 1},
    {"container_memory_usage_bytes", MEANS_SAMPLE, METRIC_USAGE, 1},
    {"container_memory_rss", MEANS_SAMPLE, METRIC_ANON, 1},
    {"container_memory_cache", MEANS_SAMPLE, METRIC_FILE, 1},
    {"container_memory_total_active_file_bytes", MEANS_SAMPLE, METRIC_ACTIVE_FILE, 1},
    {"container_memory_total_inactive_file_bytes", MEANS_SAMPLE, METRIC_INACTIVE_FILE, 1},
    {"container_memory_swap", MEANS_SAMPLE, METRIC_SWAP, 1},
    {"container_memory_kernel_usage", MEANS_SAMPLE, METRIC_KERNEL, 1},
    {"container_memory_max_usage_bytes", MEANS_SAMPLE, METRIC_PEAK, 1},
    {"container_memory_failcnt", MEANS_SAMPLE, METRIC_LIMIT_HITS, 1},
    {"container_oom_events_total", MEANS_SAMPLE, METRIC_OOM_KILL, 1},
    {"container_cpu_usage_seconds_total", MEANS_SAMPLE, METRIC_CPU, 1e9},
    {"container_spec_memory_limit_bytes", MEANS_LIMIT, METRIC_COUNT, 1},
    {"kube_pod_container_resource_limits", MEANS_KSM_LIMIT, METRIC_COUNT, 1},
    {"kube_pod_container_resource_limits_memory_bytes", MEANS_LIMIT, METRIC_COUNT, 1},
    {"kube_pod_container_status_restarts_total", MEANS_RESTARTS, METRIC_COUNT, 1},
    {"kube_pod_container_status_last_terminated_reason", MEANS_LAST_REASON, METRIC_COUNT, 1},
    {"kube_pod_container_status_waiting_reason", MEANS_WAITING_REASON, METRIC_COUNT, 1},
    {"container_start_time_seconds", MEANS_START_TIME, METRIC_COUNT, 1},
};
/* What an expression leaves (sum by (pod) (...)) has no name; oomlab is about one thing. */
static const struct known UNNAMED = {"", MEANS_SAMPLE, METRIC_WORKING_SET, 1};

static const struct known *find_known(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof(KNOWN) / sizeof(*KNOWN); i++) {
        if (strlen(KNOWN[i].name) == length && memcmp(KNOWN[i].name, name, length) == 0)
            return &KNOWN[i];
    }
    return NULL;
}

bool series_known(const char *name, size_t length)
{
    return find_known(name, length) != NULL;
}

const char *series_label(const struct series *series, const char *name)
{
    for (size_t i = 0; i < series->count; i++) {
        if (strcmp(series->labels[i].name, name) == 0)
            return series->labels[i].value[0] ? series->labels[i].value : NULL;
    }
    return NULL;
}

static const char *first_label(const struct series *series, const char *const *names)
{
    for (; *names; names++) {
        const char *value = series_label(series, *names);
        if (value)
            return value;
    }
    return NULL;
}

/* Which container, by the labels of several ages and scrape settings. False for what is none: a
 * pod's own cgroup with its pause container, slices, the root. */
static bool read_place(const struct series *series, struct cgroup_ids *ids, struct fact_place *ret)
{
    static const char *const namespaces[] = {"exported_namespace", "namespace",
                                             "kubernetes_namespace", NULL};
    static const char *const pods[] = {"exported_pod", "pod", "pod_name", "kubernetes_pod_name",
                                       NULL};
    static const char *const containers[] = {"exported_container", "container", "container_name",
                                             NULL};
    const char *id = series_label(series, "id"), *name = series_label(series, "name");
    *ret = (struct fact_place){
        .app = first_label(series, namespaces),
        .replica = first_label(series, pods),
        .container = first_label(series, containers),
        .pod_uid = series_label(series, "uid"),
    };
    if (id && strcmp(id, "/") == 0)
        return false;
    if (id) {
        cgroup_ids_read(id, ids);
        ret->cgroup = id;
        ret->container_id = ids->container_id[0] ? ids->container_id : NULL;
        if (ids->pod_uid[0])
            ret->pod_uid = ids->pod_uid;
    }
    if (ret->container && strcmp(ret->container, "POD") == 0)
        return false;
    if (ret->container || (ret->replica && !id))
        return true;
    if (ret->replica || (!name && id))
        return false;
    ret->replica = name;
    return true;
}

static bool changed(double previous, double value)
{
    return isnan(previous) || previous != value;
}

static int give_value(struct fact *fact, enum fact_kind kind, double value,
                      const struct fact_sink *sink, struct error *err)
{
    fact->kind = kind;
    fact->value = value;
    return fact_give(sink, fact, err);
}

/* A gauge that is 1 as long as the container's last end has this reason. Every sample is told:
 * which end it is about follows from what else is known of that moment. */
static int give_last_reason(struct fact *fact, const char *reason, const struct fact_sink *sink,
                            struct error *err)
{
    fact->kind = FACT_LAST_REASON;
    fact->reason = reason;
    fact->oom_killed = reason && strcmp(reason, "OOMKilled") == 0;
    return fact_give(sink, fact, err);
}

static int give_waiting(struct fact *fact, const char *reason, const struct fact_sink *sink,
                        struct error *err)
{
    bool backoff = reason && strcmp(reason, "CrashLoopBackOff") == 0;
    fact->kind = backoff ? FACT_BACKOFF : FACT_STATE;
    fact->reason = reason;
    return fact_give(sink, fact, err);
}

static int give_start(struct fact *fact, double value, const struct fact_sink *sink,
                      struct error *err)
{
    if (value <= 0 || value > EPOCH_S_MAX)
        return 0;
    fact->kind = FACT_START;
    fact->at_ns = (int64_t)(value * 1e9);
    return fact_give(sink, fact, err);
}

static int give_meaning(const struct series *series, const struct known *known, struct fact *fact,
                        double previous, double value, const struct fact_sink *sink,
                        struct error *err)
{
    const char *resource = series_label(series, "resource");
    switch (known->meaning) {
    case MEANS_SAMPLE:
        fact->metric = known->metric;
        return give_value(fact, FACT_SAMPLE, value * known->scale, sink, err);
    case MEANS_KSM_LIMIT:
        if (!resource || strcmp(resource, "memory") != 0)
            return 0;
        __attribute__((fallthrough));
    case MEANS_LIMIT:
        return changed(previous, value) && value > 0 && value < UNLIMITED_BYTES
                   ? give_value(fact, FACT_LIMIT, value, sink, err)
                   : 0;
    case MEANS_RESTARTS:
        return changed(previous, value) ? give_value(fact, FACT_RESTART_COUNT, value, sink, err)
                                        : 0;
    case MEANS_LAST_REASON:
        return value == 1 ? give_last_reason(fact, series_label(series, "reason"), sink, err) : 0;
    case MEANS_WAITING_REASON:
        return value == 1 && changed(previous, value)
                   ? give_waiting(fact, series_label(series, "reason"), sink, err)
                   : 0;
    case MEANS_START_TIME:
        return changed(previous, value) ? give_start(fact, value, sink, err) : 0;
    }
    return 0;
}

int series_give(const struct series *series, double previous, double value, int64_t at_ns,
                uint64_t line, const struct fact_sink *sink, struct error *err)
{
    struct cgroup_ids ids = {0};
    struct fact fact;
    const struct known *known =
        series->name ? find_known(series->name, strlen(series->name)) : &UNNAMED;
    if (!known || isnan(value)) /* a series that went away is marked with NaN */
        return 0;
    fact_init(&fact, FACT_SAMPLE, ORIGIN_PROMETHEUS, line);
    fact.at_ns = at_ns;
    if (!read_place(series, &ids, &fact.place))
        return 0;
    if (isinf(value) || (known->meaning == MEANS_SAMPLE && value < 0)) {
        fact_warn(sink, line, "%s: a value of %g is impossible: left out",
                  series->name ? series->name : "a series", value);
        return 0;
    }
    return give_meaning(series, known, &fact, previous, value, sink, err);
}
