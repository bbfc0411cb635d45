/* SPDX-License-Identifier: Apache-2.0 */
/* CrashLoopBackOff as kubelet counts it (pkg/kubelet, MaxContainerBackOff): the first restart is
 * immediate, then `first` doubling to `max`; a container that ran longer than `reset` starts the
 * series again. Pure. */
#pragma once

#include "platform/template.h"

struct backoff {
    struct backoff_spec spec;
    int64_t next_ns; /* what the next restart waits; 0 at the start of a series */
};

void backoff_init(struct backoff *backoff, const struct backoff_spec *spec);

/* The wait before the next start, in ns, after a life of `uptime_ns`. Moves the series on. */
int64_t backoff_next(struct backoff *backoff, int64_t uptime_ns);
