/* SPDX-License-Identifier: Apache-2.0 */
/* A drop-in for a service unit. */
#include "report/advice.h"

void advice_write_systemd(const struct advice *advice, struct buffer *out)
{
    advice_write_head(advice, "Drop-in for a service unit (UNIT.service.d/50-memory.conf)", out);
    buffer_puts(out, "[Service]\nMemoryAccounting=yes\n");
    if (advice->holder) {
        buffer_printf(out, "MemoryMax=%.0f\n", advice->limit);
        advice_comment(out, 0, "Kept from reclaim under pressure from elsewhere.");
        buffer_printf(out, "MemoryLow=%.0f\n", advice->request);
        advice_comment(out, 0, "No swap, as in the run.");
        buffer_puts(out, "MemorySwapMax=0\n");
    }
    advice_comment(out, 0,
                   "A kill ends the whole service, says so in the journal, and restarts it.");
    buffer_puts(out, "OOMPolicy=kill\nRestart=on-failure\n");
    if (*advice->liveness.kind || *advice->ready.kind || *advice->startup.kind)
        advice_comment(out, 0,
                       "systemd asks no service over the network: for a probe, have the "
                       "service report with sd_notify(3) and set WatchdogSec=.");
    advice_comment(out, 0,
                   "Kills in the journal: journalctl -u UNIT --grep 'OOM killer'. Alert "
                   "rules for cAdvisor: oomlab advise RUN --for prometheus");
}
