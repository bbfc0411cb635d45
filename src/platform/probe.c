/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/probe.h"

#include "base/cleanup.h"
#include "base/duration.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

struct prober {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
};

/* One socket that libcurl wants watched. */
struct watch {
    uv_poll_t poll;
    struct prober *prober;
    curl_socket_t socket;
};

struct probe {
    struct prober *prober;
    struct probe_spec spec;
    uint16_t port;
    int64_t wait_ns; /* until the next attempt: grows to the period */
    CURL *easy;
    struct curl_slist *headers;
    uv_timer_t timer;
    probe_result result;
    void *context;
    bool running;   /* started and not stopped */
    bool in_flight; /* the transfer is with the multi handle */
};

static size_t discard_body(char *data, size_t size, size_t count, void *context)
{
    (void)data;
    (void)context;
    return size * count;
}

static void finish(struct probe *probe, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(probe->easy, CURLINFO_RESPONSE_CODE, &status);
    bool http = probe->spec.kind == READY_HTTP;
    bool ok = code == CURLE_OK && (!http || (status >= 200 && status < 400));
    const char *text = "";
    if (code != CURLE_OK)
        text = curl_easy_strerror(code);
    else if (!ok)
        text = "unexpected status code";
    probe->result(probe->context, ok, (int)status, text);
}

/* Hand the results of finished transfers to their probes. */
static void drain(struct prober *prober)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(prober->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct probe *probe = NULL;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&probe);
        curl_multi_remove_handle(prober->multi, message->easy_handle);
        probe->in_flight = false;
        if (probe->running)
            finish(probe, code);
    }
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct watch *watch = handle->data;
    struct prober *prober = watch->prober;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    int running;
    curl_multi_socket_action(prober->multi, watch->socket, flags, &running);
    drain(prober);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static int on_socket(CURL *easy, curl_socket_t socket, int action, void *context, void *assigned)
{
    (void)easy;
    struct prober *prober = context;
    struct watch *watch = assigned;
    if (action == CURL_POLL_REMOVE) {
        if (watch) {
            uv_poll_stop(&watch->poll);
            uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
            curl_multi_assign(prober->multi, socket, NULL);
        }
        return 0;
    }
    if (!watch) {
        watch = calloc(1, sizeof(*watch));
        if (!watch || uv_poll_init_socket(prober->loop, &watch->poll, socket) < 0) {
            free(watch);
            return -1;
        }
        watch->prober = prober;
        watch->socket = socket;
        watch->poll.data = watch;
        curl_multi_assign(prober->multi, socket, watch);
    }
    int events =
        (action & CURL_POLL_IN ? UV_READABLE : 0) | (action & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&watch->poll, events, on_poll) < 0 ? -1 : 0;
}

static void on_multi_timer(uv_timer_t *timer)
{
    struct prober *prober = timer->data;
    int running;
    curl_multi_socket_action(prober->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    drain(prober);
}

static int on_timeout(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct prober *prober = context;
    if (timeout_ms < 0)
        uv_timer_stop(&prober->timer);
    else
        uv_timer_start(&prober->timer, on_multi_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

int prober_new(uv_loop_t *loop, struct prober **ret, struct error *err)
{
    struct prober *prober = calloc(1, sizeof(*prober));
    if (!prober)
        return error_errno(err, ENOMEM, "preparing probes");
    prober->loop = loop;
    prober->multi = curl_multi_init();
    if (!prober->multi) {
        free(prober);
        return error_errno(err, ENOMEM, "preparing probes");
    }
    uv_timer_init(loop, &prober->timer);
    prober->timer.data = prober;
    curl_multi_setopt(prober->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(prober->multi, CURLMOPT_SOCKETDATA, prober);
    curl_multi_setopt(prober->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(prober->multi, CURLMOPT_TIMERDATA, prober);
    *ret = prober;
    return 0;
}

static void on_prober_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void prober_free(struct prober *prober)
{
    if (!prober)
        return;
    curl_multi_cleanup(prober->multi);
    uv_close((uv_handle_t *)&prober->timer, on_prober_closed);
}

/* The kernel may give a connection to a port where nobody listens that very port as its own end: it
 * is then connected to itself. */
static bool is_own_end(int fd, uint16_t port)
{
    struct sockaddr_in own = {.sin_port = 0};
    socklen_t length = sizeof(own);
    return getsockname(fd, (struct sockaddr *)&own, &length) == 0 && own.sin_port == htons(port);
}

/* Loopback connects or refuses within the call, nearly always: 1, 0, or -EAGAIN when it has to be
 * waited for (a full backlog). */
static int connect_at_once(uint16_t port)
{
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
    };
    if (fd < 0)
        return -EAGAIN;
    int errnum = 0;
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        errnum = errno;
    socklen_t length = sizeof(errnum);
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    if (errnum == EINPROGRESS &&
        (poll(&writable, 1, 0) != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &length) < 0))
        return -EAGAIN;
    if (errnum == 0)
        return !is_own_end(fd, port);
    return errnum == ECONNREFUSED ? 0 : -EAGAIN;
}

static void on_period(uv_timer_t *timer);

static void wait_for_next(struct probe *probe)
{
    uint64_t period_ms = (uint64_t)(probe->spec.period_ns / NS_PER_MS);
    if (probe->wait_ns >= probe->spec.period_ns)
        return; /* the timer repeats */
    uint64_t wait_ms = (uint64_t)(probe->wait_ns / NS_PER_MS);
    probe->wait_ns *= 2;
    uv_timer_start(&probe->timer, on_period, wait_ms, period_ms > 0 ? period_ms : 1);
}

static void on_period(uv_timer_t *timer)
{
    struct probe *probe = timer->data;
    wait_for_next(probe);
    if (probe->in_flight)
        return;
    int connected = probe->spec.kind == READY_TCP ? connect_at_once(probe->port) : -EAGAIN;
    if (connected >= 0) {
        finish(probe, connected ? CURLE_OK : CURLE_COULDNT_CONNECT);
        return;
    }
    if (curl_multi_add_handle(probe->prober->multi, probe->easy) == CURLM_OK)
        probe->in_flight = true;
}

static bool set_headers(struct probe *probe)
{
    if (probe->spec.kind != READY_HTTP)
        return true;
    for (char *const *header = probe->spec.headers; header && *header; header++) {
        struct curl_slist *longer = curl_slist_append(probe->headers, *header);
        if (!longer)
            return false;
        probe->headers = longer;
    }
    return curl_easy_setopt(probe->easy, CURLOPT_HTTPHEADER, probe->headers) == CURLE_OK;
}

static int set_options(struct probe *probe, const char *url, bool https)
{
    CURL *easy = probe->easy;
    int64_t timeout_ms = probe->spec.timeout_ns / NS_PER_MS;
    bool ok = curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_PRIVATE, probe) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard_body) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_USERAGENT, "oomlab-probe/1") == CURLE_OK;
    /* Kubernetes opens a new connection for every probe and does not check certificates. */
    ok = ok && curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                                (long)(timeout_ms > 0 ? timeout_ms : 1)) == CURLE_OK;
    if (https) {
        ok = ok && curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK;
        ok = ok && curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK;
    }
    ok = ok && set_headers(probe);
    if (probe->spec.kind == READY_TCP)
        ok = ok && curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK;
    return ok ? 0 : -ENOMEM;
}

