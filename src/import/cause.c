/* SPDX-License-Identifier: Apache-2.0 */
/* The ladder of docs/semantics.md: the kernel's own record, then the platform's word, then the
 * memory curve, then the exit code, which alone proves nothing. */
#include "import/cause.h"

#include "base/duration.h"
#include "base/size.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CODE_SIGKILL 137
#define CODE_SIGTERM 143
/* Kubernetes grants 30 s between SIGTERM and SIGKILL, Azure too. */
#define STOP_TAKES_NS (60 * NS_PER_S)

__attribute__((format(printf, 4, 5))) static void
decide(struct judged *ret, enum end_cause cause, enum evidence_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ret->cause = cause;
    ret->level = level;
    vsnprintf(ret->text, sizeof(ret->text), format, args);
    va_end(args);
}

static bool reason_is(const struct life *life, const char *word)
{
    return strncasecmp(life->reason, word, strlen(word)) == 0;
}

static bool killed(const struct life *life)
{
    return life->exit_code == CODE_SIGKILL || (life->signal == 9 && life->exit_code < 0);
}

/* The kernel's record, and whose limit fired. */
static void judge_kernel(const struct life *life, struct judged *ret)
{
    const struct recorded_kill *kill = life->kill;
    const char *who = kill->comm[0] ? kill->comm : "a process";
    if (!kill->from_log) {
        decide(ret, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_STRONGLY_SUGGESTED,
               "An out-of-memory kill was recorded for it %s; whose limit fired is not recorded.",
               life->end_ns == FACT_TIME_UNKNOWN ? "within the sample interval of its end"
                                                 : "at the moment of its end");
        return;
    }
    if (!kill->task_memcg[0] && life->origin != ORIGIN_KERNEL_LOG) {
        bool host = kill->scope == KMSG_SCOPE_GLOBAL;
        decide(
            ret, host ? CAUSE_OOM_HOST : CAUSE_OOM_CONTAINER_LIMIT, LEVEL_INFERRED,
            "A record says that the kernel killed %s (pid %lld) for memory at the moment of this "
            "end%s; it names no container.",
            who, (long long)kill->pid, host ? ", because the whole host had run out" : "");
        return;
    }
    if (kill->scope == KMSG_SCOPE_GLOBAL) {
        decide(ret, CAUSE_OOM_HOST, LEVEL_OBSERVED,
               "The kernel log says that the whole host had run out of memory and that it killed "
               "%s (pid %lld).",
               who, (long long)kill->pid);
        return;
    }
    bool both = kill->oom_memcg[0] && kill->task_memcg[0];
    bool above = both && strcmp(kill->oom_memcg, kill->task_memcg) != 0;
    if (above)
        decide(ret, CAUSE_OOM_ANCESTOR_LIMIT, LEVEL_OBSERVED,
               "The kernel log names the limit of %.120s, which lies above the victim's own cgroup "
               "%.120s.",
               kill->oom_memcg, kill->task_memcg);
    else if (both)
        decide(ret, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_OBSERVED,
               "The kernel log says that %s (pid %lld) was killed at the limit of its own cgroup "
               "%.160s.",
               who, (long long)kill->pid, kill->oom_memcg);
    else
        decide(ret, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_STRONGLY_SUGGESTED,
               "The kernel log says that %s (pid %lld) was killed at a cgroup's limit; the line "
               "that names the cgroup is missing.",
               who, (long long)kill->pid);
}

/* A kernel log names no main process: where it alone tells of an end, that the end came of the kill
 * is shown only by a kill of all that was in the cgroup. */
static void consider_main(const struct life *life, struct judged *ret)
{
    if (life->origin != ORIGIN_KERNEL_LOG || !life->kill->from_log)
        return;
    size_t used = strlen(ret->text);
    if (life->kill->whole) {
        snprintf(ret->text + used, sizeof(ret->text) - used, " Nothing else was left in it.");
        return;
    }
    if (ret->level < LEVEL_STRONGLY_SUGGESTED)
        ret->level = LEVEL_STRONGLY_SUGGESTED;
    snprintf(ret->text + used, sizeof(ret->text) - used,
             " Whether it was the main process, with which a container ends, is not in the log.");
}

/* A user-space killer's own record. earlyoom names no container: that the end is this one's follows
 * from the moment alone, unless nothing but its log tells of it. */
