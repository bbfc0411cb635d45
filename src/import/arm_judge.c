/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict on one container. A recorded curve goes through the same analysis as a lab's; without
 * one there are rules that say less. */
#include "import/arm.h"

#include "base/cleanup.h"
#include "base/plural.h"
#include "base/size.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CURVE_POINTS_MIN 8
/* A fall: from near the top to less than half. */
#define FALL_FROM 0.7
#define FALL_TO   0.5
#define STARTUP_S 30.0 /* killed within: it never got past its start */

static void set(struct arm_work *arm, enum verdict_class class, enum driver driver,
                enum evidence_level level, double confidence)
{
    arm->verdict.class = class;
    arm->verdict.driver = driver;
    arm->verdict.level = level;
    arm->verdict.confidence = confidence;
}

__attribute__((format(printf, 2, 3))) static void say(char text[static VERDICT_TEXT_MAX],
                                                      const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, VERDICT_TEXT_MAX - used, format, args);
    va_end(args);
}

static double uptime_of(const struct life *life)
{
    if (life->start_ns == FACT_TIME_UNKNOWN || life->end_ns == FACT_TIME_UNKNOWN)
        return NAN;
    return (double)(life->end_ns - life->start_ns) * 1e-9;
}

static double size_of(const struct point *point)
{
    return isnan(point->working_set) ? point->anon : point->working_set;
}

static double curve_top(const struct curve *curve)
{
    double top = 0;
    for (size_t i = 0; i < curve->count; i++)
        top = fmax(top, size_of(&curve->points[i]));
    return top;
}

static bool has_curve(const struct arm_work *arm)
{
    for (size_t i = 0; i < arm->curves.count; i++) {
        if (arm->curves.items[i].count >= CURVE_POINTS_MIN)
            return true;
    }
    return false;
}

static struct lifetime_series series_of(const struct arm_work *arm, size_t index)
{
    const struct curve *curve = &arm->curves.items[index];
    const struct life *life = index < arm->lives.count ? &arm->lives.items[index] : NULL;
    double end = curve->count ? curve->points[curve->count - 1].t_s : 0;
    double uptime = life ? uptime_of(life) : NAN;
    return (struct lifetime_series){
        .index = (unsigned)index + 1,
        .points = curve->points,
        .count = curve->count,
        .uptime_s = isnan(uptime) ? end : uptime,
        .cause = life ? arm->judged[index].cause : CAUSE_RUNNING,
        .level = life ? arm->judged[index].level : LEVEL_OBSERVED,
        .peak_bytes = NAN,
        .has_exit_code = life && life->exit_code != FACT_CODE_UNKNOWN,
        .exit_code = life ? life->exit_code : 0,
    };
}

/* Ends that a counter shows, and of which nothing else is recorded. */
static unsigned ends_unseen(const struct arm_work *arm)
{
    unsigned ends = 0;
    for (size_t i = 0; i < arm->lives.count; i++)
        ends += arm->lives.items[i].ended && arm->judged[i].cause == CAUSE_UNKNOWN &&
                arm->lives.items[i].fact_count == 0;
    return ends;
}

/* Where no start is recorded, memory that falls at once may be a restart or a collector's work. */
static unsigned count_falls(const struct arm_work *arm)
{
    const struct curve *curve = &arm->curves.items[0];
    unsigned falls = 0;
    if (arm->lives.count > 0)
        return 0;
    for (size_t i = 1; i < curve->count; i++) {
        double before = size_of(&curve->points[i - 1]), after = size_of(&curve->points[i]);
        falls += before >= FALL_FROM * curve_top(curve) && after < FALL_TO * before;
    }
    return falls;
}

/* Its lifetimes that have samples. Returns their number; `ret` has room for all. */
static size_t series_of_all(const struct arm_work *arm, struct lifetime_series *ret)
{
    size_t count = 0;
    for (size_t i = 0; i < arm->curves.count; i++) {
        if (arm->curves.items[i].count > 0)
            ret[count++] = series_of(arm, i);
    }
    return count;
}

