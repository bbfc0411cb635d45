/* SPDX-License-Identifier: Apache-2.0 */
/* The answer in one sentence, for each class of verdict and each kind of end. */
#include "report/story.h"

#include "base/cleanup.h"

#include "fixture.h"

#include <cmocka.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#define MIB_BYTES 1048576.0

/* An arm of scenario "s" with `count` equal ends. */
static json_t *make_arm(const char *name, const char *class, const char *cause, int count,
                        double limit_mib, int requests)
{
    bool oom = strncmp(cause, "oom-", 4) == 0;
    json_t *lifetimes = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(lifetimes, json_pack("{s:i, s:{s:s, s:s}, s:i, s:f, s:o, s:{s:f}}",
                                                   "row", i + 1, "end", "cause", cause, "level",
                                                   "Observed", "requests_completed", requests,
                                                   "uptime_s", 2.0, "ready_after_s",
                                                   requests > 0 ? json_real(0.1) : json_null(),
                                                   "working_set", "peak_bytes", 38 * MIB_BYTES));
    return json_pack("{s:s, s:s, s:f, s:i, s:o, s:{s:s, s:s, s:{s:f, s:n}}}", "scenario", "s",
                     "name", name, "memory_limit_bytes", limit_mib * MIB_BYTES, "oom_kills",
                     oom ? count : 0, "lifetimes", lifetimes, "verdict", "class", class, "driver",
                     "requests", "growth", "bytes_per_request", 4 * MIB_BYTES, "bytes_per_second");
}

/* Takes the arms over. */
static void assert_answer(const char *class, json_t *arms, const char *expected)
{
    json_t *verdict = json_pack("{s:s}", "class", class);
    const struct story story = {.arms = arms, .verdict = verdict};
    AUTO_BUFFER text = {0};
    answer_append(&story, &text);
    assert_string_equal(buffer_text(&text), expected);
    json_decref(verdict);
    json_decref(arms);
}

static void test_leak(void **state)
{
    (void)state;
    assert_answer("leak",
                  json_pack("[o, o, o]",
                            make_arm("trigger", "leak", "oom-container-limit", 3, 512, 128),
                            make_arm("raise", "leak", "oom-container-limit", 2, 1024, 255),
                            make_arm("patch", "stable", "killed-by-platform", 1, 512, 400)),
                  "The kernel killed it at its own 512 MiB limit, three times, after 128 requests "
                  "each. It keeps 4.0 MiB per request: more memory only delayed the next kill. "
                  "Patched, it stays at 38.0 MiB.");
    assert_answer("leak",
                  json_pack("[o]", make_arm("trigger", "leak", "oom-ancestor-limit", 1, 2048, 1)),
                  "The kernel killed it at the limit of a group above it, not at its own 2 GiB "
                  "limit, once, after 1 request. It keeps 4.0 MiB per request: more memory would "
                  "only delay the next kill.");
    assert_answer("leak",
                  json_pack("[o, o]",
                            make_arm("trigger", "leak", "oom-container-limit", 12, 512, 128),
                            make_arm("patch", "leak", "oom-container-limit", 1, 512, 128)),
                  "The kernel killed it at its own 512 MiB limit, 12 times, after 128 requests "
                  "each. It keeps 4.0 MiB per request: more memory would only delay the next kill. "
                  "Patched, it was still killed.");
}

static void test_start_needs_more(void **state)
{
    (void)state;
    assert_answer("startup-demand",
                  json_pack("[o, o]",
                            make_arm("trigger", "startup-demand", "oom-container-limit", 2, 32, 0),
                            make_arm("fix", "stable", "killed-by-platform", 1, 64, 40)),
                  "The kernel killed it at its own 32 MiB limit, twice, before it was ready. It "
                  "does not leak: its start needs more than the limit. Fixed, it stays at 38.0 "
                  "MiB.");
}

static void test_not_for_memory(void **state)
{
    (void)state;
    assert_answer(
        "not-memory",
        json_pack("[o]", make_arm("trigger", "not-memory", "killed-externally", 3, 64, 9)),
        "It was killed by SIGKILL from somebody else, not by the kernel; it needed at "
        "most 38.0 MiB of its 64 MiB limit. Memory is not the cause: a larger limit will "
        "not help.");
    assert_answer("stable",
                  json_pack("[o]", make_arm("control", "stable", "killed-by-platform", 1, 64, 9)),
                  "It was not killed; it needed at most 38.0 MiB of its 64 MiB limit. It does not "
                  "leak: memory stays level under this traffic.");
    assert_answer("inconclusive", json_array(),
                  "No process was started: there is nothing to judge.");
}

