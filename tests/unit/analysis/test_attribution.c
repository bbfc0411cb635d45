/* SPDX-License-Identifier: Apache-2.0 */
/* The table of docs/semantics.md row by row, the traps beside it, and properties over all
 * combinations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/attribution.h"
#include "base/clock.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MS INT64_C(1000000)

static const struct counter_pair none = {true, 4, 4}, one = {true, 4, 5}, two = {true, 4, 6},
                                 unknown = {0};

/* SIGKILL on v2 with nothing else: what the cases below start from. */
static struct death_facts sigkill(int version)
{
    return (struct death_facts){.ended = true,
                                .by_signal = true,
                                .signal = SIGKILL,
                                .cgroup_version = version,
                                .oom = version == 2 ? none : unknown,
                                .oom_kill = none,
                                .oom_group_kill = version == 2 ? none : unknown,
                                .limit_hits = none,
                                .ancestor_oom = none,
                                .kernel_log_readable = true};
}

static struct death_facts own_oom(int version)
{
    struct death_facts facts = sigkill(version);
    if (version == 2)
        facts.oom = one;
    facts.oom_kill = facts.limit_hits = one;
    return facts;
}

static struct death_facts with_log(struct death_facts facts, enum kernel_log_scope scope, bool main)
{
    facts.kernel_log = scope;
    facts.kernel_log_victim_is_main = main;
    return facts;
}

static struct death judge(struct death_facts facts)
{
    struct death death;
    attribute_death(&facts, &death);
    assert_true(death.explanation[0] != '\0');
    assert_true(strlen(death.explanation) < DEATH_TEXT_MAX - 1); /* nothing was cut */
    return death;
}

static void assert_death(struct death_facts facts, enum end_cause cause, enum evidence_level level,
                         bool oom_child)
{
    struct death death = judge(facts);
    if (death.cause != cause || death.level != level || death.oom_child != oom_child)
        fail_msg("%s (%s)%s instead of %s (%s)%s: %s", cause_name(death.cause),
                 level_name(death.level), death.oom_child ? " and a child" : "", cause_name(cause),
                 level_name(level), oom_child ? " and a child" : "", death.explanation);
}

/* --- the table, row by row -----------------------------------------------------------------------
 */

static void test_own_limit_v2(void **state)
{
    (void)state;
    struct death_facts facts = with_log(own_oom(2), KERNEL_LOG_OWN, true);
    assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_MEASURED, false);
}

static void test_own_limit_v1(void **state)
{
    (void)state;
    /* The counter proves the kill, only the log says whose limit: the weaker of the two. */
    struct death_facts facts = with_log(own_oom(1), KERNEL_LOG_OWN, true);
    assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_OBSERVED, false);
}

static void test_ancestor_limit(void **state)
{
    (void)state;
    for (int version = 1; version <= 2; version++) {
        struct death_facts facts = with_log(sigkill(version), KERNEL_LOG_ANCESTOR, true);
        facts.oom_kill = facts.ancestor_oom = one;
        assert_death(facts, CAUSE_OOM_ANCESTOR_LIMIT, LEVEL_OBSERVED, false);
        facts.kernel_log = KERNEL_LOG_NONE;
        assert_death(facts, CAUSE_OOM_ANCESTOR_LIMIT, LEVEL_CORRELATED, false);
        facts.ancestor_oom = unknown;
        facts.kernel_log_readable = false;
        assert_death(facts, CAUSE_OOM_ANCESTOR_LIMIT, LEVEL_STRONGLY_SUGGESTED, false);
    }
}

static void test_host(void **state)
{
    (void)state;
    for (int version = 1; version <= 2; version++) {
        struct death_facts facts = with_log(sigkill(version), KERNEL_LOG_HOST, true);
        facts.oom_kill = one;
        assert_death(facts, CAUSE_OOM_HOST, LEVEL_OBSERVED, false);
    }
}

