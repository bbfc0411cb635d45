/* SPDX-License-Identifier: Apache-2.0 */
/* Probes as Kubernetes and Azure Container Apps write them: with the same keys. */
#include "report/advice.h"

#include <stddef.h>
#include <string.h>

/* Stands for the port where the run has none to name. */
#define PORT_STAND_IN 8080

const struct advice_probe_name ADVICE_PROBE_NAMES[ADVICE_PROBES] = {
    {"startupProbe", "Startup", offsetof(struct advice, startup)},
    {"readinessProbe", "Readiness", offsetof(struct advice, ready)},
    {"livenessProbe", "Liveness", offsetof(struct advice, liveness)},
};

const struct advice_probe *advice_probe(const struct advice *advice, size_t index)
{
    return (const struct advice_probe *)((const char *)advice + ADVICE_PROBE_NAMES[index].offset);
}

int advice_port(const struct advice *advice, int indent, struct buffer *out)
{
    if (advice->port > 0)
        return advice->port;
    advice_comment(out, indent, "The run took any free port: put yours here.");
    return PORT_STAND_IN;
}

void advice_write_probe(const struct advice *advice, const struct advice_probe *probe, int indent,
                        struct buffer *out)
{
    bool http = strcmp(probe->kind, "http") == 0;
    buffer_printf(out, "%*s%s:\n", indent, "", http ? "httpGet" : "tcpSocket");
    int port = advice_port(advice, indent + 2, out);
    buffer_printf(out, "%*sport: %d\n", indent + 2, "", port);
    if (http) {
        buffer_printf(out, "%*spath: ", indent + 2, "");
        advice_quote(out, probe->path);
        buffer_printf(out, "\n%*sscheme: %s\n", indent + 2, "", advice->https ? "HTTPS" : "HTTP");
    }
    if (probe->period_s < 1 || probe->timeout_s < 1)
        advice_comment(out, indent, "In the run every %g s, with %g s to answer.", probe->period_s,
                       probe->timeout_s);
    if (probe->delay_s > 0)
        buffer_printf(out, "%*sinitialDelaySeconds: %d\n", indent, "",
                      advice_seconds(probe->delay_s));
    buffer_printf(out, "%*speriodSeconds: %d\n%*stimeoutSeconds: %d\n", indent, "",
                  advice_seconds(probe->period_s), indent, "", advice_seconds(probe->timeout_s));
    if (probe->failures > 0)
        buffer_printf(out, "%*sfailureThreshold: %d\n", indent, "", probe->failures);
}
