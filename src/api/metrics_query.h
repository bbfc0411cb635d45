/* SPDX-License-Identifier: Apache-2.0 */
/* What a request for metrics asks, as Azure Monitor takes it. */
#pragma once

#include "api/http.h"
#include "base/iso8601.h"

/* As they stand in an answer: average, minimum, maximum, total, count; NULL ends the list. */
extern const char *const METRIC_AGGREGATIONS[];

struct metric_query {
    int64_t start, end, step; /* minutes since the epoch; the end is behind the last one */
    size_t count;             /* points of a series */
    char timespan[2 * ISO8601_TEXT_MAX], interval[ISO8601_TEXT_MAX]; /* as answered */
    char revision[200], replica[200];
    bool by_revision, by_replica; /* a series each ("eq '*'") */
    size_t series_max;            /* of a metric, where they are split */
    const char *order;            /* the aggregation that sorts the series; NULL: by their names */
    bool descending;
    bool metadata; /* which series there are, and not what is in them */
};

/* Points of one answer, over all metrics and series: Azure sets no such limit that is documented;
 * without one a single request could take all memory. 93 days, Azure's retention, by minutes fit.
 */
#define METRIC_POINTS_MAX 250000

/* Read timespan, interval, top, orderby, resultType, AutoAdjustTimegrain and $filter. Without a
 * timespan it is the last hour with the minute that runs; a given one holds every minute that it
 * touches. False: the error is answered. */
bool metric_query_parse(struct request *request, struct metric_query *ret, struct reply *reply);
