/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/gate.h"

#include <math.h>
#include <signal.h>
#include <string.h>

#define MIB 1048576.0

/* --- arms as a good run of the built-in lab shows them
 * -------------------------------------------- */

static struct gate_lifetime killed(double requests)
{
    return (struct gate_lifetime){.cause = CAUSE_OOM_CONTAINER_LIMIT,
                                  .level = LEVEL_MEASURED,
                                  .by_signal = true,
                                  .code = SIGKILL,
                                  .ready = requests > 0,
                                  .requests_completed = requests,
                                  .uptime_s = requests / 100};
}

static struct gate_lifetime alive(double requests)
{
    return (struct gate_lifetime){.cause = CAUSE_RUNNING,
                                  .level = LEVEL_MEASURED,
                                  .ready = true,
                                  .requests_completed = requests,
                                  .uptime_s = 9};
}

struct scene {
    struct gate_lifetime trigger_lives[3], raise_lives[2], good_lives[1];
    struct verdict leak, stable, startup;
    struct gate_arm trigger, raise, good; /* good: patch, fix or control */
    struct prediction prediction;
    struct gate gate;
};

static struct scene leak_scene(void)
{
    struct scene s = {
        .trigger_lives = {killed(165), killed(166), killed(164)},
        .raise_lives = {killed(334), killed(336)},
        .good_lives = {alive(800)},
        .leak = {.class = VERDICT_LEAK, .confidence = 0.8},
        .stable = {.class = VERDICT_STABLE,
                   .confidence = 0.8,
                   .drift_bytes = {0.1 * MIB, -0.2 * MIB, 0.4 * MIB}},
        .startup = {.class = VERDICT_STARTUP_DEMAND, .confidence = 0.8},
        .prediction = {.hypothesis = "leak", .metric = PREDICT_REQUESTS, .low = 320, .high = 350},
    };
    s.trigger = (struct gate_arm){.name = "leak/trigger",
                                  .limit_bytes = 512 * MIB,
                                  .lifetime_count = 3,
                                  .restarts = 2,
                                  .revisions = 1,
                                  .health_state = "Unhealthy"};
    s.raise = (struct gate_arm){.name = "leak/raise",
                                .limit_bytes = 1024 * MIB,
                                .lifetime_count = 2,
                                .restarts = 1,
                                .revisions = 1,
                                .health_state = "Unhealthy"};
    s.good = (struct gate_arm){.name = "leak/fix",
                               .limit_bytes = 512 * MIB,
                               .lifetime_count = 1,
                               .revisions = 1,
                               .health_state = "Healthy",
                               .requests_planned = 800,
                               .requests_completed = 800};
    return s;
}

/* The arms point into the scene: only after it lies where it stays. */
static struct scene *wire(struct scene *s)
{
    s->trigger.lifetimes = s->trigger_lives;
    s->trigger.verdict = &s->leak;
    s->raise.lifetimes = s->raise_lives;
    s->raise.verdict = &s->leak;
    s->good.lifetimes = s->good_lives;
    s->good.verdict = &s->stable;
    return s;
}

static struct scene *start_scene(struct scene *s)
{
    *s = leak_scene();
    wire(s);
    for (size_t i = 0; i < 3; i++)
        s->trigger_lives[i] = killed(0);
    s->trigger.verdict = &s->startup;
    s->good.limit_bytes = 1024 * MIB;
    return s;
}

/* The one check that fails, "" when the gate holds; many failing checks are joined. */
static const char *failing(const struct gate *gate)
{
    static char text[512];
    text[0] = '\0';
    assert_true(gate->check_count > 0);
    for (size_t i = 0; i < gate->check_count; i++) {
        const struct gate_check *check = &gate->checks[i];
        assert_true(check->id[0] && check->observed[0] && check->threshold[0]);
        if (check->pass)
            continue;
        strcat(text, text[0] ? "," : "");
        strcat(text, check->id);
    }
    assert_int_equal(gate->pass, text[0] == '\0');
    return text;
}

#define SCENE                                                                                      \
    struct scene scene = leak_scene(), *s = wire(&scene);                                          \
    (void)state

/* --- helpers -------------------------------------------------------------------------------------
 */

static void test_helpers(void **state)
{
    (void)state;
    struct gate gate;
    gate_begin(&gate, "a-gate", "Something holds.");
    assert_false(gate.pass); /* nothing checked is nothing shown */
    gate_observed(gate_add(&gate, "first", true, "at least %d", 3), "%d of %d", 3, 3);
    assert_true(gate.pass);
    assert_string_equal(gate.checks[0].threshold, "at least 3");
    assert_string_equal(gate.checks[0].observed, "3 of 3");
    gate_add(&gate, "second", false, "0");
    assert_false(gate.pass);
    gate_add(&gate, "third", true, "0");
    assert_false(gate.pass); /* one failure is enough */
    assert_int_equal(gate.check_count, 3);
}

