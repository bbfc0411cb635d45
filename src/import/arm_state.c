/* SPDX-License-Identifier: Apache-2.0 */
/* The statements about one container: none without its row, none above that row's level. */
#include "import/arm.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/plural.h"
#include "base/size.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int arm_state(struct arm_work *arm, enum evidence_level level, int64_t fact, int64_t life_row,
              struct error *err, const char *format, ...)
{
    if (arm->evidence_count == ARM_EVIDENCE_MAX || fact == 0)
        return 0;
    char statement[1024], id[16], row[24];
    va_list args;
    va_start(args, format);
    int used = snprintf(statement, sizeof(statement), "%s: ", arm->name);
    vsnprintf(statement + used, sizeof(statement) - (size_t)used, format, args);
    va_end(args);
    snprintf(id, sizeof(id), "E%u", *arm->next_evidence);
    snprintf(row, sizeof(row), "%" PRId64, fact);
    const struct store_value nil = STORE_NIL("lifetime_id");
    const struct store_value life = STORE_INT("lifetime_id", life_row);
    const struct store_value values[] = {
        STORE_STR("id", id),
        STORE_STR("level", level_name(level)),
        STORE_STR("statement", statement),
        STORE_INT("arm_id", arm->container->arm_id),
        STORE_STR("source_table", "fact"),
        STORE_STR("source_row", row),
        life_row ? life : nil,
        STORE_END,
    };
    int r = store_insert(arm->store, "evidence", values, NULL, err);
    if (r == 0)
        arm->evidence[arm->evidence_count++] = (*arm->next_evidence)++;
    return r;
}

static const char *moment(int64_t ns, char text[static TIMESTAMP_TEXT_MAX])
{
    if (ns == FACT_TIME_UNKNOWN)
        return "a time that is not recorded";
    return timestamp_format(ns, text);
}

static int state_kill(struct arm_work *arm, const struct recorded_kill *kill, int64_t life_row,
                      struct error *err)
{
    char at[TIMESTAMP_TEXT_MAX];
    if (kill->killer)
        return arm_state(arm, LEVEL_OBSERVED, kill->facts[0], life_row, err,
                         "the log of %s at %s: it killed %.200s.", killer_name(kill->killer),
                         moment(kill->at_ns, at),
                         kill->task_memcg[0] ? kill->task_memcg
                         : kill->comm[0]     ? kill->comm
                                             : "a process");
    if (!kill->from_log && kill->count > 1)
        return arm_state(
            arm, LEVEL_OBSERVED, kill->facts[0], life_row, err,
            "an out-of-memory record at %s: %ju processes killed since the one before.",
            moment(kill->at_ns, at), (uintmax_t)kill->count);
    return arm_state(arm, LEVEL_OBSERVED, kill->facts[0], life_row, err,
                     "%s %s: %s killed%s%.160s.",
                     kill->from_log ? "the kernel log at" : "an out-of-memory record at",
                     moment(kill->at_ns, at), kill->comm[0] ? kill->comm : "a process",
                     kill->oom_memcg[0] ? " at the limit of " : "", kill->oom_memcg);
}

static int state_end(struct arm_work *arm, size_t index, struct error *err)
{
    const struct life *life = &arm->lives.items[index];
    const struct judged *judged = &arm->judged[index];
    int64_t row = arm->life_rows[index];
    bool by_kill = life->kill && judged->cause <= CAUSE_OOM_USERSPACE_KILLER;
    int64_t fact = by_kill            ? life->kill->facts[0]
                   : life->fact_count ? life->facts[0]
                                      : life->start_fact;
    char at[TIMESTAMP_TEXT_MAX];
    int r = 0;
    if (life->kill)
        r = state_kill(arm, life->kill, row, err);
    if (r == 0 && life->exit_code != FACT_CODE_UNKNOWN)
        r = arm_state(arm, LEVEL_OBSERVED, life->facts[0], row, err,
                      "lifetime %zu ended at %s with exit code %d%s%s (told in %zu row%s).",
                      index + 1, moment(life->end_ns, at), life->exit_code,
                      life->reason[0] ? ", reason " : "", life->reason, life->rows,
                      plural((double)life->rows));
    if (r == 0)
        r = arm_state(arm, judged->level, fact, row, err, "lifetime %zu, %s: %s", index + 1,
                      cause_name(judged->cause), judged->text);
    return r;
}