/* Sets a value in the end of each of the arm's lifetimes. */
static json_t *with_end(json_t *arm, const char *key, json_t *value)
{
    size_t index;
    json_t *lifetime;
    json_array_foreach(json_object_get(arm, "lifetimes"), index, lifetime)
        json_object_set(json_object_get(lifetime, "end"), key, value);
    json_decref(value);
    return arm;
}

static void test_what_else_happened(void **state)
{
    (void)state;
    json_t *arm = make_arm("trigger", "inconclusive", "killed-by-platform", 2, 40, 9);
    assert_answer("inconclusive",
                  json_pack("[o]", with_end(arm, "counters",
                                            json_pack("{s:[i,i], s:[i,i]}", "oom_kill", 1, 4,
                                                      "oom_group_kill", 0, 0))),
                  "It was not killed itself, but the kernel killed 6 of its child processes at the "
                  "container's 40 MiB limit. Whether it leaks is not settled by this evidence.");
    arm = make_arm("trigger", "not-memory", "killed-by-platform", 3, 40, 9);
    assert_answer(
        "not-memory",
        json_pack("[o]", with_end(arm, "platform_kill", json_string("liveness-probe"))),
        "It was restarted by the platform three times, because its liveness probe failed; "
        "it needed at most 38.0 MiB of its 40 MiB limit. Memory is not the cause: a "
        "larger limit will not help.");
    arm = make_arm("trigger", "not-memory", "killed-by-platform", 1, 40, 0);
    json_object_set_new(arm, "ended_because", json_string("never-ready"));
    assert_answer("not-memory", json_pack("[o]", arm),
                  "It was not killed, and never became ready; it needed at most 38.0 MiB of its 40 "
                  "MiB limit. Memory is not the cause: a larger limit will not help.");
    /* A group kill counts each victim: no child is told of. */
    arm = make_arm("trigger", "stable", "exited", 1, 40, 9);
    assert_answer("stable",
                  json_pack("[o]", with_end(arm, "counters",
                                            json_pack("{s:[i,i], s:[i,i]}", "oom_kill", 0, 3,
                                                      "oom_group_kill", 0, 1))),
                  "It exited by itself, not for its memory; it needed at most 38.0 MiB of its 40 "
                  "MiB limit. It does not leak: memory stays level under this traffic.");
}

/* The facts as Markdown. Takes the result over. */
static void assert_facts(json_t *result, const char *const *expected)
{
    struct story story = {.document = document_new("t"),
                          .result = result,
                          .arms = json_object_get(result, "arms"),
                          .verdict = json_object_get(result, "verdict")};
    AUTO_BUFFER text = {0};
    story_facts(&story);
    markdown_write(story.document, &text);
    AUTO_FREE char *prose = fixture_as_prose(buffer_steal(&text));
    for (; *expected; expected++)
        assert_contains(prose, *expected);
    document_free(story.document);
    json_decref(result);
}
#define FACTS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Takes the arms over. */
static json_t *make_result(const char *class, double confidence, const char *action,
                           double memory_mib, json_t *arms)
{
    return json_pack("{s:o, s:{s:s, s:f, s:s}, s:{s:s, s:o}}", "arms", arms, "verdict", "class",
                     class, "confidence", confidence, "level", "Correlated", "recommendation",
                     "action", action, "memory_bytes",
                     memory_mib > 0 ? json_real(memory_mib * MIB_BYTES) : json_null());
}

/* They answer for the end that happened, whoever made it. */
static void test_facts_of_other_ends(void **state)
{
    (void)state;
    assert_facts(
        make_result("not-memory", 0.8, "keep-limit", 64,
                    json_pack("[o, o]",
                              make_arm("trigger", "not-memory", "killed-externally", 3, 64, 9),
                              make_arm("control", "stable", "killed-externally", 1, 64, 9))),
        FACTS("Who killed it: Somebody else, by SIGKILL",
              "How often: 3 times in `s/trigger`, 4 in the whole run"));
    assert_facts(make_result("leak", 0.8, "fix-leak", 0,
                             json_pack("[o]", make_arm("trigger", "leak", "runtime-out-of-memory",
                                                       3, 512, 9))),
                 FACTS("Who killed it: Its own language runtime",
                       "How often: 3 times in `s/trigger`, 3 in the whole run"));
    json_t *arm = make_arm("trigger", "not-memory", "killed-by-platform", 3, 40, 9);
    assert_facts(make_result("not-memory", 0.8, "keep-limit", 40,
                             json_pack("[o]", with_end(arm, "platform_kill",
                                                       json_string("liveness-probe")))),
                 FACTS("Who killed it: The platform, for its probes",
                       "How often: 3 times in `s/trigger`, 3 in the whole run"));
    arm = make_arm("trigger", "inconclusive", "killed-by-platform", 1, 40, 9);
    assert_facts(make_result("inconclusive", 0, "investigate", 0,
                             json_pack("[o]", with_end(arm, "counters",
                                                       json_pack("{s:[i,i]}", "oom_kill", 1, 4)))),
                 FACTS("How often: 3 child processes in `s/trigger` (Observed, row 1 of "
                       "`lifetime_end`)"));
}