/* 1: the curve settled it. */
static int judge_curve(struct arm_work *arm, const struct arm_series *all)
{
    struct verdict verdict;
    int r = verdict_of_arm(all, &verdict);
    if (r < 0)
        return r;
    arm->falls = count_falls(arm);
    if (verdict.class == VERDICT_INCONCLUSIVE)
        arm->left_open = verdict;
    /* What is not recorded cannot be "not for memory". */
    bool unseen = verdict.class == VERDICT_NOT_MEMORY && ends_unseen(arm) > 0;
    if (verdict.class == VERDICT_INCONCLUSIVE || arm->falls > 0 || unseen)
        return 0;
    r = growth_by_kind(all, &verdict, &arm->kinds);
    if (r < 0)
        return r;
    arm->kinds_known = true;
    forecast_limits(all, &verdict, &arm->forecasts);
    arm->verdict = verdict;
    arm->verdict.kills = arm->kills;
    arm->verdict.level = level_weaker(verdict.level, LEVEL_CORRELATED);
    if (arm->kills > 0)
        arm->verdict.level = level_weaker(arm->verdict.level, arm->weakest);
    return 1;
}

/* Where its start is not recorded, it began behind the end before. NAN unknown. */
static double longest_uptime(const struct lives *lives, size_t index)
{
    const struct life *life = &lives->items[index];
    double known = uptime_of(life);
    if (!isnan(known) || index == 0 || life->end_ns == FACT_TIME_UNKNOWN ||
        lives->items[index - 1].end_ns == FACT_TIME_UNKNOWN)
        return known;
    return (double)(life->end_ns - lives->items[index - 1].end_ns) / 1e9;
}

/* Kills within seconds of the start, again and again. */
static bool judge_startup(struct arm_work *arm)
{
    unsigned early = 0;
    double longest = 0;
    for (size_t i = 0; i < arm->lives.count; i++) {
        double uptime = longest_uptime(&arm->lives, i);
        if (arm->judged[i].cause > CAUSE_OOM_HOST ||
            (i == 0 && isnan(uptime) && arm->lives.count > 1))
            continue;
        if (isnan(uptime) || uptime > STARTUP_S)
            return false;
        early++;
        longest = fmax(longest, uptime);
    }
    bool repeated = early >= 2 || (early == 1 && arm->lives.restart_count >= 2);
    if (!repeated)
        return false;
    set(arm, VERDICT_STARTUP_DEMAND, DRIVER_STARTUP,
        level_weaker(arm->weakest, LEVEL_STRONGLY_SUGGESTED),
        (early + 1.0) / (early + 2.0) * (arm->weakest > LEVEL_STRONGLY_SUGGESTED ? 0.8 : 1.0));
    char limit[SIZE_TEXT_MAX] = "its limit";
    if (arm->limit > 0)
        size_format((uint64_t)arm->limit, limit);
    if (early == 1)
        say(arm->verdict.summary,
            "Killed %.1f s after its start, and restarted %.0f times: starting needs more than %s.",
            longest, arm->lives.restart_count, limit);
    else
        say(arm->verdict.summary,
            "Killed %u times, each time within %.1f s of its start: starting needs more than %s.",
            early, longest, limit);
    return true;
}

/* The program's own words are a curve of a kind: they say what it meant to keep. */
static bool judge_spoken(struct arm_work *arm)
{
    const struct spoken *spoken = &arm->spoken;
    if (!spoken->rising || spoken->seconds < STARTUP_S)
        return false;
    char from[SIZE_TEXT_MAX], to[SIZE_TEXT_MAX];
    set(arm, VERDICT_LEAK, DRIVER_NONE, LEVEL_INFERRED, arm->kills > 0 ? 0.7 : 0.5);
    say(arm->verdict.summary,
        "By its own words it keeps more and more: %s to %s in %.0f s over %zu lines, %.2f MiB per "
        "second, %s.",
        size_format((uint64_t)spoken->first_bytes, from),
        size_format((uint64_t)spoken->last_bytes, to), spoken->seconds, spoken->lines,
        spoken->per_second / 0x1p20, arm->kills > 0 ? "up to a kill" : "without a kill so far");
    return true;
}

