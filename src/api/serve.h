/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab serve: the local container-apps platform behind an HTTP API. One process, one thread (the
 * caller's: containers die with it), until it is told to stop. */
#pragma once

#include "api/template.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct serve_options {
    const char *directory; /* state; made when it is missing */
    const char *socket;    /* path of the unix socket */
    const char *runs;      /* directory of finished runs; "": none */
    bool tcp;              /* listen on 127.0.0.1:port, too, with a token */
    uint16_t port;         /* 0: any free one */
    bool systemd; /* take the socket from systemd if there is one, tell it about readiness */
    double sample_rate_hz;
    uint64_t memory_max_bytes;    /* of all limits together; 0: this machine's memory */
    unsigned replicas_max;        /* of all apps together */
    int64_t retention_ns;         /* of events, metrics and sessions */
    int64_t progress_deadline_ns; /* for a new revision to become ready */
    struct template_options template;
};

/* Run until SIGTERM or SIGINT. Usage error when another serve uses the directory or the socket. */
int serve_run(const struct serve_options *options, struct error *err);
