/* SPDX-License-Identifier: Apache-2.0 */
/* The driver against real servers: the workload and a Python server, over real sockets. */
#include "live.h"

#include <arpa/inet.h>
#include <sched.h>
#include <sys/socket.h>

static struct server behaviours;

static int start_group(void **state)
{
    (void)state;
    behaviours = start_behaviours(NULL);
    return 0;
}

static int stop_group(void **state)
{
    (void)state;
    stop_server(&behaviours);
    return 0;
}

static void check_outcome(const struct traffic_outcome *outcome, int status, const char *error)
{
    if (outcome->status != status || strcmp(outcome->error, error) != 0)
        fail_msg("request %u: %d '%s' instead of %d '%s'", outcome->seq, outcome->status,
                 outcome->error, status, error);
}

static void test_every_request_is_answered(void **state)
{
    (void)state;
    AUTO_SERVER server = start_workload(0);
    struct traffic_spec spec = only(get("/work"), 100, 500);
    spec.cycles = 2;
    spec.gap_ns = 50 * NS_PER_MS;
    spec.arrival = TRAFFIC_POISSON;
    AUTO_LIVE live;
    live_run(&live, &spec, (struct traffic_options){.base_url = server.url, .arm_id = 9});
    for (unsigned i = 0; i < 200; i++) {
        const struct traffic_outcome *outcome = &live.outcomes[i];
        struct traffic_planned planned = traffic_plan_at(live.plan, i);
        check_outcome(outcome, 200, "");
        assert_int_equal(outcome->arm_id, 9);
        assert_int_equal(outcome->cycle, i / 100 + 1);
        assert_true(outcome->due_ns == live.start_ns + planned.due_ns);
        assert_true(outcome->sent_ns >= outcome->due_ns);
        assert_true(outcome->done_ns > outcome->sent_ns);
    }
    struct traffic_progress progress;
    traffic_progress(live.traffic, &progress);
    assert_int_equal(progress.due, 200);
    assert_int_equal(progress.completed, 200);
    assert_int_equal(progress.failed, 0);
    assert_int_equal(progress.in_flight, 0);
}

static void test_connections_are_kept(void **state)
{
    (void)state;
    AUTO_LIVE live;
    int before = ask_number(&behaviours, "/connections");
    struct traffic_spec spec = only(get("/status/200"), 200, 200);
    live_run(&live, &spec, (struct traffic_options){.base_url = behaviours.url});
    int after = ask_number(&behaviours, "/connections");
    assert_in_range(after - before, 2, 150); /* one is our own question; 201 if none were kept */
}

