/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "lab/lab_file.h"
#include "lab/plan.h"

#include <stdlib.h>
#include <string.h>

#define BASE "memory: 64Mi\ncommand: ./x\n"

/* A lab file and the whole message that it must give. */
static const struct fault {
    const char *text, *message;
} FAULTS[] = {
    /* Form. */
    {"", "f:1:1: the lab file is empty"},
    {"# nothing\n", "f:1:1: the lab file is empty"},
    {"- a\n", "f:1:1: a lab file is a map of keys"},
    {"memory: [1\n",
     "f:2:1: this is not YAML: did not find expected ',' or ']', while parsing a flow "
     "sequence"},
    {"a: \xff\n", "f:1:4: this is not YAML: invalid leading UTF-8 octet"},
    {BASE "---\n" BASE, "f:3:1: a lab file is one document"},
    {"env: *a\n", "f:1:6: this is not YAML: found undefined alias"},
    {"env: [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]\n", "f:1:21: nested deeper than any lab file is"},
    /* Keys. */
    {BASE "memroy: 1\n", "f:3:1: unknown key 'memroy'; did you mean 'memory'?"},
    {BASE "request: GET /\n", "f:3:1: unknown key 'request'; did you mean 'requests'?"},
    {BASE "xyzzyx: 1\n", "f:3:1: unknown key 'xyzzyx'"},
    {BASE "memory: 64Mi\n", "f:3:1: the key 'memory' stands there twice (first in line 1)"},
    {BASE "<<: {cpu: 1}\n",
     "f:3:1: merge keys are not taken: top-level keys hold for every scenario"},
    {"scenarios:\n  a:\n    port: 80\n",
     "f:3:5: the key 'port' stands at the top level only: it is the same for all scenarios"},
    {"scenarios:\n  A b:\n    memory: 64Mi\n", "f:2:3: 'A b' is no name: it takes a-z, 0-9 and "
                                               "inner hyphens (it becomes part of file and cgroup "
                                               "names)"},
    {"scenarios: {}\n", "f:1:12: scenarios: there is no scenario in the map"},
    {"scenarios: [a]\n", "f:1:12: scenarios: takes a map, not a list"},
    /* Types. */
    {"memory: [64Mi]\ncommand: x\n", "f:1:9: memory: takes a single value, not a list"},
    {"memory: {a: 1}\n", "f:1:9: memory: takes a single value, not a map"},
    {BASE "cpu:\n", "f:3:5: cpu: has no value"},
    {"memory: 64Mi\ncommand: [~, null]\n", "f:2:11: what stands here has no value (it is null)"},
    {"memory: !!binary NjRNaQ==\n", "f:1:9: a lab file has no such tag; write the value itself"},
    {"env: !include {A: 1}\n", "f:1:6: a lab file has no such tag; write the value itself"},
    {BASE "env: A=1\n", "f:3:6: env: takes a map, not a single value"},
    {BASE "env: {A: [1]}\n", "f:3:10: A: takes a single value, not a list"},
    {BASE "env: {'A B': 1}\n", "f:3:7: 'A B' is no name of an environment variable"},
    {BASE "env: {A: \"a\\0b\"}\n", "f:3:10: A: the value holds a NUL character"},
    {"memory: 64Mi\ncommand: {a: b}\n", "f:2:10: command: takes a single value, not a map"},
    {"memory: 64Mi\ncommand: []\n", "f:2:10: command: the command is empty"},
    {"memory: 64Mi\ncommand: a 'b\n", "f:2:10: command: the quote ' is not closed in: a 'b"},
    {BASE "kills: [3]\n", "f:3:8: kills: takes a single value, not a list"},
    {BASE "kills: {trigger: many}\n", "f:3:18: trigger: 'many' is not a whole number"},
    {BASE "kills: {trigge: 3}\n", "f:3:9: 'trigge' is no arm (trigger, raise, patch, fix, control, "
                                  "revert); did you mean 'trigger'?"},
    {BASE "https: maybe\n", "f:3:8: https: 'maybe' is neither true nor false"},
    /* Values. */
    {"memory: 64Mb\ncommand: x\n",
     "f:1:9: memory: '64Mb' has no known unit; use Ki, Mi, Gi (1024) or "
     "k, M, G (1000)"},
    {"memory: 64\ncommand: x\n",
     "f:1:9: memory: 64 is too little: no process starts reliably below 4Mi (did you leave out the "
     "unit? 512Mi is 512 * 1024 * 1024 bytes)"},
    {BASE "raise: 64Mi\n", "f:3:8: raise: 64Mi is not more than the memory limit under test, 64Mi"},
    {BASE "cpu: 0\n", "f:3:6: cpu: 0 cores cannot run anything; leave it out for no quota"},
    {BASE "cpu: one\n",
     "f:3:6: cpu: 'one' is not a number of cores; write it like 0.25, 2 or 250m"},
    {BASE "cpu: 5000\n", "f:3:6: cpu: 5000 cores are more than any machine has"},
    {BASE "port: 0\n", "f:3:7: port: 0 is out of range; it must be from 1 to 65535"},
    {BASE "rate: 0/s\n", "f:3:7: rate: '0/s' is not a rate; write it like 50/s or 600/m"},
    {BASE "rate: 1000000/s\n",
     "f:3:7: rate: '1000000/s' is out of range; it must be from 0.001/s to 100000/s"},
    {BASE "arrival: random\n",
     "f:3:10: arrival: 'random' is no arrival pattern; it is uniform or poisson"},
    {BASE "cycles: 0\n", "f:3:9: cycles: 0 is out of range; it must be from 1 to 1000"},
    {BASE "cycles: five\n", "f:3:9: cycles: 'five' is not a whole number"},
    {BASE "idle: 2 days\n", "f:3:7: idle: '2 days' has no known unit of time; use ms, s, m, h"},
    {BASE "idle: 2h\n", "f:3:7: idle: '2h' is out of range; it must be from 0 to 1 h 0 min"},
    {BASE "ready: https\n", "f:3:8: ready: 'https' is no probe; it is none, tcp or http:/path"},
    {BASE "liveness: none period=1s\n",
     "f:3:11: liveness: 'period=1s' has no meaning where there is no probe"},
    {BASE "backoff: 30s,1s\n",
     "f:3:10: backoff: '30s,1s' starts above its maximum; write FIRST,MAX as in 1s,30s"},
    {BASE "sample-rate: 2000\n",
     "f:3:14: sample-rate: '2000' is out of range; it must be from 1/s to 1000/s"},
    {BASE "deadline: 5s\n", "f:3:11: deadline: an arm's deadline of 5 s is shorter than its "
                            "requests, which take 13.2 s; raise "
                            "deadline or rate, or lower cycles or per-cycle"},
    {BASE "rate: 1/s\nper-cycle: 1000\n", "f:3:7: rate: an arm's deadline of 600 s is shorter than "
                                          "its requests, which take 5003.2 s; raise "
                                          "deadline or rate, or lower cycles or per-cycle"},
    {BASE "idle: 1h\n",
     "f:1:1: an arm's deadline of 600 s is shorter than its requests, which take "
     "3612.2 s; raise deadline or rate, or lower cycles or per-cycle"},
    {BASE "per-cycle: 1000000\ncycles: 1000\n",
     "f:3:12: per-cycle: 1000 cycles of 1000000 requests are more than the 10000000 a plan may "
     "hold"},
    {BASE "name: Big\n",
     "f:3:7: name: 'Big' is no name: it takes a-z, 0-9 and inner hyphens (it becomes "
     "part of file and cgroup names)"},
    {BASE "expect: disaster\n", "f:3:9: expect: 'disaster' is no expectation; it is leak, "
                                "startup-demand, healthy or nothing"},
    {BASE "seed: 1.5\n", "f:3:7: seed: '1.5' is not a whole number"},
    /* Requests. */
    {BASE "requests: []\n", "f:3:11: requests: there is no request in the list"},
    {BASE "requests:\n  - GET /\n  - GTE /\n", "f:5:5: request 'GTE /': 'GTE' is neither a method "
                                               "(GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS) "
                                               "nor a path beginning with '/'"},
    {BASE "requests:\n  - [GET, /]\n", "f:4:5: a request is a text or a map, not a list"},
    {BASE "requests:\n  - {method: GET}\n", "f:4:5: a request needs a path"},
    {BASE "requests:\n  - {path: /, wieght: 2}\n",
     "f:4:15: unknown key 'wieght' in a request; did you mean 'weight'?"},
    {BASE "requests:\n  - {path: /, weight: 0}\n",
     "f:4:23: weight: '0' is not a weight: a number above 0"},
    {BASE "requests:\n  - {path: /, body: x}\n", "f:4:5: a GET request has no body"},
    {BASE "requests:\n  - {path: /a b}\n", "f:4:5: the path '/a b' holds a blank; write %20"},
    {BASE "requests:\n  - {path: /, headers: {'A:': b}}\n",
     "f:4:25: 'A:' is no header: its name takes no blanks and colons, its value no line breaks"},
    {BASE "requests: [GET /]\nrequests-file: r\n",
     "f:4:16: requests-file: requests are given twice: here and in the list of requests"},
    /* Arms. */
    {BASE "arms: raise,trigger\n",
     "f:3:7: arms: the arm 'raise' is compared with 'trigger', so 'trigger' must stand before it"},
    {BASE "arms: trigger,patch\n",
     "f:3:7: arms: the arm 'patch' needs patch-env or patch-command: how is the leak removed?"},
    {BASE "arms: trigger,fix\n", "f:3:7: arms: the arm 'fix' needs patch-env, patch-command or "
                                 "patch-memory: what is shipped?"},
    {BASE "arms: trigger,raise,raise\n", "f:3:7: arms: the arm 'raise' stands there twice"},
    {BASE "patch-command: ./x\n", "f:1:1: the arm 'patch' must differ from 'trigger' in its "
                                  "environment or command and in nothing "
                                  "else, but differs in: nothing"},
    {"scenarios:\n  one:\n    command: x\n",
     "f:2:3: the memory limit under test is missing: say --memory 512Mi (in a lab file: memory: "
     "512Mi)"},
    {"memory: 64Mi\nscenarios:\n  one:\n    env: {A: 1}\n", "f:3:3: there is no command to run"},
};

