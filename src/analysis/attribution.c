/* SPDX-License-Identifier: Apache-2.0 */
/* Who ended a process. Two questions are kept apart: did the kernel's OOM killer kill the *main*
 * process (a counter counts every process of the cgroup), and whose limit made it do so.
 * docs/semantics.md has the table. */
#include "analysis/attribution.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A victim needs milliseconds to die, and up to about a second when gigabytes are torn down on a
 * busy machine. A kill counted longer before the main process's end was somebody else's. */
#define KILL_FRESH_NS INT64_C(1000000000)
#define KILL_STALE_NS INT64_C(5000000000)

enum victim {
    VICTIM_NONE,   /* nobody was OOM-killed here, as far as is known */
    VICTIM_CHILD,  /* somebody else of this container */
    VICTIM_UNSURE, /* a child was for certain, and one more process */
    VICTIM_LIKELY, /* a kill was counted, and nothing but the SIGKILL ties it to the main process */
    VICTIM_MAIN,
};

static bool counter_valid(const struct counter_pair *pair)
{
    return pair->known && pair->end >= pair->start;
}

static uint64_t increase(const struct counter_pair *pair)
{
    return counter_valid(pair) ? pair->end - pair->start : 0;
}

static bool unchanged(const struct counter_pair *pair)
{
    return counter_valid(pair) && pair->end == pair->start;
}

static bool by_sigkill(const struct death_facts *facts)
{
    return facts->by_signal && facts->signal == SIGKILL;
}

static bool userspace_mark(const struct death_facts *facts)
{
    return facts->oomd_xattr || facts->oomd_log || facts->earlyoom_log;
}

/* Whom the counter means when the kernel log is silent (unreadable, or the line fell to its rate
 * limit). */
static enum victim victim_by_time(const struct death_facts *facts)
{
    if (facts->main_dying_after_kill)
        return VICTIM_MAIN;
    if (!facts->kill_age_known)
        return VICTIM_LIKELY;
    if (facts->kill_age_ns <= KILL_FRESH_NS)
        return VICTIM_MAIN;
    return facts->kill_age_ns > KILL_STALE_NS ? VICTIM_CHILD : VICTIM_UNSURE;
}

static enum victim find_victim(const struct death_facts *facts)
{
    uint64_t kills = increase(&facts->oom_kill);
    bool logged = facts->kernel_log != KERNEL_LOG_NONE;
    if (kills == 0 && !logged)
        return VICTIM_NONE;
    if (!by_sigkill(facts))
        return VICTIM_CHILD;
    if (logged && facts->kernel_log_victim_is_main)
        return VICTIM_MAIN;
    if (facts->main_ran_after_kill)
        return VICTIM_CHILD;
    if ((logged && facts->kernel_log_group_kill) || increase(&facts->oom_group_kill) > 0)
        return VICTIM_MAIN;
    if (logged)
        return kills >= 2 ? VICTIM_UNSURE : VICTIM_CHILD;
    return victim_by_time(facts);
}

__attribute__((format(printf, 2, 3))) static void explain(struct death *death, const char *format,
                                                          ...)
{
    size_t used = strlen(death->explanation);
    va_list args;
    va_start(args, format);
    vsnprintf(death->explanation + used, sizeof(death->explanation) - used, format, args);
    va_end(args);
}

static void conclude(struct death *death, enum end_cause cause, enum evidence_level level)
{
    death->cause = cause;
    death->level = level;
}

/* Whose limit, from the kernel log's record. The own limit is measured as well where v2's `oom`
 * counter says the same. A record whose kill no counter shows is a coincidence to be checked. */
static void limit_from_log(const struct death_facts *facts, struct death *ret)
{
    enum evidence_level level = unchanged(&facts->oom_kill) ? LEVEL_CORRELATED : LEVEL_OBSERVED;
    switch (facts->kernel_log) {
    case KERNEL_LOG_HOST:
        conclude(ret, CAUSE_OOM_HOST, level);
        explain(ret, "the kernel log says a global out-of-memory kill: the whole host ran out");
        return;
    case KERNEL_LOG_ANCESTOR:
        conclude(ret, CAUSE_OOM_ANCESTOR_LIMIT, level);
        explain(ret, "the kernel log says an enclosing cgroup's memory limit caused the OOM kill");
        return;
    case KERNEL_LOG_OWN:
    case KERNEL_LOG_NONE:
        break;
    }
    if (increase(&facts->oom) > 0 && increase(&facts->oom_kill) > 0)
        level = LEVEL_MEASURED;
    conclude(ret, CAUSE_OOM_CONTAINER_LIMIT, level);
    explain(ret, "the kernel log says the container's own memory limit caused the OOM kill");
}

