/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lab/plan.h"
#include "lab/plan_value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct plan *plan_with(struct plan_options options)
{
    struct error err = {0};
    struct plan *plan = NULL;
    if (plan_new(&options, &plan, &err) < 0)
        fail_msg("%s", err.text);
    return plan;
}

static void refused(struct plan_options options, const char *message)
{
    struct error err = {0};
    struct plan *plan = NULL;
    if (plan_new(&options, &plan, &err) == 0)
        fail_msg("taken instead of: %s", message);
    if (strcmp(err.text, message) != 0)
        fail_msg("got:    %s\nwanted: %s", err.text, message);
    assert_int_equal(err.kind, ERROR_USAGE);
}

static void check_arm(const struct scenario_plan *scenario, size_t index, enum arm_kind kind,
                      uint64_t memory_mib, double cpu, unsigned kill_stop, const char *differs)
{
    assert_true(index < scenario->arm_count);
    const struct arm_plan *arm = &scenario->arms[index];
    char text[512] = "";
    for (size_t i = 0; arm->differs_in[i]; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? "; " : "",
                 arm->differs_in[i]);
    assert_string_equal(arm_kind_name(arm->kind), arm_kind_name(kind));
    assert_int_equal(arm->memory_bytes, memory_mib << 20);
    assert_true(arm->cpu_cores > cpu - 0.001 && arm->cpu_cores < cpu + 0.001);
    assert_int_equal(arm->kill_stop, kill_stop);
    assert_string_equal(text, differs);
    assert_int_equal(arm->reference, kind == ARM_TRIGGER || kind == ARM_CONTROL ? -1 : 0);
}

static void check_builtin_shape(const struct plan *plan)
{
    assert_int_equal(plan->scenario_count, 3);
    assert_string_equal(plan->scenarios[0].name, "hard");
    assert_string_equal(plan->scenarios[0].app, "ca-oom-hard");
    assert_int_equal(plan->scenarios[0].expect, EXPECT_STARTUP_DEMAND);
    assert_string_equal(plan->scenarios[1].name, "leak");
    assert_string_equal(plan->scenarios[1].app, "ca-oom-leak");
    assert_int_equal(plan->scenarios[1].expect, EXPECT_LEAK);
    assert_string_equal(plan->scenarios[2].name, "healthy");
    assert_string_equal(plan->scenarios[2].app, "ca-oom-healthy");
    assert_int_equal(plan->scenarios[2].expect, EXPECT_HEALTHY);
    assert_string_equal(plan->readiness.path, "/health");
    assert_int_equal(plan->port, 0);
}

static void test_builtin(void **state)
{
    (void)state;
    char self[4096] = "";
    assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    struct plan *plan = plan_with((struct plan_options){0});
    assert_string_equal(plan->name, "memory-leak-oomkilled");
    check_builtin_shape(plan);
    const struct scenario_plan *hard = &plan->scenarios[0];
    check_arm(hard, 0, ARM_TRIGGER, 512, 0.25, 3, "");
    check_arm(hard, 1, ARM_RAISE, 1024, 0.25, 2, "memory: 512Mi -> 1Gi");
    check_arm(hard, 2, ARM_PATCH, 512, 0.25, 0, "env HARD_OOM_MB: 600 -> 64");
    check_arm(hard, 3, ARM_FIX, 1024, 0.5, 0,
              "memory: 512Mi -> 1Gi; cpu: 0.25 -> 0.5; env HARD_OOM_MB: 600 -> 64");
    check_arm(hard, 4, ARM_REVERT, 512, 0.25, 2, "");
    const struct scenario_plan *leak = &plan->scenarios[1];
    check_arm(leak, 0, ARM_TRIGGER, 512, 0.25, 3, "");
    check_arm(leak, 1, ARM_RAISE, 1024, 0.25, 2, "memory: 512Mi -> 1Gi");
    check_arm(leak, 2, ARM_PATCH, 512, 0.25, 0, "env MODE: leak-per-request -> healthy");
    check_arm(leak, 3, ARM_FIX, 1024, 0.5, 0,
              "memory: 512Mi -> 1Gi; cpu: 0.25 -> 0.5; env MODE: leak-per-request -> healthy");
    check_arm(leak, 4, ARM_REVERT, 512, 0.25, 2, "");
    assert_int_equal(plan->scenarios[2].arm_count, 1);
    check_arm(&plan->scenarios[2], 0, ARM_CONTROL, 1024, 0.5, 0, "");
    assert_string_equal(leak->arms[0].command[0], self);
    assert_string_equal(leak->arms[0].command[1], "workload");
    plan_free(plan);
}

