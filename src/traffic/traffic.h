/* SPDX-License-Identifier: Apache-2.0 */
/* Open-loop HTTP traffic from a deterministic plan.
 *
 * Every request has a due time that does not depend on any answer: a server that is slow, dead or
 * restarting costs failed requests and lateness, never a stalled schedule (no coordinated omission). */
#pragma once

#include "base/error.h"
#include "base/ring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One kind of request. Strings are owned by whoever owns the spec. */
struct traffic_request {
    const char *method;          /* "GET" */
    const char *path;            /* "/leak?bytes=1048576", percent-encoded as it goes on the wire */
    const char *const *headers;  /* NULL-terminated "Name: value", may be NULL */
    const char *body;            /* may be NULL */
    size_t body_bytes;
    double weight;               /* share among the kinds; > 0 */
};

enum traffic_arrival { TRAFFIC_UNIFORM, TRAFFIC_POISSON };

struct traffic_spec {
    const struct traffic_request *requests;
    size_t request_count;
    unsigned cycles, per_cycle;
    double rate_per_s;
    enum traffic_arrival arrival;
    int64_t idle_ns, gap_ns, cooldown_ns; /* before, between, after the cycles */
    uint64_t seed;
};

enum traffic_phase { TRAFFIC_IDLE, TRAFFIC_CYCLE, TRAFFIC_GAP, TRAFFIC_COOLDOWN };
const char *traffic_phase_name(enum traffic_phase phase);

/* Parse "GET /path", "POST /path body..." or "/path" (GET) into a newly allocated request (weight 1). */
int traffic_request_parse(const char *text, struct traffic_request *ret, struct error *err);
void traffic_request_done(struct traffic_request *request);

/* A plan: the requests of one cycle in a fixed order with their offsets, repeated identically. */
struct traffic_plan;
int traffic_plan_new(const struct traffic_spec *spec, struct traffic_plan **ret, struct error *err);
void traffic_plan_free(struct traffic_plan *plan);
size_t traffic_plan_requests(const struct traffic_plan *plan); /* in total */
int64_t traffic_plan_duration_ns(const struct traffic_plan *plan);
/* The canonical text of the sequence (one line a request: offset_ns method path body-sha256): byte for
 * byte the same for the same spec and seed. free() it; NULL on failed allocation. */
char *traffic_plan_text(const struct traffic_plan *plan);

struct traffic_phase_span {
    enum traffic_phase phase;
    unsigned cycle; /* 1.. for cycle and gap */
    int64_t start_ns, end_ns; /* offsets from the plan's start */
};
/* All phases in order; borrowed. */
const struct traffic_phase_span *traffic_plan_phases(const struct traffic_plan *plan, size_t *ret_count);

/* What became of one request, as it leaves through the ring. */
struct traffic_outcome {
    uint32_t arm_id;   /* from the options, passed through */
    uint32_t seq;
    uint32_t cycle;
    int32_t status;    /* HTTP status; 0: no response */
    int64_t due_ns, sent_ns, done_ns; /* monotonic; sent_ns 0: could not be sent at all */
    char error[48];    /* curl's words, cut; "" when a response came */
};

struct traffic_options {
    const char *base_url;      /* "http://127.0.0.1:8000" */
    bool insecure;             /* accept any certificate */
    int64_t timeout_ns;        /* per request; default 10 s */
    unsigned max_in_flight;    /* a due request beyond it fails with "too many in flight"; default 512 */
    uint32_t arm_id;
    struct ring *outcomes;     /* of struct traffic_outcome; borrowed */
    /* Called in the traffic thread once, when all requests are done and the cool-down has passed; may be NULL. */
    void (*on_done)(void *context);
    void *context;
};

/* Counters that the control thread may read at any time. */
struct traffic_progress {
    uint32_t due, completed, failed, in_flight; /* completed: a response with status < 500 */
    uint32_t late_max_us;                       /* worst of sent - due */
};

struct traffic;
/* Start sending now: the plan's offset 0 is `start_ns` (monotonic). */
int traffic_start(const struct traffic_plan *plan, const struct traffic_options *options,
                  int64_t start_ns, struct traffic **ret, struct error *err);
void traffic_progress(const struct traffic *traffic, struct traffic_progress *ret);
/* Stop early if it still runs (requests in flight are abandoned and reported with error "stopped";
 * requests not yet due are not reported), join, free. */
void traffic_free(struct traffic *traffic);

/* Latency histogram: logarithmic buckets, three significant digits, 1 us to 1 h. */
struct histogram;
struct histogram *histogram_new(void);
void histogram_free(struct histogram *histogram);
void histogram_record(struct histogram *histogram, int64_t ns);
int64_t histogram_quantile(const struct histogram *histogram, double q); /* 0 when empty */
uint64_t histogram_count(const struct histogram *histogram);