/* The kernel killed in it, and no end of it came of that. */
static int state_child_kills(struct arm_work *arm, struct error *err)
{
    int r = 0;
    for (size_t i = 0; i < arm->lives.kill_count && r == 0; i++) {
        const struct recorded_kill *kill = &arm->lives.kills[i];
        bool used = false;
        for (size_t j = 0; j < arm->lives.count; j++)
            used = used || arm->lives.items[j].kill == kill;
        if (!used)
            r = state_kill(arm, kill, 0, err);
    }
    return r;
}

/* The waits before its restarts against the kubelet's: 10 s, doubling, 300 s at most. */
static int state_backoff(struct arm_work *arm, struct error *err)
{
    char waits[256] = "";
    size_t used = 0, fit = 0, known = 0;
    double expected = 10;
    int64_t fact = 0;
    for (size_t i = 1; i < arm->lives.count && used < sizeof(waits) - 16; i++) {
        const struct life *before = &arm->lives.items[i - 1], *life = &arm->lives.items[i];
        if (before->end_ns == FACT_TIME_UNKNOWN || life->start_ns == FACT_TIME_UNKNOWN)
            continue;
        double wait = (double)(life->start_ns - before->end_ns) * 1e-9;
        used +=
            (size_t)snprintf(waits + used, sizeof(waits) - used, "%s%.0f", known ? ", " : "", wait);
        known++;
        fit += wait >= 0.75 * expected && wait <= 1.25 * expected + 3;
        expected = fmin(300, 2 * expected);
        fact = life->start_fact ? life->start_fact : before->facts[0];
    }
    if (known == 0)
        return 0;
    if (known >= 2 && fit == known)
        return arm_state(arm, LEVEL_CORRELATED, fact, 0, err,
                         "it waited %s s before its restarts, as a kubelet's back-off does (10 s, "
                         "doubled each time, 300 s at most).",
                         waits);
    return arm_state(arm, LEVEL_OBSERVED, fact, 0, err, "it waited %s s before its restart%s.",
                     waits, plural((double)known));
}

/* The two ends of a curve that carries a verdict: who doubts the growth can look them up. */
static int state_curve_ends(struct arm_work *arm, const struct curve *curve, struct error *err)
{
    char size[SIZE_TEXT_MAX], at[TIMESTAMP_TEXT_MAX];
    if (curve->count < 2 || curve->first_fact == curve->last_fact)
        return 0;
    int r = arm_state(arm, LEVEL_OBSERVED, curve->first_fact, 0, err,
                      "its memory was %s at %s, the first of %zu points of its curve.",
                      size_format((uint64_t)curve->first, size), moment(curve->first_ns, at),
                      curve->count);
    if (r == 0 && curve->last_fact != curve->peak_fact)
        r = arm_state(arm, LEVEL_OBSERVED, curve->last_fact, 0, err,
                      "its memory was %s at %s, the last of them.",
                      size_format((uint64_t)curve->last, size), moment(curve->last_ns, at));
    return r;
}

static int state_other_limit(struct arm_work *arm, struct error *err)
{
    char size[SIZE_TEXT_MAX], at[TIMESTAMP_TEXT_MAX];
    bool timed = arm->other_limit_ns != FACT_TIME_UNKNOWN;
    const char *which = !arm->limit_fact ? "the one that was given (--limit)"
                        : timed          ? "the newest one"
                                         : "the one that was told last";
    return arm_state(arm, LEVEL_OBSERVED, arm->other_limit_fact, 0, err,
                     "another record%s%s has a memory limit of %s; %s counts here.",
                     timed ? " of " : "", timed ? timestamp_format(arm->other_limit_ns, at) : "",
                     size_format((uint64_t)arm->other_limit, size), which);
}

