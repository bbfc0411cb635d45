/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/file.h"
#include "base/size.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#define BACKLOG            511
#define CONNECTIONS_MAX    1024
#define THREAD_STACK_BYTES (256 * KIB)
#define TAKE_MAX           (16 * GIB)
#define HOLD_MAX_MS        600000

struct http {
    struct app *app;
    struct MHD_Daemon *daemon;
};

struct reply {
    unsigned status;
    const char *type;
    struct buffer body;
};

static void reply_json(struct reply *reply, unsigned status)
{
    reply->status = status;
    reply->type = "application/json";
}

static void reply_error(struct reply *reply, unsigned status, const char *words)
{
    reply_json(reply, status);
    buffer_printf(&reply->body, "{\"error\": \"%s\"}\n", words);
}

/* The answer to what workload_app_work() and its like return. */
static void reply_result(struct reply *reply, const struct app *app, int result)
{
    if (result == -ENOSPC)
        reply_error(reply, 507, "too little memory or disk left (HOST_RESERVE_MB)");
    else if (result == -ECHILD)
        reply_error(reply, 503, "the worker process died");
    else if (result < 0)
        reply_error(reply, 500, strerrordesc_np(-result));
    if (result < 0)
        return;
    reply_json(reply, 200);
    buffer_printf(&reply->body, "{\"retained_bytes\": %" PRIu64 "}\n",
                  workload_app_retained_bytes(app));
}

static void get_root(struct app *app, struct MHD_Connection *connection, struct reply *reply)
{
    (void)connection;
    reply->type = "text/plain; charset=utf-8";
    buffer_printf(&reply->body,
                  "oomlab workload, MODE=%s\n"
                  "/health  /info  /work  /leak?bytes=SIZE  /spike?bytes=SIZE&ms=N\n",
                  workload_mode_name(app->config.mode));
}

static void get_health(struct app *app, struct MHD_Connection *connection, struct reply *reply)
{
    (void)app;
    (void)connection;
    reply_json(reply, 200);
    buffer_puts(&reply->body, "{\"status\": \"ok\"}\n");
}

static uint64_t resident_bytes(void)
{
    char text[128];
    unsigned long long pages = 0;
    if (file_read_text(AT_FDCWD, "/proc/self/statm", text, sizeof(text)) > 0)
        sscanf(text, "%*u %llu", &pages);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void get_info(struct app *app, struct MHD_Connection *connection, struct reply *reply)
{
    (void)connection;
    struct buffer *body = &reply->body;
    reply_json(reply, 200);
    buffer_printf(body, "{\"mode\": \"%s\", \"pid\": %d, \"version\": \"%s\", ",
                  workload_mode_name(app->config.mode), getpid(), OOMLAB_VERSION);
    buffer_printf(body, "\"uptime_s\": %.3f, ",
                  (double)(clock_monotonic_ns() - app->started_ns) / (double)NS_PER_S);
    buffer_printf(body,
                  "\"requests\": %" PRIu64 ", \"works\": %" PRIu64 ", \"ticks\": %" PRIu64 ", ",
                  atomic_load(&app->requests), atomic_load(&app->works), atomic_load(&app->ticks));
    buffer_printf(body, "\"rss_bytes\": %" PRIu64 ", \"retained_bytes\": %" PRIu64 ", ",
                  resident_bytes(), workload_app_retained_bytes(app));
    buffer_printf(body,
                  "\"retained\": {\"sessions\": %" PRIu64 ", \"templates\": %" PRIu64
                  ", \"audit_log\": %" PRIu64 ", \"startup\": %" PRIu64 ", \"cache\": %" PRIu64
                  ", \"shmem\": %" PRIu64 ", \"child\": %" PRIu64 "}, ",
                  atomic_load(&app->stores.session_bytes), atomic_load(&app->stores.template_bytes),
                  atomic_load(&app->stores.audit_bytes), atomic_load(&app->startup_bytes),
                  atomic_load(&app->cache.bytes), atomic_load(&app->shmem.written),
                  workload_worker_retained_bytes(&app->worker));
    buffer_printf(body, "\"file_written_bytes\": %" PRIu64 ", \"child_pid\": %d}\n",
                  atomic_load(&app->page_cache.written), atomic_load(&app->worker.pid));
}

static void do_work(struct app *app, struct MHD_Connection *connection, struct reply *reply)
{
    (void)connection;
    reply_result(reply, app, workload_app_work(app));
}

/* ?bytes=, or `initial` without it; false: the answer is a 400. */
static bool get_bytes(struct MHD_Connection *connection, uint64_t initial, uint64_t *ret,
                      struct reply *reply)
{
    const char *text = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "bytes");
    struct error err = {0};
    *ret = initial;
    if (!text || (size_parse(text, ret, &err) == 0 && *ret <= TAKE_MAX))
        return true;
    reply_error(reply, 400, "bytes: not a size up to 16Gi (as 1048576, 512Ki or 2Mi)");
    return false;
}