static void test_child_then_ordinary_end(void **state)
{
    (void)state;
    struct death_facts facts = own_oom(2);
    facts.by_signal = false;
    assert_death(facts, CAUSE_EXITED, LEVEL_MEASURED, true);
    facts = with_log(facts, KERNEL_LOG_OWN, false);
    facts.exit_code = 1;
    assert_death(facts, CAUSE_EXITED, LEVEL_MEASURED, true);
    facts.by_signal = true;
    facts.signal = SIGSEGV;
    assert_death(facts, CAUSE_SIGNALLED, LEVEL_MEASURED, true);
}

static void test_our_sigkill(void **state)
{
    (void)state;
    for (enum platform_kill kill = PLATFORM_KILL_STOP; kill < PLATFORM_KILL_COUNT; kill++) {
        struct death_facts facts = sigkill(2);
        facts.platform_kill = kill;
        facts.platform_sent_sigkill = true;
        assert_death(facts, CAUSE_KILLED_BY_PLATFORM, LEVEL_MEASURED, false);
        assert_non_null(strstr(judge(facts).explanation, platform_kill_name(kill)));
    }
}

static void test_userspace_killers(void **state)
{
    (void)state;
    for (int which = 0; which < 3; which++) {
        struct death_facts facts = sigkill(2);
        facts.oomd_xattr = which == 0;
        facts.oomd_log = which == 1;
        facts.earlyoom_log = which == 2;
        assert_death(facts, CAUSE_OOM_USERSPACE_KILLER, LEVEL_OBSERVED, false);
        assert_non_null(strstr(judge(facts).explanation, which == 2 ? "earlyoom" : "systemd-oomd"));
        facts.oom_kill = unknown;
        assert_death(facts, CAUSE_OOM_USERSPACE_KILLER, LEVEL_OBSERVED, false);
    }
}

static void test_sigkill_from_outside(void **state)
{
    (void)state;
    assert_death(sigkill(1), CAUSE_KILLED_EXTERNALLY, LEVEL_STRONGLY_SUGGESTED, false);
    assert_death(sigkill(2), CAUSE_KILLED_EXTERNALLY, LEVEL_STRONGLY_SUGGESTED, false);
    struct death_facts facts = sigkill(2);
    facts.limit_hits = two; /* reclaim at the limit is no kill */
    facts.oom = one;
    assert_death(facts, CAUSE_KILLED_EXTERNALLY, LEVEL_STRONGLY_SUGGESTED, false);
}

static void test_exit_137(void **state)
{
    (void)state;
    struct death_facts facts = sigkill(2);
    facts.by_signal = false;
    facts.exit_code = 137;
    assert_death(facts, CAUSE_EXITED, LEVEL_MEASURED, false);
    assert_non_null(strstr(judge(facts).explanation, "without a signal"));
    facts = own_oom(2); /* a shell that reports its child's kill */
    facts.by_signal = false;
    facts.exit_code = 137;
    assert_death(facts, CAUSE_EXITED, LEVEL_MEASURED, true);
    assert_non_null(strstr(judge(facts).explanation, "child"));
}

static void test_signals(void **state)
{
    (void)state;
    static const int signals[] = {SIGSEGV, SIGABRT, SIGTERM, SIGBUS, SIGSYS, SIGXCPU};
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
        struct death_facts facts = sigkill(2);
        facts.signal = signals[i];
        assert_death(facts, CAUSE_SIGNALLED, LEVEL_MEASURED, false);
    }
}

static void test_our_sigterm(void **state)
{
    (void)state;
    struct death_facts facts = sigkill(2);
    facts.platform_kill = PLATFORM_KILL_STOP;
    facts.signal = SIGTERM;
    assert_death(facts, CAUSE_KILLED_BY_PLATFORM, LEVEL_MEASURED, false);
    facts.signal = SIGSEGV; /* a crash while it was shutting down */
    assert_death(facts, CAUSE_SIGNALLED, LEVEL_MEASURED, false);
    facts.by_signal = false; /* it caught SIGTERM and left */
    assert_death(facts, CAUSE_KILLED_BY_PLATFORM, LEVEL_CORRELATED, false);
    facts = sigkill(2); /* SIGTERM was ours, SIGKILL was not */
    facts.platform_kill = PLATFORM_KILL_LIVENESS;
    assert_death(facts, CAUSE_KILLED_EXTERNALLY, LEVEL_STRONGLY_SUGGESTED, false);
}