static bool is_azure(const struct arm_work *arm)
{
    return arm->lives.origins & (1U << ORIGIN_AZURE);
}

/* A name for a command that somebody will paste into a shell: no platform has names with other
 * characters, so one that has them is a trap or a fault. */
static const char *plain_or(const char *name, const char *otherwise)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return name && name[0] != '-' && name[0] && name[strspn(name, plain)] == '\0' ? name
                                                                                  : otherwise;
}

static void name_missing_curve(struct arm_work *arm)
{
    const struct container *container = arm->container;
    const char *end = arm->kills + arm->killer_kills + arm->unsettled > 0 ? " up to the kill" : "";
    const char *app = plain_or(container->app, "APP");
    if (is_azure(arm))
        say(arm->verdict.would_settle,
            "The memory curve%s: az monitor metrics list --resource $(az containerapp "
            "show -n %.60s -g GROUP --query id -o tsv) --metric WorkingSetBytes --aggregation "
            "Maximum --interval PT1M --filter \"replicaName eq '*'\" -o json",
            end, app);
    else if (arm->lives.origins & (1U << ORIGIN_KUBERNETES))
        say(arm->verdict.would_settle,
            "The memory curve%s: oomlab diagnose --prometheus URL --namespace %.60s "
            "--pod %.80s --last 6h; and the node's kernel log: journalctl -k -o json",
            end, app, plain_or(container->replica, "POD"));
    else
        say(arm->verdict.would_settle,
            "The memory curve%s (Prometheus' container_memory_working_set_bytes, sar -r, or any "
            "CSV "
            "of times and bytes).",
            end);
}

/* The curve is there, and not what happened at its falls. */
static void name_missing_ends(struct arm_work *arm)
{
    const struct container *container = arm->container;
    const char *app = plain_or(container->app, "APP");
    if (is_azure(arm))
        say(arm->verdict.would_settle,
            "Its ends: az containerapp logs show -n %.60s -g GROUP --type system --tail 300", app);
    else if (container->replica)
        say(arm->verdict.would_settle,
            "Its restarts and why it ended: kubectl get pod -n %.60s %.80s -o json; or docker "
            "inspect",
            app, plain_or(container->replica, "POD"));
    else
        say(arm->verdict.would_settle,
            "Its starts and ends: the platform's log, or the host's kernel log (journalctl -k -o "
            "json)");
}

static const char *last_end_text(const struct arm_work *arm)
{
    for (size_t i = arm->lives.count; i-- > 0;) {
        if (arm->judged[i].text[0])
            return arm->judged[i].text;
    }
    return "";
}

/* Ends that were no kill, in lifetimes in which a process other than the main one was killed. */
static unsigned ends_with_child_kills(const struct arm_work *arm)
{
    unsigned ends = 0;
    for (size_t i = 0; i < arm->lives.count; i++) {
        enum end_cause cause = arm->judged[i].cause;
        ends += arm->judged[i].child && (cause == CAUSE_EXITED || cause == CAUSE_SIGNALLED);
    }
    return ends;
}

/* A program that loses a process may end because of it, or by chance afterwards. */
static bool judge_child_kills(struct arm_work *arm)
{
    unsigned ends = ends_with_child_kills(arm);
    if (arm->kills + arm->unsettled > 0 || ends == 0)
        return false;
    set(arm, VERDICT_INCONCLUSIVE, DRIVER_NONE, LEVEL_INFERRED, 0);
    say(arm->verdict.summary,
        "%u end%s recorded, none of them an out-of-memory kill; but in %u of these lifetimes a "
        "process other than the main one was killed for memory, and whether the end came of that "
        "is not recorded. The last end: %s",
        arm->others, plural((double)arm->others), ends, last_end_text(arm));
    say(arm->verdict.would_settle, "What the main process wrote before it ended, and the same "
                                   "work with more memory.");
    return true;
}

static bool was_killed(const struct arm_work *arm)
{
    for (size_t i = 0; i < arm->lives.count; i++) {
        if (arm->judged[i].cause == CAUSE_UNKNOWN && arm->lives.items[i].exit_code == 137)
            return true;
    }
    return false;
}

