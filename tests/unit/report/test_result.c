/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "report/report.h"
#include "report/story.h"

#include <math.h>

static json_t *result_of(struct fixture *fixture, enum run_kind kind)
{
    struct error err = {0};
    json_t *result = NULL;
    if (report_result(fixture_run(fixture, kind), &result, &err) < 0)
        fail_msg("%s", err.text);
    return result;
}

static const json_t *arm_of(const json_t *result, size_t index)
{
    return json_array_get(json_object_get(result, "arms"), index);
}

static const json_t *lifetime_of(const json_t *arm, size_t index)
{
    return json_array_get(json_object_get(arm, "lifetimes"), index);
}

static void assert_number(const json_t *object, const char *path, double expected)
{
    double value = number_at(object, path);
    if (!(fabs(value - expected) < 1e-6))
        fail_msg("%s is %g, not %g", path, value, expected);
}

static void test_run(void **state)
{
    json_t *result = result_of(*state, RUN_LAB);
    assert_string_equal(text_at(result, "schema"), "oomlab.result/1");
    assert_string_equal(text_at(result, "run.started_at"), "2026-11-22T13:01:59.123456Z");
    assert_number(result, "run.host.cgroup_version", 1);
    assert_number(result, "run.host.memory_bytes", 8589934592.0);
    assert_false(flag_at(result, "run.interrupted"));
    assert_int_equal(json_array_size(json_object_get(result, "arms")), 11);
    assert_int_equal(json_array_size(json_object_get(result, "gates")), 5);
    assert_int_equal(json_array_size(json_object_get(result, "predictions")), 2);
    assert_true(json_is_null(value_at(result, "recommendation.memory_bytes")));
    json_decref(result);
}

static void test_arm(void **state)
{
    json_t *result = result_of(*state, RUN_LAB);
    const json_t *arm = arm_of(result, 6);
    assert_string_equal(text_at(arm, "name"), "raise");
    assert_string_equal(json_string_value(json_array_get(value_at(arm, "differs_in"), 0)),
                        "memory: 512Mi -> 1Gi");
    assert_number(arm, "memory_limit_bytes", 1073741824.0);
    assert_number(arm, "cpu_cores", 0.25);
    assert_number(arm, "oom_kills", 2);
    assert_number(arm, "restarts", 1);
    assert_number(arm, "requests.planned", 300);
    assert_number(arm, "requests.completed", 253);
    assert_number(arm, "requests.failed", 10);
    assert_string_equal(text_at(arm, "verdict.class"), "leak");
    assert_number(arm, "verdict.growth.bytes_per_request", 8388608.0);
    assert_string_equal(text_at(arm, "verdict.growth.by_kind.per"), "request");
    assert_number(arm, "verdict.growth.by_kind.anon", 8388608.0);
    assert_number(arm, "verdict.growth.by_kind.shmem", -512.0);
    assert_null(value_at(arm, "verdict.growth.by_kind.kernel")); /* not known */
    json_decref(result);
}

static void test_killed_lifetime(void **state)
{
    json_t *result = result_of(*state, RUN_LAB);
    const json_t *lifetime = lifetime_of(arm_of(result, 5), 0);
    assert_string_equal(text_at(lifetime, "end.cause"), "oom-container-limit");
    assert_string_equal(text_at(lifetime, "end.level"), "Measured");
    assert_number(lifetime, "end.exit_code", 137);
    assert_number(lifetime, "end.signal", 9);
    assert_number(lifetime, "end.detected_after_ms", 0.31);
    assert_number(lifetime, "end.committed_after_ms", 1.7);
    assert_number(lifetime, "requests_completed", 63);
    assert_number(lifetime, "ready_after_s", 0.2);
    assert_true(number_at(lifetime, "working_set.first_bytes") <
                number_at(lifetime, "working_set.peak_bytes"));
    assert_true(is_proven_kill(lifetime));
    const json_t *proof = value_at(lifetime, "end.proof");
    assert_contains(json_string_value(json_array_get(proof, 0)),
                    "oom_kill of /oomlab-4f2a/arm6-1: 0 -> 1");
    assert_contains(json_string_value(json_array_get(proof, 1)), "limit hits");
    assert_contains(json_string_value(json_array_get(proof, 2)), "kernel log: oom-kill:");
    assert_contains(json_string_value(json_array_get(proof, 3)), "signal 9 (SIGKILL)");
    json_decref(result);
}

static void test_stopped_lifetime(void **state)
{
    json_t *result = result_of(*state, RUN_LAB);
    const json_t *lifetime = lifetime_of(arm_of(result, 7), 0);
    assert_string_equal(text_at(lifetime, "end.cause"), "killed-by-platform");
    assert_number(lifetime, "end.exit_code", 0);
    assert_true(json_is_null(value_at(lifetime, "end.signal")));
    assert_true(json_is_null(value_at(lifetime, "end.detected_after_ms")));
    assert_false(is_proven_kill(lifetime));
    const json_t *proof = value_at(lifetime, "end.proof");
    assert_contains(json_string_value(json_array_get(proof, 0)), "stayed at 0");
    json_decref(result);
}

