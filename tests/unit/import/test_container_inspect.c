/* SPDX-License-Identifier: Apache-2.0 */
/* The engines' inspect: a recording of Podman, and Docker's fields. */
#include "gather.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void check(const char *state, const char *rest, const char *facts)
{
    AUTO_BUFFER text = {0};
    AUTO_GATHERED got;
    buffer_printf(&text,
                  "[{\"Id\":\"0123456789abcdef\",\"Name\":\"/web\",\"State\":{%s},"
                  "\"HostConfig\":{\"Memory\":67108864}%s}]",
                  state, rest);
    gather(buffer_text(&text), &got);
    if (got.result != 0)
        fail_msg("%s", got.err.text);
    assert_string_equal(buffer_text(&got.facts), facts);
}

#define SETTING "container /web/ id=01234567\nlimit /web/ id=01234567 67108864\n"

/* Podman says OOMKilled: false of containers that the kernel's log proves to have been killed. */
static void test_podman(void **state)
{
    (void)state;
    AUTO_GATHERED got;
    gather_file("container/podman-inspect.json", &got);
    assert_int_equal(got.result, 0);
    assert_int_equal(got.count[FACT_CONTAINER], 7);
    assert_int_equal(got.count[FACT_END], 6);
    assert_int_equal(got.count[FACT_RUNNING], 1);
    assert_int_equal(got.count[FACT_LIMIT], 7);
    assert_null(strstr(buffer_text(&got.facts), "oom_killed"));
    assert_non_null(strstr(buffer_text(&got.facts),
                           "end /oomlab-child/ id=23bbccb3 at=2026-11-22T14:39:42.025112Z "
                           "started=2026-11-22T14:39:41.923474Z code=3\n"));
    assert_non_null(strstr(buffer_text(&got.facts), "restarts /oomlab-restart/ id=6e653850 3\n"));
}

static void test_docker_ended(void **state)
{
    (void)state;
    check("\"Running\":false,\"OOMKilled\":true,\"ExitCode\":137,\"Error\":\"\",\"StartedAt\":"
          "\"2026-11-22T10:00:00.123456789Z\",\"FinishedAt\":\"2026-11-22T10:00:02Z\"",
          ",\"RestartCount\":4",
          SETTING "restarts /web/ id=01234567 4\n"
                  "end /web/ id=01234567 at=2026-11-22T10:00:02.000000Z "
                  "started=2026-11-22T10:00:00.123456Z code=137 oom_killed reason=OOMKilled\n");
}

/* While it runs, the exit code is no end's and OOMKilled is about a child. */
static void test_docker_running_again(void **state)
{
    (void)state;
    check("\"Running\":true,\"OOMKilled\":true,\"ExitCode\":0,\"StartedAt\":"
          "\"2026-11-22T10:00:03Z\",\"FinishedAt\":\"2026-11-22T10:00:02Z\"",
          "",
          SETTING "end /web/ id=01234567 at=2026-11-22T10:00:02.000000Z\n"
                  "running /web/ id=01234567 started=2026-11-22T10:00:03.000000Z\n"
                  "oom /web/ id=01234567 reason=OOMKilled\n");
}

static void test_docker_restarting(void **state)
{
    (void)state;
    check("\"Running\":true,\"Restarting\":true,\"OOMKilled\":false,\"ExitCode\":1,\"StartedAt\":"
          "\"2026-11-22T10:00:01Z\",\"FinishedAt\":\"2026-11-22T10:00:02Z\"",
          "",
          SETTING "end /web/ id=01234567 at=2026-11-22T10:00:02.000000Z "
                  "started=2026-11-22T10:00:01.000000Z code=1\n"
                  "backoff /web/ id=01234567\n");
}

static void test_never_started(void **state)
{
    (void)state;
    check("\"Running\":false,\"OOMKilled\":false,\"ExitCode\":127,\"Error\":\"exec: no such "
          "file\",\"StartedAt\":\"0001-01-01T00:00:00Z\",\"FinishedAt\":\"0001-01-01T00:00:00Z\"",
          "",
          SETTING
          "image /web/ id=01234567 code=127 reason=ContainerCreateFailure text=exec: no such "
          "file\n");
    check("\"Status\":\"created\",\"OOMKilled\":false,\"Error\":\"\",\"StartedAt\":"
          "\"0001-01-01T00:00:00Z\",\"FinishedAt\":\"0001-01-01T00:00:00Z\"",
          "", SETTING);
}

static void test_of_a_pod(void **state)
{
    (void)state;
    AUTO_GATHERED got;
    gather("{\"Id\":\"ab\",\"State\":{\"OOMKilled\":false},\"Config\":{\"Labels\":{"
           "\"io.kubernetes.pod.name\":\"p\",\"io.kubernetes.pod.namespace\":\"n\","
           "\"io.kubernetes.container.name\":\"c\",\"io.kubernetes.pod.uid\":\"u\"}}}",
           &got);
    assert_string_equal(buffer_text(&got.facts), "container n/p/c uid=u id=ab\n");
}

static void test_broken(void **state)
{
    (void)state;
    AUTO_GATHERED cut, odd;
    gather("[{\"Id\":\"x\",\"State\":{\"OOMKilled\":true,", &cut);
    assert_true(cut.result < 0);
    assert_non_null(strstr(cut.err.text, "input:1:2: "));
    gather("[{\"State\":{\"OOMKilled\":7,\"ExitCode\":\"x\",\"FinishedAt\":[]}},3,null,\"State\"]",
           &odd);
    assert_int_equal(odd.result, 0);
    assert_string_equal(buffer_text(&odd.facts), "container //\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_podman),
        cmocka_unit_test(test_docker_ended),
        cmocka_unit_test(test_docker_running_again),
        cmocka_unit_test(test_docker_restarting),
        cmocka_unit_test(test_never_started),
        cmocka_unit_test(test_of_a_pod),
        cmocka_unit_test(test_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