static bool get_ms(struct MHD_Connection *connection, int64_t *hold_ns, struct reply *reply)
{
    const char *text = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "ms");
    if (!text)
        return true;
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || value > HOLD_MAX_MS) {
        reply_error(reply, 400, "ms: not a whole number from 0 to 600000");
        return false;
    }
    *hold_ns = (int64_t)value * NS_PER_MS;
    return true;
}

static void do_leak(struct app *app, struct MHD_Connection *connection, struct reply *reply)
{
    uint64_t bytes;
    if (get_bytes(connection, app->config.request_bytes, &bytes, reply))
        reply_result(reply, app, workload_app_retain(app, bytes));
}

static void do_spike(struct app *app, struct MHD_Connection *connection, struct reply *reply)
{
    uint64_t bytes;
    int64_t hold_ns = app->config.spike_ns;
    if (get_bytes(connection, app->config.spike_bytes, &bytes, reply) &&
        get_ms(connection, &hold_ns, reply))
        reply_result(reply, app, workload_app_spike(app, bytes, hold_ns));
}

static const struct route {
    const char *path;
    bool acts; /* POST is allowed too */
    void (*answer)(struct app *app, struct MHD_Connection *connection, struct reply *reply);
} routes[] = {
    {"/", false, get_root},   {"/health", false, get_health}, {"/info", false, get_info},
    {"/work", true, do_work}, {"/leak", true, do_leak},       {"/spike", true, do_spike},
};

static const struct route *find_route(const char *path)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++)
        if (strcmp(routes[i].path, path) == 0)
            return &routes[i];
    return NULL;
}

static enum MHD_Result send_reply(struct MHD_Connection *connection, struct reply *reply,
                                  const char *allow)
{
    size_t length = reply->body.length;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        length, length ? reply->body.data : NULL, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", reply->type);
    if (allow)
        MHD_add_response_header(response, "Allow", allow);
    enum MHD_Result result = MHD_queue_response(connection, reply->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_bytes, void **state)
{
    (void)version;
    (void)upload;
    struct app *app = context;
    if (!*state) { /* the head is here, the body may follow */
        *state = app;
        return MHD_YES;
    }
    if (*upload_bytes > 0) { /* read and thrown away */
        *upload_bytes = 0;
        return MHD_YES;
    }
    atomic_fetch_add(&app->requests, 1);
    struct reply reply = {.status = 200, .type = "text/plain"};
    const char *allow = NULL;
    const struct route *route = find_route(url);
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (!route) {
        reply_error(&reply, 404, "no such path");
    } else if (!reads && !(route->acts && strcmp(method, "POST") == 0)) {
        allow = route->acts ? "GET, HEAD, POST" : "GET, HEAD";
        reply_error(&reply, 405, "no such method here");
    } else {
        route->answer(app, connection, &reply);
    }
    enum MHD_Result result = send_reply(connection, &reply, allow);
    buffer_done(&reply.body);
    return result;
}

/* A listening socket on HOST and PORT; the port may be 0. */
static int listen_on(const struct config *config, int *ret_fd, struct error *err)
{
    char port[8];
    snprintf(port, sizeof(port), "%u", (unsigned)config->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_PASSIVE};
    struct addrinfo *found = NULL;
    if (getaddrinfo(config->host, port, &hints, &found) != 0)
        return error_usage(err, "HOST: '%s' is not an IP address", config->host);
    AUTO_CLOSE int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
              bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
    int errnum = errno;
    freeaddrinfo(found);
    if (!ok)
        return error_errno(err, errnum, "listening on %s, port %s", config->host, port);
    *ret_fd = steal_fd(&fd);
    return 0;
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t length = sizeof(address);
    if (getsockname(fd, &address.any, &length) < 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

int workload_http_start(struct app *app, struct http **ret, uint16_t *ret_port, struct error *err)
{
    AUTO_CLOSE int fd = -1;
    int r = listen_on(&app->config, &fd, err);
    if (r < 0)
        return r;
    AUTO_FREE struct http *http = calloc(1, sizeof(*http));
    if (!http)
        return error_errno(err, ENOMEM, "starting the HTTP server");
    http->app = app;
    *ret_port = port_of(fd);
    http->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
            MHD_USE_ITC,
        0, NULL, NULL, handle, app, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        CONNECTIONS_MAX, MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK_BYTES, MHD_OPTION_END);
    if (!http->daemon)
        return error_set(err, EIO, "the HTTP server cannot start");
    steal_fd(&fd); /* the daemon's now */
    *ret = steal_ptr(&http);
    return 0;
}

void workload_http_stop(struct http *http)
{
    if (!http)
        return;
    MHD_stop_daemon(http->daemon);
    free(http);
}
