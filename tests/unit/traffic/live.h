/* SPDX-License-Identifier: Apache-2.0 */
/* For the driver's tests: real servers as child processes, and one run of a plan against them. */
#pragma once

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "traffic/traffic.h"
#include "workload.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct server {
    pid_t pid;
    int port;
    char url[64];
};

/* The number at the end of the server's first line, "... 45847"; 0 when it ended without one. */
static int read_port(int fd)
{
    char line[128];
    size_t used = 0;
    while (used + 1 < sizeof(line) && read(fd, line + used, 1) == 1 && line[used] != '\n')
        used++;
    line[used] = '\0';
    while (used > 0 && line[used - 1] >= '0' && line[used - 1] <= '9')
        used--;
    return atoi(line + used);
}

/* Run a server that dies with us. */
static struct server start_server(char *const *argv)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct server server = {.pid = fork()};
    assert_true(server.pid >= 0);
    if (server.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ends[1], STDOUT_FILENO);
        execv(argv[0], argv);
        _exit(127);
    }
    close(ends[1]);
    server.port = read_port(ends[0]);
    close(ends[0]);
    assert_true(server.port > 0);
    snprintf(server.url, sizeof(server.url), "http://127.0.0.1:%d", server.port);
    return server;
}

/* The workload is this very program, started with the argument "workload". */
static struct server start_workload(int port)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", port);
    char *argv[] = {"/proc/self/exe", "workload", "--mode", "healthy", "--port", text, NULL};
    return start_server(argv);
}

static int serve_if_asked(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "workload") == 0 ? workload_main(argc - 1, argv + 1) : -1;
}

static void stop_server(struct server *server)
{
    if (server->pid <= 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}
#define AUTO_SERVER CLEANUP(stop_server) struct server

/* tests/e2e/servers/behaviours.py; `tls_directory` may be NULL. */
static struct server start_behaviours(const char *tls_directory)
{
    char script[512];
    const char *root = getenv("SOURCE_ROOT");
    assert_non_null(root);
    snprintf(script, sizeof(script), "%s/tests/e2e/servers/behaviours.py", root);
    char *argv[] = {"/usr/bin/python3", script, tls_directory ? "--tls" : NULL,
                    (char *)tls_directory, NULL};
    struct server server = start_server(argv);
    if (tls_directory)
        snprintf(server.url, sizeof(server.url), "https://127.0.0.1:%d", server.port);
    return server;
}

static size_t keep_text(char *data, size_t size, size_t count, void *context)
{
    char *text = context;
    size_t used = strlen(text);
    if (used + size * count < 1024) {
        memcpy(text + used, data, size * count);
        text[used + size * count] = '\0';
    }
    return size * count;
}

/* What the server answers to a GET of our own. */
static void ask(const struct server *server, const char *path, char text[static 1024])
{
    char url[256];
    snprintf(url, sizeof(url), "%s%s", server->url, path);
    text[0] = '\0';
    CURL *easy = curl_easy_init();
    assert_non_null(easy);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep_text);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, text);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, 10L);
    assert_int_equal(curl_easy_perform(easy), CURLE_OK);
    curl_easy_cleanup(easy);
}

static int ask_number(const struct server *server, const char *path)
{
    char text[1024];
    ask(server, path, text);
    return atoi(text);
}

/* A plan under way against a server. */
struct live {
    struct traffic_plan *plan;
    struct traffic *traffic;
    struct ring ring;
    int done_fd;
    int64_t start_ns;
    size_t count;                     /* outcomes taken out of the ring */
    struct traffic_outcome *outcomes; /* by seq */
};

static void signal_done(void *context)
{
    eventfd_write(*(int *)context, 1);
}

/* `options` without the ring and the callback, which are ours. */
static void live_start(struct live *live, const struct traffic_spec *spec,
                       struct traffic_options options)
{
    struct error err = {0};
    *live = (struct live){.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    assert_int_equal(traffic_plan_new(spec, &live->plan, &err), 0);
    size_t total = traffic_plan_requests(live->plan);
    assert_int_equal(ring_init(&live->ring, sizeof(struct traffic_outcome), total + 1), 0);
    live->outcomes = calloc(total + 1, sizeof(*live->outcomes));
    assert_non_null(live->outcomes);
    options.outcomes = &live->ring;
    options.on_done = signal_done;
    options.context = &live->done_fd;
    live->start_ns = clock_monotonic_ns();
    if (traffic_start(live->plan, &options, live->start_ns, &live->traffic, &err) < 0)
        fail_msg("%s", err.text);
}

static bool live_is_done(const struct live *live, int timeout_ms)
{
    struct pollfd polled = {.fd = live->done_fd, .events = POLLIN};
    return poll(&polled, 1, timeout_ms) == 1;
}

static void live_collect(struct live *live)
{
    struct traffic_outcome outcome;
    while (ring_pop(&live->ring, &outcome)) {
        assert_true(outcome.seq < traffic_plan_requests(live->plan));
        assert_true(live->outcomes[outcome.seq].done_ns == 0); /* one outcome a request */
        live->outcomes[outcome.seq] = outcome;
        live->count++;
    }
}

static void live_wait(struct live *live)
{
    if (!live_is_done(live, 20000))
        fail_msg("the traffic did not end");
    live_collect(live);
    assert_int_equal(live->count, traffic_plan_requests(live->plan));
}

static void live_done(struct live *live)
{
    traffic_free(live->traffic);
    traffic_plan_free(live->plan);
    ring_done(&live->ring);
    free(live->outcomes);
    close_fd(&live->done_fd);
}
#define AUTO_LIVE CLEANUP(live_done) struct live

/* Start and finish. */
static void live_run(struct live *live, const struct traffic_spec *spec,
                     struct traffic_options options)
{
    live_start(live, spec, options);
    live_wait(live);
}

/* `count` requests of one kind at `rate`, without idle times. */
static struct traffic_spec only(const struct traffic_request *request, unsigned count, double rate)
{
    return (struct traffic_spec){.requests = request,
                                 .request_count = 1,
                                 .cycles = 1,
                                 .per_cycle = count,
                                 .rate_per_s = rate};
}

static const struct traffic_request *get(const char *path)
{
    static struct traffic_request request;
    request = (struct traffic_request){.method = "GET", .path = path, .weight = 1};
    return &request;
}
