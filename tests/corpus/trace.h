/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a trace of the corpus (README.md describes the format) as the series that the analysis
 * takes. */
#pragma once

#include "analysis/series.h"
#include "base/error.h"

#define TRACE_ARMS_MAX 2
#define TRACE_NAME_MAX 64

struct trace_arm {
    char name[16]; /* trigger, raise */
    struct arm_series series;
    struct lifetime_series *lifetimes; /* owned, with their points and spans; series borrows them */
};

struct trace {
    char id[TRACE_NAME_MAX];
    struct trace_arm arms[TRACE_ARMS_MAX];
    size_t count;
};

/* Read a trace from text: -EINVAL with the line's number for anything that is not as described. In
 * every case trace_done() is due. */
int trace_parse(const char *text, struct trace *ret, struct error *err);
int trace_read(const char *path, struct trace *ret, struct error *err);
void trace_done(struct trace *trace);

/* NULL: the trace has no such arm. */
struct trace_arm *trace_find_arm(struct trace *trace, const char *name);