/* Two kills under the raised limit need so many requests that complete, and the control the same.
 */
static void test_builtin_is_long_enough(void **state)
{
    (void)state;
    struct plan *plan = plan_with((struct plan_options){0});
    const struct scenario_plan *leak = &plan->scenarios[1];
    const struct scenario_plan *healthy = &plan->scenarios[2];
    const char *bytes = NULL;
    for (char **env = leak->arms[0].env; *env; env++) {
        if (strncmp(*env, "LEAK_BYTES_PER_REQUEST=", 23) == 0)
            bytes = *env + 23;
    }
    assert_non_null(bytes);
    double to_kill = (double)leak->arms[1].memory_bytes / strtod(bytes, NULL);
    unsigned planned = leak->traffic.cycles * leak->traffic.per_cycle;
    assert_true(planned > 2.1 * to_kill);
    assert_int_equal(healthy->traffic.cycles * healthy->traffic.per_cycle, planned);
    plan_free(plan);
}

static void test_small_lab(void **state)
{
    (void)state;
    char path[4096];
    snprintf(path, sizeof(path), "%s/labs/small.yaml", getenv("SOURCE_ROOT"));
    struct plan *plan = plan_with((struct plan_options){.lab_file = path});
    assert_string_equal(plan->name, "small");
    check_builtin_shape(plan);
    for (size_t i = 0; i < plan->scenario_count; i++) {
        for (size_t j = 0; j < plan->scenarios[i].arm_count; j++)
            assert_true(plan->scenarios[i].arms[j].memory_bytes <= 128 << 20);
    }
    plan_free(plan);
}

static const char *const SERVER[] = {"./My Server.py", "--flag", NULL};

static void test_own_service(void **state)
{
    (void)state;
    const char *const requests[] = {"GET /search?q=x", "/b", NULL};
    const char *const env[] = {"A=1", "B=x=y", NULL};
    struct plan *plan = plan_with((struct plan_options){
        .command = SERVER, .memory = "256Mi", .port = "8080", .requests = requests, .env = env});
    assert_string_equal(plan->name, "my-server");
    assert_int_equal(plan->port, 8080);
    assert_non_null(strstr(plan->question, "256Mi"));
    assert_int_equal(plan->scenario_count, 1);
    const struct scenario_plan *scenario = &plan->scenarios[0];
    assert_string_equal(scenario->name, "service");
    assert_string_equal(scenario->app, "my-server");
    assert_int_equal(scenario->expect, EXPECT_NOTHING);
    assert_int_equal(scenario->arm_count, 2);
    check_arm(scenario, 0, ARM_TRIGGER, 256, 0, 0, "");
    check_arm(scenario, 1, ARM_RAISE, 512, 0, 0, "memory: 256Mi -> 512Mi");
    assert_string_equal(scenario->arms[0].command[1], "--flag");
    assert_string_equal(scenario->arms[0].env[1], "B=x=y");
    assert_int_equal(scenario->traffic.request_count, 2);
    assert_string_equal(scenario->traffic.requests[1].method, "GET");
    plan_free(plan);
}

