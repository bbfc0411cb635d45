/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "traffic/traffic.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static void check(const char *text, const char *method, const char *path, const char *body)
{
    struct traffic_request request = {0};
    struct error err = {0};
    if (traffic_request_parse(text, &request, &err) < 0)
        fail_msg("'%s': %s", text, err.text);
    assert_string_equal(request.method, method);
    assert_string_equal(request.path, path);
    assert_true(request.weight == 1);
    if (body) {
        assert_int_equal(request.body_bytes, strlen(body));
        assert_string_equal(request.body, body);
    } else {
        assert_null(request.body);
    }
    traffic_request_done(&request);
}

static void test_accepted(void **state)
{
    (void)state;
    check("/", "GET", "/", NULL);
    check("/search?q=a%20b&n=1", "GET", "/search?q=a%20b&n=1", NULL);
    check("GET /health", "GET", "/health", NULL);
    check("  HEAD\t/x \r", "HEAD", "/x", NULL);
    check("POST /items", "POST", "/items", NULL);
    check("POST /items  a b  c ", "POST", "/items", "a b  c");
    check("PUT /items/1 {\"a\": [1, 2]}", "PUT", "/items/1", "{\"a\": [1, 2]}");
    check("DELETE /items/1", "DELETE", "/items/1", NULL);
    check("PATCH /x y", "PATCH", "/x", "y");
    check("OPTIONS /../x", "OPTIONS", "/../x", NULL);
}

static void test_json_bodies_say_so(void **state)
{
    (void)state;
    struct traffic_request request = {0};
    struct error err = {0};
    assert_int_equal(traffic_request_parse("POST /a [1]", &request, &err), 0);
    assert_string_equal(request.headers[0], "Content-Type: application/json");
    assert_null(request.headers[1]);
    traffic_request_done(&request);
    assert_int_equal(traffic_request_parse("POST /a a=1", &request, &err), 0);
    assert_null(request.headers);
    traffic_request_done(&request);
}

static void check_refused(const char *text, const char *words)
{
    struct traffic_request request = {0};
    struct error err = {0};
    if (traffic_request_parse(text, &request, &err) == 0)
        fail_msg("'%s' was accepted", text);
    assert_int_equal(err.kind, ERROR_USAGE);
    assert_null(request.path);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
}

static void test_refused(void **state)
{
    (void)state;
    check_refused("", "the request is empty");
    check_refused(" \t", "the request is empty");
    check_refused("GET", "the path is missing after the method");
    check_refused("get /", "methods are written in capitals: GET");
    check_refused("PSOT /", "'PSOT' is neither a method");
    check_refused("health", "'health' is neither a method");
    check_refused("http://127.0.0.1/", "'http://127.0.0.1/' is neither a method");
    check_refused("GET health", "the path must begin with '/'");
    check_refused("GET /a b", "a GET request has no body: write spaces in the path as %20");
    check_refused("/a b", "a GET request has no body");
    check_refused("HEAD /a b", "a HEAD request has no body");
    check_refused("/a#b", "'#', which is never sent to a server: write it as %23");
    check_refused("/caf\xc3\xa9", "outside ASCII: write it as %C3");
    check_refused("/a\x01", "a control character: write it as %01");
    check_refused("GET /a\nGET /b", "a request is one line");
    check_refused("POST /a @/nonexistent/body", "'/nonexistent/body': No such file");
    check_refused("POST /a @/", "is not a regular file");
    check_refused("POST /a @", "No such file");
}

/* A file for the test, in its own directory, with the given contents. */
static void with_file(const char *contents, size_t length, void (*run)(const char *path))
{
    char directory[] = "/tmp/oomlab-test-XXXXXX";
    assert_non_null(mkdtemp(directory));
    char path[64];
    snprintf(path, sizeof(path), "%s/body", directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, contents, length), length);
    close(fd);
    run(path);
    unlink(path);
    rmdir(directory);
}

static void parse_body_file(const char *path)
{
    char text[128];
    snprintf(text, sizeof(text), "POST /upload @%s", path);
    struct traffic_request request = {0};
    struct error err = {0};
    if (traffic_request_parse(text, &request, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(request.body_bytes, 5);
    assert_memory_equal(request.body, "a\0b\n\n", 5);
    traffic_request_done(&request);
}

static void test_body_from_file(void **state)
{
    (void)state;
    with_file("a\0b\n\n", 5, parse_body_file);
}

static void refuse_pipe(const char *path)
{
    char text[128];
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(text, sizeof(text), "POST /upload @%s", path);
    check_refused(text, "is not a regular file"); /* and does not wait for a writer */
}

static void test_body_from_pipe(void **state)
{
    (void)state;
    with_file("", 0, refuse_pipe);
}

static void refuse_large(const char *path)
{
    char text[128];
    assert_int_equal(truncate(path, (16 << 20) + 1), 0);
    snprintf(text, sizeof(text), "POST /upload @%s", path);
    check_refused(text, "larger than the 16777216 bytes");
}

static void test_body_too_large(void **state)
{
    (void)state;
    with_file("", 0, refuse_large);
}

static void test_requests_file(void **state)
{
    (void)state;
    const char *text = "# what the shop's users do\n"
                       "GET /search?q=x\n"
                       "\n"
                       "   # every tenth buys\r\n"
                       "POST /buy {\"item\": 7}\r\n"
                       "/health";
    struct traffic_request *requests = NULL;
    size_t count = 0;
    struct error err = {0};
    assert_int_equal(traffic_requests_parse_text("shop.txt", text, &requests, &count, &err), 0);
    assert_int_equal(count, 3);
    assert_string_equal(requests[0].path, "/search?q=x");
    assert_string_equal(requests[1].body, "{\"item\": 7}");
    assert_string_equal(requests[2].path, "/health");
    traffic_requests_free(requests, count);
}

static void check_file_refused(const char *text, const char *words)
{
    struct traffic_request *requests = NULL;
    size_t count = 0;
    struct error err = {0};
    assert_true(traffic_requests_parse_text("f.txt", text, &requests, &count, &err) < 0);
    assert_null(requests);
    assert_int_equal(err.kind, ERROR_USAGE);
    if (strncmp(err.text, words, strlen(words)) != 0)
        fail_msg("'%s' does not begin with '%s'", err.text, words);
}

static void test_requests_file_positions(void **state)
{
    (void)state;
    check_file_refused("", "f.txt:1:1: no request in it");
    check_file_refused("# nothing\n\n", "f.txt:1:1: no request in it");
    check_file_refused("/a\n  FOO /b\n", "f.txt:2:3: 'FOO' is neither");
    check_file_refused("/a\n/b\nGET /c#d\n", "f.txt:3:7: the path holds a '#'");
    check_file_refused("POST\n", "f.txt:1:5: the path is missing");
    check_file_refused("GET nope\n", "f.txt:1:5: the path must begin");
    check_file_refused("GET /a  b\n", "f.txt:1:9: a GET request has no body");
    check_file_refused("POST /a @/none\n", "f.txt:1:9: the body's file '/none'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),       cmocka_unit_test(test_json_bodies_say_so),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_body_from_file),
        cmocka_unit_test(test_body_from_pipe), cmocka_unit_test(test_body_too_large),
        cmocka_unit_test(test_requests_file),  cmocka_unit_test(test_requests_file_positions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