static void judge_killer(const struct life *life, struct judged *ret)
{
    const struct recorded_kill *kill = life->kill;
    if (kill->killer == KILLER_OOMD)
        decide(ret, CAUSE_OOM_USERSPACE_KILLER, LEVEL_OBSERVED,
               "The log of systemd-oomd says that it killed everything in %.200s.",
               kill->task_memcg);
    else if (life->origin == ORIGIN_KILLER_LOG)
        decide(ret, CAUSE_OOM_USERSPACE_KILLER, LEVEL_OBSERVED,
               "The log of earlyoom says that it killed %s (pid %lld).",
               kill->comm[0] ? kill->comm : "a process", (long long)kill->pid);
    else
        decide(ret, CAUSE_OOM_USERSPACE_KILLER, LEVEL_STRONGLY_SUGGESTED,
               "The log of earlyoom says that it killed %s (pid %lld) at the moment of this end, "
               "and of no other; it names no container.",
               kill->comm[0] ? kill->comm : "a process", (long long)kill->pid);
}

/* The platform's word for a stop is about this end only as long as a stop takes. */
static bool stopped_then(const struct life *life)
{
    return life->stopped &&
           (life->stop_ns == FACT_TIME_UNKNOWN || life->end_ns == FACT_TIME_UNKNOWN ||
            life->end_ns - life->stop_ns <= STOP_TAKES_NS);
}

/* The platform ended or stopped it: its own words. */
static bool judge_platform(const struct life *life, struct judged *ret)
{
    if (reason_is(life, "ProbeFailure")) {
        decide(ret, CAUSE_KILLED_BY_PLATFORM, LEVEL_OBSERVED,
               "The platform says that it ended it because a probe failed.");
        return true;
    }
    if (reason_is(life, "ManuallyStopped")) {
        decide(ret, CAUSE_KILLED_BY_PLATFORM, LEVEL_OBSERVED,
               "The platform says that it was stopped by hand.");
        return true;
    }
    if (stopped_then(life) && !(life->oom_killed && killed(life)) &&
        (killed(life) || life->exit_code == CODE_SIGTERM)) {
        bool timed = life->stop_ns != FACT_TIME_UNKNOWN && life->end_ns != FACT_TIME_UNKNOWN;
        decide(ret, CAUSE_KILLED_BY_PLATFORM, timed ? LEVEL_STRONGLY_SUGGESTED : LEVEL_INFERRED,
               "The platform had said %s that it would stop it (%s).",
               timed ? "before" : "at a time that is not recorded",
               life->stop_reason[0] ? life->stop_reason : "no reason given");
        return true;
    }
    return false;
}

static bool curve_before_end(const struct life *life, const struct curve *curve)
{
    return curve && !isnan(curve->last) && life->end_ns != FACT_TIME_UNKNOWN &&
           curve->last_ns <= life->end_ns && life->end_ns - curve->last_ns <= CURVE_NEAR_NS;
}

static const char *azure_or(const struct life *life)
{
    return life->origin == ORIGIN_AZURE ? "Azure never says which"
                                        : "the record does not say which";
}

/* 137 without anyone's word for it. */
static void judge_137(const struct life *life, double limit, const struct curve *curve,
                      struct judged *ret)
{
    char peak[SIZE_TEXT_MAX] = "", most[SIZE_TEXT_MAX] = "";
    bool seen = curve_before_end(life, curve) && limit > 0;
    if (seen) {
        size_format((uint64_t)curve->peak, peak);
        size_format((uint64_t)limit, most);
    }
    if (seen && curve->peak >= CURVE_REACHES * limit) {
        decide(ret, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_STRONGLY_SUGGESTED,
               "Exit code 137, and its recorded memory had reached %s of %s.", peak, most);
    } else if (seen && curve->last < CURVE_FAR * limit && curve->peak < CURVE_FAR * limit) {
        decide(ret, CAUSE_KILLED_EXTERNALLY, LEVEL_INFERRED,
               "Exit code 137, but its recorded memory was at most %s of %s: something else than "
               "its limit sent SIGKILL, unless memory rose within one sample interval.",
               peak, most);
    } else if (life->origin == ORIGIN_AZURE) {
        decide(ret, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_INFERRED,
               "Exit code 137 with reason %s fits an out-of-memory kill and any other SIGKILL; %s.",
               life->reason[0] ? life->reason : "unknown", azure_or(life));
    } else {
        decide(ret, CAUSE_UNKNOWN, LEVEL_NOT_PROVEN,
               "Exit code 137 is a SIGKILL by anyone; %s, and OOMKilled can be missing when the "
               "kernel did it.",
               azure_or(life));
    }
}