/* There is a curve and nothing better to say than what it leaves open. */
static bool curve_has_words(const struct arm_work *arm)
{
    return arm->left_open.summary[0] && arm->falls == 0 && arm->killer_kills == 0 &&
           arm->unsettled == 0 && (arm->kills > 0 || !(arm->lives.restart_count > 0));
}

static void leave_open(struct arm_work *arm)
{
    bool any = arm->kills + arm->killer_kills + arm->unsettled > 0;
    set(arm, VERDICT_INCONCLUSIVE, DRIVER_NONE, any ? LEVEL_INFERRED : LEVEL_NOT_PROVEN, 0);
    if (curve_has_words(arm)) {
        enum evidence_level level = arm->verdict.level;
        arm->verdict = arm->left_open;
        arm->verdict.level = level;
        arm->verdict.kills = arm->kills;
        return;
    }
    if (arm->kills > 0)
        say(arm->verdict.summary,
            "It was killed for memory %u time%s as far as the records say, but nothing shows how "
            "its memory rose: a leak and a demand look the same.",
            arm->kills, plural((double)arm->kills));
    else if (arm->killer_kills > 0)
        say(arm->verdict.summary,
            "A user-space killer (systemd-oomd, earlyoom) killed it %u time%s, for want of memory "
            "around it and at no limit of its own; nothing shows how its memory rose.",
            arm->killer_kills, plural((double)arm->killer_kills));
    else if (arm->unsettled > 0)
        say(arm->verdict.summary, "%s",
            was_killed(arm) ? "It was killed (137), and no record says by whom."
                            : "It ended, and no record says how.");
    else if (arm->lives.restart_count > 0)
        say(arm->verdict.summary,
            "It was restarted, and no record says how its containers had ended.");
    else if (arm->falls > 0)
        say(arm->verdict.summary,
            "Its memory fell by more than half at once, %u time%s: restarts that are not recorded, "
            "or memory given back; the curve alone cannot tell.",
            arm->falls, plural((double)arm->falls));
    else
        say(arm->verdict.summary, "No end of it is recorded, and too little of its memory to "
                                  "judge that.");
    if (arm->kills == 0 && is_azure(arm) && (arm->unsettled > 0 || arm->lives.restart_count > 0))
        say(arm->verdict.would_settle,
            "The exit codes: az containerapp logs show -n %.60s -g GROUP --type system --tail 300",
            arm->container->app ? arm->container->app : "APP");
    else if (arm->falls > 0)
        name_missing_ends(arm);
    else if (arm->unsettled > 0)
        say(arm->verdict.would_settle,
            "The kernel log of its host from the minute of the end: journalctl -k -o json");
    else
        name_missing_curve(arm);
}

/* What made an otherwise quiet container end. */
static bool judge_not_memory(struct arm_work *arm)
{
    const struct lives *lives = &arm->lives;
    bool probes = lives->probes.count > 0, images = lives->images.count > 0;
    if (arm->kills + arm->killer_kills + arm->unsettled > 0 ||
        !(arm->others > 0 || images || probes))
        return false;
    set(arm, VERDICT_NOT_MEMORY, DRIVER_NONE, LEVEL_OBSERVED, 0.9);
    if (images && arm->others == 0)
        say(arm->verdict.summary,
            "No process ran: its image could not be pulled or its container not be created (%s).",
            lives->images.reason);
    else if (probes && arm->others == 0)
        say(arm->verdict.summary,
            "%ju probe failures and no out-of-memory kill: it is restarted because a probe fails.",
            (uintmax_t)lives->probes.times);
    else
        say(arm->verdict.summary,
            "%u end%s recorded, none of them an out-of-memory kill; the last: %s", arm->others,
            plural((double)arm->others), last_end_text(arm));
    unsigned unseen = ends_unseen(arm);
    if (unseen > 0)
        say(arm->verdict.summary, " How it ended %u other time%s is not recorded.", unseen,
            plural((double)unseen));
    if (arm->others > 0) {
        enum evidence_level weakest = LEVEL_OBSERVED;
        for (size_t i = 0; i < lives->count; i++) {
            if (lives->items[i].ended)
                weakest = level_weaker(weakest, arm->judged[i].level);
        }
        arm->verdict.level = weakest;
    }
    return true;
}