/* What is not there is null or says so; nothing is made up. */
static void test_interrupted_run(void **state)
{
    json_t *result = result_of(*state, RUN_INTERRUPTED);
    assert_true(flag_at(result, "run.interrupted"));
    assert_true(json_is_null(value_at(result, "run.duration_s")));
    assert_string_equal(text_at(result, "verdict.class"), "inconclusive");
    assert_string_equal(text_at(result, "verdict.level"), "Not Proven");
    assert_contains(text_at(result, "verdict.would_settle"), "complete run");
    assert_string_equal(text_at(result, "recommendation.action"), "investigate");
    const json_t *arm = arm_of(result, 1);
    assert_true(json_is_null(value_at(arm, "health_state")));
    const json_t *lifetime = lifetime_of(arm, 0);
    assert_string_equal(text_at(lifetime, "end.cause"), "unknown");
    assert_true(json_is_null(value_at(lifetime, "end.exit_code")));
    assert_true(json_is_null(value_at(lifetime, "uptime_s")));
    assert_true(json_is_null(value_at(lifetime, "growth.bytes_per_request")));
    json_decref(result);
}

static void test_empty_run(void **state)
{
    json_t *result = result_of(*state, RUN_EMPTY);
    assert_int_equal(json_array_size(json_object_get(result, "arms")), 0);
    assert_string_equal(text_at(result, "verdict.class"), "inconclusive");
    json_decref(result);
}

static void test_file_without_run_is_a_usage_error(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    json_t *result = NULL;
    assert_int_equal(store_create(fixture->directory, &fixture->store, &err), 0);
    assert_true(report_result(fixture->store, &result, &err) < 0);
    assert_int_equal(err.kind, ERROR_USAGE);
    assert_contains(err.text, "holds no run");
    assert_null(result);
}

static void test_evidence_is_in_order(void **state)
{
    json_t *result = result_of(*state, RUN_LAB);
    size_t index;
    json_t *item;
    json_array_foreach(json_object_get(result, "evidence"), index, item)
    {
        char id[32];
        snprintf(id, sizeof(id), "E%zu", index + 1);
        assert_string_equal(text_at(item, "id"), id);
    }
    assert_true(index > 20);
    assert_string_equal(
        text_at(json_array_get(json_object_get(result, "evidence"), 0), "source.arm"),
        "hard/trigger");
    json_decref(result);
}

static void test_request_without_answer_or_with_server_error_failed(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    struct store *store = fixture_run(fixture, RUN_SERVICE);
    sqlite3 *db = NULL;
    char path[128];
    snprintf(path, sizeof(path), "%s/evidence.db", fixture->directory);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "DELETE FROM request WHERE arm_id = 1 AND seq > 5;"
                                  "UPDATE request SET status = 200 WHERE arm_id = 1;"
                                  "UPDATE request SET status = 499 WHERE arm_id = 1 AND seq = 1;"
                                  "UPDATE request SET status = 500 WHERE arm_id = 1 AND seq = 2;"
                                  "UPDATE request SET status = 0, error = 'Connection refused',"
                                  " sent_ns = due_ns + 7000000 WHERE arm_id = 1 AND seq = 3;"
                                  "UPDATE request SET status = 0, error = 'too many in flight',"
                                  " sent_ns = NULL WHERE arm_id = 1 AND seq = 4;",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    json_t *result = NULL;
    assert_int_equal(report_result(store, &result, &err), 0);
    assert_number(arm_of(result, 0), "requests.completed", 3);
    assert_number(arm_of(result, 0), "requests.failed", 2);
    assert_number(arm_of(result, 0), "requests.not_sent", 1);
    json_t *expected = json_pack("[{s:s, s:i}, {s:s, s:i}]", "reason", "Connection refused",
                                 "count", 1, "reason", "HTTP 500", "count", 1);
    assert_true(json_equal(value_at(arm_of(result, 0), "requests.failures"), expected));
    json_decref(expected);
    assert_number(arm_of(result, 0), "requests.lateness_ms.p50", 0.02);
    assert_number(arm_of(result, 0), "requests.lateness_ms.max", 7);
    assert_number(arm_of(result, 0), "requests.latency_ms.p99", 0.88);
    json_decref(result);
}

static void test_hostile_text_stays_text(void **state)
{
    struct fixture *fixture = *state;
    json_t *result = result_of(fixture, RUN_HOSTILE);
    const char *lab = text_at(result, "run.lab");
    assert_contains(lab, "</script>");
    assert_lacks(lab, "\033");
    assert_lacks(lab, "\001");
    char *dumped = json_dumps(result, 0); /* NULL when a string is not valid UTF-8 */
    assert_non_null(dumped);
    free(dumped);
    json_decref(result);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_run),
        TEST(test_arm),
        TEST(test_killed_lifetime),
        TEST(test_stopped_lifetime),
        TEST(test_interrupted_run),
        TEST(test_empty_run),
        TEST(test_file_without_run_is_a_usage_error),
        TEST(test_evidence_is_in_order),
        TEST(test_request_without_answer_or_with_server_error_failed),
        TEST(test_hostile_text_stays_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