static void test_running(void **state)
{
    (void)state;
    struct death_facts facts = own_oom(2);
    facts.ended = false;
    assert_death(facts, CAUSE_RUNNING, LEVEL_MEASURED, false);
}

/* --- traps ---------------------------------------------------------------------------------------
 */

/* The counter was up before this lifetime began. */
static void test_sticky_counter(void **state)
{
    (void)state;
    struct death_facts facts = sigkill(2);
    facts.oom = facts.oom_kill = (struct counter_pair){true, 9, 9};
    assert_death(facts, CAUSE_KILLED_EXTERNALLY, LEVEL_STRONGLY_SUGGESTED, false);
    facts.by_signal = false;
    facts.exit_code = 1;
    assert_death(facts, CAUSE_EXITED, LEVEL_MEASURED, false);
}

/* A counter that went backwards (another cgroup under the same name) tells nothing. */
static void test_backward_counter(void **state)
{
    (void)state;
    struct death_facts facts = sigkill(2);
    facts.oom = facts.oom_kill = (struct counter_pair){true, 9, 2};
    assert_death(facts, CAUSE_UNKNOWN, LEVEL_NOT_PROVEN, false);
}

/* A child was OOM-killed, and then somebody killed the main process. */
static void test_child_then_external_sigkill(void **state)
{
    (void)state;
    struct death_facts facts = with_log(own_oom(2), KERNEL_LOG_OWN, false);
    assert_death(facts, CAUSE_KILLED_EXTERNALLY, LEVEL_STRONGLY_SUGGESTED, true);
    facts.oom_kill = unknown;
    assert_death(facts, CAUSE_KILLED_EXTERNALLY, LEVEL_INFERRED, true);
    facts = own_oom(2); /* without the log the time tells */
    facts.kill_age_known = true;
    facts.kill_age_ns = 30000 * MS;
    assert_death(facts, CAUSE_KILLED_EXTERNALLY, LEVEL_STRONGLY_SUGGESTED, true);
}

/* Two kills and a line for the child only: the second may have fallen to the log's rate limit. */
static void test_two_kills_one_line(void **state)
{
    (void)state;
    struct death_facts facts = with_log(own_oom(2), KERNEL_LOG_OWN, false);
    facts.oom_kill = two;
    assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_STRONGLY_SUGGESTED, true);
    facts.kernel_log_victim_is_main = true;
    assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_MEASURED, false);
}

/* dmesg_restrict, an ordinary user, or the rate limit: the counters carry the proof. */
static void test_counters_alone(void **state)
{
    (void)state;
    struct death_facts facts = own_oom(2);
    facts.kernel_log_readable = false;
    assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_CORRELATED, false);
    facts.kill_age_known = true;
    facts.kill_age_ns = 20 * MS;
    assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_MEASURED, false);
    facts.kill_age_ns = 3000 * MS;
    assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_STRONGLY_SUGGESTED, true);
    facts = own_oom(1);
    facts.kill_age_known = true;
    facts.kill_age_ns = 20 * MS;
    assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_CORRELATED, false);
    facts.ancestor_oom = one; /* both limits were hit */
    assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_STRONGLY_SUGGESTED, false);
    facts.limit_hits = unknown;
    assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_INFERRED, false);
}

/* A large process under a small CPU quota takes seconds to die. The log's line is lost; that a
 * SIGKILL was pending right after the kill was counted tells whose it was. Somebody else's line
 * does not. */
static void test_main_process_died_slowly(void **state)
{
    (void)state;
    for (int version = 1; version <= 2; version++) {
        struct death_facts facts = own_oom(version);
        facts.kill_age_known = true;
        facts.kill_age_ns = 3000 * MS;
        assert_true(judge(facts).oom_child);
        facts.main_dying_after_kill = true;
        assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT,
                     version == 1 ? LEVEL_CORRELATED : LEVEL_MEASURED, false);
        assert_death(with_log(facts, KERNEL_LOG_OWN, false), CAUSE_KILLED_EXTERNALLY,
                     LEVEL_STRONGLY_SUGGESTED, true);
    }
}

