/* SPDX-License-Identifier: Apache-2.0 */
/* Probes against real sockets: a small HTTP server in the same loop. */
#include "platform/probe.h"

#include "base/clock.h"
#include "base/duration.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    uv_loop_t loop;
    struct prober *prober;
    uv_tcp_t server;
    bool server_open;
    uint16_t port;
    const char *answer; /* NULL: accept and stay silent */
    unsigned connections;
    struct probe *probe;
    unsigned results;
    bool ok;
    int status;
    char text[128];
};

static void on_free(uv_handle_t *handle)
{
    free(handle);
}

static void on_written(uv_write_t *request, int status)
{
    (void)status;
    uv_close((uv_handle_t *)request->handle, on_free);
    free(request);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
    (void)handle;
    static char space[4096];
    (void)size;
    *ret = uv_buf_init(space, sizeof(space));
}

static void on_request(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct fixture *f = stream->loop->data;
    (void)buf;
    if (count < 0) {
        uv_close((uv_handle_t *)stream, on_free);
        return;
    }
    if (!f->answer)
        return;
    uv_read_stop(stream);
    uv_write_t *request = malloc(sizeof(*request));
    char *text = strdup(f->answer);
    uv_buf_t answer = uv_buf_init(text, (unsigned)strlen(text));
    assert_int_equal(uv_try_write(stream, &answer, 1), (int)answer.len);
    free(text);
    uv_buf_t nothing = uv_buf_init(NULL, 0);
    uv_write(request, stream, &nothing, 1, on_written);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct fixture *f = server->loop->data;
    assert_int_equal(status, 0);
    uv_tcp_t *client = malloc(sizeof(*client));
    uv_tcp_init(server->loop, client);
    assert_int_equal(uv_accept(server, (uv_stream_t *)client), 0);
    f->connections++;
    uv_read_start((uv_stream_t *)client, on_alloc, on_request);
}

static int set_up(void **state)
{
    struct error err;
    struct fixture *f = calloc(1, sizeof(*f));
    uv_loop_init(&f->loop);
    f->loop.data = f;
    assert_int_equal(prober_new(&f->loop, &f->prober, &err), 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    uv_tcp_init(&f->loop, &f->server);
    uv_tcp_bind(&f->server, (const struct sockaddr *)&address, 0);
    assert_int_equal(uv_listen((uv_stream_t *)&f->server, 16, on_connection), 0);
    int length = sizeof(address);
    uv_tcp_getsockname(&f->server, (struct sockaddr *)&address, &length);
    f->port = ntohs(address.sin_port);
    f->server_open = true;
    *state = f;
    return 0;
}

static void close_client(uv_handle_t *handle, void *context)
{
    struct fixture *f = context;
    if (handle->type == UV_TCP && handle != (uv_handle_t *)&f->server && !uv_is_closing(handle))
        uv_close(handle, on_free);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    probe_free(f->probe);
    prober_free(f->prober);
    if (f->server_open)
        uv_close((uv_handle_t *)&f->server, NULL);
    uv_walk(&f->loop, close_client, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f);
    return 0;
}

static void on_result(void *context, bool ok, int status, const char *text)
{
    struct fixture *f = context;
    f->results++;
    f->ok = ok;
    f->status = status;
    snprintf(f->text, sizeof(f->text), "%s", text);
}

static void run_spec(struct fixture *f, const struct probe_spec *spec, unsigned results)
{
    struct error err;
    assert_int_equal(probe_new(f->prober, spec, f->port, false, on_result, f, &f->probe, &err), 0);
    probe_start(f->probe);
    while (f->results < results)
        uv_run(&f->loop, UV_RUN_ONCE);
}

static void run_probe(struct fixture *f, enum readiness kind, unsigned results)
{
    struct probe_spec spec = {
        .kind = kind,
        .period_ns = 5 * NS_PER_MS,
        .timeout_ns = 200 * NS_PER_MS,
    };
    strcpy(spec.path, "/health");
    run_spec(f, &spec, results);
}

static void test_http_success_repeats_with_new_connections(void **state)
{
    struct fixture *f = *state;
    f->answer = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    run_probe(f, READY_HTTP, 3);
    assert_true(f->ok);
    assert_int_equal(f->status, 204);
    assert_true(f->connections >= 3);
    probe_stop(f->probe);
    unsigned results = f->results;
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->results, results);
}

static void test_http_error_status_fails(void **state)
{
    struct fixture *f = *state;
    f->answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    run_probe(f, READY_HTTP, 1);
    assert_false(f->ok);
    assert_int_equal(f->status, 404);
}

static void test_redirect_is_a_success_and_not_followed(void **state)
{
    struct fixture *f = *state;
    f->answer = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                "Content-Length: 0\r\nConnection: close\r\n\r\n";
    run_probe(f, READY_HTTP, 1);
    assert_true(f->ok);
    assert_int_equal(f->status, 302);
}

static void test_silence_times_out(void **state)
{
    struct fixture *f = *state;
    f->answer = NULL;
    run_probe(f, READY_HTTP, 1);
    assert_false(f->ok);
    assert_int_equal(f->status, 0);
    assert_true(strlen(f->text) > 0);
}

static void test_tcp_needs_no_answer(void **state)
{
    struct fixture *f = *state;
    f->answer = NULL;
    run_probe(f, READY_TCP, 2);
    assert_true(f->ok);
}

static void close_port(struct fixture *f)
{
    uv_close((uv_handle_t *)&f->server, NULL);
    f->server_open = false;
    uv_run(&f->loop, UV_RUN_NOWAIT);
}

static void test_closed_port_fails(void **state)
{
    struct fixture *f = *state;
    close_port(f);
    run_probe(f, READY_TCP, 1);
    assert_false(f->ok);
    assert_string_equal(f->text, "Couldn't connect to server");
}

/* Nobody accepts, and the kernel keeps no more than one connection: the third one waits, and the
 * time-out is its end. */
static void test_full_backlog_times_out(void **state)
{
    struct fixture *f = *state;
    struct probe_spec spec = {
        .kind = READY_TCP, .period_ns = 5 * NS_PER_MS, .timeout_ns = 50 * NS_PER_MS};
    close_port(f);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(f->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 0), 0);
    run_spec(f, &spec, 1);
    assert_true(f->ok);
    while (f->ok)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_string_equal(f->text, "Timeout was reached");
    close(fd);
}

/* The first attempts do not wait for the period. */
static void test_first_attempts_come_soon(void **state)
{
    struct fixture *f = *state;
    struct probe_spec spec = {.kind = READY_TCP,
                              .period_ns = 3600 * NS_PER_S,
                              .first_period_ns = NS_PER_MS,
                              .timeout_ns = NS_PER_S};
    close_port(f);
    int64_t begun_ns = clock_monotonic_ns();
    run_spec(f, &spec, 5);
    assert_false(f->ok);
    /* 1 + 2 + 4 + 8 ms; the loop's clock counts whole ones. */
    assert_true(clock_monotonic_ns() - begun_ns > 10 * NS_PER_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_http_success_repeats_with_new_connections, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_http_error_status_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_redirect_is_a_success_and_not_followed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_silence_times_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tcp_needs_no_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_closed_port_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_backlog_times_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_first_attempts_come_soon, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