static void test_statuses(void **state)
{
    (void)state;
    const struct {
        const char *path;
        int status;
        bool completed;
    } cases[] = {
        {"/status/204", 204, true},  {"/status/404", 404, true},  {"/status/499", 499, true},
        {"/status/500", 500, false}, {"/status/503", 503, false}, {"/redirect", 302, true},
        {"/large", 200, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        AUTO_LIVE live;
        struct traffic_spec spec = only(get(cases[i].path), 1, 1000);
        live_run(&live, &spec, (struct traffic_options){.base_url = behaviours.url});
        check_outcome(&live.outcomes[0], cases[i].status, "");
        struct traffic_progress progress;
        traffic_progress(live.traffic, &progress);
        assert_int_equal(progress.completed, cases[i].completed);
        assert_int_equal(progress.failed, !cases[i].completed);
    }
}

static void test_redirects_are_not_followed(void **state)
{
    (void)state;
    AUTO_LIVE live;
    int before = ask_number(&behaviours, "/count/status/200");
    struct traffic_spec spec = only(get("/redirect"), 3, 1000);
    live_run(&live, &spec, (struct traffic_options){.base_url = behaviours.url});
    assert_int_equal(ask_number(&behaviours, "/count/status/200"), before);
}

static void check_received(const struct traffic_request *request, const char *expected)
{
    AUTO_LIVE live;
    struct traffic_spec spec = only(request, 1, 1000);
    live_run(&live, &spec, (struct traffic_options){.base_url = behaviours.url});
    check_outcome(&live.outcomes[0], 200, "");
    char text[1024];
    ask(&behaviours, "/last", text);
    assert_string_equal(text, expected);
}

static void test_methods_headers_and_bodies(void **state)
{
    (void)state;
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    struct traffic_request request = *get("/echo");
    check_received(&request, "GET\n-\n-\n");
    request.method = "HEAD";
    check_received(&request, "HEAD\n-\n-\n");
    request.method = "DELETE";
    check_received(&request, "DELETE\n-\n-\n");
    request.method = "POST";
    check_received(&request, "POST\napplication/x-www-form-urlencoded\n-\n");
    request.method = "PUT";
    request.body = "{\"a\": 1}";
    request.body_bytes = strlen(request.body);
    request.headers = headers;
    check_received(&request, "PUT\napplication/json\n-\n{\"a\": 1}");
    request.method = "PATCH";
    check_received(&request, "PATCH\napplication/json\n-\n{\"a\": 1}");
}

/* One handle after another is reused by a request of another kind: nothing may stick to it. */
static void test_mixed_kinds_on_reused_handles(void **state)
{
    (void)state;
    const struct traffic_request mixed[] = {
        {.method = "POST", .path = "/status/201", .body = "abc", .body_bytes = 3, .weight = 1},
        {.method = "GET", .path = "/status/202", .weight = 1},
        {.method = "HEAD", .path = "/large", .weight = 1},
        {.method = "PUT", .path = "/status/203", .weight = 1},
    };
    const int statuses[] = {201, 202, 200, 203};
    struct traffic_spec spec = only(mixed, 80, 400);
    spec.request_count = 4;
    AUTO_LIVE live;
    live_run(&live, &spec, (struct traffic_options){.base_url = behaviours.url});
    for (unsigned i = 0; i < 80; i++)
        check_outcome(&live.outcomes[i], statuses[traffic_plan_at(live.plan, i).kind], "");
}

/* A large body is sent at once: nobody waits a second for "100 Continue". */
static void test_large_body(void **state)
{
    (void)state;
    AUTO_FREE char *body = calloc(1, 2 << 20);
    assert_non_null(body);
    memset(body, 'x', 2 << 20);
    const struct traffic_request request = {
        .method = "POST", .path = "/status/200", .body = body, .body_bytes = 2 << 20, .weight = 1};
    AUTO_LIVE live;
    struct traffic_spec spec = only(&request, 1, 1000);
    live_run(&live, &spec, (struct traffic_options){.base_url = behaviours.url});
    check_outcome(&live.outcomes[0], 200, "");
    assert_true(live.outcomes[0].done_ns - live.outcomes[0].sent_ns < 900 * NS_PER_MS);
}

/* The server closes without an answer; on a kept connection curl alone would ask again. */
static void test_sent_at_most_once(void **state)
{
    (void)state;
    const struct traffic_request kinds[] = {
        {.method = "GET", .path = "/status/200", .weight = 1},
        {.method = "GET", .path = "/die", .weight = 1},
    };
    int before = ask_number(&behaviours, "/count/die");
    struct traffic_spec spec = only(kinds, 60, 100);
    spec.request_count = 2;
    AUTO_LIVE live;
    live_run(&live, &spec, (struct traffic_options){.base_url = behaviours.url});
    unsigned on_kept_connections = 0;
    for (unsigned i = 0; i < 60; i++) {
        const struct traffic_outcome *outcome = &live.outcomes[i];
        assert_int_equal(outcome->status, traffic_plan_at(live.plan, i).kind == 0 ? 200 : 0);
        on_kept_connections += strcmp(outcome->error, "connection died before the response") == 0;
    }
    assert_true(on_kept_connections > 0); /* the case that this test is about did occur */
    assert_int_equal(ask_number(&behaviours, "/count/die") - before, 30);
}

static void test_half_a_response_is_none(void **state)
{
    (void)state;
    AUTO_LIVE live;
    struct traffic_spec spec = only(get("/half"), 1, 1000);
    live_run(&live, &spec, (struct traffic_options){.base_url = behaviours.url});
    check_outcome(&live.outcomes[0], 0, curl_easy_strerror(CURLE_PARTIAL_FILE));
}

static void test_timeout(void **state)
{
    (void)state;
    AUTO_LIVE live;
    struct traffic_spec spec = only(get("/hang"), 5, 100);
    live_run(&live, &spec,
             (struct traffic_options){.base_url = behaviours.url, .timeout_ns = 200 * NS_PER_MS});
    for (unsigned i = 0; i < 5; i++) {
        const struct traffic_outcome *outcome = &live.outcomes[i];
        check_outcome(outcome, 0, curl_easy_strerror(CURLE_OPERATION_TIMEDOUT));
        int64_t took_ns = outcome->done_ns - outcome->sent_ns;
        assert_true(took_ns >= 195 * NS_PER_MS && took_ns < 2 * NS_PER_S);
    }
}

static void test_too_many_in_flight(void **state)
{
    (void)state;
    AUTO_LIVE live;
    struct traffic_spec spec = only(get("/hang"), 20, 200);
    live_run(&live, &spec,
             (struct traffic_options){
                 .base_url = behaviours.url, .timeout_ns = 500 * NS_PER_MS, .max_in_flight = 4});
    for (unsigned i = 0; i < 20; i++) {
        const struct traffic_outcome *outcome = &live.outcomes[i];
        if (i < 4) {
            check_outcome(outcome, 0, curl_easy_strerror(CURLE_OPERATION_TIMEDOUT));
            continue;
        }
        check_outcome(outcome, 0, "too many in flight");
        assert_true(outcome->sent_ns == 0);
        assert_true(outcome->done_ns - outcome->due_ns < 300 * NS_PER_MS); /* no waiting for room */
    }
}

/* A port that nobody listens on: bound, so that nobody else takes it meanwhile. */
static void test_dead_server(void **state)
{
    (void)state;
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", ntohs(address.sin_port));

    AUTO_LIVE live;
    struct traffic_spec spec = only(get("/"), 50, 500);
    live_run(&live, &spec, (struct traffic_options){.base_url = url});
    for (unsigned i = 0; i < 50; i++) {
        check_outcome(&live.outcomes[i], 0, "Connection refused");
        assert_true(live.outcomes[i].sent_ns > 0);
        assert_true(live.outcomes[i].done_ns - live.outcomes[i].sent_ns < 300 * NS_PER_MS);
    }
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The q-quantile of sent - due over all that were sent. */
static int64_t lateness(const struct live *live, double q)
{
    size_t total = traffic_plan_requests(live->plan), count = 0;
    AUTO_FREE int64_t *late = calloc(total, sizeof(*late));
    assert_non_null(late);
    for (size_t i = 0; i < total; i++)
        if (live->outcomes[i].sent_ns > 0)
            late[count++] = live->outcomes[i].sent_ns - live->outcomes[i].due_ns;
    qsort(late, count, sizeof(*late), by_value);
    return late[(size_t)(q * (double)(count - 1))];
}

static void sleep_until(int64_t at_ns)
{
    struct timespec at = {.tv_sec = (time_t)(at_ns / NS_PER_S),
                          .tv_nsec = (long)(at_ns % NS_PER_S)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
        ;
}

/* No coordinated omission: the server stands still for 0.8 s. Requests go on leaving when they are
 * due, and the standstill shows in the latency of each of them, not of one. */
static void test_stopped_server_does_not_stall_the_schedule(void **state)
{
    (void)state;
    AUTO_SERVER server = start_workload(0);
    struct traffic_spec spec = only(get("/health"), 300, 200);
    AUTO_LIVE live;
    live_start(&live, &spec, (struct traffic_options){.base_url = server.url});
    sleep_until(live.start_ns + 400 * NS_PER_MS);
    kill(server.pid, SIGSTOP);
    int status;
    assert_int_equal(waitpid(server.pid, &status, WUNTRACED), server.pid); /* it stands still now */
    int64_t stopped_ns = clock_monotonic_ns();
    sleep_until(live.start_ns + 1200 * NS_PER_MS);
    int64_t continued_ns = clock_monotonic_ns();
    kill(server.pid, SIGCONT);
    live_wait(&live);

    unsigned due = 0, sent = 0;
    for (unsigned i = 0; i < 300; i++) {
        const struct traffic_outcome *outcome = &live.outcomes[i];
        check_outcome(outcome, 200, "");
        if (outcome->due_ns < stopped_ns || outcome->due_ns > continued_ns - 100 * NS_PER_MS)
            continue;
        due++;
        sent += outcome->sent_ns < continued_ns;
        assert_true(outcome->done_ns >= continued_ns);
    }
    assert_true(due > 100);
    assert_int_equal(sent, due);
    assert_true(lateness(&live, 0.5) < 20 * NS_PER_MS);
    assert_true(lateness(&live, 0.99) < 200 * NS_PER_MS);
}

/* Killed and started again on the same port: failures in between, the schedule untouched. */
static void test_restarting_server(void **state)
{
    (void)state;
    AUTO_SERVER server = start_workload(0);
    int port = server.port;
    struct traffic_spec spec = only(get("/work"), 300, 200);
    AUTO_LIVE live;
    live_start(&live, &spec, (struct traffic_options){.base_url = server.url});
    sleep_until(live.start_ns + 400 * NS_PER_MS);
    stop_server(&server);
    int64_t dead_ns = clock_monotonic_ns();
    sleep_until(live.start_ns + 800 * NS_PER_MS);
    int64_t restart_ns = clock_monotonic_ns();
    server = start_workload(port);
    int64_t back_ns = clock_monotonic_ns();
    live_wait(&live);

    unsigned refused = 0, after = 0;
    for (unsigned i = 0; i < 300; i++) {
        const struct traffic_outcome *outcome = &live.outcomes[i];
        if (outcome->due_ns > dead_ns && outcome->done_ns < restart_ns) {
            check_outcome(outcome, 0, "Connection refused");
            refused++;
        } else if (outcome->due_ns > back_ns) {
            check_outcome(outcome, 200, "");
            after++;
        }
    }
    assert_true(refused > 40);
    assert_true(after > 20);
    assert_true(lateness(&live, 0.5) < 20 * NS_PER_MS);
    assert_true(lateness(&live, 0.99) < 200 * NS_PER_MS);
}

static void test_start_in_the_past(void **state)
{
    (void)state;
    struct traffic_spec spec = only(get("/status/200"), 100, 10); /* 10 s */
    struct traffic_plan *plan = NULL;
    struct traffic *traffic = NULL;
    struct error err = {0};
    int done_fd = eventfd(0, EFD_CLOEXEC);
    struct traffic_options options = {
        .base_url = behaviours.url, .on_done = signal_done, .context = &done_fd};
    assert_int_equal(traffic_plan_new(&spec, &plan, &err), 0);
    int64_t start_ns = clock_monotonic_ns() - 11 * NS_PER_S;
    assert_int_equal(traffic_start(plan, &options, start_ns, &traffic, &err), 0);
    struct live live = {.done_fd = done_fd};
    assert_true(live_is_done(&live, 8000));
    struct traffic_progress progress;
    traffic_progress(traffic, &progress);
    assert_int_equal(progress.completed, 100);
    assert_true(progress.late_max_us >= 11000000);
    traffic_free(traffic);
    traffic_plan_free(plan);
    close(done_fd);
}

static void test_stop_early(void **state)
{
    (void)state;
    struct traffic_spec spec = only(get("/hang"), 500, 50);
    spec.cooldown_ns = 100 * NS_PER_S;
    AUTO_LIVE live;
    live_start(&live, &spec, (struct traffic_options){.base_url = behaviours.url});
    struct traffic_progress progress = {0};
    while (progress.in_flight < 5) {
        traffic_progress(live.traffic, &progress);
        assert_true(clock_monotonic_ns() - live.start_ns < 10 * NS_PER_S);
        sched_yield();
    }
    int64_t before_ns = clock_monotonic_ns();
    traffic_free(steal_ptr(&live.traffic));
    assert_true(clock_monotonic_ns() - before_ns < NS_PER_S);
    live_collect(&live);
    assert_in_range(live.count, 5, 499); /* those not yet due are not reported */
    for (unsigned i = 0; i < live.count; i++)
        check_outcome(&live.outcomes[i], 0, "stopped");
    assert_false(live_is_done(&live, 0));
}

/* Answers so far, while the traffic goes on. */
static void await_completed(const struct live *live, unsigned count)
{
    struct traffic_progress progress = {0};
    while (progress.completed < count) {
        traffic_progress(live->traffic, &progress);
        assert_true(clock_monotonic_ns() - live->start_ns < 20 * NS_PER_S);
        sched_yield();
    }
}

/* The cycle that is asked for is the last, whole, with the cool-down behind it. */
static void test_end_after_a_cycle(void **state)
{
    (void)state;
    struct traffic_spec spec = only(get("/status/200"), 10, 200);
    spec.cycles = 1000;
    spec.gap_ns = 50 * NS_PER_MS;
    spec.cooldown_ns = 100 * NS_PER_MS;
    AUTO_LIVE live;
    live_start(&live, &spec, (struct traffic_options){.base_url = behaviours.url});
    await_completed(&live, 5);
    traffic_end_after(live.traffic, 3);
    assert_true(live_is_done(&live, 20000));
    live_collect(&live);
    assert_int_equal(live.count, 30);
    for (unsigned i = 0; i < live.count; i++)
        check_outcome(&live.outcomes[i], 200, "");
    int64_t end_ns = live.start_ns + traffic_plan_prefix_ns(live.plan, 3);
    assert_true(clock_monotonic_ns() >= end_ns);
    assert_true(end_ns - live.start_ns == 350 * NS_PER_MS);
}

/* A cycle that is over already cannot be the last: the one under way is sent to its end. */
static void test_end_after_a_cycle_that_is_over(void **state)
{
    (void)state;
    struct traffic_spec spec = only(get("/status/200"), 10, 100);
    spec.cycles = 1000;
    AUTO_LIVE live;
    live_start(&live, &spec, (struct traffic_options){.base_url = behaviours.url});
    await_completed(&live, 22);
    traffic_end_after(live.traffic, 1);
    assert_true(live_is_done(&live, 20000));
    live_collect(&live);
    assert_in_range(live.count, 30, 9999);
    assert_int_equal(live.count % 10, 0);
}

static void test_end_after_the_whole_plan(void **state)
{
    (void)state;
    struct traffic_spec spec = only(get("/status/200"), 10, 200);
    spec.cycles = 2;
    AUTO_LIVE live;
    live_start(&live, &spec, (struct traffic_options){.base_url = behaviours.url});
    traffic_end_after(live.traffic, 2);
    live_wait(&live);
}

/* Idle and cool-down pass in full, and "done" comes after them. */
static void test_idle_only(void **state)
{
    (void)state;
    struct traffic_spec spec = {.idle_ns = 100 * NS_PER_MS, .cooldown_ns = 100 * NS_PER_MS};
    AUTO_LIVE live;
    live_run(&live, &spec, (struct traffic_options){.base_url = behaviours.url});
    assert_true(clock_monotonic_ns() - live.start_ns >= 200 * NS_PER_MS);
}

static void test_environment_proxy_is_ignored(void **state)
{
    (void)state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    AUTO_LIVE live;
    struct traffic_spec spec = only(get("/status/200"), 3, 1000);
    live_run(&live, &spec, (struct traffic_options){.base_url = behaviours.url});
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    for (unsigned i = 0; i < 3; i++)
        check_outcome(&live.outcomes[i], 200, "");
}

static void test_https(void **state)
{
    (void)state;
    char directory[] = "/tmp/oomlab-test-XXXXXX";
    assert_non_null(mkdtemp(directory));
    AUTO_SERVER server = start_behaviours(directory);
    struct traffic_spec spec = only(get("/status/200"), 40, 100);
    {
        AUTO_LIVE live;
        live_run(&live, &spec, (struct traffic_options){.base_url = server.url, .insecure = true});
        for (unsigned i = 0; i < 40; i++)
            check_outcome(&live.outcomes[i], 200, "");
        assert_in_range(ask_number(&server, "/connections"), 2, 39); /* 41 if none were kept */
    }
    {
        AUTO_LIVE live;
        spec.per_cycle = 2;
        live_run(&live, &spec, (struct traffic_options){.base_url = server.url});
        for (unsigned i = 0; i < 2; i++) {
            struct traffic_outcome expected = {0};
            strncpy(expected.error, curl_easy_strerror(CURLE_PEER_FAILED_VERIFICATION),
                    sizeof(expected.error) - 1);
            check_outcome(&live.outcomes[i], 0, expected.error);
        }
    }
    char path[64];
    snprintf(path, sizeof(path), "%s/key.pem", directory);
    unlink(path);
    snprintf(path, sizeof(path), "%s/certificate.pem", directory);
    unlink(path);
    rmdir(directory);
}

static void check_start_refused(const struct traffic_options *options, const char *words)
{
    struct traffic_spec spec = only(get("/"), 100, 10);
    struct traffic_plan *plan = NULL;
    struct traffic *traffic = NULL;
    struct error err = {0};
    assert_int_equal(traffic_plan_new(&spec, &plan, &err), 0);
    assert_true(traffic_start(plan, options, clock_monotonic_ns(), &traffic, &err) < 0);
    assert_null(traffic);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
    traffic_plan_free(plan);
}

static void test_start_refused(void **state)
{
    (void)state;
    check_start_refused(&(struct traffic_options){.base_url = "ftp://127.0.0.1"}, "http://");
    check_start_refused(&(struct traffic_options){.base_url = "127.0.0.1:80"}, "127.0.0.1:80");
    check_start_refused(&(struct traffic_options){.base_url = ""}, "address");
    check_start_refused(&(struct traffic_options){.base_url = "http://a/?b=c"}, "before any '?'");
    struct ring small;
    assert_int_equal(ring_init(&small, sizeof(struct traffic_outcome), 64), 0);
    check_start_refused(&(struct traffic_options){.base_url = "http://a", .outcomes = &small},
                        "64 outcomes cannot hold the plan's 100");
    ring_done(&small);
}

int main(int argc, char **argv)
{
    int status = serve_if_asked(argc, argv);
    if (status >= 0)
        return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_request_is_answered),
        cmocka_unit_test(test_connections_are_kept),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_redirects_are_not_followed),
        cmocka_unit_test(test_methods_headers_and_bodies),
        cmocka_unit_test(test_mixed_kinds_on_reused_handles),
        cmocka_unit_test(test_large_body),
        cmocka_unit_test(test_sent_at_most_once),
        cmocka_unit_test(test_half_a_response_is_none),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_too_many_in_flight),
        cmocka_unit_test(test_dead_server),
        cmocka_unit_test(test_stopped_server_does_not_stall_the_schedule),
        cmocka_unit_test(test_restarting_server),
        cmocka_unit_test(test_start_in_the_past),
        cmocka_unit_test(test_stop_early),
        cmocka_unit_test(test_end_after_a_cycle),
        cmocka_unit_test(test_end_after_a_cycle_that_is_over),
        cmocka_unit_test(test_end_after_the_whole_plan),
        cmocka_unit_test(test_idle_only),
        cmocka_unit_test(test_environment_proxy_is_ignored),
        cmocka_unit_test(test_https),
        cmocka_unit_test(test_start_refused),
    };
    return cmocka_run_group_tests(tests, start_group, stop_group);
}
