/* SPDX-License-Identifier: Apache-2.0 */
/* What the Azure parsers share: one row of a log, whatever it was printed as. */
#pragma once

#include "import/facts.h"

#define AZURE_NAME_MAX 192

/* What a report says once, for the rows that do not repeat it; "" unknown. */
struct azure_context {
    char app[AZURE_NAME_MAX], revision[AZURE_NAME_MAX], replica[AZURE_NAME_MAX];
    bool console; /* rows without a reason are what the program printed */
};

/* A row of the system or console log; NULL where it has no such column. */
struct azure_row {
    const char *time, *message, *reason, *app, *revision, *replica, *container;
    double count; /* NAN */
    uint64_t line;
};

/* What the row says, as facts. Rows that say nothing about a life or a death give none. */
int azure_row_read(const struct azure_row *row, struct azure_context *context,
                   const struct fact_sink *sink, struct error *err);

/* Any one JSON value that az prints: a log row, a revision, an app, metrics, cgroup files read in a
 * replica. What it does not know gives no facts. */
int azure_json_read(const json_t *value, uint64_t line, struct azure_context *context,
                    const struct fact_sink *sink, struct error *err);

/* `az monitor metrics list`. Points without a value are missing. */
int azure_metrics_read(const json_t *document, uint64_t line, const struct fact_sink *sink,
                       struct error *err);

/* memory_usage_in_bytes_raw, memory_limit_in_bytes_raw, memory_stat_raw. */
int azure_cgroup_read(const json_t *object, uint64_t line, const struct fact_sink *sink,
                      struct error *err);
