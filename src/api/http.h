/* SPDX-License-Identifier: Apache-2.0 */
/* The API's HTTP side: listeners, who may ask, sizes and times, and requests as handlers see them.
 *
 * On the unix socket the peer must be the user who runs serve (or root). On TCP (127.0.0.1 only)
 * every request needs the bearer token, and a Host that is this machine's. A browser's page of
 * another origin is refused on both. */
#pragma once

#include "api/model.h"

#include <microhttpd.h>

#define REQUEST_BODY_MAX  (1 << 20)
#define REQUEST_PARAMS    4
#define REPLY_HEADERS_MAX 4

struct exec;
struct loop_daemon;

struct request {
    struct serve *serve;
    const char *method, *path;
    struct MHD_Connection *connection;
    struct loop_daemon *daemon;   /* whose connection it is */
    char base[128];               /* "http://host:port" for links */
    json_t *body;                 /* parsed; NULL: none. Owned by the connection */
    char *params[REQUEST_PARAMS]; /* what stands for the pattern's {}, decoded */
    char subscription[64];
    const char *action; /* the last word of the route's pattern */
};

struct reply {
    unsigned status;
    json_t *body;                  /* owned; NULL: none, unless text */
    char *text;                    /* owned: a body that is not JSON */
    struct MHD_Response *response; /* owned: a body made elsewhere, instead of the two */
    const char *type;              /* of the text or the response; static */
    const char *cache;             /* Cache-Control; NULL: no-store. Static */
    const char *names[REPLY_HEADERS_MAX];
    char values[REPLY_HEADERS_MAX][512];
    unsigned headers;
    struct exec *exec; /* owned; with the status 101 the connection becomes it */
};

/* A header's value, NULL when it is missing. */
const char *request_header(const struct request *request, const char *name);
/* A query's value, NULL when it is missing. */
const char *request_query(const struct request *request, const char *name);

void reply_header(struct reply *reply, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* {"error": {"code", "message"}} */
void reply_error(struct reply *reply, unsigned status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* From an error: a usage error is the caller's fault (400). */
void reply_failure(struct reply *reply, const char *code, const struct error *err);
void reply_json(struct reply *reply, unsigned status, json_t *body);

/* Takes the same time wherever the first difference is. */
bool secret_equal(const char *a, const char *b);

/* What needs no token on TCP: it holds no data (the page and its files), or the path holds a ticket
 * that was given to somebody with the token (a report). */
bool page_is_open(const char *method, const char *path);

/* Find the handler of the path and let it answer. */
void route_dispatch(struct request *request, struct reply *reply);

struct listener_set;
int http_open(struct serve *serve, struct listener_set **ret, struct error *err);
void http_close(struct listener_set *listeners);