/* OOMKilled is a word about the container, not about its main process. */
static void judge_flag(const struct life *life, double limit, struct judged *ret)
{
    bool by_signal = killed(life) || life->exit_code == FACT_CODE_UNKNOWN;
    if (by_signal && limit == 0) {
        decide(ret, CAUSE_OOM_HOST, LEVEL_INFERRED,
               "The platform says OOMKilled, and its record of the settings has no limit for this "
               "container: the host had run out of memory, or a limit above the container was "
               "reached.");
        return;
    }
    if (by_signal) {
        decide(ret, CAUSE_OOM_CONTAINER_LIMIT, LEVEL_STRONGLY_SUGGESTED,
               "The platform says OOMKilled%s; it cannot tell the container's limit from one above "
               "it.",
               killed(life) ? " and exit code 137" : ", the exit code is not recorded");
        return;
    }
    ret->child = true;
    decide(ret, CAUSE_EXITED, LEVEL_STRONGLY_SUGGESTED,
           "The platform says OOMKilled, but the main process ended with code %d and not by "
           "SIGKILL: by that word a child was killed, and this end is no out-of-memory kill.",
           life->exit_code);
}

/* The runtime's words for a container whose program never ran. */
static bool never_started(const struct life *life)
{
    return reason_is(life, "StartError") || reason_is(life, "ContainerCannotRun");
}

static void judge_code(const struct life *life, struct judged *ret)
{
    int code = life->exit_code;
    if (never_started(life)) {
        decide(ret, CAUSE_UNKNOWN, LEVEL_NOT_PROVEN,
               "The runtime could not start it (%s): its message says why, a limit too small for "
               "the start itself among the reasons.",
               life->reason);
        return;
    }
    if (code == FACT_CODE_UNKNOWN)
        decide(ret, CAUSE_UNKNOWN, LEVEL_NOT_PROVEN, "The record names neither code nor signal.");
    else if (code == CODE_SIGTERM)
        decide(ret, CAUSE_SIGNALLED, LEVEL_INFERRED,
               "Exit code 143 is SIGTERM: an ordinary stop, not memory.");
    else if (code > 128 && code <= 128 + 64)
        decide(ret, CAUSE_SIGNALLED, LEVEL_INFERRED,
               "Exit code %d stands for signal %d, which no out-of-memory killer sends.", code,
               code - 128);
    else
        decide(ret, CAUSE_EXITED, LEVEL_OBSERVED,
               "It ended by itself with exit code %d, which is not an out-of-memory kill.", code);
}

void judge_end(const struct life *life, double limit, const struct curve *curve,
               const char *runtime, struct judged *ret)
{
    *ret = (struct judged){.cause = CAUSE_RUNNING, .level = LEVEL_OBSERVED};
    if (!life->ended)
        return;
    bool other_end = life->exit_code != FACT_CODE_UNKNOWN && !killed(life);
    if (life->kill && life->kill->killer) {
        judge_killer(life, ret);
        return;
    }
    if (life->kill && !other_end) {
        judge_kernel(life, ret);
        consider_main(life, ret);
    } else if (judge_platform(life, ret))
        ret->child = life->kill != NULL;
    else if (runtime && other_end)
        decide(ret, CAUSE_RUNTIME_OUT_OF_MEMORY, LEVEL_STRONGLY_SUGGESTED,
               "%s printed that it ran out of memory and ended with exit code %d.", runtime,
               life->exit_code);
    else if (life->oom_killed)
        judge_flag(life, limit, ret);
    else if (killed(life))
        judge_137(life, limit, curve, ret);
    else
        judge_code(life, ret);
    if (!life->kill || !other_end)
        return;
    ret->child = true;
    size_t used = strlen(ret->text);
    snprintf(ret->text + used, sizeof(ret->text) - used,
             " The kernel had killed a process in it before (oom-child).");
}
