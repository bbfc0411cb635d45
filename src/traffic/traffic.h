/* SPDX-License-Identifier: Apache-2.0 */
/* Open-loop HTTP traffic from a deterministic plan.
 *
 * Every request has a due time that does not depend on any answer: a server that is slow, dead or
 * restarting costs failed requests and lateness, never a stalled schedule (no coordinated
 * omission). */
#pragma once

#include "base/duration.h"
#include "base/error.h"
#include "base/ring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One kind of request. Strings are owned by whoever owns the spec. */
struct traffic_request {
    const char *method;         /* "GET" */
    const char *path;           /* "/leak?bytes=1048576", percent-encoded as it goes on the wire */
    const char *const *headers; /* NULL-terminated "Name: value", may be NULL */
    const char *body;           /* may be NULL */
    size_t body_bytes;
    double weight; /* share among the kinds; > 0 */
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

/* Parse "GET /path", "/path" (GET), "POST /path BODY" or "POST /path @FILE" (the body is the
 * contents of a regular file of at most 16 MiB, relative to the working directory) into a newly
 * allocated request of weight 1. Methods: GET HEAD POST PUT PATCH DELETE OPTIONS; GET and HEAD take
 * no body. A body that begins with { or [ gets "Content-Type: application/json". Usage error that
 * names the fault. */
int traffic_request_parse(const char *text, struct traffic_request *ret, struct error *err);
/* Free what traffic_request_parse() made. */
void traffic_request_done(struct traffic_request *request);

/* Parse a requests file: one request a line as above; blank lines and lines that begin with '#'
 * do not count. `name` is for errors only: "NAME:LINE:COLUMN: ...". At least one request.
 * The array is the caller's: traffic_requests_free(). */
int traffic_requests_parse_text(const char *name, const char *text, struct traffic_request **ret,
                                size_t *ret_count, struct error *err);
void traffic_requests_free(struct traffic_request *requests, size_t count);

/* A plan: the requests of one cycle in a fixed order with their offsets, repeated identically.
 *
 * Each kind gets its share of a cycle by weight, exact to one request (largest remainder); the
 * order is shuffled with the seed. A cycle lasts per_cycle / rate. Uniform arrivals are evenly
 * spaced in it; Poisson arrivals are independent and uniform over it, sorted: a Poisson process
 * given its number of arrivals. Only integers are drawn, so a plan is the same on every machine. */
struct traffic_plan;
/* The plan copies the spec. cycles = 0 makes a plan without requests (idle and cool-down only).
 * Usage error for what cannot be planned: no kinds, weights or rates not above 0, negative times,
 * more than ten million requests, more than 100 years. */
int traffic_plan_new(const struct traffic_spec *spec, struct traffic_plan **ret, struct error *err);
void traffic_plan_free(struct traffic_plan *plan);
size_t traffic_plan_requests(const struct traffic_plan *plan); /* in total */
int64_t traffic_plan_duration_ns(const struct traffic_plan *plan);
/* The same when only the first `cycles` of it are sent (at least 1). */
int64_t traffic_plan_prefix_ns(const struct traffic_plan *plan, unsigned cycles);
unsigned traffic_plan_cycles_at(const struct traffic_plan *plan, size_t requests); /* begun */

/* One request of the sequence; `seq` counts from 0 over all cycles. */
struct traffic_planned {
    int64_t due_ns; /* offset from the plan's start */
    uint32_t cycle; /* 1.. */
    uint32_t kind;  /* index into the spec's requests */
};
struct traffic_planned traffic_plan_at(const struct traffic_plan *plan, size_t seq);

/* The canonical text of the sequence, one line a request: "offset_ns method path body-sha256", "-"
 * for no body, and a fifth field, the SHA-256 of the header lines, where there are headers. Byte
 * for byte the same for the same spec and seed. free() it; NULL on failed allocation. */
char *traffic_plan_text(const struct traffic_plan *plan);

struct traffic_phase_span {
    enum traffic_phase phase;
    unsigned cycle;           /* 1.. for cycle and gap */
    int64_t start_ns, end_ns; /* offsets from the plan's start */
};
/* All phases in order, without those that last no time; borrowed. */
const struct traffic_phase_span *traffic_plan_phases(const struct traffic_plan *plan,
                                                     size_t *ret_count);

/* What became of one request, as it leaves through the ring. */
struct traffic_outcome {
    uint32_t arm_id; /* from the options, passed through */
    uint32_t seq;
    uint32_t cycle;
    int32_t status;  /* HTTP status of a response that arrived in full; 0: none did */
    int64_t due_ns;  /* monotonic, like the next two */
    int64_t sent_ns; /* when it was handed to the connection; 0: could not be sent at all */
    int64_t done_ns;
    char error[48]; /* curl's words (the system's for a failed connect), cut; "" with a response */
};

/* What a request may take where the options say nothing. */
#define TRAFFIC_TIMEOUT_NS (10 * NS_PER_S)

struct traffic_options {
    const char *base_url; /* "http://127.0.0.1:8000": http or https, host, optional port; copied */
    bool insecure;        /* accept any certificate */
    int64_t timeout_ns;   /* per request, connecting included; 0: TRAFFIC_TIMEOUT_NS */
    /* A due request beyond so many fails with "too many in flight"; default 512. */
    unsigned max_in_flight;
    uint32_t arm_id;
    /* Of struct traffic_outcome; borrowed; may be NULL. Sending neither waits for the reader nor
     * loses an outcome, so the ring must hold the whole plan: traffic_start() refuses a smaller
     * one. */
    struct ring *outcomes;
    /* Called in the traffic thread once, when all requests are done and the cool-down has passed;
     * may be NULL. */
    void (*on_done)(void *context);
    void *context;
};

/* Counters that the control thread may read at any time. */
struct traffic_progress {
    uint32_t due, completed, failed, in_flight; /* completed: a response with status < 500 */
    uint32_t late_max_us;                       /* worst of sent - due */
};

struct traffic;
/* Start a thread that sends the plan, whose offset 0 is `start_ns` (monotonic; requests due in the
 * past are sent at once, in order). The plan is borrowed until traffic_free(). The thread takes the
 * lowest real-time priority where it may, so that busy processors do not make requests late.
 *
 * A request is sent at most once: curl's silent second try on a kept connection that died is
 * suppressed, for it would put one planned request into two lifetimes. Redirects are not followed,
 * no proxy is used, responses are read in full and discarded. */
int traffic_start(const struct traffic_plan *plan, const struct traffic_options *options,
                  int64_t start_ns, struct traffic **ret, struct error *err);
/* Let cycle `cycle` (1..) be the last, and the cool-down follow it at once; a later one that has
 * begun is sent to its end. From any thread. */
void traffic_end_after(struct traffic *traffic, unsigned cycle);
void traffic_progress(const struct traffic *traffic, struct traffic_progress *ret);
/* Stop early if it still runs (requests in flight are abandoned and reported with error "stopped";
 * requests not yet due are not reported), join, free. */
void traffic_free(struct traffic *traffic);

/* Latency histogram: log-linear buckets as in HdrHistogram, three significant digits, 1 us to 1 h;
 * values outside are counted at the nearer end of 0 .. 1 h. */
struct histogram;
struct histogram *histogram_new(void); /* NULL on failed allocation */
void histogram_free(struct histogram *histogram);
void histogram_record(struct histogram *histogram, int64_t ns);
/* The value at rank ceil(q * count), within 0.05 %; q = 0 and 1 give the exact least and greatest
 * value. 0 when empty. */
int64_t histogram_quantile(const struct histogram *histogram, double q);
uint64_t histogram_count(const struct histogram *histogram);
