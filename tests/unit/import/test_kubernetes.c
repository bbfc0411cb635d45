/* SPDX-License-Identifier: Apache-2.0 */
/* Pods and events as kubectl prints them: JSON, YAML and the text of describe. */
#include "gather.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define POD   "default/leaky-89d4f945b-jn82r/hog uid=186e9855"
#define NAMED "default/leaky-89d4f945b-jn82r/hog"

#define LEAKY_FACTS                                                                                \
    "container " POD " at=2026-11-22T11:30:47.000000Z\n"                                           \
    "limit " POD " id=c09bc2c6 67108864\n"                                                         \
    "end " POD " id=c09bc2c6 at=2026-11-22T11:33:57.000000Z "                                      \
    "started=2026-11-22T11:33:56.000000Z code=137 oom_killed reason=OOMKilled\n"                   \
    "backoff " POD " id=c09bc2c6 reason=CrashLoopBackOff text=back-off 2m40s restarting failed "   \
    "container=hog pod=leaky-89d4f945b-jn82r_default(186e9855-0704-4752-a9ee-b0db5ccbe0b4)\n"      \
    "restarts " POD " id=c09bc2c6 5\n"

static void check_fixture(const char *path, const char *facts)
{
    AUTO_GATHERED got;
    gather_file(path, &got);
    if (got.result != 0)
        fail_msg("%s: %s", path, got.err.text);
    assert_string_equal(buffer_text(&got.facts), facts);
    assert_string_equal(buffer_text(&got.warnings), "");
}

static void check(const char *text, const char *facts)
{
    AUTO_GATHERED got;
    gather(text, &got);
    if (got.result != 0)
        fail_msg("%s", got.err.text);
    assert_string_equal(buffer_text(&got.facts), facts);
}

static void test_pod_in_back_off(void **state)
{
    (void)state;
    check_fixture("kubernetes/leaky-crashloop-pod.json", LEAKY_FACTS);
    check_fixture("kubernetes/leaky-crashloop-pod.yaml", LEAKY_FACTS);
}

static void test_pod_that_runs(void **state)
{
    (void)state;
    check_fixture("kubernetes/steady-pod.json",
                  "container default/steady/hog uid=f315212c at=2026-11-22T11:30:47.000000Z\n"
                  "limit default/steady/hog uid=f315212c id=22511cd6 67108864\n"
                  "running default/steady/hog uid=f315212c id=22511cd6 "
                  "started=2026-11-22T11:30:49.000000Z\n"
                  "restarts default/steady/hog uid=f315212c id=22511cd6 0\n");
}

static void test_describe(void **state)
{
    (void)state;
    check_fixture(
        "kubernetes/leaky-describe.txt",
        "container " NAMED " id=db5a801b\n"
        "limit " NAMED " id=db5a801b 67108864\n"
        "end " NAMED " at=2026-11-22T11:33:57.000000Z started=2026-11-22T11:33:56.000000Z "
        "code=137 oom_killed reason=OOMKilled\n"
        "end " NAMED " id=db5a801b at=2026-11-22T11:36:43.000000Z "
        "started=2026-11-22T11:36:42.000000Z code=137 oom_killed reason=OOMKilled\n"
        "restarts " NAMED " id=db5a801b 6\n"
        "backoff default/leaky-89d4f945b-jn82r/ reason=BackOff x25 text=Back-off restarting failed "
        "container\n");
}

static void test_events(void **state)
{
    (void)state;
    check_fixture("kubernetes/events-leaky.json",
                  "start " POD " at=2026-11-22T11:32:25.000000Z reason=Started x5 text=Started "
                  "container hog\n"
                  "backoff " POD " at=2026-11-22T11:35:53.000000Z reason=BackOff x25 text=Back-off "
                  "restarting failed container\n");
}

/* A child was killed and PID 1 ended by itself: the kubelet says OOMKilled all the same. The code
 * must come through, or nobody can tell. */
static void test_a_childs_kill_keeps_its_exit_code(void **state)
{
    (void)state;
    check(
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"n\"},"
        "\"status\":{\"containerStatuses\":[{\"name\":\"c\",\"restartCount\":1,\"lastState\":{"
        "\"terminated\":{\"exitCode\":3,\"reason\":\"OOMKilled\",\"finishedAt\":"
        "\"2026-11-22T11:33:57Z\"}}}]}}",
        "end n/p/c at=2026-11-22T11:33:57.000000Z code=3 oom_killed reason=OOMKilled\n"
        "restarts n/p/c 1\n");
}