/* No log: v2's `oom` counts in the cgroup whose limit was hit. */
static void limit_from_oom_counter(const struct death_facts *facts, struct death *ret)
{
    if (increase(&facts->oom) > 0) {
        conclude(ret, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_MEASURED);
        explain(ret, "the container's own oom and oom_kill counters rose: its memory limit");
        return;
    }
    bool above = increase(&facts->ancestor_oom) > 0;
    conclude(ret, CAUSE_OOM_ANCESTOR_LIMIT,
             above                             ? LEVEL_CORRELATED
             : unchanged(&facts->ancestor_oom) ? LEVEL_INFERRED
                                               : LEVEL_STRONGLY_SUGGESTED);
    explain(ret, "oom_kill rose and the container's own oom did not: %s",
            above ? "an enclosing cgroup's limit, whose oom rose"
                  : "an enclosing cgroup's limit, or the host ran out");
}

/* No log and no `oom` counter (v1): failcnt says whether the own limit was hit at all. */
static void limit_from_hits(const struct death_facts *facts, struct death *ret)
{
    bool above = increase(&facts->ancestor_oom) > 0;
    if (unchanged(&facts->limit_hits)) {
        conclude(ret, CAUSE_OOM_ANCESTOR_LIMIT,
                 above ? LEVEL_CORRELATED : LEVEL_STRONGLY_SUGGESTED);
        explain(ret, "oom_kill rose and the container's own limit was never hit: %s",
                above ? "an enclosing cgroup's limit, which was hit"
                      : "an enclosing cgroup's limit, or the host ran out");
    } else if (increase(&facts->limit_hits) > 0) {
        conclude(ret, CAUSE_OOM_CONTAINER_LIMIT,
                 above ? LEVEL_STRONGLY_SUGGESTED : LEVEL_CORRELATED);
        explain(ret, "oom_kill rose and the container's own limit was hit%s",
                above ? " (an enclosing cgroup's limit too)" : "");
    } else {
        conclude(ret, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_INFERRED);
        explain(ret,
                "oom_kill rose; nothing recorded says whose limit, the container's is nearest");
    }
}

static void conclude_oom(const struct death_facts *facts, enum victim victim, struct death *ret)
{
    if (facts->kernel_log != KERNEL_LOG_NONE)
        limit_from_log(facts, ret);
    else if (counter_valid(&facts->oom))
        limit_from_oom_counter(facts, ret);
    else
        limit_from_hits(facts, ret);
    if (victim == VICTIM_LIKELY)
        ret->level = level_weaker(ret->level, LEVEL_CORRELATED);
    if (victim == VICTIM_UNSURE) {
        ret->level = level_weaker(ret->level, LEVEL_STRONGLY_SUGGESTED);
        ret->oom_child = true;
        explain(ret, "; which process it chose is not certain");
    }
    if (victim != VICTIM_MAIN && userspace_mark(facts)) {
        ret->level = level_weaker(ret->level, LEVEL_STRONGLY_SUGGESTED);
        explain(ret, "; a user-space killer left its mark as well");
    }
    if (facts->platform_sent_sigkill)
        explain(ret, "; our own SIGKILL came to a process that was already its victim");
    else if (facts->kernel_log == KERNEL_LOG_NONE && !facts->kernel_log_readable)
        explain(ret, " (kernel log not readable: counters alone)");
    else if (facts->kernel_log == KERNEL_LOG_NONE)
        explain(ret, " (no line in the kernel log, which is rate limited)");
}

static void conclude_our_kill(const struct death_facts *facts, enum victim victim,
                              struct death *ret)
{
    bool rival = victim != VICTIM_NONE || userspace_mark(facts) || !counter_valid(&facts->oom_kill);
    conclude(ret, CAUSE_KILLED_BY_PLATFORM, rival ? LEVEL_CORRELATED : LEVEL_MEASURED);
    explain(ret, "SIGKILL that oomlab's platform sent itself (%s)",
            platform_kill_name(facts->platform_kill));
    if (victim > VICTIM_CHILD)
        explain(ret,
                "; a process of the container was OOM-killed, and nothing shows it was this one");
}

