/* SPDX-License-Identifier: Apache-2.0 */
/* Alert rules on the metrics of cAdvisor and kube-state-metrics. */
#include "report/advice.h"
#include "report/story.h"
#include "report/text.h"

#include <math.h>

#define BY "max by (namespace, pod, container) "

/* '@' in an expression is the container's name, a DNS label. */
static const struct rule {
    const char *alert, *severity, *wait, *why, *expression, *summary;
} RULES[] = {
    {"MemoryNearLimit", "warning", "5m", "A kill comes at the limit; 80 % leaves time to look.",
     "          " BY "(container_memory_working_set_bytes{container=\"@\"})\n"
     "          / " BY "(container_spec_memory_limit_bytes{container=\"@\"} > 0) > 0.8\n",
     "over 80 % of its memory limit is in use"},
    {"MemoryPredictedToReachLimit", "warning", "15m",
     "A working set that keeps rising tells of the kill long before the level does.",
     "          " BY "(predict_linear(container_memory_working_set_bytes{container=\"@\"}[1h], "
     "4 * 3600))\n"
     "          > " BY "(container_spec_memory_limit_bytes{container=\"@\"} > 0)\n",
     "at its present growth it reaches its memory limit within four hours"},
    {"OutOfMemoryKill", "critical", "0m",
     "The kernel's own count; a restart whose last end was OOMKilled, where cAdvisor's series "
     "ended with the container.",
     "          " BY "(increase(container_oom_events_total{container=\"@\"}[10m])) > 0\n"
     "          or (" BY
     "(increase(kube_pod_container_status_restarts_total{container=\"@\"}[10m])) > 0\n"
     "          and " BY "(kube_pod_container_status_last_terminated_reason"
     "{container=\"@\", reason=\"OOMKilled\"}) == 1)\n",
     "a process was killed for memory"},
    {"ContainerRestarts", "warning", "0m",
     "Not every restart is a kill for memory; oomlab diagnose tells which.",
     "          " BY
     "(increase(kube_pod_container_status_restarts_total{container=\"@\"}[10m])) > 0\n",
     "its container was restarted"},
};

static void write_rule(const struct advice *advice, const struct rule *rule, struct buffer *out)
{
    advice_comment(out, 6, "%s", rule->why);
    buffer_printf(out, "      - alert: %s\n        expr: |\n", rule->alert);
    for (const char *c = rule->expression; *c; c++) {
        if (*c == '@')
            buffer_puts(out, advice->app);
        else
            buffer_append(out, c, 1);
    }
    buffer_printf(out,
                  "        for: %s\n        labels:\n          severity: %s\n"
                  "        annotations:\n"
                  "          summary: \"{{ $labels.pod }}/{{ $labels.container }}: %s\"\n"
                  "          oomlab_run: ",
                  rule->wait, rule->severity, rule->summary);
    advice_quote(out, text_or(advice->result, "run.id", "?"));
    buffer_puts(out, "\n");
}

static void write_growth(const struct advice *advice, struct buffer *out)
{
    double growth = number_at(advice->subject, "verdict.growth.bytes_per_request");
    char text[FIGURE_TEXT_MAX];
    if (isfinite(growth) && is_text(advice->result, "verdict.class", "leak"))
        advice_comment(out, 0, "In the run it kept %s per request.", figure_growth(growth, text));
}

void advice_write_prometheus(const struct advice *advice, struct buffer *out)
{
    advice_write_head(advice, "Alert rules for Prometheus (cAdvisor, kube-state-metrics)", out);
    write_growth(advice, out);
    buffer_printf(out, "groups:\n  - name: %s-memory\n    rules:\n", advice->app);
    for (size_t i = 0; i < sizeof(RULES) / sizeof(RULES[0]); i++)
        write_rule(advice, &RULES[i], out);
}