static void test_init_and_ephemeral(void **state)
{
    (void)state;
    check("{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":[{\"metadata\":{\"name\":\"p\"},"
          "\"spec\":{\"initContainers\":[{\"name\":\"i\",\"resources\":{\"limits\":{\"memory\":"
          "\"0.5Gi\"}}}],\"ephemeralContainers\":[{\"name\":\"e\"}]},\"status\":{"
          "\"containerStatuses\":[],\"initContainerStatuses\":[{\"name\":\"i\",\"state\":{"
          "\"terminated\":{\"exitCode\":137,\"signal\":9}}}],\"ephemeralContainerStatuses\":[{"
          "\"name\":\"e\",\"state\":{\"waiting\":{\"reason\":\"ErrImagePull\"}}}]}}]}",
          "container /p/i\nlimit /p/i 536870912\nend /p/i code=137 signal=9\n"
          "container /p/e\nlimit /p/e 0\nimage /p/e reason=ErrImagePull\n");
}

static void test_evicted_and_deleted(void **state)
{
    (void)state;
    check(
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\","
        "\"deletionTimestamp\":\"2026-11-22T11:34:30Z\",\"deletionGracePeriodSeconds\":30},"
        "\"status\":{\"phase\":\"Failed\",\"reason\":\"Evicted\",\"message\":\"The node was low "
        "on resource: memory.\"}}",
        "stop /p/ at=2026-11-22T11:34:00.000000Z reason=Evicted text=The node was low on resource: "
        "memory.\n");
}

#define EVENT(reason, message)                                                                     \
    "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"involvedObject\":{\"kind\":\"Pod\",\"name\":"     \
    "\"p\",\"namespace\":\"n\",\"fieldPath\":\"spec.containers{c}\"},\"reason\":\"" reason         \
    "\",\"message\":\"" message "\",\"lastTimestamp\":\"2026-11-22T11:00:00Z\"}\n"

static void test_kinds_of_events(void **state)
{
    (void)state;
    check(
        EVENT("Unhealthy", "Liveness probe failed: timeout")
            EVENT("Killing", "Container c failed liveness probe, will be restarted")
                EVENT("BackOff", "Back-off pulling image x") EVENT("Failed", "Error: ErrImagePull")
                    EVENT("Pulled", "whatever"),
        "probe n/p/c at=2026-11-22T11:00:00.000000Z reason=Unhealthy text=Liveness probe failed: "
        "timeout\n"
        "stop n/p/c at=2026-11-22T11:00:00.000000Z reason=Killing text=Container c failed liveness "
        "probe, will be restarted\n"
        "image n/p/c at=2026-11-22T11:00:00.000000Z reason=BackOff text=Back-off pulling image x\n"
        "image n/p/c at=2026-11-22T11:00:00.000000Z reason=Failed text=Error: ErrImagePull\n");
}

static void test_oom_events_of_a_node(void **state)
{
    (void)state;
    check(
        "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"involvedObject\":{\"kind\":\"Node\",\"name\":"
        "\"w1\"},\"reason\":\"OOMKilling\",\"message\":\"Memory cgroup out of memory: Killed "
        "process 77 (a b) total-vm:9kB, anon-rss:8kB, file-rss:0kB, shmem-rss:0kB\"}\n"
        "{\"apiVersion\":\"events.k8s.io/v1\",\"kind\":\"Event\",\"regarding\":{\"kind\":\"Node\"},"
        "\"reason\":\"SystemOOM\",\"note\":\"System OOM encountered, victim process: hog, pid: "
        "12\",\"eventTime\":\"2026-11-22T11:00:00.5Z\",\"series\":{\"count\":3}}",
        "oom // reason=OOMKilling oom{memcg pid=77 comm=a b task= limit= anon=8}\n"
        "oom // at=2026-11-22T11:00:00.500000Z reason=SystemOOM x3 oom{global pid=12 comm=hog "
        "task= "
        "limit= anon=-1}\n");
}

/* Far more than what is read at once: a list streams. */
static void test_a_long_list(void **state)
{
    (void)state;
    AUTO_BUFFER text = {0};
    AUTO_GATHERED got;
    buffer_puts(&text, "{\"apiVersion\":\"v1\",\"items\":[");
    for (int i = 0; i < 40000; i++)
        buffer_printf(&text, "%s" EVENT("Killing", "%0100d"), i ? "," : "", i);
    buffer_puts(&text, "],\"kind\":\"List\"}");
    gather(buffer_text(&text), &got);
    assert_int_equal(got.result, 0);
    assert_int_equal(got.count[FACT_STOP], 40000);
}

static void check_error(const char *text, const char *want)
{
    AUTO_GATHERED got;
    gather(text, &got);
    assert_true(got.result < 0);
    assert_int_equal(got.err.kind, ERROR_USAGE);
    if (!strstr(got.err.text, want))
        fail_msg("'%s' is not in '%s'", want, got.err.text);
}

static void test_broken(void **state)
{
    (void)state;
    check_error("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\n \"metadata\":{", "input:1:1: ");
    check_error("{\"apiVersion\":\"v1\",\"items\":[{\"kind\":\"Pod\"},\n {\"kind\":",
                "input:2:2: ");
    check_error("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\n \"x\":tru}", "input:2:");
    check_error("apiVersion: v1\nkind: Pod\nmetadata: [", "input:");
    check_error("apiVersion: v1\nkind: Pod\nx: &a [1]\ny: *a\n", "input:4:4: an alias");
    AUTO_BUFFER deep = {0};
    buffer_puts(&deep, "apiVersion: v1\nkind: Pod\nx: ");
    for (int i = 0; i < 5000; i++)
        buffer_puts(&deep, "[");
    check_error(buffer_text(&deep), "nested too deeply");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pod_in_back_off),
        cmocka_unit_test(test_pod_that_runs),
        cmocka_unit_test(test_describe),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_a_childs_kill_keeps_its_exit_code),
        cmocka_unit_test(test_init_and_ephemeral),
        cmocka_unit_test(test_evicted_and_deleted),
        cmocka_unit_test(test_kinds_of_events),
        cmocka_unit_test(test_oom_events_of_a_node),
        cmocka_unit_test(test_a_long_list),
        cmocka_unit_test(test_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