static void test_own_service_patched(void **state)
{
    (void)state;
    const char *const patch[] = {"LEAK=0", NULL};
    struct plan *plan =
        plan_with((struct plan_options){.command = SERVER, .memory = "256Mi", .patch_env = patch});
    check_arm(&plan->scenarios[0], 2, ARM_PATCH, 256, 0, 0, "env LEAK: (unset) -> 0");
    check_arm(&plan->scenarios[0], 3, ARM_FIX, 512, 0, 0,
              "memory: 256Mi -> 512Mi; env LEAK: (unset) -> 0");
    check_arm(&plan->scenarios[0], 4, ARM_REVERT, 256, 0, 0, "");
    plan_free(plan);

    plan = plan_with((struct plan_options){
        .command = SERVER, .memory = "256Mi", .patch_command = "./fixed 'a b'"});
    check_arm(&plan->scenarios[0], 2, ARM_PATCH, 256, 0, 0,
              "command: ./My Server.py --flag -> ./fixed a b");
    plan_free(plan);

    /* Another size alone is a fix that patches nothing. */
    plan = plan_with(
        (struct plan_options){.command = SERVER, .memory = "256Mi", .patch_memory = "384Mi"});
    assert_int_equal(plan->scenarios[0].arm_count, 4);
    check_arm(&plan->scenarios[0], 2, ARM_FIX, 384, 0, 0, "memory: 256Mi -> 384Mi");
    check_arm(&plan->scenarios[0], 3, ARM_REVERT, 256, 0, 0, "");
    plan_free(plan);
}

static void test_arms_chosen(void **state)
{
    (void)state;
    struct plan *plan = plan_with((struct plan_options){
        .command = SERVER, .memory = "64Mi", .arms = "control", .kills = "7"});
    assert_int_equal(plan->scenarios[0].arm_count, 1);
    check_arm(&plan->scenarios[0], 0, ARM_CONTROL, 128, 0, 0, "");
    plan_free(plan);

    /* In a lab of several scenarios the option chooses among the arms that each has. */
    plan = plan_with((struct plan_options){.arms = "trigger,patch", .kills = "trigger=9"});
    assert_int_equal(plan->scenario_count, 2);
    assert_int_equal(plan->scenarios[1].arm_count, 2);
    check_arm(&plan->scenarios[1], 0, ARM_TRIGGER, 512, 0.25, 9, "");
    plan_free(plan);

    plan = plan_with((struct plan_options){.scenarios = "healthy,leak", .memory = "256Mi"});
    assert_int_equal(plan->scenario_count, 2);
    assert_string_equal(plan->scenarios[0].name, "healthy");
    check_arm(&plan->scenarios[1], 1, ARM_RAISE, 1024, 0.25, 2, "memory: 256Mi -> 1Gi");
    plan_free(plan);
}

/* A check runs the service as it is: no other arm, one kill, nothing that the lab expects. */
static void test_trigger_only(void **state)
{
    (void)state;
    struct plan *plan = plan_with((struct plan_options){.trigger_only = true});
    assert_int_equal(plan->scenario_count, 3);
    for (size_t i = 0; i < plan->scenario_count; i++) {
        const struct scenario_plan *scenario = &plan->scenarios[i];
        assert_int_equal(scenario->arm_count, 1);
        assert_int_equal(scenario->expect, EXPECT_NOTHING);
        check_arm(scenario, 0, ARM_TRIGGER, 512, 0.25, 1, "");
    }
    plan_free(plan);
}

static struct scenario_plan scenario_with(struct plan_options options, struct plan **ret)
{
    options.command = SERVER;
    options.memory = "256Mi";
    *ret = plan_with(options);
    return (*ret)->scenarios[0];
}