static void test_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(FAULTS) / sizeof(FAULTS[0]); i++) {
        struct error err = {0};
        struct plan *plan = NULL;
        const struct fault *fault = &FAULTS[i];
        if (plan_from_text("f", fault->text, strlen(fault->text), &plan, &err) == 0)
            fail_msg("taken:\n%s", fault->text);
        if (strcmp(err.text, fault->message) != 0)
            fail_msg("for:\n%sgot:    %s\nwanted: %s", fault->text, err.text, fault->message);
        assert_int_equal(err.kind, ERROR_USAGE);
        assert_null(plan);
    }
}

static struct plan *plan_of(const char *text)
{
    struct error err = {0};
    struct plan *plan = NULL;
    if (plan_from_text("dir/My Lab.yaml", text, strlen(text), &plan, &err) < 0)
        fail_msg("%s\n%s", err.text, text);
    return plan;
}

static void test_every_key(void **state)
{
    (void)state;
    struct plan *plan =
        plan_of("name: n\nquestion: why?\nport: 8080\nhttps: yes\nready: http:/up period=100ms\n"
                "liveness: tcp period=5s timeout=2s delay=1s failures=4\nstartup: http:/start\n"
                "ready-deadline: 5s\ndeadline: 60s\nbackoff: 1s,9s\nsample-rate: 100/s\n"
                "pids-max: 50\nstop-grace: 100ms\nseed: 9\n"
                "scenarios:\n  s:\n    app: my-app\n    expect: leak\n    command: ./x 'a b'\n"
                "    memory: 64Mi\n    raise: 96Mi\n    cpu: 250m\n    patch-memory: 80Mi\n"
                "    patch-cpu: 0.5\n    env: {A: 1, B: ~}\n    patch-env: {A: 2}\n    rate: 10/s\n"
                "    arrival: poisson\n    cycles: 3\n    per-cycle: 7\n    idle: 2s\n    gap: 0\n"
                "    cooldown: 3s\n    kills: {trigger: 5, patch: 1}\n"
                "    requests:\n      - GET /a\n      - {method: POST, path: /b, headers: {X: y},"
                " body: hi, weight: 2.5}\n");
    assert_string_equal(plan->name, "n");
    assert_string_equal(plan->question, "why?");
    assert_int_equal(plan->port, 8080);
    assert_true(plan->https);
    assert_int_equal(plan->readiness.kind, READY_HTTP);
    assert_string_equal(plan->readiness.path, "/up");
    assert_int_equal(plan->readiness.period_ns, 100000000);
    assert_int_equal(plan->liveness.kind, READY_TCP);
    assert_int_equal(plan->liveness.timeout_ns, INT64_C(2000000000));
    assert_int_equal(plan->liveness.initial_delay_ns, INT64_C(1000000000));
    assert_int_equal(plan->liveness.failure_threshold, 4);
    assert_int_equal(plan->startup.failure_threshold, 240);
    assert_int_equal(plan->ready_deadline_ns, INT64_C(5000000000));
    assert_int_equal(plan->arm_deadline_ns, INT64_C(60000000000));
    assert_int_equal(plan->backoff.first_ns, INT64_C(1000000000));
    assert_int_equal(plan->backoff.max_ns, INT64_C(9000000000));
    assert_string_equal(plan->backoff.name, "1s,9s");
    assert_true(plan->sample_rate_hz > 99.9 && plan->sample_rate_hz < 100.1);
    assert_int_equal(plan->pids_max, 50);
    assert_int_equal(plan->stop_grace_ns, 100000000);
    assert_int_equal(plan->seed, 9);
    const struct scenario_plan *scenario = &plan->scenarios[0];
    assert_string_equal(scenario->app, "my-app");
    assert_int_equal(scenario->expect, EXPECT_LEAK);
    assert_int_equal(scenario->arm_count, 5);
    assert_int_equal(scenario->arms[0].kill_stop, 5);
    assert_int_equal(scenario->arms[1].memory_bytes, 96 << 20);
    assert_int_equal(scenario->arms[2].kill_stop, 1);
    assert_int_equal(scenario->arms[3].memory_bytes, 80 << 20);
    assert_string_equal(scenario->arms[0].command[1], "a b");
    assert_string_equal(scenario->arms[0].env[1], "B=");
    assert_string_equal(scenario->arms[3].env[0], "A=2");
    const struct traffic_spec *traffic = &scenario->traffic;
    assert_int_equal(traffic->arrival, TRAFFIC_POISSON);
    assert_int_equal(traffic->seed, 9);
    assert_int_equal(traffic->cycles * traffic->per_cycle, 21);
    assert_int_equal(traffic->gap_ns, 0);
    assert_int_equal(traffic->request_count, 2);
    assert_string_equal(traffic->requests[1].method, "POST");
    assert_string_equal(traffic->requests[1].headers[0], "X: y");
    assert_int_equal(traffic->requests[1].body_bytes, 2);
    assert_true(traffic->requests[1].weight > 2.4);
    plan_free(plan);
}