/* The main process was seen to run on after the kill: a SIGKILL that follows is another one,
 * however soon, with or without a log. Only a line that names it says otherwise. */
static void test_main_process_outlived_the_kill(void **state)
{
    (void)state;
    for (int version = 1; version <= 2; version++) {
        struct death_facts facts = own_oom(version);
        facts.kill_age_known = true;
        facts.kill_age_ns = 20 * MS;
        facts.main_ran_after_kill = true;
        assert_death(facts, CAUSE_KILLED_EXTERNALLY, LEVEL_STRONGLY_SUGGESTED, true);
        facts.oom_kill = two;
        assert_death(with_log(facts, KERNEL_LOG_OWN, false), CAUSE_KILLED_EXTERNALLY,
                     LEVEL_STRONGLY_SUGGESTED, true);
        assert_int_equal(judge(with_log(facts, KERNEL_LOG_OWN, true)).cause,
                         CAUSE_OOM_CONTAINER_LIMIT);
        facts.platform_kill = PLATFORM_KILL_STOP;
        facts.platform_sent_sigkill = true;
        assert_death(facts, CAUSE_KILLED_BY_PLATFORM, LEVEL_CORRELATED, true);
    }
}

static void test_group_kill(void **state)
{
    (void)state;
    struct death_facts facts = own_oom(2); /* the log names the largest, all of the group die */
    facts.oom_kill = two;
    facts.oom_group_kill = one;
    facts = with_log(facts, KERNEL_LOG_OWN, false);
    assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_MEASURED, false);
    facts.oom_group_kill = unknown; /* before 5.17 the log alone says it */
    facts.kernel_log_group_kill = true;
    assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_MEASURED, false);
    facts.kernel_log = KERNEL_LOG_NONE;
    facts.kernel_log_group_kill = false;
    facts.kernel_log_readable = false;
    facts.oom_group_kill = one;
    assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_MEASURED, false);
}

/* No oom_kill counter (before 4.13): the log alone. */
static void test_log_alone(void **state)
{
    (void)state;
    struct death_facts facts = with_log(sigkill(1), KERNEL_LOG_OWN, true);
    facts.oom_kill = unknown;
    assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_OBSERVED, false);
    facts.kernel_log = KERNEL_LOG_NONE;
    assert_death(facts, CAUSE_UNKNOWN, LEVEL_NOT_PROVEN, false);
    facts = with_log(sigkill(1), KERNEL_LOG_OWN, true); /* log and counter disagree */
    assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_CORRELATED, false);
}

/* Our SIGKILL and an OOM kill at the same moment. */
static void test_our_sigkill_and_oom(void **state)
{
    (void)state;
    struct death_facts facts = own_oom(2);
    facts.platform_kill = PLATFORM_KILL_DEADLINE;
    facts.platform_sent_sigkill = true;
    assert_death(facts, CAUSE_KILLED_BY_PLATFORM, LEVEL_CORRELATED, true);
    facts.kill_age_known = true;
    facts.kill_age_ns = 1 * MS;
    assert_death(facts, CAUSE_KILLED_BY_PLATFORM, LEVEL_CORRELATED, true);
    struct death_facts logged = with_log(facts, KERNEL_LOG_OWN, true);
    assert_death(logged, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_MEASURED, false);
    logged.kernel_log_victim_is_main = false;
    assert_death(logged, CAUSE_KILLED_BY_PLATFORM, LEVEL_CORRELATED, true);
    facts.oom_group_kill = one;
    assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_MEASURED, false);
}

/* A user-space killer's mark beside a counted kill that nothing ties to the main process. */
static void test_both_killers(void **state)
{
    (void)state;
    struct death_facts facts = own_oom(2);
    facts.oomd_xattr = true;
    assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_STRONGLY_SUGGESTED, false);
    facts = with_log(facts, KERNEL_LOG_OWN, true);
    assert_death(facts, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_MEASURED, false);
    facts.kernel_log_victim_is_main = false;
    assert_death(facts, CAUSE_OOM_USERSPACE_KILLER, LEVEL_OBSERVED, true);
}