static void test_too_many_checks_fail(void **state)
{
    (void)state;
    struct gate gate;
    gate_begin(&gate, "a-gate", "Something holds.");
    for (size_t i = 0; i < GATE_CHECKS_MAX; i++)
        gate_add(&gate, "check", true, "yes");
    assert_true(gate.pass);
    gate_add(&gate, "one-too-many", true, "yes");
    assert_false(gate.pass);
    assert_int_equal(gate.check_count, GATE_CHECKS_MAX);
}

static void test_kernel_proven(void **state)
{
    (void)state;
    for (enum end_cause cause = 0; cause < CAUSE_COUNT; cause++)
        for (enum evidence_level level = 0; level < LEVEL_COUNT; level++) {
            struct gate_lifetime lifetime = {.cause = cause, .level = level};
            bool oom = cause == CAUSE_OOM_CONTAINER_LIMIT || cause == CAUSE_OOM_ANCESTOR_LIMIT ||
                       cause == CAUSE_OOM_HOST;
            assert_int_equal(gate_kernel_proven(&lifetime), oom && level <= LEVEL_CORRELATED);
        }
}

/* --- trigger -------------------------------------------------------------------------------------
 */

static const char *trigger_leak(struct scene *s)
{
    gate_trigger_reproduces(&s->trigger, GATE_FAILS_BY_LEAK, true, 3, &s->gate);
    return failing(&s->gate);
}

static void test_trigger_of_a_leak(void **state)
{
    SCENE;
    assert_string_equal(trigger_leak(s), "");
    assert_string_equal(s->gate.id, "trigger-reproduces");
    s->trigger_lives[1].level = LEVEL_STRONGLY_SUGGESTED;
    assert_string_equal(trigger_leak(s), "kernel-proven-kills");
    s->trigger_lives[1] = killed(19);
    assert_string_equal(trigger_leak(s), "after-sustained-traffic");
    s->trigger_lives[1] = killed(165);
    s->trigger_lives[1].ready = false;
    assert_string_equal(trigger_leak(s), "after-sustained-traffic");
    s->trigger_lives[1] = killed(165);
    s->trigger_lives[1].by_signal = false; /* exit(9) is no kill */
    assert_string_equal(trigger_leak(s), "exit-137");
    s->trigger_lives[1] = killed(165);
    s->trigger.restarts = 1;
    assert_string_equal(trigger_leak(s), "restarts-rise");
    s->trigger.restarts = 2;
    s->trigger.verdict = &s->stable;
    assert_string_equal(trigger_leak(s), "verdict");
}

/* One's own service may leak as fast as it likes. */
static void test_trigger_of_a_fast_leak(void **state)
{
    SCENE;
    for (size_t i = 0; i < 3; i++) {
        s->trigger_lives[i] = killed(3);
        s->trigger_lives[i].ready = true;
    }
    assert_string_equal(trigger_leak(s), "after-sustained-traffic");
    gate_trigger_reproduces(&s->trigger, GATE_FAILS_IN_SERVICE, false, 1, &s->gate);
    assert_string_equal(failing(&s->gate), "");
    s->trigger_lives[0].ready = false;
    gate_trigger_reproduces(&s->trigger, GATE_FAILS_IN_SERVICE, false, 1, &s->gate);
    assert_string_equal(failing(&s->gate), "in-service");
}

static void test_trigger_with_too_few_kills(void **state)
{
    SCENE;
    s->trigger.lifetime_count = 2;
    assert_string_equal(trigger_leak(s), "kernel-proven-kills");
    s->trigger.lifetime_count = 0;
    s->trigger.restarts = 0;
    gate_trigger_reproduces(&s->trigger, GATE_FAILS_BY_LEAK, true, 0, &s->gate);
    assert_false(s->gate.pass); /* no kill reproduces nothing, whatever was wanted */
}

static void test_trigger_with_another_death(void **state)
{
    SCENE;
    s->trigger_lives[2] =
        (struct gate_lifetime){.cause = CAUSE_SIGNALLED, .by_signal = true, .code = SIGSEGV};
    gate_trigger_reproduces(&s->trigger, GATE_FAILS_BY_LEAK, true, 2, &s->gate);
    assert_string_equal(failing(&s->gate), "no-other-deaths");
    s->trigger_lives[2] = (struct gate_lifetime){.cause = CAUSE_KILLED_BY_PLATFORM};
    gate_trigger_reproduces(&s->trigger, GATE_FAILS_BY_LEAK, true, 2, &s->gate);
    assert_string_equal(failing(&s->gate), ""); /* our own stop at the arm's end */
}

