/* SPDX-License-Identifier: Apache-2.0 */
/* A running Prometheus, asked for one pod's memory, limits, restarts and kills. */
#pragma once

#include "import/facts.h"

struct prometheus_query {
    const char *url; /* "http://prometheus:9090", with or without a path before /api */
    const char *namespace, *pod;
    int64_t last_ns; /* how far back from now, > 0 */
};

/* Ask and deliver; facts come in the order of the metrics, then series, then time. No data at all
 * is a usage error: the names are wrong or the server does not scrape the kubelet. So are a server
 * that cannot be reached, refuses, or is none; each says what to do. */
int prometheus_live_read(const struct prometheus_query *query, const struct fact_sink *sink,
                         struct error *err);
