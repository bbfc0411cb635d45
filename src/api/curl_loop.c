/* SPDX-License-Identifier: Apache-2.0 */
#include "api/curl_loop.h"

#include <errno.h>
#include <stdlib.h>

struct curl_loop {
    CURLM *multi;
    uv_loop_t *loop;
    uv_timer_t timer;
    void (*done)(CURL *easy, CURLcode code);
};

struct watch {
    uv_poll_t poll;
    struct curl_loop *curl;
    curl_socket_t socket;
};

static void check(struct curl_loop *curl)
{
    int left = 0;
    CURLMsg *message = NULL;
    while ((message = curl_multi_info_read(curl->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURL *easy = message->easy_handle;
        CURLcode code = message->data.result;
        curl_multi_remove_handle(curl->multi, easy);
        curl->done(easy, code);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    struct curl_loop *curl = watch->curl;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    int running = 0;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    curl_multi_socket_action(curl->multi, watch->socket, flags, &running);
    check(curl);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *data)
{
    struct curl_loop *curl = context;
    struct watch *watch = data;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch) {
            uv_poll_stop(&watch->poll);
            uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
            curl_multi_assign(curl->multi, socket, NULL);
        }
        return 0;
    }
    if (!watch) {
        watch = calloc(1, sizeof(*watch));
        if (!watch || uv_poll_init_socket(curl->loop, &watch->poll, socket) < 0) {
            free(watch);
            return -1;
        }
        watch->poll.data = watch;
        watch->curl = curl;
        watch->socket = socket;
        curl_multi_assign(curl->multi, socket, watch);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&watch->poll, events, on_poll) < 0 ? -1 : 0;
}

static void on_timer(uv_timer_t *timer)
{
    struct curl_loop *curl = timer->data;
    int running = 0;
    curl_multi_socket_action(curl->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    check(curl);
}

static int on_timeout(CURLM *multi, long timeout_ms, void *context)
{
    struct curl_loop *curl = context;
    (void)multi;
    if (timeout_ms < 0)
        uv_timer_stop(&curl->timer);
    else /* not from within curl: at least at the loop's next turn */
        uv_timer_start(&curl->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

int curl_loop_new(uv_loop_t *loop, void (*done)(CURL *easy, CURLcode code), struct curl_loop **ret,
                  struct error *err)
{
    struct curl_loop *curl = calloc(1, sizeof(*curl));
    if (curl)
        curl->multi = curl_multi_init();
    if (!curl || !curl->multi) {
        free(curl);
        return error_errno(err, ENOMEM, "preparing to forward requests");
    }
    curl->loop = loop;
    curl->done = done;
    uv_timer_init(loop, &curl->timer);
    curl->timer.data = curl;
    curl_multi_setopt(curl->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(curl->multi, CURLMOPT_SOCKETDATA, curl);
    curl_multi_setopt(curl->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(curl->multi, CURLMOPT_TIMERDATA, curl);
    *ret = curl;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void curl_loop_free(struct curl_loop *curl)
{
    if (!curl)
        return;
    curl_multi_cleanup(curl->multi);
    uv_timer_stop(&curl->timer);
    uv_close((uv_handle_t *)&curl->timer, on_closed);
}

int curl_loop_add(struct curl_loop *curl, CURL *easy)
{
    return curl_multi_add_handle(curl->multi, easy) == CURLM_OK ? 0 : -EIO;
}

void curl_loop_remove(struct curl_loop *curl, CURL *easy)
{
    curl_multi_remove_handle(curl->multi, easy);
}
