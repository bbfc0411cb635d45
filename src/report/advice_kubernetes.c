/* SPDX-License-Identifier: Apache-2.0 */
/* A patch for a Deployment, for kubectl patch --patch-file or kustomize. */
#include "report/advice.h"

static void write_resources(const struct advice *advice, struct buffer *out)
{
    if (!advice->holder)
        return;
    buffer_puts(out, "          resources:\n            requests:\n              memory: ");
    advice_quantity(out, advice->request);
    buffer_puts(out, "\n            limits:\n              memory: ");
    advice_quantity(out, advice->limit);
    buffer_puts(out, "\n");
}

void advice_write_kubernetes(const struct advice *advice, struct buffer *out)
{
    unsigned probes = 0;
    advice_write_head(advice, "Patch for a Kubernetes Deployment", out);
    buffer_printf(out,
                  "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: \"%s\"\nspec:\n"
                  "  template:\n    spec:\n      containers:\n        - name: \"%s\"\n",
                  advice->app, advice->app);
    write_resources(advice, out);
    for (size_t i = 0; i < ADVICE_PROBES; i++) {
        const struct advice_probe *probe = advice_probe(advice, i);
        if (!*probe->kind)
            continue;
        probes++;
        buffer_printf(out, "          %s:\n", ADVICE_PROBE_NAMES[i].kubernetes);
        advice_write_probe(advice, probe, 12, out);
    }
    if (probes == 0)
        advice_comment(out, 0, "The run had no probes.");
    advice_comment(out, 0, "Alert rules: oomlab advise RUN --for prometheus");
}
