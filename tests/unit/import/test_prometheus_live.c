/* SPDX-License-Identifier: Apache-2.0 */
/* The live query against a real HTTP server that answers with what a real Prometheus answered. */
#include "import/prometheus_live.h"

#include "base/duration.h"
#include "gather.h"

#include <microhttpd.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HOUR_NS  (3600 * NS_PER_S)
#define FIXTURES "tests/fixtures/prometheus"

struct server {
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock;
    struct buffer queries; /* what was asked, one a line */
    unsigned status;       /* 200: answer from the recording */
    const char *body;      /* with any other, or "" for an empty result */
    bool too_large;        /* more than is read, to all that does not ask by steps */
    char url[64];
};

static int recorded_answer(const char *query, struct buffer *ret)
{
    AUTO_BUFFER path = {0};
    struct error err = {0};
    buffer_printf(&path, "%s/" FIXTURES "/%.*s.json", getenv("SOURCE_ROOT"),
                  (int)strcspn(query, "{"), query);
    return file_read_all(AT_FDCWD, buffer_text(&path), (size_t)1 << 20, ret, &err);
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *data_size, void **state)
{
    struct server *server = context;
    (void)method, (void)version, (void)data, (void)data_size, (void)state;
    const char *query = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "query");
    const char *step = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "step");
    AUTO_BUFFER body = {0};
    pthread_mutex_lock(&server->lock);
    buffer_printf(&server->queries, "%s %s step=%s\n", url, query ? query : "",
                  step ? step : "none");
    pthread_mutex_unlock(&server->lock);
    unsigned status = server->status;
    if (server->too_large && !step)
        for (size_t i = 0; i < (33U << 10); i++)
            buffer_printf(&body, "%1024s", "");
    else if (server->body)
        buffer_puts(&body, server->body);
    else if (!query || recorded_answer(query, &body) < 0)
        status = MHD_HTTP_NOT_FOUND;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body.length, (void *)buffer_text(&body), MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static int start_server(void **state)
{
    struct server *server = calloc(1, sizeof(*server));
    pthread_mutex_init(&server->lock, NULL);
    server->status = MHD_HTTP_OK;
    server->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ERROR_LOG, 0, NULL,
                                      NULL, answer, server, MHD_OPTION_END);
    assert_non_null(server->daemon);
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);
    snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u/", (unsigned)info->port);
    *state = server;
    return 0;
}

static int stop_server(void **state)
{
    struct server *server = *state;
    MHD_stop_daemon(server->daemon);
    buffer_done(&server->queries);
    pthread_mutex_destroy(&server->lock);
    free(server);
    return 0;
}

static int query(const char *url, const char *pod, int64_t last_ns, struct gathered *got)
{
    static const struct import_options none = {.limit_bytes = NAN};
    const struct prometheus_query question = {url, "default", pod, last_ns};
    *got = (struct gathered){0};
    const struct fact_sink sink = {gather_take, gather_warn, got, &none};
    return prometheus_live_read(&question, &sink, &got->err);
}

static void test_recorded(void **state)
{
    struct server *server = *state;
    AUTO_GATHERED got;
    int r = query(server->url, "leaky-0", HOUR_NS, &got);
    if (r < 0)
        fail_msg("%s", got.err.text);
    assert_true(got.count[FACT_SAMPLE] > 150);
    assert_int_equal(got.count[FACT_LIMIT], 1);
    assert_int_equal(got.count[FACT_END], 0);
    assert_true(got.count[FACT_LAST_REASON] >= 3);
    assert_true(got.count[FACT_RESTART_COUNT] >= 3);
    assert_true(got.count[FACT_START] >= 3);
    assert_non_null(strstr(buffer_text(&server->queries),
                           "/api/v1/query container_memory_working_set_bytes"
                           "{namespace=\"default\",pod=\"leaky-0\"}[3600001ms] step=none\n"));
}

/* Names cannot break out of the query. */
static void test_question(void **state)
{
    struct server *server = *state;
    AUTO_GATHERED got;
    assert_int_equal(query(server->url, "a\"}\\b\n", HOUR_NS, &got), 0);
    assert_non_null(strstr(buffer_text(&server->queries), ",pod=\"a\\\"}\\\\b\\n\"}[3600001ms] "));
}

/* An answer that is more than is read is asked for again in steps: no more points than the server
 * allows, however far back. */
static void test_too_large(void **state)
{
    struct server *server = *state;
    AUTO_GATHERED got;
    server->too_large = true;
    int r = query(server->url, "leaky-0", 1000 * HOUR_NS, &got);
    if (r < 0)
        fail_msg("%s", got.err.text);
    assert_true(got.count[FACT_SAMPLE] > 150);
    assert_non_null(strstr(buffer_text(&server->queries), "pod=\"leaky-0\"} step=721\n"));
}

static void check_error(struct server *server, const char *want)
{
    AUTO_GATHERED got;
    assert_true(query(server->url, "leaky-0", HOUR_NS, &got) < 0);
    assert_int_equal(got.err.kind, ERROR_USAGE);
    assert_non_null(strstr(got.err.text, server->url));
    if (!strstr(got.err.text, want))
        fail_msg("'%s' is not in '%s'", want, got.err.text);
}

static void test_errors(void **state)
{
    struct server *server = *state;
    server->body = "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[]}}";
    check_error(server, "knows nothing of pod 'leaky-0' in namespace 'default'");
    server->body = "<html>hello</html>";
    check_error(server, "not as Prometheus does");
    server->status = MHD_HTTP_NOT_FOUND;
    check_error(server, "HTTP 404");
    server->status = MHD_HTTP_UNAUTHORIZED;
    check_error(server, "wants a login (HTTP 401)");
    server->status = MHD_HTTP_BAD_REQUEST;
    server->body = "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"too long\"}";
    check_error(server, "refused the query (HTTP 400): too long");
}

static void test_nobody_there(void **state)
{
    struct server *server = *state;
    AUTO_GATHERED got, bad;
    MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
    assert_true(query(server->url, "leaky-0", HOUR_NS, &got) < 0);
    assert_non_null(strstr(got.err.text, "cannot ask Prometheus at 'http://127.0.0.1:"));
    assert_non_null(strstr(got.err.text, "kubectl port-forward"));
    assert_true(query("file:///etc/passwd", "p", HOUR_NS, &bad) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_recorded, start_server, stop_server),
        cmocka_unit_test_setup_teardown(test_question, start_server, stop_server),
        cmocka_unit_test_setup_teardown(test_too_large, start_server, stop_server),
        cmocka_unit_test_setup_teardown(test_errors, start_server, stop_server),
        cmocka_unit_test_setup_teardown(test_nobody_there, start_server, stop_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
