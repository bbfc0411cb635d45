/* SPDX-License-Identifier: Apache-2.0 */
/* Pressure stall information: "some avg10=0.00 avg60=0.00 avg300=0.00 total=123". Only the totals
 * are kept; averages can be had from them. */
#include "kernel/cgroup-internal.h"

#include <string.h>

static void parse_line(const char *line, size_t length, struct metrics *metrics)
{
    enum metric metric;
    if (strncmp(line, "some ", 5) == 0)
        metric = METRIC_PSI_SOME;
    else if (strncmp(line, "full ", 5) == 0)
        metric = METRIC_PSI_FULL;
    else
        return;
    static const char key[] = " total=";
    const char *total = memmem(line, length, key, sizeof(key) - 1);
    uint64_t value;
    if (total && cgroup_parse_number(total + sizeof(key) - 1, &value))
        metrics_put(metrics, metric, value);
}

void psi_parse(const char *text, struct metrics *metrics)
{
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        parse_line(line, length, metrics);
        line += length;
        if (*line)
            line++;
    }
}
