/* SPDX-License-Identifier: Apache-2.0 */
/* What a revision is made from. A template never changes: another template is another revision. */
#pragma once

#include "sandbox/sandbox.h"

#include <stdbool.h>
#include <stdint.h>

enum readiness { READY_NONE, READY_TCP, READY_HTTP };

struct probe_spec {
    enum readiness kind;        /* READY_NONE: no such probe */
    char path[256];             /* for READY_HTTP */
    char *const *headers;       /* "Name: value" to send with it, NULL-terminated; NULL: none */
    int64_t period_ns;          /* Kubernetes: 10 s; readiness in a lab: 50 ms */
    int64_t first_period_ns;    /* the first waits: this, doubling to the period; 0: the period */
    int64_t steady_period_ns;   /* of readiness, while it holds; 0: the period, at least 250 ms */
    int64_t timeout_ns;         /* default 1 s */
    int64_t initial_delay_ns;   /* default 0 */
    unsigned failure_threshold; /* failures in a row; default 3, startup 240 */
    unsigned success_threshold; /* of readiness: successes in a row; 0 is 1, Kubernetes' default */
};

struct backoff_spec {
    char name[32];            /* "kubernetes", "fast", or "FIRST,MAX" as written */
    int64_t first_ns, max_ns; /* 10 s and 300 s for kubernetes */
    int64_t reset_ns;         /* 10 min for kubernetes: a longer life starts the series again */
    double scale;             /* times are kubernetes' own times this factor (fast: 1/20) */
};

/* The heap profile of a revision's containers. */
struct heap_spec {
    const char *library; /* the recorder to preload; NULL: no profile */
    uint64_t rate_bytes; /* sampling mean; 0: by the memory limit */
};

/* Pointers are borrowed from the plan, which outlives every revision. */
struct revision_template {
    const char *app;       /* "ca-oom-leak" */
    const char *container; /* its name in the system log; NULL: as the app */
    const char *suffix;    /* the revision is named <app>--<suffix> */
    char *const *command;  /* NULL-terminated argv */
    const char *root;      /* its root file system; NULL: this machine's */
    bool root_is_shared;   /* it must not be changed: each container writes to a layer of its own */
    const char *directory; /* to begin in; NULL: oomlab's own, or "/" of a root */
    const struct sandbox_user *user; /* NULL: oomlab's own */
    char *const *image_env; /* NULL-terminated "K=V": what its image says, before all others */
    char *const *env;       /* NULL-terminated "K=V" beyond the base environment */
    uint64_t memory_bytes;
    double cpu_cores; /* 0: no quota */
    uint64_t pids_max;
    uint16_t port; /* where the app listens; also given to it as PORT */
    bool https;
    struct probe_spec readiness, liveness, startup;
    struct backoff_spec backoff;
    int64_t stop_grace_ns;          /* SIGTERM to SIGKILL */
    const struct redactor *secrets; /* masked in what it prints; NULL: what the store was told */
    struct heap_spec heap;
};