static void test_defaults(void **state)
{
    (void)state;
    struct plan *plan = plan_of(BASE);
    assert_string_equal(plan->name, "my-lab");
    assert_int_equal(plan->port, 0);
    assert_int_equal(plan->readiness.kind, READY_TCP);
    assert_int_equal(plan->liveness.kind, READY_NONE);
    assert_string_equal(plan->backoff.name, "fast");
    assert_int_equal(plan->backoff.first_ns, 500000000);
    assert_int_equal(plan->backoff.reset_ns, INT64_C(30000000000));
    const struct scenario_plan *scenario = &plan->scenarios[0];
    assert_string_equal(scenario->name, "service");
    assert_int_equal(scenario->arm_count, 2);
    assert_int_equal(scenario->arms[1].memory_bytes, 128 << 20);
    assert_true(scenario->until_settled && scenario->confidence > 0.799);
    assert_int_equal(scenario->arms[0].kill_stop, 0);
    assert_int_equal(scenario->arms[1].kill_stop, 0);
    assert_string_equal(scenario->traffic.requests[0].path, "/");
    assert_int_equal(scenario->traffic.cycles * scenario->traffic.per_cycle, 5100);
    plan_free(plan);
}

static void test_anchors(void **state)
{
    (void)state;
    struct plan *plan = plan_of("memory: 64Mi\ncommand: ./x\nscenarios:\n  a:\n    env: &e {A: 1}\n"
                                "  b:\n    env: *e\n");
    assert_int_equal(plan->scenario_count, 2);
    assert_string_equal(plan->scenarios[1].arms[0].env[0], "A=1");
    plan_free(plan);
}