int probe_new(struct prober *prober, const struct probe_spec *spec, uint16_t port, bool https,
              probe_result result, void *context, struct probe **ret, struct error *err)
{
    struct probe *probe = calloc(1, sizeof(*probe));
    if (!probe)
        return error_errno(err, ENOMEM, "preparing a probe");
    probe->prober = prober;
    probe->spec = *spec;
    probe->port = port;
    probe->result = result;
    probe->context = context;
    probe->easy = curl_easy_init();

    char url[320];
    const char *path = spec->kind == READY_HTTP ? spec->path : "/";
    /* A TCP probe must not start a TLS handshake. */
    bool tls = https && spec->kind == READY_HTTP;
    snprintf(url, sizeof(url), "%s://127.0.0.1:%u%s%s", tls ? "https" : "http", port,
             path[0] == '/' ? "" : "/", path);
    if (!probe->easy || set_options(probe, url, tls) < 0) {
        curl_easy_cleanup(probe->easy);
        curl_slist_free_all(probe->headers);
        free(probe);
        return error_errno(err, ENOMEM, "preparing the probe of '%s'", url);
    }
    uv_timer_init(prober->loop, &probe->timer);
    probe->timer.data = probe;
    *ret = probe;
    return 0;
}

void probe_start(struct probe *probe)
{
    uint64_t period_ms = (uint64_t)(probe->spec.period_ns / NS_PER_MS);
    uint64_t delay_ms = (uint64_t)(probe->spec.initial_delay_ns / NS_PER_MS);
    probe->running = true;
    probe->wait_ns =
        probe->spec.first_period_ns > 0 ? probe->spec.first_period_ns : probe->spec.period_ns;
    uv_timer_start(&probe->timer, on_period, delay_ms, period_ms > 0 ? period_ms : 1);
}

void probe_stop(struct probe *probe)
{
    probe->running = false;
    uv_timer_stop(&probe->timer);
    if (probe->in_flight)
        curl_multi_remove_handle(probe->prober->multi, probe->easy);
    probe->in_flight = false;
}

void probe_set_period(struct probe *probe, int64_t period_ns)
{
    uint64_t period_ms = (uint64_t)(period_ns / NS_PER_MS);
    probe->spec.period_ns = period_ns;
    probe->wait_ns = period_ns;
    if (probe->running)
        uv_timer_start(&probe->timer, on_period, period_ms, period_ms > 0 ? period_ms : 1);
}

static void on_probe_closed(uv_handle_t *handle)
{
    struct probe *probe = handle->data;
    free(probe);
}

void probe_free(struct probe *probe)
{
    if (!probe)
        return;
    probe_stop(probe);
    curl_easy_cleanup(probe->easy);
    curl_slist_free_all(probe->headers);
    uv_close((uv_handle_t *)&probe->timer, on_probe_closed);
}