static int state_memory(struct arm_work *arm, struct error *err)
{
    char size[SIZE_TEXT_MAX], limit[SIZE_TEXT_MAX] = "", at[TIMESTAMP_TEXT_MAX];
    int r = 0;
    if (arm->limit_fact && arm->limit == 0)
        r = arm_state(arm, LEVEL_OBSERVED, arm->limit_fact, 0, err,
                      "the record of its settings has no memory limit.");
    else if (arm->limit_fact)
        r = arm_state(arm, LEVEL_OBSERVED, arm->limit_fact, 0, err, "its memory limit is %s.",
                      size_format((uint64_t)arm->limit, limit));
    if (r == 0 && arm->other_limit > 0)
        r = state_other_limit(arm, err);
    const struct curve *best = NULL, *any = NULL;
    for (size_t i = 0; i < arm->curves.count; i++) {
        const struct curve *curve = &arm->curves.items[i];
        any = curve->any_fact ? curve : any;
        if (!isnan(curve->peak) && (!best || curve->peak > best->peak))
            best = curve;
    }
    if (r == 0 && best)
        r = state_curve_ends(arm, best, err);
    if (r == 0 && best)
        r = arm_state(arm, LEVEL_OBSERVED, best->peak_fact, 0, err,
                      "its highest recorded memory was %s, at %s.",
                      size_format((uint64_t)best->peak, size), moment(best->peak_ns, at));
    if (r == 0 && best && !isnan(arm->above_limit))
        r = arm_state(arm, LEVEL_OBSERVED, best->peak_fact, 0, err,
                      "that is above the memory limit of %s, which no container can exceed: the "
                      "sample is of more than it, or another limit held then.",
                      size_format((uint64_t)arm->limit, limit));
    if (r == 0 && !best && any)
        r = arm_state(arm, LEVEL_OBSERVED, any->any_fact, 0, err,
                      "its memory was sampled %zu times, its working set not among them.",
                      any->count);
    if (r == 0 && arm->spoken.lines >= 4)
        r = arm_state(arm, LEVEL_OBSERVED, arm->spoken.last_fact, 0, err,
                      "it printed a size %zu times in one lifetime, the last %s.",
                      arm->spoken.lines, size_format((uint64_t)arm->spoken.last_bytes, size));
    return r;
}

static int state_told(struct arm_work *arm, const struct told *told, const char *what,
                      struct error *err)
{
    char first[TIMESTAMP_TEXT_MAX], last[TIMESTAMP_TEXT_MAX], when[3 * TIMESTAMP_TEXT_MAX] = "";
    char times[48] = "";
    if (told->count == 0)
        return 0;
    if (told->first_ns != FACT_TIME_UNKNOWN && told->first_ns == told->last_ns)
        snprintf(when, sizeof(when), " at %s", moment(told->first_ns, first));
    else if (told->first_ns != FACT_TIME_UNKNOWN)
        snprintf(when, sizeof(when), " from %s to %s", moment(told->first_ns, first),
                 moment(told->last_ns, last));
    if (told->times > told->count)
        snprintf(times, sizeof(times), "%ju times in ", (uintmax_t)told->times);
    return arm_state(arm, LEVEL_OBSERVED, told->fact, 0, err, "%s, %s%ju row%s%s%s%s.", what, times,
                     (uintmax_t)told->count, plural((double)told->count), when,
                     told->reason[0] ? ": " : "", told->reason);
}

int arm_state_all(struct arm_work *arm, struct error *err)
{
    const struct lives *lives = &arm->lives;
    int r = 0;
    for (size_t i = 0; i < lives->count && r == 0; i++) {
        if (lives->items[i].ended)
            r = state_end(arm, i, err);
    }
    if (r == 0)
        r = state_child_kills(arm, err);
    if (r == 0)
        r = state_backoff(arm, err);
    if (r == 0)
        r = state_memory(arm, err);
    if (r == 0)
        r = state_told(arm, &lives->probes, "a probe failed", err);
    if (r == 0)
        r = state_told(arm, &lives->images, "its image or container could not be made", err);
    if (r == 0)
        r = state_told(arm, &lives->stops, "the platform said that it stops it", err);
    if (r == 0)
        r = state_told(arm, &lives->backoffs, "it waited in back-off", err);
    if (r == 0)
        r = state_told(arm, &lives->running, "it was running", err);
    if (r == 0)
        r = state_told(arm, &lives->state, "its state was told", err);
    if (r == 0 && lives->restart_count >= 0)
        r = arm_state(arm, LEVEL_OBSERVED, lives->restarts.fact, 0, err,
                      "the platform counted %.0f restart%s.", lives->restart_count,
                      plural((double)lives->restart_count));
    char at[TIMESTAMP_TEXT_MAX];
    if (r == 0 && lives->anew_ns != FACT_TIME_UNKNOWN)
        r = arm_state(arm, LEVEL_OBSERVED, lives->anew_fact, 0, err,
                      "its restart counter began anew by %s (the pod was made anew, or its count "
                      "lost): %.0f before, %.0f since.",
                      moment(lives->anew_ns, at), lives->anew_count,
                      lives->restart_count - lives->anew_count);
    return r;
}
