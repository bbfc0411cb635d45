/* SPDX-License-Identifier: Apache-2.0 */
/* What a run says that infrastructure code should say: the memory that held, the probes, alerts.
 * A leak gets no size, and no size is given that nobody saw hold. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "store/store.h"

#include <jansson.h>
#include <stdbool.h>

#define ADVICE_NAME_MAX 64

struct advice_probe {
    char kind[8]; /* "http", "tcp"; "": the run had none */
    char *path;   /* clean; owned; NULL for tcp */
    double period_s, timeout_s, delay_s;
    int failures;
};

struct advice {
    const json_t *result;        /* borrowed */
    const json_t *subject;       /* the arm that the run's answer is about; NULL without arms */
    const json_t *holder;        /* the arm whose limit held; NULL: none did */
    const json_t *repaired;      /* the arm with a patch whose limit held; NULL: none did */
    char app[ADVICE_NAME_MAX];   /* a DNS label, whatever the app was called */
    double limit, request, peak; /* bytes, of the holder; NAN without */
    double current;              /* the subject's limit; NAN: not recorded */
    bool https;
    int port; /* 0: any free one, or not recorded */
    struct advice_probe ready, liveness, startup;
};

/* Collect it from the result object, which must outlive it, and the evidence file it was made of.
 * advice_done() also after a failure. */
int advice_read(struct store *store, const json_t *result, struct advice *ret, struct error *err);
void advice_done(struct advice *advice);
/* Whether an arm of the subject's scenario, with the service as it is, took all its traffic and
 * levelled off: a size that follows from it was seen to hold. */
bool advice_was_seen_to_hold(const json_t *result, const json_t *subject);

struct advice_target {
    const char *name;
    void (*write)(const struct advice *advice, struct buffer *out);
};
/* By the name that --for takes; NULL: there is none. */
const struct advice_target *advice_target_find(const char *name);
/* All their names, separated by '|'. */
#define ADVICE_TARGETS "kubernetes|azure|compose|systemd|prometheus"

/* Pure writers. All that is not configuration is a comment that begins with '#'. */
void advice_write_kubernetes(const struct advice *advice, struct buffer *out);
void advice_write_azure(const struct advice *advice, struct buffer *out);
void advice_write_compose(const struct advice *advice, struct buffer *out);
void advice_write_systemd(const struct advice *advice, struct buffer *out);
void advice_write_prometheus(const struct advice *advice, struct buffer *out);

/* Parts of writers: wrapped comment lines behind `indent` blanks; what every target begins with
 * (the run, its verdict, the memory and its evidence); a YAML string in double quotes. */
void advice_comment(struct buffer *out, int indent, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void advice_write_head(const struct advice *advice, const char *what, struct buffer *out);
void advice_quote(struct buffer *out, const char *text);
/* The port for a probe, which is a stand-in (told in a comment) where the run has none to name. */
int advice_port(const struct advice *advice, int indent, struct buffer *out);
/* The highest working set of an arm, in bytes; NAN: not recorded. */
double advice_peak(const json_t *arm);
/* Bytes as "64Mi": exact. */
void advice_quantity(struct buffer *out, double bytes);
/* Whole seconds, at least one. */
int advice_seconds(double seconds);

/* The probes under the names that Kubernetes and Azure have for them. */
struct advice_probe_name {
    const char *kubernetes, *azure;
    size_t offset; /* in struct advice */
};
#define ADVICE_PROBES 3
extern const struct advice_probe_name ADVICE_PROBE_NAMES[ADVICE_PROBES];
const struct advice_probe *advice_probe(const struct advice *advice, size_t index);
/* What a probe asks and how often, with `indent` blanks before each line. */
void advice_write_probe(const struct advice *advice, const struct advice_probe *probe, int indent,
                        struct buffer *out);
