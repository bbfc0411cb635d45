/* SPDX-License-Identifier: Apache-2.0 */
/* A libmicrohttpd daemon that runs in a libuv loop, without threads of its own. */
#pragma once

#include "base/error.h"

#include <microhttpd.h>
#include <stdint.h>
#include <uv.h>

struct loop_daemon;

struct loop_daemon_options {
    int listen_fd; /* the daemon's from now on, also when this fails */
    unsigned connections_max;
    unsigned idle_timeout_s;
    unsigned request_timeout_s; /* a connection whose request is not complete by then is closed */
    /* Called first for each request, with its target as it came (no decoding): what it returns is
     * the request's own pointer in the handler's first call. NULL: none. */
    void *(*begin)(void *context, const char *target, struct MHD_Connection *connection);
    MHD_AccessHandlerCallback handler;
    MHD_RequestCompletedCallback completed;
    void *context;
};

int loop_daemon_new(uv_loop_t *loop, const struct loop_daemon_options *options,
                    struct loop_daemon **ret, struct error *err);
/* NULL is fine. The memory goes once the loop has closed the handles. */
void loop_daemon_free(struct loop_daemon *daemon);
/* Something outside has changed (a connection was resumed): look again. */
void loop_daemon_wake(struct loop_daemon *daemon);
/* The connection's request is complete (or a new one may begin): its time is no longer counted. */
void loop_daemon_request_read(struct loop_daemon *daemon, struct MHD_Connection *connection);
void loop_daemon_request_over(struct loop_daemon *daemon, struct MHD_Connection *connection);

/* A listening socket on 127.0.0.1; port 0: any. -EADDRINUSE when it is taken. */
int listen_loopback(uint16_t port, int *ret_fd, uint16_t *ret_port, struct error *err);
