/* SPDX-License-Identifier: Apache-2.0 */
/* What a recorded end proves, and how surely. */
#include "import/cause.h"

#include "base/duration.h"
#include "base/size.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define END_NS (INT64_C(1000) * NS_PER_S)

static struct life ended(enum fact_origin origin, int exit_code, const char *reason)
{
    struct life life = {.start_ns = FACT_TIME_UNKNOWN,
                        .end_ns = END_NS,
                        .boot_ns = FACT_TIME_UNKNOWN,
                        .ended = true,
                        .exit_code = exit_code,
                        .origin = origin};
    strncpy(life.reason, reason, sizeof(life.reason) - 1);
    return life;
}

static struct judged judge(const struct life *life, double peak, int64_t before_ns)
{
    struct curve curve = {.peak = peak, .last = peak, .last_ns = END_NS - before_ns};
    struct judged judged;
    judge_end(life, (double)(512 * MIB), isnan(peak) ? NULL : &curve, NULL, &judged);
    return judged;
}

static void assert_judged(const struct judged *judged, enum end_cause cause,
                          enum evidence_level level)
{
    assert_string_equal(cause_name(judged->cause), cause_name(cause));
    assert_string_equal(level_name(judged->level), level_name(level));
    assert_true(judged->text[0] != '\0');
}

static void test_azure_137(void **state)
{
    (void)state;
    struct life life = ended(ORIGIN_AZURE, 137, "ProcessExited");
    struct judged judged = judge(&life, NAN, 0);
    assert_judged(&judged, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_INFERRED);
    judged = judge(&life, 500.0 * MIB, 30 * NS_PER_S);
    assert_judged(&judged, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_STRONGLY_SUGGESTED);
    judged = judge(&life, 100.0 * MIB, 30 * NS_PER_S);
    assert_judged(&judged, CAUSE_KILLED_EXTERNALLY, LEVEL_INFERRED);
    judged = judge(&life, 500.0 * MIB, 3600 * NS_PER_S); /* too long before to say anything */
    assert_judged(&judged, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_INFERRED);
}

static void test_a_platforms_word(void **state)
{
    (void)state;
    struct life life = ended(ORIGIN_KUBERNETES, 137, "OOMKilled");
    life.oom_killed = true;
    struct judged judged = judge(&life, NAN, 0);
    assert_judged(&judged, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_STRONGLY_SUGGESTED);
    life.exit_code = 3; /* a child was killed; the main process ended by itself */
    judged = judge(&life, NAN, 0);
    assert_judged(&judged, CAUSE_EXITED, LEVEL_STRONGLY_SUGGESTED); /* by the platform's word */
    assert_true(judged.child);
    life = ended(ORIGIN_KUBERNETES, 137, "Error");
    judged = judge(&life, NAN, 0);
    assert_judged(&judged, CAUSE_UNKNOWN, LEVEL_NOT_PROVEN);
}

static void test_the_kernels_record(void **state)
{
    (void)state;
    struct recorded_kill kill = {.from_log = true,
                                 .scope = KMSG_SCOPE_MEMCG,
                                 .oom_memcg = "/pod/c1",
                                 .task_memcg = "/pod/c1",
                                 .comm = "hog",
                                 .pid = 7};
    struct life life = ended(ORIGIN_AZURE, 137, "ProcessExited");
    life.kill = &kill;
    struct judged judged = judge(&life, NAN, 0);
    assert_judged(&judged, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_OBSERVED);
    strcpy(kill.oom_memcg, "/pod");
    judged = judge(&life, NAN, 0);
    assert_judged(&judged, CAUSE_OOM_ANCESTOR_LIMIT, LEVEL_OBSERVED);
    kill.scope = KMSG_SCOPE_GLOBAL;
    judged = judge(&life, NAN, 0);
    assert_judged(&judged, CAUSE_OOM_HOST, LEVEL_OBSERVED);
    kill = (struct recorded_kill){.from_log = false};
    judged = judge(&life, NAN, 0);
    assert_judged(&judged, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_STRONGLY_SUGGESTED);
    life.exit_code = 1;
    judged = judge(&life, NAN, 0);
    assert_judged(&judged, CAUSE_EXITED, LEVEL_OBSERVED);
    assert_true(judged.child);
}

static void test_other_deaths(void **state)
{
    (void)state;
    static const struct {
        int code;
        const char *reason;
        enum end_cause cause;
    } deaths[] = {
        {FACT_CODE_UNKNOWN, "ProbeFailure", CAUSE_KILLED_BY_PLATFORM},
        {FACT_CODE_UNKNOWN, "ManuallyStopped", CAUSE_KILLED_BY_PLATFORM},
        {1, "ProcessExited", CAUSE_EXITED},
        {0, "Completed", CAUSE_EXITED},
        {143, "ProcessExited", CAUSE_SIGNALLED},
        {139, "Error", CAUSE_SIGNALLED},
        {FACT_CODE_UNKNOWN, "", CAUSE_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++) {
        struct life life = ended(ORIGIN_AZURE, deaths[i].code, deaths[i].reason);
        struct judged judged = judge(&life, 500.0 * MIB, 30 * NS_PER_S);
        assert_string_equal(cause_name(judged.cause), cause_name(deaths[i].cause));
    }
}

static void test_runtime_and_stop(void **state)
{
    (void)state;
    struct judged judged;
    struct life life = ended(ORIGIN_AZURE, 3, "ProcessExited");
    judge_end(&life, NAN, NULL, "Java", &judged);
    assert_judged(&judged, CAUSE_RUNTIME_OUT_OF_MEMORY, LEVEL_STRONGLY_SUGGESTED);
    life = ended(ORIGIN_KUBERNETES, 137, "Error");
    life.stopped = true;
    life.stop_ns = life.end_ns - 30 * NS_PER_S;
    judge_end(&life, NAN, NULL, NULL, &judged);
    assert_judged(&judged, CAUSE_KILLED_BY_PLATFORM, LEVEL_STRONGLY_SUGGESTED);
    life.stop_ns = life.end_ns - 90 * NS_PER_S; /* no stop takes so long */
    judge_end(&life, NAN, NULL, NULL, &judged);
    assert_judged(&judged, CAUSE_UNKNOWN, LEVEL_NOT_PROVEN);
    life.stop_ns = life.end_ns;
    life.ended = false;
    judge_end(&life, NAN, NULL, NULL, &judged);
    assert_int_equal(judged.cause, CAUSE_RUNNING);
}

static void test_spoken_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double mib;
    } lines[] = {{"tick 2: +30 MiB, total retained 60 MiB", 60},
                 {"allocated 450/600 MiB", 450},
                 {"heap 1.5GiB", 1536},
                 {"rss=2048KiB", 2},
                 {"1e999 MiB", NAN},
                 {"12 MiBs", NAN},
                 {"listening on :8000", NAN}};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        double size = spoken_size(lines[i].text) / (double)MIB;
        if (isnan(lines[i].mib))
            assert_true(isnan(size));
        else
            assert_true(fabs(size - lines[i].mib) < 1e-9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_azure_137),          cmocka_unit_test(test_a_platforms_word),
        cmocka_unit_test(test_the_kernels_record), cmocka_unit_test(test_other_deaths),
        cmocka_unit_test(test_runtime_and_stop),   cmocka_unit_test(test_spoken_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