/* The log is about this kill, the counters about the whole lifetime. */
static void test_log_before_counters(void **state)
{
    (void)state;
    struct death_facts facts = with_log(own_oom(2), KERNEL_LOG_ANCESTOR, true);
    assert_death(facts, CAUSE_OOM_ANCESTOR_LIMIT, LEVEL_OBSERVED, false);
    facts = with_log(own_oom(2), KERNEL_LOG_HOST, true);
    assert_death(facts, CAUSE_OOM_HOST, LEVEL_OBSERVED, false);
}

/* --- runtimes ------------------------------------------------------------------------------------
 */

static const struct runtime_case {
    const char *runtime; /* NULL: none */
    const char *console;
    int signal, exit_code; /* signal 0: exited */
} runtime_cases[] = {
    {"Java",
     "Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap space\n\tat "
     "A.main(A.java:5)\n",
     0, 1},
    {"Java", "Terminating due to java.lang.OutOfMemoryError: Java heap space\n", 0, 3},
    {"Java", "Aborting due to java.lang.OutOfMemoryError: Metaspace\n# A fatal error\n", SIGABRT,
     0},
    {"Java", "Aborting due to java.lang.OutOfMemoryError: Metaspace\n", SIGSEGV, 0},
    {"Java", "# There is insufficient memory for the Java Runtime Environment to continue.\n", 0,
     1},
    {NULL, "java.lang.OutOfMemoryError: Java heap space (caught)\n", 0, 0},
    {NULL, "java.lang.OutOfMemoryError: Java heap space (caught)\n", 0, 3},
    {NULL, "java.lang.OutOfMemoryError: Java heap space (caught)\n", SIGSEGV, 0},
    {NULL,
     "Exception in thread \"main\" java.lang.OutOfMemoryError: unable to create native thread\n", 0,
     1},
    {"Node.js",
     "<--- Last few GCs --->\n\nFATAL ERROR: Reached heap limit Allocation failed - JavaScript "
     "heap out of memory\n 1: 0xb7c\n",
     SIGABRT, 0},
    {"Node.js",
     "FATAL ERROR: Ineffective mark-compacts near heap limit Allocation failed - JavaScript heap "
     "out of memory\n",
     0, 134},
    {"Node.js", "FATAL ERROR: NewSpace::Rebalance Allocation failed\n", SIGSEGV, 0},
    {"Node.js", "# Fatal process out of memory: Zone\n", SIGTRAP, 0},
    {"Node.js",
     "Error [ERR_WORKER_OUT_OF_MEMORY]: Worker terminated due to reaching memory limit: JS heap "
     "out of memory\n",
     0, 1},
    {NULL, "FATAL ERROR: v8::ToLocalChecked Empty MaybeLocal.\n", SIGABRT, 0},
    {NULL, "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n",
     SIGKILL, 0},
    {NULL, "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n", 0,
     0},
    {"Go", "fatal error: runtime: out of memory\n\nruntime stack:\n", 0, 2},
    {"Go",
     "runtime: out of memory: cannot allocate 8192-byte block (1 in use)\nfatal error: out of "
     "memory\n",
     0, 2},
    {"Go", "runtime: cannot allocate memory\n", 0, 2},
    {"Go", "fatal error: runtime: cannot allocate memory\n", SIGABRT, 0},
    {NULL, "panic: disk out of memory\n", 0, 2},
    {NULL, "fatal error: all goroutines are asleep - deadlock!\n", 0, 2},
    {"Python",
     "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    x = b\"a\" * "
     "10**12\nMemoryError\n",
     0, 1},
    {"Python",
     "Traceback (most recent call last):\n  File \"a.py\", line 1\n    f()\nMemoryError: no "
     "room\nflushed late\n",
     0, 1},
    {"Python",
     "Traceback (most recent call last):\n  File \"a.py\", line "
     "1\nnumpy.core._exceptions._ArrayMemoryError: Unable to allocate 7.45 GiB\n",
     0, 1},
    {"Python", "  File \"cut.py\", line 9, in f\n    g()\nMemoryError\n", 0, 1},
    {"Python",
     "Traceback (most recent call last):\n  File \"a\"\nKeyError: 1\n\nDuring handling of the "
     "above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File "
     "\"a\"\nMemoryError\n",
     0, 1},
    {NULL,
     "Traceback (most recent call last):\n  File \"a\"\nMemoryError\n\nDuring handling of the "
     "above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File "
     "\"a\"\nKeyError: 1\n",
     0, 1},
    {NULL, "Traceback (most recent call last):\n  File \"a\"\nMemoryErrorNot: 1\n", 0, 1},
    {NULL, "caught MemoryError, going on\n", 0, 1},
    {NULL, "MemoryError\n", 0, 1},
    {NULL, "Traceback (most recent call last):\n  File \"a\"\nMemoryError\n", 0, 0},
    {"C++",
     "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n",
     SIGABRT, 0},
    {"C++", "terminate called after throwing an instance of 'std::bad_alloc'\n", SIGSEGV, 0},
    {"C++", "terminate called after throwing an instance of 'std::bad_alloc'\n", 0, 134},
    {"C++", "terminate called after throwing an instance of 'std::bad_alloc'\nAborted\n", 0, 139},
    {"C++",
     "libc++abi: terminating with uncaught exception of type std::bad_alloc: std::bad_alloc\n",
     SIGABRT, 0},
    {NULL, "terminate called after throwing an instance of 'std::runtime_error'\n", SIGABRT, 0},
    {NULL, "terminate called after throwing an instance of 'std::bad_alloc'\n", 0, 1},
    {"Rust", "memory allocation of 1073741824 bytes failed\n", SIGABRT, 0},
    {"Rust", "memory allocation of 8 bytes failed\n", 0, 134},
    {NULL, "a memory allocation of 8 bytes failed, retrying\n", SIGABRT, 0},
    {".NET", "Out of memory.\n", SIGABRT, 0},
    {".NET", "Unhandled exception. System.OutOfMemoryException: Exception of type\n", 0, 134},
    {NULL, "Out of memory. Retrying.\n", SIGABRT, 0},
    {"PHP",
     "PHP Fatal error:  Allowed memory size of 134217728 bytes exhausted (tried to allocate 20480 "
     "bytes) in /a.php on line 3\n",
     0, 255},
    {"PHP", "Fatal error: Out of memory (allocated 2097152 bytes)\n", 0, 255},
    {NULL, "PHP Fatal error:  Uncaught Error\n", 0, 255},
    {"Ruby", "a.rb:1:in `*': failed to allocate memory (NoMemoryError)\n", 0, 1},
    {"Ruby", "[FATAL] failed to allocate memory\n", 0, 1},
    {"Perl", "Out of memory!\n", 0, 1},
    {"Erlang",
     "eheap_alloc: Cannot allocate 1781763240 bytes of memory (of type \"heap\").\n\nCrash dump is "
     "being written\n",
     SIGABRT, 0},
    {"glibc",
     "a: error while loading shared libraries: libx.so.1: failed to map segment from shared "
     "object: Cannot allocate memory\n",
     0, 127},
    {NULL, "a: error while loading shared libraries: libx.so.1: cannot open shared object file\n",
     0, 127},
    {NULL, "", 0, 1},
    {NULL, "\n\n  \n", SIGABRT, 0},
    {NULL, NULL, SIGABRT, 0},
};