/* A size that nobody saw hold is the next one to try. */
static void test_a_guessed_size_says_so(void **state)
{
    (void)state;
    assert_facts(make_result("peak-demand", 0.8, "raise-limit", 612,
                             json_pack("[o]", make_arm("trigger", "peak-demand",
                                                       "oom-container-limit", 3, 512, 9))),
                 FACTS("try 612.0 MiB next (not shown to hold)"));
    assert_facts(
        make_result("peak-demand", 0.8, "raise-limit", 612,
                    json_pack("[o, o]",
                              make_arm("trigger", "peak-demand", "oom-container-limit", 3, 512, 9),
                              make_arm("raise", "stable", "killed-by-platform", 1, 1024, 9))),
        FACTS("What to do: **Raise the memory limit**: 612.0 MiB\n"));
}

static void test_other_scenarios_are_named(void **state)
{
    (void)state;
    json_t *hard = make_arm("trigger", "startup-demand", "oom-container-limit", 5, 32, 0);
    json_object_set_new(hard, "scenario", json_string("hard"));
    assert_facts(
        make_result("leak", 0.8, "fix-leak", 0,
                    json_pack("[o, o]",
                              make_arm("trigger", "leak", "oom-container-limit", 3, 64, 9), hard)),
        FACTS("Other scenarios: hard/trigger: needs more memory to start than the limit allows, "
              "5 kills\n"));
}

/* No flat sentence where the next repeat may as well show something else. */
static void test_words_follow_the_confidence(void **state)
{
    (void)state;
    static const double confidences[] = {0.4, 0.8};
    static const char *const said[] = {" It does not seem to leak: ", " It does not leak: "};
    static const char *const fact[] = {"*Probably no leak*", "*No leak*"};
    for (size_t i = 0; i < 2; i++) {
        json_t *result = make_result(
            "peak-demand", confidences[i], "raise-limit", 612,
            json_pack("[o]", make_arm("trigger", "peak-demand", "oom-container-limit", 3, 512, 9)));
        const struct story story = {.arms = json_object_get(result, "arms"),
                                    .verdict = json_object_get(result, "verdict")};
        AUTO_BUFFER text = {0};
        answer_append(&story, &text);
        assert_contains(buffer_text(&text), said[i]);
        assert_facts(result, FACTS(fact[i]));
    }
}

static void test_a_runtimes_limit_is_not_moved_by_the_containers(void **state)
{
    (void)state;
    assert_answer("leak",
                  json_pack("[o]", make_arm("trigger", "leak", "runtime-out-of-memory", 3, 512, 9)),
                  "Its own language runtime ran out of memory, below its container's 512 MiB "
                  "limit, three times, after 9 requests each. It keeps 4.0 MiB per request: a "
                  "larger limit of the container changes nothing.");
}

/* The arm that shows the verdict, not the first that was killed. */
static void test_subject(void **state)
{
    (void)state;
    json_t *verdict = json_pack("{s:s}", "class", "leak");
    json_t *arms = json_pack("[o, o, o]",
                             make_arm("trigger", "startup-demand", "oom-container-limit", 3, 32, 0),
                             make_arm("control", "leak", "killed-by-platform", 1, 64, 3),
                             make_arm("raise", "leak", "oom-container-limit", 1, 64, 3));
    const struct story story = {.arms = arms, .verdict = verdict};
    assert_string_equal(text_at(answer_subject(&story), "name"), "raise");
    json_decref(verdict);
    json_decref(arms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leak),
        cmocka_unit_test(test_what_else_happened),
        cmocka_unit_test(test_start_needs_more),
        cmocka_unit_test(test_not_for_memory),
        cmocka_unit_test(test_subject),
        cmocka_unit_test(test_facts_of_other_ends),
        cmocka_unit_test(test_a_guessed_size_says_so),
        cmocka_unit_test(test_other_scenarios_are_named),
        cmocka_unit_test(test_words_follow_the_confidence),
        cmocka_unit_test(test_a_runtimes_limit_is_not_moved_by_the_containers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