/* Ten levels of ten aliases each would be 10^10 items. */
static void test_billion_laughs(void **state)
{
    (void)state;
    AUTO_BUFFER text = {0};
    struct error err = {0};
    struct plan *plan = NULL;
    buffer_puts(&text, BASE "requests:\n  - &r {path: /, headers: {H: \"");
    for (int i = 0; i < 20000; i++)
        buffer_puts(&text, "x");
    buffer_puts(&text, "\"}}\n");
    for (int i = 0; i < 500; i++)
        buffer_puts(&text, "  - *r\n");
    assert_true(plan_from_text("f", buffer_text(&text), text.length, &plan, &err) < 0);
    assert_non_null(strstr(err.text, "would be larger than 1 MiB"));
}

/* A node that holds itself has no end when it is followed blindly. */
static void test_circle(void **state)
{
    (void)state;
    struct error err = {0};
    struct plan *plan = NULL;
    const char *text = BASE "requests: &r\n  - *r\n";
    assert_true(plan_from_text("f", text, strlen(text), &plan, &err) < 0);
    assert_string_equal(err.text, "f:3:11: a request is a text or a map, not a list");
}

static void test_files(void **state)
{
    (void)state;
    struct error err = {0};
    struct lab_draft lab = {0};
    assert_true(lab_file_read("/nonexistent.yaml", &lab, &err) < 0);
    assert_string_equal(err.text,
                        "cannot read the lab file '/nonexistent.yaml': No such file or directory");
    assert_int_equal(err.kind, ERROR_USAGE);
    assert_true(lab_file_read("/", &lab, &err) < 0);
    assert_string_equal(err.text, "the lab file '/' is a directory");
    assert_true(lab_file_read("/dev/zero", &lab, &err) < 0);
    assert_non_null(strstr(err.text, "larger than the 262144 bytes"));
    assert_int_equal(err.kind, ERROR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),         cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_defaults),       cmocka_unit_test(test_anchors),
        cmocka_unit_test(test_billion_laughs), cmocka_unit_test(test_circle),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
