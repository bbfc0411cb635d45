/* SPDX-License-Identifier: Apache-2.0 */
/* A service of a compose file, to be merged into one's own: docker compose -f FILE -f THIS. */
#include "report/advice.h"

#include <math.h>
#include <string.h>

/* Compose takes "64Mi" for none of its sizes: bytes say it exactly. */
static void write_memory(const struct advice *advice, struct buffer *out)
{
    if (!advice->holder)
        return;
    buffer_printf(out, "    mem_limit: %.0fb\n", advice->limit);
    advice_comment(out, 4, "The same: no swap, as in the run.");
    buffer_printf(out, "    memswap_limit: %.0fb\n    mem_reservation: %.0fb\n", advice->limit,
                  advice->request);
}

/* The probe that restarts comes first; a dollar sign would be a variable of the compose file. */
static const struct advice_probe *health_probe(const struct advice *advice)
{
    return *advice->liveness.kind ? &advice->liveness
           : *advice->ready.kind  ? &advice->ready
                                  : &advice->startup;
}

static void write_url(const struct advice *advice, const char *path, int port, struct buffer *out)
{
    AUTO_BUFFER url = {0};
    buffer_printf(&url, "%s://127.0.0.1:%d", advice->https ? "https" : "http", port);
    for (; *path; path++)
        buffer_printf(&url, *path == '$' ? "$%c" : "%c", *path);
    out->failed = out->failed || url.failed;
    advice_quote(out, buffer_text(&url));
}

static void write_health(const struct advice *advice, struct buffer *out)
{
    const struct advice_probe *probe = health_probe(advice);
    if (strcmp(probe->kind, "http") != 0) {
        advice_comment(out, 0, "%s",
                       *probe->kind ? "The run probed with a TCP connection; compose has "
                                      "commands only."
                                    : "The run had no probes.");
        return;
    }
    buffer_puts(out, "    healthcheck:\n");
    advice_comment(out, 6, "curl must be in the image.");
    int port = advice_port(advice, 6, out);
    buffer_printf(out, "      test: [\"CMD\", \"curl\", \"-fsS%s\", ", advice->https ? "k" : "");
    write_url(advice, probe->path, port, out);
    buffer_printf(out, "]\n      interval: %ds\n      timeout: %ds\n",
                  advice_seconds(probe->period_s), advice_seconds(probe->timeout_s));
    if (probe->failures > 0)
        buffer_printf(out, "      retries: %d\n", probe->failures);
    if (probe->delay_s > 0)
        buffer_printf(out, "      start_period: %ds\n", advice_seconds(probe->delay_s));
}

void advice_write_compose(const struct advice *advice, struct buffer *out)
{
    advice_write_head(advice, "To be merged into a compose file", out);
    buffer_printf(out, "services:\n  \"%s\":\n    restart: unless-stopped\n", advice->app);
    write_memory(advice, out);
    write_health(advice, out);
    advice_comment(out, 0, "Alert rules for cAdvisor: oomlab advise RUN --for prometheus");
}
