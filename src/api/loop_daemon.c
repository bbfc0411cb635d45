/* SPDX-License-Identifier: Apache-2.0 */
#include "api/loop_daemon.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BACKLOG              128
#define CONNECTION_MEMORY    (64 * 1024)
#define SLOW_CHECK_PERIOD_MS 1000

struct waiting {
    struct waiting *next;
    struct MHD_Connection *connection;
    int64_t since_ns; /* 0: nothing is being waited for */
};

struct loop_daemon {
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer, slow;
    unsigned handles;
    bool again; /* a connection is gone: run once more */
    int64_t request_timeout_ns;
    struct waiting *waiting;
};

static void run(struct loop_daemon *daemon);

static void on_timer(uv_timer_t *timer)
{
    run(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run(poll->data);
}

static void run(struct loop_daemon *daemon)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
    daemon->again = false;
    MHD_run(daemon->daemon);
    if (daemon->again)
        uv_timer_start(&daemon->timer, on_timer, 0, 0);
    else if (MHD_get_timeout(daemon->daemon, &timeout_ms) == MHD_YES)
        uv_timer_start(&daemon->timer, on_timer, timeout_ms, 0);
    else
        uv_timer_stop(&daemon->timer);
}

void loop_daemon_wake(struct loop_daemon *daemon)
{
    uv_timer_start(&daemon->timer, on_timer, 0, 0);
}

/* --- requests that do not come to their end --------------------------------------------------- */

static struct waiting *find(struct loop_daemon *daemon, const struct MHD_Connection *connection)
{
    struct waiting *waiting = daemon->waiting;
    while (waiting && waiting->connection != connection)
        waiting = waiting->next;
    return waiting;
}

void loop_daemon_request_read(struct loop_daemon *daemon, struct MHD_Connection *connection)
{
    struct waiting *waiting = find(daemon, connection);
    if (waiting)
        waiting->since_ns = 0;
}

void loop_daemon_request_over(struct loop_daemon *daemon, struct MHD_Connection *connection)
{
    struct waiting *waiting = find(daemon, connection);
    if (waiting)
        waiting->since_ns = clock_monotonic_ns();
}

/* Slow senders keep MHD's own time-out from firing by a byte now and then. */
static void on_slow(uv_timer_t *timer)
{
    struct loop_daemon *daemon = timer->data;
    int64_t before = clock_monotonic_ns() - daemon->request_timeout_ns;
    for (struct waiting *w = daemon->waiting; w; w = w->next) {
        if (w->since_ns == 0 || w->since_ns > before)
            continue;
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(w->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        if (info)
            shutdown(info->connect_fd, SHUT_RDWR);
        w->since_ns = 0;
    }
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct loop_daemon *daemon = context;
    (void)socket_context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        struct waiting *waiting = calloc(1, sizeof(*waiting));
        if (!waiting)
            return;
        waiting->connection = connection;
        waiting->since_ns = clock_monotonic_ns();
        waiting->next = daemon->waiting;
        daemon->waiting = waiting;
        return;
    }
    for (struct waiting **link = &daemon->waiting; *link; link = &(*link)->next) {
        struct waiting *waiting = *link;
        if (waiting->connection != connection)
            continue;
        *link = waiting->next;
        free(waiting);
        break;
    }
    /* At its limit of connections libmicrohttpd does not watch the listening socket, and looks
     * whether it should again only when it is run once more. */
    daemon->again = true;
}

/* --- life ----------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct loop_daemon *daemon = handle->data;
    if (--daemon->handles == 0)
        free(daemon);
}

static int start_polling(uv_loop_t *loop, struct loop_daemon *daemon, struct error *err)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(daemon->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int r = info ? uv_poll_init(loop, &daemon->poll, info->epoll_fd) : -ENOSYS;
    if (r < 0)
        return error_errno(err, -r, "watching the HTTP server");
    daemon->poll.data = daemon->timer.data = daemon->slow.data = daemon;
    uv_timer_init(loop, &daemon->timer);
    uv_timer_init(loop, &daemon->slow);
    daemon->handles = 3;
    uv_timer_start(&daemon->slow, on_slow, SLOW_CHECK_PERIOD_MS, SLOW_CHECK_PERIOD_MS);
    r = uv_poll_start(&daemon->poll, UV_READABLE, on_readable);
    return r < 0 ? error_errno(err, -r, "watching the HTTP server") : 0;
}

/* Percent-encoding undone in place, but for that of a NUL: it would end the text, and what stands
 * before it is another name. */
static size_t unescape(void *context, struct MHD_Connection *connection, char *text)
{
    char *to = text;
    (void)context;
    (void)connection;
    for (const char *from = text; *from; from++) {
        unsigned value = 0;
        if (*from == '%' && isxdigit((unsigned char)from[1]) && isxdigit((unsigned char)from[2]) &&
            sscanf(from + 1, "%2x", &value) == 1 && value != 0) {
            *to++ = (char)value;
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return (size_t)(to - text);
}

int loop_daemon_new(uv_loop_t *loop, const struct loop_daemon_options *options,
                    struct loop_daemon **ret, struct error *err)
{
    struct loop_daemon *daemon = calloc(1, sizeof(*daemon));
    if (!daemon) {
        close(options->listen_fd);
        return error_errno(err, ENOMEM, "starting the HTTP server");
    }
    daemon->request_timeout_ns = options->request_timeout_s * NS_PER_S;
    daemon->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE, 0, NULL, NULL,
        options->handler, options->context, MHD_OPTION_LISTEN_SOCKET, options->listen_fd,
        MHD_OPTION_CONNECTION_LIMIT, options->connections_max, MHD_OPTION_CONNECTION_TIMEOUT,
        options->idle_timeout_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_NOTIFY_COMPLETED, options->completed, options->context,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, daemon, MHD_OPTION_UNESCAPE_CALLBACK, unescape,
        NULL, MHD_OPTION_URI_LOG_CALLBACK, options->begin, options->context, MHD_OPTION_END);
    if (!daemon->daemon) {
        close(options->listen_fd);
        free(daemon);
        return error_set(err, EIO, "the HTTP server cannot be started");
    }
    int r = start_polling(loop, daemon, err);
    if (r < 0) {
        loop_daemon_free(daemon);
        return r;
    }
    *ret = daemon;
    return 0;
}

void loop_daemon_free(struct loop_daemon *daemon)
{
    if (!daemon)
        return;
    if (daemon->handles > 0)
        uv_poll_stop(&daemon->poll);
    MHD_stop_daemon(daemon->daemon);
    if (daemon->handles == 0) {
        free(daemon);
        return;
    }
    uv_close((uv_handle_t *)&daemon->poll, on_closed);
    uv_close((uv_handle_t *)&daemon->timer, on_closed);
    uv_close((uv_handle_t *)&daemon->slow, on_closed);
}

int listen_loopback(uint16_t port, int *ret_fd, uint16_t *ret_port, struct error *err)
{
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
    };
    socklen_t length = sizeof(address);
    int yes = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
        bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        return error_errno(err, errno, "listening on 127.0.0.1:%u", port);
    *ret_fd = steal_fd(&fd);
    *ret_port = ntohs(address.sin_port);
    return 0;
}