/* The sizes for the advice: the peak known so far may be the usage, cache and all. */
static void measure_without_cache(struct arm_work *arm, const struct curve *curve)
{
    double highest = NAN, own = NAN;
    for (size_t i = 0; i < curve->count; i++) {
        const struct point *point = &curve->points[i];
        highest = fmax(highest, point->working_set);
        own = fmax(own, point->anon + (isnan(point->shmem) ? 0 : point->shmem));
    }
    arm->verdict.need_bytes = own;
    if (!isnan(highest))
        arm->verdict.peak_bytes = arm->verdict.working_bytes = highest;
}

/* One look into the cgroup: how much of its usage the kernel would give back. */
static bool judge_snapshot(struct arm_work *arm)
{
    const struct curve *curve = &arm->curves.items[arm->curves.count - 1];
    if (arm->kills + arm->killer_kills + arm->unsettled > 0 || curve->count == 0)
        return false;
    const struct point *point = &curve->points[curve->count - 1];
    if (isnan(point->file) || isnan(point->anon) || isnan(point->inactive_file))
        return false;
    double shmem = isnan(point->shmem) ? 0 : point->shmem;
    double cache = point->file - shmem;
    if (!(cache > 2 * (point->anon + shmem)))
        return false;
    char file[SIZE_TEXT_MAX], anon[SIZE_TEXT_MAX], set_size[SIZE_TEXT_MAX];
    set(arm, VERDICT_RECLAIMABLE_CACHE, DRIVER_NONE, LEVEL_CORRELATED, 0.9);
    measure_without_cache(arm, curve);
    say(arm->verdict.summary,
        "Of its memory %s is page cache, which the kernel takes back before it kills, and %s the "
        "process's own; the working set is %s.",
        size_format((uint64_t)cache, file), size_format((uint64_t)point->anon, anon),
        isnan(point->working_set) ? "not known"
                                  : size_format((uint64_t)point->working_set, set_size));
    return true;
}

int arm_judge(struct arm_work *arm, struct error *err)
{
    static const struct estimate none = {NAN, NAN, NAN};
    arm->verdict = (struct verdict){.per_request = none,
                                    .per_second = none,
                                    .drift_bytes = none,
                                    .peak_bytes = NAN,
                                    .kills = arm->kills};
    for (size_t i = 0; i < arm->curves.count; i++) {
        if (!isnan(arm->curves.items[i].peak))
            arm->verdict.peak_bytes =
                fmax(isnan(arm->verdict.peak_bytes) ? 0 : arm->verdict.peak_bytes,
                     arm->curves.items[i].peak);
    }
    AUTO_FREE struct lifetime_series *series = calloc(arm->curves.count + 1, sizeof(*series));
    if (!series)
        return error_errno(err, ENOMEM, "judging '%s'", arm->name);
    struct arm_series all = {.limit_bytes = arm->limit,
                             .lifetimes = series,
                             .count = series_of_all(arm, series),
                             .requests_unknown = true,
                             .clock_steps = arm->curves.clock_steps,
                             .conflicts = arm->curves.conflicts};
    caveats_of_arm(&all, &arm->caveats);
    arm->above_limit = caveats_above_limit(&all);
    if (!isnan(arm->above_limit)) /* it is not this curve's limit */
        all.limit_bytes = NAN;
    int r = 0;
    if (has_curve(arm) && arm->unsettled == 0)
        r = judge_curve(arm, &all);
    if (r < 0)
        return error_errno(err, ENOMEM, "judging '%s'", arm->name);
    if (r > 0)
        return 0;
    bool done = (arm->kills > 0 && (judge_startup(arm) || judge_spoken(arm))) ||
                judge_child_kills(arm) || judge_not_memory(arm) || judge_snapshot(arm) ||
                (arm->kills + arm->unsettled == 0 && judge_spoken(arm));
    if (!done)
        leave_open(arm);
    else if (arm->verdict.level > LEVEL_STRONGLY_SUGGESTED)
        name_missing_curve(arm);
    return 0;
}
