/* SPDX-License-Identifier: Apache-2.0 */
/* What the analysis is given: one arm's lifetimes as series, without any I/O. */
#pragma once

#include "base/terms.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One sample. Bytes as double; NAN where absent. */
struct point {
    double t_s;       /* seconds since the lifetime's start */
    double requests;  /* requests completed by this lifetime up to then */
    double in_flight; /* sent to it (or to its neighbours) and neither answered nor given up; 0:
                         none, or unknown */
    double working_set, anon, file, inactive_file, shmem, kernel;
};

/* A stretch of the traffic as this lifetime saw it. */
struct span {
    enum { SPAN_IDLE, SPAN_CYCLE, SPAN_GAP, SPAN_COOLDOWN } kind;
    unsigned cycle;        /* 1.. */
    double start_s, end_s; /* since the lifetime's start; may be negative where it began before */
};

struct lifetime_series {
    unsigned index; /* 1.. */
    const struct point *points;
    size_t count;
    const struct span *spans;
    size_t span_count;
    double ready_s; /* NAN: never ready; 0 where readiness was not watched */
    double uptime_s;
    double requests_completed;
    enum end_cause cause; /* CAUSE_RUNNING when it outlived the arm */
    enum evidence_level level;
    double peak_bytes; /* the kernel's high-water mark; NAN unknown */
    bool has_exit_code;
    int exit_code;                    /* 128 + the signal where one ended it */
    enum platform_kill platform_kill; /* with CAUSE_KILLED_BY_PLATFORM: why */
    unsigned child_kills; /* OOM kills in its container that did not end its main process */
};

/* A recorder's clock that was set back. */
struct clock_steps {
    unsigned count;
    double largest_s;
    uint64_t line;   /* of its source, where the largest step is; 0 unknown */
    size_t left_out; /* samples on the other side of a step, whose times mean something else */
};

/* Moments for which a record has two sizes; of each the higher is in the series. */
struct conflicts {
    size_t count;
    double first_s;   /* since the start of the process */
    double low, high; /* the first's sizes, bytes */
};

struct arm_series {
    double limit_bytes;
    const struct lifetime_series *lifetimes;
    size_t count;
    bool requests_unknown; /* nobody recorded them: that there are none in it says nothing */
    struct clock_steps clock_steps; /* all 0 where the clock was monotonic */
    struct conflicts conflicts;
};