static void test_runtimes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(runtime_cases) / sizeof(*runtime_cases); i++) {
        const struct runtime_case *c = &runtime_cases[i];
        const char *runtime =
            runtime_out_of_memory(c->console, c->signal != 0, c->signal, c->exit_code);
        if ((runtime && c->runtime) ? strcmp(runtime, c->runtime) != 0 : runtime != c->runtime)
            fail_msg("case %zu: %s instead of %s: %s", i, runtime ? runtime : "none",
                     c->runtime ? c->runtime : "none", c->console);
        struct death_facts facts = sigkill(2);
        facts.by_signal = c->signal != 0;
        facts.signal = c->signal;
        facts.exit_code = c->exit_code;
        facts.console_tail = c->console;
        struct death death = judge(facts);
        assert_int_equal(death.cause == CAUSE_RUNTIME_OUT_OF_MEMORY, c->runtime != NULL);
        assert_ptr_equal(death.runtime, runtime);
        if (c->runtime)
            assert_int_equal(death.level, LEVEL_OBSERVED);
    }
}

/* Carriage returns, no last line break, and a message in the middle of other lines. */
static void test_console_forms(void **state)
{
    (void)state;
    assert_string_equal(runtime_out_of_memory("x\r\nOut of memory.\r\ny", true, SIGABRT, 0),
                        ".NET");
    assert_string_equal(
        runtime_out_of_memory("a\nmemory allocation of 5 bytes failed", true, SIGABRT, 0), "Rust");
    assert_string_equal(
        runtime_out_of_memory("Traceback (most recent call last):\n  x\nMemoryError", false, 0, 1),
        "Python");
}