static void test_trigger_at_start(void **state)
{
    (void)state;
    struct scene scene, *s = start_scene(&scene);
    gate_trigger_reproduces(&s->trigger, GATE_FAILS_AT_START, true, 3, &s->gate);
    assert_string_equal(failing(&s->gate), "");
    s->trigger_lives[0].ready = true;
    gate_trigger_reproduces(&s->trigger, GATE_FAILS_AT_START, true, 3, &s->gate);
    assert_string_equal(failing(&s->gate), "at-start");
    gate_trigger_reproduces(&s->trigger, GATE_FAILS_BY_LEAK, true, 3, &s->gate);
    assert_string_equal(failing(&s->gate), "after-sustained-traffic,verdict");
}

/* --- raise ---------------------------------------------------------------------------------------
 */

static const char *raise_leak(struct scene *s)
{
    gate_raise_only_delays(&s->trigger, &s->raise, &s->prediction, 2, &s->gate);
    return failing(&s->gate);
}

static void test_raise_only_delays(void **state)
{
    SCENE;
    assert_string_equal(raise_leak(s), "");
    s->raise_lives[0] = killed(360);
    assert_string_equal(raise_leak(s), "as-predicted");
    s->raise_lives[0] = killed(319);
    assert_string_equal(raise_leak(s), "as-predicted");
    s->prediction.low = 100;
    s->raise_lives[0] = killed(160);
    assert_string_equal(raise_leak(s), "later");
    s->raise_lives[0] = killed(330);
    s->raise.limit_bytes = s->trigger.limit_bytes;
    assert_string_equal(raise_leak(s), "higher-limit");
    s->raise.limit_bytes = 1024 * MIB;
    gate_raise_only_delays(&s->trigger, &s->raise, NULL, 2, &s->gate);
    assert_string_equal(failing(&s->gate), "as-predicted");
}

static void test_raise_that_was_not_killed(void **state)
{
    SCENE;
    s->raise_lives[0] = alive(800);
    s->raise.lifetime_count = 1;
    assert_string_equal(raise_leak(s), "kernel-proven-kills,exit-137,later,as-predicted");
    const struct gate_check *last = &s->gate.checks[s->gate.check_count - 1];
    assert_string_equal(last->observed, "no kill observed in 800 requests of one process: refuted");
    s->raise_lives[0] = alive(330); /* the traffic ended within the interval */
    raise_leak(s);
    assert_non_null(strstr(last->observed, "not decided"));
    for (size_t i = 0; i < s->gate.check_count; i++)
        assert_null(strstr(s->gate.checks[i].observed, "nan"));
}

static void test_raise_in_seconds(void **state)
{
    SCENE;
    s->prediction = (struct prediction){.metric = PREDICT_SECONDS, .low = 3, .high = 4};
    assert_string_equal(raise_leak(s), "");
    s->prediction.low = 3.5;
    assert_string_equal(raise_leak(s), "as-predicted");
}

static void test_raise_cures_a_start(void **state)
{
    (void)state;
    struct scene scene, *s = start_scene(&scene);
    gate_raise_cures(&s->trigger, &s->good, &s->gate);
    assert_string_equal(failing(&s->gate), "");
    s->good_lives[0] = killed(0);
    gate_raise_cures(&s->trigger, &s->good, &s->gate);
    assert_string_equal(failing(&s->gate), "no-death,ready");
    s->good_lives[0] = alive(1);
    s->good.restarts = 1;
    gate_raise_cures(&s->trigger, &s->good, &s->gate);
    assert_string_equal(failing(&s->gate), "no-death");
    s->good.restarts = 0;
    s->good.lifetime_count = 0; /* it never ran: no death is no cure */
    gate_raise_cures(&s->trigger, &s->good, &s->gate);
    assert_string_equal(failing(&s->gate), "no-death,ready");
}

/* --- patch, fix, control, revert
 * ------------------------------------------------------------------ */

static const char *patch(struct scene *s)
{
    gate_patch_cures(&s->trigger, &s->good, &s->gate);
    return failing(&s->gate);
}

static void test_patch_cures(void **state)
{
    SCENE;
    assert_string_equal(patch(s), "");
    s->good_lives[0] = alive(166);
    assert_string_equal(patch(s), "outlives-the-trigger");
    s->good_lives[0] = alive(800);
    s->good.limit_bytes = 1024 * MIB;
    assert_string_equal(patch(s), "same-limit");
    s->good.limit_bytes = 512 * MIB;
    s->good.verdict = &s->leak;
    assert_string_equal(patch(s), "no-leak-left");
    s->good.verdict = &s->stable;
    s->stable.child_kills = 1; /* the main process outlived it */
    assert_string_equal(patch(s), "no-death");
    s->stable.child_kills = 0;
    s->good_lives[0] = killed(800);
    assert_string_equal(patch(s), "no-death");
}

