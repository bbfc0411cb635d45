/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics in Prometheus' text format, under cAdvisor's and kube-state-metrics' names. */
#include "api/resources.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/duration.h"

#include <inttypes.h>
#include <string.h>

typedef void (*sample_writer)(struct buffer *text, const char *name,
                              const struct app_replica *replica);

struct family {
    const char *name, *type, *help;
    sample_writer write;
    enum metric metric;
};

/* Names here are lower case letters, digits and '-': nothing needs escaping. */
static void labels(struct buffer *text, const struct app_replica *replica, const char *more)
{
    const struct app *app = replica->revision->app;
    buffer_printf(text,
                  "{namespace=\"%s\",pod=\"%s\",container=\"%s\",app=\"%s\",revision=\"%s\"%s}",
                  app->group, replica->name, app->name, app->name, replica->revision->name, more);
}

static void write_number(struct buffer *text, const char *name, const struct app_replica *replica,
                         double value)
{
    buffer_puts(text, name);
    labels(text, replica, "");
    buffer_printf(text, " %.17g\n", value);
}

static void write_limit(struct buffer *text, const char *name, const struct app_replica *replica)
{
    write_number(text, name, replica, (double)replica->template->revision.memory_bytes);
}

static void write_quota(struct buffer *text, const char *name, const struct app_replica *replica)
{
    write_number(text, name, replica, replica->template->revision.cpu_cores * 100000);
}

static void write_oom_events(struct buffer *text, const char *name,
                             const struct app_replica *replica)
{
    write_number(text, name, replica, replica->oom_kills);
}

static void write_restarts(struct buffer *text, const char *name, const struct app_replica *replica)
{
    unsigned lives = replica_lifetimes(replica->replica);
    write_number(text, name, replica, lives > 0 ? lives - 1 : 0);
}

static void write_ready(struct buffer *text, const char *name, const struct app_replica *replica)
{
    write_number(text, name, replica, replica_is_ready(replica->replica));
}

static void write_reason(struct buffer *text, const char *name, const struct app_replica *replica)
{
    if (!replica->has_end)
        return;
    bool oom = replica->end_cause == CAUSE_OOM_CONTAINER_LIMIT ||
               replica->end_cause == CAUSE_OOM_ANCESTOR_LIMIT ||
               replica->end_cause == CAUSE_OOM_HOST;
    buffer_puts(text, name);
    labels(text, replica,
           oom                           ? ",reason=\"OOMKilled\""
           : replica->end_exit_code == 0 ? ",reason=\"Completed\""
                                         : ",reason=\"Error\"");
    buffer_puts(text, " 1\n");
}

static void write_exit_code(struct buffer *text, const char *name,
                            const struct app_replica *replica)
{
    if (replica->has_end)
        write_number(text, name, replica, replica->end_exit_code);
}

static void write_cause(struct buffer *text, const char *name, const struct app_replica *replica)
{
    char cause[80];
    if (!replica->has_end)
        return;
    snprintf(cause, sizeof(cause), ",cause=\"%s\"", cause_name(replica->end_cause));
    buffer_puts(text, name);
    labels(text, replica, cause);
    buffer_puts(text, " 1\n");
}

/* Values of a sample are of the container that runs; after its end they are stale, not true. */
static bool is_current(const struct app_replica *replica)
{
    return replica->has_sample && replica_lifetime_id(replica->replica) != 0 &&
           replica_lifetime_id(replica->replica) == replica->sample_lifetime;
}

static const struct family FAMILIES[] = {
    {"container_memory_working_set_bytes", "gauge", "Usage without inactive file cache", NULL,
     METRIC_WORKING_SET},
    {"container_memory_usage_bytes", "gauge", "Memory charged to the container", NULL,
     METRIC_USAGE},
    {"container_memory_rss", "gauge", "Anonymous memory", NULL, METRIC_ANON},
    {"container_memory_cache", "gauge", "Page cache", NULL, METRIC_FILE},
    {"container_memory_max_usage_bytes", "gauge", "Largest usage so far", NULL, METRIC_PEAK},
    {"container_memory_failcnt", "counter", "Times that the limit was hit", NULL,
     METRIC_LIMIT_HITS},
    {"container_cpu_usage_seconds_total", "counter", "CPU time", NULL, METRIC_CPU},
    {"container_processes", "gauge", "Processes and threads", NULL, METRIC_PIDS},
    {"container_spec_memory_limit_bytes", "gauge", "Memory limit", write_limit, 0},
    {"container_spec_cpu_quota", "gauge", "CPU quota a period of 100 ms", write_quota, 0},
    {"container_oom_events_total", "counter", "Kills by the kernel's OOM killer", write_oom_events,
     0},
    {"kube_pod_container_status_restarts_total", "counter", "Restarts of the container",
     write_restarts, 0},
    {"kube_pod_container_status_ready", "gauge", "1: ready", write_ready, 0},
    {"kube_pod_container_status_last_terminated_reason", "gauge", "Why the last one ended",
     write_reason, 0},
    {"kube_pod_container_status_last_terminated_exitcode", "gauge", "Its exit code",
     write_exit_code, 0},
    {"oomlab_container_last_end", "gauge", "What ended the last one, as oomlab proved it",
     write_cause, 0},
};

static void write_sample(struct buffer *text, const struct family *family,
                         const struct app_replica *replica)
{
    if (family->write) {
        family->write(text, family->name, replica);
        return;
    }
    if (!is_current(replica) || !(replica->metrics_present >> family->metric & 1))
        return;
    double value = (double)replica->metrics[family->metric];
    write_number(text, family->name, replica,
                 family->metric == METRIC_CPU ? value / (double)NS_PER_S : value);
}

static void write_family(struct buffer *text, const struct serve *serve,
                         const struct family *family)
{
    buffer_printf(text, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
                  family->type);
    for (const struct app *app = serve->apps; app; app = app->next) {
        for (const struct app_revision *r = app->revisions; r; r = r->next) {
            for (const struct app_replica *p = r->replicas; p; p = p->next) {
                if (!p->stopping)
                    write_sample(text, family, p);
            }
        }
    }
}

void prometheus_get(struct request *request, struct reply *reply)
{
    struct buffer text = {0};
    struct serve *serve = request->serve;
    struct error ignored;
    pump_run(serve, &ignored);
    for (size_t i = 0; i < sizeof(FAMILIES) / sizeof(FAMILIES[0]); i++)
        write_family(&text, serve, &FAMILIES[i]);
    buffer_printf(&text,
                  "# HELP oomlab_api_requests_total Requests that the API answered\n"
                  "# TYPE oomlab_api_requests_total counter\n"
                  "oomlab_api_requests_total %" PRIu64 "\n"
                  "# HELP oomlab_dropped_observations_total Samples that were lost\n"
                  "# TYPE oomlab_dropped_observations_total counter\n"
                  "oomlab_dropped_observations_total %" PRIu64 "\n",
                  serve->requests_served, platform_dropped_observations(serve->platform));
    reply->text = buffer_steal(&text);
    reply->type = "text/plain; version=0.0.4; charset=utf-8";
    reply->status = reply->text ? MHD_HTTP_OK : MHD_HTTP_INTERNAL_SERVER_ERROR;
}
