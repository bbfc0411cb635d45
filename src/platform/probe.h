/* SPDX-License-Identifier: Apache-2.0 */
/* Startup, readiness and liveness probes as Kubernetes defines them: HTTP GET (200 to 399 is a
 * success) or a TCP connection, every period, each with its time-out. */
#pragma once

#include "base/error.h"
#include "platform/template.h"

#include <stdbool.h>
#include <uv.h>

struct prober; /* one for a loop: libcurl's multi interface on libuv */

int prober_new(uv_loop_t *loop, struct prober **ret, struct error *err);
/* All probes must have been freed. The memory goes once the loop has closed the handles. */
void prober_free(struct prober *prober);

/* One result. `status` is the HTTP status (0: none), `text` the reason of a failure, else "". */
typedef void (*probe_result)(void *context, bool ok, int status, const char *text);

struct probe;

/* A probe of http(s)://127.0.0.1:PORT/PATH or of the TCP port; it does not run yet. */
int probe_new(struct prober *prober, const struct probe_spec *spec, uint16_t port, bool https,
              probe_result result, void *context, struct probe **ret, struct error *err);
/* Start (the first attempt after the initial delay) and stop; both may be called at any time, also
 * from the result callback. */
void probe_start(struct probe *probe);
void probe_stop(struct probe *probe);
/* Change the period from the next attempt on. */
void probe_set_period(struct probe *probe, int64_t period_ns);
/* NULL is fine. The memory goes once the loop has closed the timer. */
void probe_free(struct probe *probe);
