/* SPDX-License-Identifier: Apache-2.0 */
/* An arm written to a real evidence file and read back as series. */
#include "lab/series.h"

#include "base/duration.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define S INT64_C(1000000000)

struct fixture {
    char directory[64];
    struct store *store;
};

static int set_up(void **state)
{
    struct error err;
    struct fixture *f = calloc(1, sizeof(*f));
    strcpy(f->directory, "/tmp/oomlab-series-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    assert_int_equal(store_create(f->directory, &f->store, &err), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"evidence.db", "evidence.db-wal", "evidence.db-shm"};
    store_close(f->store);
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", f->directory, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(f->directory), 0);
    free(f);
    return 0;
}

static void insert(struct store *store, const char *table, const struct store_value *values)
{
    struct error err;
    if (store_insert(store, table, values, NULL, &err) < 0)
        fail_msg("%s: %s", table, err.text);
}

static void insert_arm(struct store *store)
{
    const struct store_value values[] = {
        STORE_INT("id", 1),
        STORE_STR("scenario", "leak"),
        STORE_STR("name", "trigger"),
        STORE_STR("differs_in", "[]"),
        STORE_STR("purpose", "-"),
        STORE_STR("app", "a"),
        STORE_STR("revision", "a--trigger"),
        STORE_STR("command", "[]"),
        STORE_STR("env", "{}"),
        STORE_INT("memory_limit_bytes", 1000),
        STORE_INT("requests_planned", 8),
        STORE_STR("sequence_sha256", "0"),
        STORE_INT("started_ns", 100 * S),
        STORE_STR("health_state", "Unhealthy"),
        STORE_END,
    };
    insert(store, "arm", values);
}

static void insert_lifetime(struct store *store, int64_t id, int64_t start_s, int64_t ready_s,
                            int64_t end_s, int wait_status, const char *cause, const char *reason)
{
    const struct store_value lifetime[] = {
        STORE_INT("id", id),
        STORE_INT("arm_id", 1),
        STORE_STR("replica", "r"),
        STORE_INT("idx", id),
        STORE_INT("pid", 100 + id),
        STORE_STR("cgroup", "/x"),
        STORE_INT("started_ns", start_s * S),
        STORE_INT("backoff_ns", 0),
        ready_s ? (struct store_value)STORE_INT("ready_ns", ready_s * S)
                : (struct store_value)STORE_NIL("ready_ns"),
        STORE_END,
    };
    insert(store, "lifetime", lifetime);
    const struct store_value end[] = {
        STORE_INT("lifetime_id", id),
        STORE_INT("ended_ns", end_s * S),
        STORE_INT("recorded_ns", end_s * S),
        STORE_INT("wait_code", CLD_KILLED),
        STORE_INT("wait_status", wait_status),
        STORE_STR("platform_kill", reason),
        STORE_INT("peak_bytes", 990),
        STORE_INT("user_ns", 0),
        STORE_INT("system_ns", 0),
        STORE_STR("cause", cause),
        STORE_STR("level", "Measured"),
        STORE_END,
    };
    insert(store, "lifetime_end", end);
}

static void insert_sample(struct store *store, int64_t lifetime, int64_t at_ns, int64_t bytes)
{
    const struct store_value values[] = {
        STORE_INT("lifetime_id", lifetime),
        STORE_INT("at_ns", at_ns),
        STORE_INT("working_set_bytes", bytes),
        STORE_END,
    };
    insert(store, "sample", values);
}

static void insert_request(struct store *store, int64_t seq, int64_t done_ns, int status,
                           int64_t lifetime)
{
    const struct store_value values[] = {
        STORE_INT("arm_id", 1),
        STORE_INT("seq", seq),
        STORE_INT("cycle", 1),
        STORE_INT("due_ns", done_ns - S),
        STORE_INT("sent_ns", done_ns - S),
        STORE_INT("done_ns", done_ns),
        STORE_INT("status", status),
        lifetime ? (struct store_value)STORE_INT("lifetime_id", lifetime)
                 : (struct store_value)STORE_NIL("lifetime_id"),
        STORE_END,
    };
    insert(store, "request", values);
}

static void insert_phase(struct store *store, const char *kind, int64_t start_s, int64_t end_s)
{
    const struct store_value values[] = {
        STORE_INT("arm_id", 1),
        STORE_STR("kind", kind),
        STORE_INT("cycle", 1),
        STORE_INT("started_ns", start_s * S),
        STORE_INT("ended_ns", end_s * S),
        STORE_END,
    };
    insert(store, "phase", values);
}

static struct arm_data load(struct fixture *f)
{
    struct error err;
    struct arm_data data;
    assert_int_equal(arm_data_load(f->store, 1, &data, &err), 0);
    return data;
}

static void test_requests_are_counted_up_to_each_sample(void **state)
{
    struct fixture *f = *state;
    insert_arm(f->store);
    insert_lifetime(f->store, 1, 100, 101, 110, SIGKILL, "oom-container-limit", "none");
    insert_lifetime(f->store, 2, 111, 0, 120, SIGKILL, "killed-by-platform", "stop");
    insert_sample(f->store, 1, 101 * S, 100);
    insert_sample(f->store, 1, 103 * S, 200);
    insert_sample(f->store, 1, 105 * S, 300);
    insert_request(f->store, 0, 102 * S, 200, 1);
    insert_request(f->store, 1, 103 * S, 404, 1);
    insert_request(f->store, 2, 104 * S, 500, 1); /* answered, but failed */
    insert_request(f->store, 3, 105 * S + 1, 200, 1);
    insert_request(f->store, 4, 106 * S, 0, 0);
    insert_request(f->store, 5, 112 * S, 200, 2);

    struct arm_data data = load(f);
    assert_int_equal(data.count, 2);
    assert_string_equal(data.scenario, "leak");
    assert_int_equal(data.restarts, 1);
    assert_true(data.requests_planned == 8 && data.requests_completed == 4);
    const struct lifetime_series *first = &data.series.lifetimes[0];
    assert_int_equal(first->count, 3);
    assert_true(first->points[0].t_s == 1 && first->points[0].requests == 0);
    assert_true(first->points[1].requests == 2 && first->points[1].working_set == 200);
    assert_true(first->points[2].requests == 2);
    /* Sent and not done: 0 alone at 101 s, 2 at 103 s, then 3 and the one nobody answered. */
    assert_true(first->points[0].in_flight == 1 && first->points[1].in_flight == 1);
    assert_true(first->points[2].in_flight == 2);
    assert_true(isnan(first->points[2].anon)); /* absent is not zero */
    assert_true(first->requests_completed == 3);
    assert_true(first->ready_s == 1 && first->uptime_s == 10 && first->peak_bytes == 990);
    assert_int_equal(first->cause, CAUSE_OOM_CONTAINER_LIMIT);
    assert_int_equal(data.gate_lifetimes[0].code, SIGKILL);
    assert_true(first->has_exit_code && first->exit_code == 137);
    assert_int_equal(first->child_kills, 0);
    assert_true(data.gate_lifetimes[0].by_signal && data.gate_lifetimes[0].ready);

    const struct lifetime_series *second = &data.series.lifetimes[1];
    assert_true(isnan(second->ready_s));
    assert_int_equal(second->count, 0);
    /* Stopped because the arm was over: for the analysis it was still running. */
    assert_int_equal(second->cause, CAUSE_RUNNING);
    assert_false(data.gate_lifetimes[1].ready);
    arm_data_done(&data);
}

static void test_phases_are_relative_to_each_lifetime(void **state)
{
    struct fixture *f = *state;
    insert_arm(f->store);
    insert_lifetime(f->store, 1, 100, 101, 110, SIGKILL, "oom-container-limit", "none");
    insert_lifetime(f->store, 2, 112, 113, 130, SIGKILL, "oom-container-limit", "none");
    insert_phase(f->store, "idle", 102, 104);
    insert_phase(f->store, "cycle", 104, 115);
    insert_phase(f->store, "gap", 115, 116);
    insert_phase(f->store, "cooldown", 140, 150);

    struct arm_data data = load(f);
    const struct lifetime_series *first = &data.series.lifetimes[0];
    assert_int_equal(first->span_count, 2);
    assert_int_equal(first->spans[0].kind, SPAN_IDLE);
    assert_true(first->spans[0].start_s == 2 && first->spans[0].end_s == 4);
    const struct lifetime_series *second = &data.series.lifetimes[1];
    assert_int_equal(second->span_count, 2);
    assert_int_equal(second->spans[0].kind, SPAN_CYCLE);
    assert_true(second->spans[0].start_s == -8 && second->spans[0].end_s == 3);
    assert_int_equal(second->spans[1].kind, SPAN_GAP);
    arm_data_done(&data);
}

static void test_platform_kill_by_a_probe_is_an_end(void **state)
{
    struct fixture *f = *state;
    insert_arm(f->store);
    insert_lifetime(f->store, 1, 100, 101, 110, SIGKILL, "killed-by-platform", "liveness-probe");
    struct arm_data data = load(f);
    assert_int_equal(data.series.lifetimes[0].cause, CAUSE_KILLED_BY_PLATFORM);
    assert_int_equal(data.series.lifetimes[0].platform_kill, PLATFORM_KILL_LIVENESS);
    arm_data_done(&data);
}

static void set_counters(struct store *store, int64_t lifetime, int64_t kills, int64_t groups)
{
    struct error err;
    const struct store_value key = STORE_INT("lifetime_id", lifetime);
    const struct store_value values[] = {
        STORE_INT("oom_kill_start", 2),
        STORE_INT("oom_kill_end", 2 + kills),
        STORE_INT("oom_group_kill_start", 0),
        STORE_INT("oom_group_kill_end", groups),
        STORE_END,
    };
    assert_int_equal(store_update(store, "lifetime_end", &key, values, &err), 0);
}

/* The counter's rise beside the main process's own kill; a group kill says nothing of children. */
static void test_child_kills(void **state)
{
    struct fixture *f = *state;
    insert_arm(f->store);
    insert_lifetime(f->store, 1, 100, 101, 110, SIGKILL, "oom-container-limit", "none");
    insert_lifetime(f->store, 2, 111, 112, 115, SIGKILL, "oom-container-limit", "none");
    insert_lifetime(f->store, 3, 116, 117, 120, SIGTERM, "killed-by-platform", "stop");
    set_counters(f->store, 1, 3, 0);
    set_counters(f->store, 2, 3, 1);
    set_counters(f->store, 3, 2, 0);
    struct arm_data data = load(f);
    assert_int_equal(data.lifetimes[0].child_kills, 2);
    assert_int_equal(data.lifetimes[1].child_kills, 0);
    assert_int_equal(data.lifetimes[2].child_kills, 2);
    arm_data_done(&data);
}

static void test_unknown_arm_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct arm_data data;
    assert_int_equal(arm_data_load(f->store, 77, &data, &err), -2 /* ENOENT */);
    assert_non_null(strstr(err.text, "77"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_requests_are_counted_up_to_each_sample, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_phases_are_relative_to_each_lifetime, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_platform_kill_by_a_probe_is_an_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_child_kills, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_arm_is_an_error, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