/* SIGKILL that the kernel's OOM killer and we did not send. */
static void conclude_foreign_kill(const struct death_facts *facts, struct death *ret)
{
    if (userspace_mark(facts)) {
        conclude(ret, CAUSE_OOM_USERSPACE_KILLER, LEVEL_OBSERVED);
        explain(ret, "SIGKILL without a kernel OOM kill of it, and %s",
                facts->oomd_xattr ? "systemd-oomd marked the cgroup (user.oomd_kill)"
                : facts->oomd_log ? "systemd-oomd's log says it killed here"
                                  : "earlyoom's log says it killed here");
    } else if (counter_valid(&facts->oom_kill)) {
        conclude(ret, CAUSE_KILLED_EXTERNALLY, LEVEL_STRONGLY_SUGGESTED);
        explain(ret,
                "SIGKILL, and no OOM kill of it was counted, no signal of ours and no user-space "
                "killer's mark is recorded: somebody outside sent it");
    } else if (facts->kernel_log != KERNEL_LOG_NONE) {
        conclude(ret, CAUSE_KILLED_EXTERNALLY, LEVEL_INFERRED);
        explain(ret, "SIGKILL; the kernel log names another process of the container as the OOM "
                     "victim, and no counter is there to rule out a second kill");
    } else {
        conclude(ret, CAUSE_UNKNOWN, LEVEL_NOT_PROVEN);
        explain(ret,
                "SIGKILL; without the kernel's oom_kill counter and without a line in the kernel "
                "log an OOM kill can neither be shown nor ruled out");
    }
}

static void conclude_sigkill(const struct death_facts *facts, struct death *ret)
{
    enum victim victim = find_victim(facts);
    ret->oom_child = victim == VICTIM_CHILD;
    /* Our own SIGKILL explains the end unless the kernel is known to have chosen this process: it
     * neither counts nor logs a victim that is already dying. */
    if (facts->platform_sent_sigkill && victim != VICTIM_MAIN) {
        ret->oom_child = victim != VICTIM_NONE;
        conclude_our_kill(facts, victim, ret);
    } else if (facts->platform_sent_sigkill && facts->kernel_log == KERNEL_LOG_NONE &&
               increase(&facts->oom_group_kill) == 0) {
        ret->oom_child = true; /* the time alone cannot choose between two senders */
        conclude_our_kill(facts, victim, ret);
    } else if (victim > VICTIM_CHILD) {
        conclude_oom(facts, victim, ret);
    } else {
        conclude_foreign_kill(facts, ret);
    }
}

static void conclude_exit(const struct death_facts *facts, struct death *ret)
{
    if (facts->platform_kill != PLATFORM_KILL_NONE) {
        conclude(ret, CAUSE_KILLED_BY_PLATFORM, LEVEL_CORRELATED);
        explain(ret, "exited with code %d after the platform's signal (%s)", facts->exit_code,
                platform_kill_name(facts->platform_kill));
        return;
    }
    conclude(ret, CAUSE_EXITED, LEVEL_MEASURED);
    explain(ret, "exited by itself with code %d", facts->exit_code);
    if (facts->exit_code == 128 + SIGKILL)
        explain(ret, ", without a signal: no kill%s",
                ret->oom_child ? " of the main process; it reports that of a child" : "");
}

static void conclude_signal(const struct death_facts *facts, struct death *ret)
{
    const char *name = sigabbrev_np(facts->signal);
    if (facts->platform_kill != PLATFORM_KILL_NONE && facts->signal == SIGTERM) {
        conclude(ret, CAUSE_KILLED_BY_PLATFORM, LEVEL_MEASURED);
        explain(ret, "SIGTERM that oomlab's platform sent itself (%s)",
                platform_kill_name(facts->platform_kill));
        return;
    }
    conclude(ret, CAUSE_SIGNALLED, LEVEL_MEASURED);
    explain(ret, "ended by signal %d (SIG%s), not by SIGKILL", facts->signal, name ? name : "?");
}

void attribute_death(const struct death_facts *facts, struct death *ret)
{
    *ret = (struct death){.cause = CAUSE_UNKNOWN, .level = LEVEL_NOT_PROVEN};
    if (!facts->ended) {
        conclude(ret, CAUSE_RUNNING, LEVEL_MEASURED);
        explain(ret, "still running");
        return;
    }
    if (by_sigkill(facts)) {
        conclude_sigkill(facts, ret);
        return;
    }
    ret->oom_child = find_victim(facts) != VICTIM_NONE;
    ret->runtime = runtime_out_of_memory(facts->console_tail, facts->by_signal, facts->signal,
                                         facts->exit_code);
    if (ret->runtime) {
        conclude(ret, CAUSE_RUNTIME_OUT_OF_MEMORY, LEVEL_OBSERVED);
        explain(ret,
                "%s's own out-of-memory message stands in the console log, and it ended as %s does",
                ret->runtime, ret->runtime);
    } else if (facts->by_signal) {
        conclude_signal(facts, ret);
    } else {
        conclude_exit(facts, ret);
    }
    if (ret->oom_child)
        explain(ret, "; a child was OOM-killed in this lifetime");
}