static void test_runtime_and_child(void **state)
{
    (void)state;
    struct death_facts facts = own_oom(2);
    facts.by_signal = false;
    facts.exit_code = 3;
    facts.console_tail = "Terminating due to java.lang.OutOfMemoryError: Java heap space\n";
    assert_death(facts, CAUSE_RUNTIME_OUT_OF_MEMORY, LEVEL_OBSERVED, true);
}

/* --- properties over all combinations ------------------------------------------------------------
 */

struct sweep {
    unsigned long cases, oom, by_cause[CAUSE_COUNT];
};

static bool rose(struct counter_pair pair)
{
    return pair.known && pair.end > pair.start;
}

static void check_properties(const struct death_facts *facts, struct sweep *sweep)
{
    struct death death;
    attribute_death(facts, &death);
    bool oom = death.cause == CAUSE_OOM_CONTAINER_LIMIT ||
               death.cause == CAUSE_OOM_ANCESTOR_LIMIT || death.cause == CAUSE_OOM_HOST;
    bool logged = facts->kernel_log != KERNEL_LOG_NONE;
    bool evidence = rose(facts->oom_kill) || logged;
    sweep->cases++;
    sweep->oom += oom;
    sweep->by_cause[death.cause]++;
    assert_true(death.explanation[0] && strlen(death.explanation) < DEATH_TEXT_MAX - 1);
    /* No OOM without the kernel's evidence, none without SIGKILL, no child without either. */
    assert_true(!oom || (evidence && facts->ended && facts->by_signal && facts->signal == SIGKILL));
    assert_true(!death.oom_child || evidence);
    assert_true((death.runtime != NULL) == (death.cause == CAUSE_RUNTIME_OUT_OF_MEMORY));
    /* A log record is no measurement: only the own limit has a counter of its own (v2). */
    if (oom && death.level == LEVEL_MEASURED)
        assert_true(death.cause == CAUSE_OOM_CONTAINER_LIMIT && rose(facts->oom) &&
                    rose(facts->oom_kill));
    if (oom && death.level == LEVEL_OBSERVED)
        assert_true(logged);
    if (death.cause == CAUSE_OOM_HOST)
        assert_true(facts->kernel_log == KERNEL_LOG_HOST);
    /* A record that names another process, and no second kill: not the main process. */
    if (oom && logged && !facts->kernel_log_victim_is_main && !facts->kernel_log_group_kill &&
        !rose(facts->oom_group_kill))
        assert_true(facts->oom_kill.end - facts->oom_kill.start >= 2 &&
                    death.level >= LEVEL_STRONGLY_SUGGESTED);
    /* Against our own SIGKILL an OOM kill needs its victim named. */
    if (oom && facts->platform_sent_sigkill)
        assert_true(
            (logged && (facts->kernel_log_victim_is_main || facts->kernel_log_group_kill)) ||
            rose(facts->oom_group_kill));
    if (death.cause == CAUSE_KILLED_BY_PLATFORM)
        assert_true(facts->platform_kill != PLATFORM_KILL_NONE);
    if (death.cause == CAUSE_OOM_USERSPACE_KILLER)
        assert_true(facts->oomd_xattr);
}

/* Take the next choice of `choices` from the running number. */
static unsigned take(unsigned long *number, unsigned choices)
{
    unsigned choice = (unsigned)(*number % choices);
    *number /= choices;
    return choice;
}