static const char *fix(struct scene *s)
{
    gate_fix_reaches_healthy(&s->good, &s->gate);
    return failing(&s->gate);
}

static void test_fix_reaches_healthy(void **state)
{
    SCENE;
    assert_string_equal(fix(s), "");
    s->good.revisions = 2;
    assert_string_equal(fix(s), "one-revision");
    s->good.revisions = 1;
    s->good.health_state = "Unhealthy";
    assert_string_equal(fix(s), "healthy");
    s->good.health_state = NULL;
    assert_string_equal(fix(s), "healthy");
    s->good.health_state = "Healthy";
    s->good.requests_completed = 799;
    assert_string_equal(fix(s), "all-served");
    s->good.requests_completed = 800;
    s->good.restarts = 1;
    assert_string_equal(fix(s), "no-death");
}

static const char *control(struct scene *s, double value, double low, double high)
{
    s->stable.drift_bytes = (struct estimate){value * MIB, low * MIB, high * MIB};
    gate_control_stays_flat(&s->good, &s->gate);
    return failing(&s->gate);
}

static void test_control_stays_flat(void **state)
{
    SCENE; /* 5 % of 512 MiB are 25.6 MiB */
    assert_string_equal(control(s, 0, -1, 1), "");
    assert_string_equal(control(s, 2, 1, 3), "");     /* grows, and does not matter */
    assert_string_equal(control(s, 10, -30, 50), ""); /* scatters about zero */
    assert_string_equal(control(s, 24, 20, 28), "flat");
    assert_string_equal(control(s, 30, -1, 60), "flat");
    assert_string_equal(control(s, NAN, NAN, NAN), "flat"); /* not measured is not flat */
    s->good.verdict = &s->leak;
    s->leak.drift_bytes = (struct estimate){0, 0, 0};
    gate_control_stays_flat(&s->good, &s->gate);
    assert_string_equal(failing(&s->gate), "no-leak");
}

static const char *revert(struct scene *s, enum gate_failure failure)
{
    gate_revert_brings_it_back(&s->trigger, &s->raise, failure, 2, &s->gate);
    return failing(&s->gate);
}

static void test_revert_brings_it_back(void **state)
{
    SCENE;
    s->raise.limit_bytes = 512 * MIB;
    s->raise_lives[0] = killed(165);
    s->raise_lives[1] = killed(160);
    assert_string_equal(revert(s, GATE_FAILS_BY_LEAK), "");
    s->raise_lives[0] = killed(400);
    s->raise_lives[1] = killed(400);
    assert_string_equal(revert(s, GATE_FAILS_BY_LEAK), "like-the-trigger");
    s->raise_lives[0] = killed(165);
    s->raise_lives[1] = alive(800);
    assert_string_equal(revert(s, GATE_FAILS_BY_LEAK), "kernel-proven-kills");
    s->raise_lives[1] = killed(160);
    s->raise.limit_bytes = 1024 * MIB;
    assert_string_equal(revert(s, GATE_FAILS_BY_LEAK), "same-limit");
}

static void test_revert_at_start(void **state)
{
    (void)state;
    struct scene scene, *s = start_scene(&scene);
    s->raise.limit_bytes = 512 * MIB;
    s->raise_lives[0] = s->raise_lives[1] = killed(0);
    assert_string_equal(revert(s, GATE_FAILS_AT_START), "");
    s->raise_lives[1] = killed(30);
    assert_string_equal(revert(s, GATE_FAILS_AT_START), "at-start");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_helpers),
        cmocka_unit_test(test_too_many_checks_fail),
        cmocka_unit_test(test_kernel_proven),
        cmocka_unit_test(test_trigger_of_a_leak),
        cmocka_unit_test(test_trigger_of_a_fast_leak),
        cmocka_unit_test(test_trigger_with_too_few_kills),
        cmocka_unit_test(test_trigger_with_another_death),
        cmocka_unit_test(test_trigger_at_start),
        cmocka_unit_test(test_raise_only_delays),
        cmocka_unit_test(test_raise_that_was_not_killed),
        cmocka_unit_test(test_raise_in_seconds),
        cmocka_unit_test(test_raise_cures_a_start),
        cmocka_unit_test(test_patch_cures),
        cmocka_unit_test(test_fix_reaches_healthy),
        cmocka_unit_test(test_control_stays_flat),
        cmocka_unit_test(test_revert_brings_it_back),
        cmocka_unit_test(test_revert_at_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