/* A budget of growth is decided when it is, unless the cycles are fixed. */
static void test_check_goes_on_to_its_growth_budget(void **state)
{
    (void)state;
    static const struct growth_budget growth = {{1024, NAN}}, none = {{NAN, NAN}};
    struct plan *plan;
    struct plan_options options = {.trigger_only = true, .growth = &growth};
    struct scenario_plan scenario = scenario_with(options, &plan);
    assert_true(plan->to_growth_budget && scenario.until_settled);
    assert_int_equal(scenario.traffic.cycles, 51);
    assert_int_equal(scenario.arms[0].kill_stop, 1);
    plan_free(plan);
    options.cycles = "5";
    scenario = scenario_with(options, &plan);
    assert_false(scenario.until_settled);
    assert_int_equal(scenario.traffic.cycles, 5);
    plan_free(plan);
    options = (struct plan_options){.trigger_only = true, .growth = &none};
    scenario = scenario_with(options, &plan);
    assert_false(plan->to_growth_budget || scenario.until_settled);
    assert_int_equal(scenario.traffic.cycles, 5);
    plan_free(plan);
    options.budget = "30s";
    scenario = scenario_with(options, &plan);
    assert_true(scenario.until_settled && !plan->to_growth_budget);
    plan_free(plan);
}

/* Nothing fixed: as long as it takes, two minutes at most. A number that is given stays as it is.
 */
static void test_until_settled(void **state)
{
    (void)state;
    struct plan *plan;
    struct scenario_plan scenario = scenario_with((struct plan_options){0}, &plan);
    assert_true(scenario.until_settled && scenario.confidence > 0.799);
    assert_int_equal(scenario.traffic.cycles, 51); /* 1 s, 51 * 2.3 s less a gap, 1 s: 119 s */
    plan_free(plan);
    scenario = scenario_with((struct plan_options){.budget = "30s", .confidence = "95%"}, &plan);
    assert_true(scenario.until_settled && scenario.confidence > 0.949);
    assert_int_equal(scenario.traffic.cycles, 12);
    plan_free(plan);
    scenario = scenario_with((struct plan_options){.cycles = "7"}, &plan);
    assert_false(scenario.until_settled);
    assert_int_equal(scenario.traffic.cycles, 7);
    assert_int_equal(scenario.arms[0].kill_stop, 3);
    plan_free(plan);
    scenario = scenario_with((struct plan_options){.kills = "trigger=4"}, &plan);
    assert_false(scenario.until_settled);
    assert_int_equal(scenario.traffic.cycles, 5);
    assert_int_equal(scenario.arms[0].kill_stop, 4);
    plan_free(plan);
    /* Beside a budget they are the most that it may be. */
    scenario = scenario_with(
        (struct plan_options){.cycles = "7", .kills = "4", .confidence = "0.9"}, &plan);
    assert_true(scenario.until_settled);
    assert_int_equal(scenario.traffic.cycles, 7);
    assert_int_equal(scenario.arms[0].kill_stop, 4);
    plan_free(plan);
    /* Never fewer cycles than without the rule; never beyond the deadline. */
    scenario = scenario_with((struct plan_options){.rate = "1/s"}, &plan);
    assert_int_equal(scenario.traffic.cycles, 5);
    plan_free(plan);
    scenario = scenario_with((struct plan_options){.deadline = "30s"}, &plan);
    assert_int_equal(scenario.traffic.cycles, 11);
    plan_free(plan);
}

static void test_budget_refused(void **state)
{
    (void)state;
    const struct plan_options base = {.command = SERVER, .memory = "64Mi"};
    struct plan_options options = base;
    options.budget = "5s";
    refused(options, "--budget: 5s is too short for 5 cycles, idle, gaps and cooldown counted; "
                     "raise budget or rate, or lower per-cycle");
    options.cycles = "3";
    options.budget = "3s";
    refused(options, "--budget: 3s is too short for 1 cycle, idle, gaps and cooldown counted; "
                     "raise budget or rate, or lower per-cycle");
    options = base;
    options.budget = "10m";
    refused(options, "--budget: 10m is longer than nine tenths of an arm's deadline (600 s), which "
                     "leave room for its starts; raise deadline");
    options = base;
    options.confidence = "1";
    refused(options, "--confidence: 1 is out of range; it must be from 0.5 to 0.999");
    options.confidence = "sure";
    refused(options, "--confidence: 'sure' is not a confidence; write it like 0.95 or 95%");
}

