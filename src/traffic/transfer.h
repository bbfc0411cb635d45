/* SPDX-License-Identifier: Apache-2.0 */
/* One request on the wire: a pool of reused curl handles and the events that move them. Internal to
 * src/traffic; everything here runs in the traffic thread. */
#pragma once

#include "traffic/traffic.h"

#include <curl/curl.h>

/* How each kind of request looks to curl; made once. */
struct wire {
    const struct traffic_request *request;
    char *url;
    struct curl_slist *headers;
};

struct transfer {
    CURL *easy; /* made at the first use, then kept */
    struct transfer *next_free;
    struct traffic_outcome outcome;
    bool busy;
    bool requested; /* the request went out: it must not go out again */
};

struct pool {
    CURLM *multi;
    struct transfer *transfers;
    unsigned size;
    struct transfer *free;
    struct wire *wires;
    size_t wire_count;
    bool insecure;
    int64_t timeout_ns;
};

/* Check the base URL, prepare the kinds, make the multi handle. Undone by pool_done() in any case.
 */
int pool_init(struct pool *pool, const struct traffic_plan *plan,
              const struct traffic_options *options, struct error *err);
void pool_done(struct pool *pool);

/* Hand one request to curl: it starts with the next curl_multi_socket_action(). `outcome` is
 * copied. NULL with the reason in `outcome->error` when no handle is free or curl refuses. */
struct transfer *pool_start(struct pool *pool, size_t kind, struct traffic_outcome *outcome);

/* Take a transfer out of curl and give its handle back to the pool; yields its outcome with status
 * and error filled in from curl's result. */
struct traffic_outcome pool_finish(struct pool *pool, struct transfer *transfer, CURLcode result);

/* The transfer behind a finished handle. */
struct transfer *pool_find(CURL *easy);

/* Set the outcome's error, cut to its room. */
void outcome_fail(struct traffic_outcome *outcome, const char *words);