#define SWEEP_CASES (2UL * 6 * 3 * 4 * 3 * 3 * 3 * 4 * 3 * 2 * 2 * 4 * 2)

static struct death_facts combination(unsigned long number)
{
    static const struct counter_pair pairs[] = {
        {false, 0, 0}, {true, 4, 4}, {true, 4, 5}, {true, 4, 7}};
    static const int ends[] = {SIGKILL, SIGTERM, SIGSEGV, 0, -1, -137}; /* <= 0: exit code */
    struct death_facts facts = {.ended = true, .kernel_log_readable = true};
    facts.cgroup_version = 1 + (int)take(&number, 2);
    int end = ends[take(&number, 6)];
    facts.by_signal = end > 0;
    facts.signal = end > 0 ? end : 0;
    facts.exit_code = end > 0 ? 0 : -end;
    facts.oom = pairs[take(&number, 3)];
    facts.oom_kill = pairs[take(&number, 4)];
    facts.oom_group_kill = pairs[take(&number, 3)];
    facts.limit_hits = pairs[take(&number, 3)];
    facts.ancestor_oom = pairs[take(&number, 3)];
    unsigned age = take(&number, 4);
    facts.kill_age_known = age > 0;
    facts.kill_age_ns = age == 1 ? MS : age == 2 ? 3000 * MS : 60000 * MS;
    unsigned ours = take(&number, 3);
    facts.platform_kill = ours ? PLATFORM_KILL_STOP : PLATFORM_KILL_NONE;
    facts.platform_sent_sigkill = ours == 2;
    facts.oomd_xattr = take(&number, 2);
    facts.console_tail =
        take(&number, 2) ? "Terminating due to java.lang.OutOfMemoryError\n" : NULL;
    facts.kernel_log = (enum kernel_log_scope)take(&number, 4);
    facts.kernel_log_victim_is_main = take(&number, 2) && facts.kernel_log != KERNEL_LOG_NONE;
    return facts;
}

static void test_all_combinations(void **state)
{
    (void)state;
    struct sweep sweep = {0};
    for (unsigned long number = 0; number < SWEEP_CASES; number++) {
        struct death_facts facts = combination(number);
        check_properties(&facts, &sweep);
        if (facts.kernel_log != KERNEL_LOG_NONE) {
            facts.kernel_log_group_kill = true;
            check_properties(&facts, &sweep);
        }
    }
    print_message("%lu combinations, %lu of them an OOM kill\n", sweep.cases, sweep.oom);
    for (enum end_cause cause = 0; cause < CAUSE_COUNT; cause++)
        assert_true(sweep.by_cause[cause] > 0 || cause == CAUSE_RUNNING ||
                    cause == CAUSE_RUNTIME_OUT_OF_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_limit_v2),
        cmocka_unit_test(test_own_limit_v1),
        cmocka_unit_test(test_ancestor_limit),
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_child_then_ordinary_end),
        cmocka_unit_test(test_our_sigkill),
        cmocka_unit_test(test_userspace_killers),
        cmocka_unit_test(test_sigkill_from_outside),
        cmocka_unit_test(test_exit_137),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_our_sigterm),
        cmocka_unit_test(test_running),
        cmocka_unit_test(test_sticky_counter),
        cmocka_unit_test(test_backward_counter),
        cmocka_unit_test(test_child_then_external_sigkill),
        cmocka_unit_test(test_two_kills_one_line),
        cmocka_unit_test(test_counters_alone),
        cmocka_unit_test(test_main_process_died_slowly),
        cmocka_unit_test(test_main_process_outlived_the_kill),
        cmocka_unit_test(test_group_kill),
        cmocka_unit_test(test_log_alone),
        cmocka_unit_test(test_our_sigkill_and_oom),
        cmocka_unit_test(test_both_killers),
        cmocka_unit_test(test_log_before_counters),
        cmocka_unit_test(test_runtimes),
        cmocka_unit_test(test_console_forms),
        cmocka_unit_test(test_runtime_and_child),
        cmocka_unit_test(test_all_combinations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