static void test_refused(void **state)
{
    (void)state;
    const char *const env[] = {"A", NULL};
    const char *const twice[] = {"A=1", "A=2", NULL};
    const char *const empty[] = {"=1", NULL};
    refused((struct plan_options){.command = SERVER},
            "the memory limit under test is missing: say --memory 512Mi (in a lab file: memory: "
            "512Mi)");
    refused((struct plan_options){.command = SERVER, .memory = "64Mi", .raise = "32Mi"},
            "--raise: 32Mi is not more than the memory limit under test, 64Mi");
    refused((struct plan_options){.env = env}, "--env: 'A' is not NAME=VALUE");
    refused((struct plan_options){.env = twice}, "--env: 'A' is set twice");
    refused((struct plan_options){.env = empty}, "--env: '' is no name of an environment variable");
    refused(
        (struct plan_options){.arms = "control,raise", .scenarios = "leak"},
        "--arms: the arm 'raise' is compared with 'trigger', so 'trigger' must stand before it");
    refused((struct plan_options){.arms = "trigger,revert", .command = SERVER, .memory = "64Mi"},
            "--arms: the arm 'revert' takes a cure back, so 'patch' or 'fix' must stand before it");
    refused((struct plan_options){.arms = "trigger,control", .command = SERVER, .memory = "64Mi"},
            "--arms: the arm 'control' is compared with nothing; give it a scenario of its own");
    refused((struct plan_options){.arms = "control", .scenarios = "leak"},
            "--arms: no scenario of this lab has any of these arms");
    refused((struct plan_options){.scenarios = "leek"},
            "--scenarios: this lab has no scenario 'leek'; did you mean 'leak'?");
    refused((struct plan_options){.scenarios = "leak,leak"},
            "--scenarios: 'leak' stands there twice");
    refused((struct plan_options){.scenarios = "a", .command = SERVER, .memory = "64Mi"},
            "--scenarios: this lab has no scenarios to choose from");
    refused((struct plan_options){.requests_file = "/dev/null"},
            "--requests-file: '/dev/null' is not a file");
    refused((struct plan_options){.kills = "trigger:3"},
            "--kills: 'trigger:3' is not a whole number");
}

static void test_json(void **state)
{
    (void)state;
    struct plan *plan = plan_with((struct plan_options){0});
    json_t *json = plan_to_json(plan);
    assert_non_null(json);
    assert_int_equal(json_array_size(json_object_get(json, "scenarios")), 3);
    const json_t *leak = json_array_get(json_object_get(json, "scenarios"), 1);
    const json_t *raise = json_array_get(json_object_get(leak, "arms"), 1);
    assert_string_equal(json_string_value(json_object_get(raise, "reference")), "trigger");
    assert_int_equal(json_integer_value(json_object_get(raise, "memory_limit_bytes")), 1 << 30);
    assert_string_equal(json_string_value(json_object_get(json_object_get(raise, "env"), "MODE")),
                        "leak-per-request");
    json_decref(json);
    plan_free(plan);

    /* What is no UTF-8 cannot be carried, and says so. */
    const char *const env[] = {"A=\xff", NULL};
    plan = plan_with((struct plan_options){.command = SERVER, .memory = "64Mi", .env = env});
    json = plan_to_json(plan);
    assert_non_null(json);
    json_decref(json);
    plan_free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builtin),
        cmocka_unit_test(test_builtin_is_long_enough),
        cmocka_unit_test(test_small_lab),
        cmocka_unit_test(test_own_service),
        cmocka_unit_test(test_own_service_patched),
        cmocka_unit_test(test_arms_chosen),
        cmocka_unit_test(test_trigger_only),
        cmocka_unit_test(test_check_goes_on_to_its_growth_budget),
        cmocka_unit_test(test_until_settled),
        cmocka_unit_test(test_budget_refused),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
