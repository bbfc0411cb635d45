/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/gate.h"

#include "analysis/view.h"
#include "analysis/words.h"
#include "base/plural.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The revert's kill comes after a like number of requests as the trigger's. */
#define REVERT_FACTOR 2.0

void gate_begin(struct gate *gate, const char *id, const char *hypothesis)
{
    *gate = (struct gate){0};
    snprintf(gate->id, sizeof(gate->id), "%s", id);
    snprintf(gate->hypothesis, sizeof(gate->hypothesis), "%s", hypothesis);
}

struct gate_check *gate_add(struct gate *gate, const char *id, bool pass, const char *threshold,
                            ...)
{
    bool full = gate->check_count == GATE_CHECKS_MAX;
    struct gate_check *check = &gate->checks[full ? GATE_CHECKS_MAX - 1 : gate->check_count++];
    gate->pass = !full && pass && (gate->pass || gate->check_count == 1);
    *check = (struct gate_check){.pass = pass};
    snprintf(check->id, sizeof(check->id), "%s", id);
    va_list args;
    va_start(args, threshold);
    vsnprintf(check->threshold, sizeof(check->threshold), threshold, args);
    va_end(args);
    return check;
}

void gate_observed(struct gate_check *check, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(check->observed, sizeof(check->observed), format, args);
    va_end(args);
}

bool gate_kernel_proven(const struct gate_lifetime *lifetime)
{
    return cause_is_kernel_oom(lifetime->cause) && lifetime->level <= LEVEL_CORRELATED;
}

/* --- what an arm's lifetimes add up to -----------------------------------------------------------
 */

struct tally {
    unsigned kills, proven, exit_137, before_ready;
    unsigned deaths;     /* ends that the platform did not bring about, kills included */
    double fewest, most; /* requests before a kill; fewest is NAN without a kill */
    double first_requests, first_seconds; /* of the first kill; NAN */
    double longest_served;                /* requests that one lifetime completed */
    double longest_seconds;               /* that one lifetime lived */
    bool ready;                           /* some lifetime was */
};

static bool platform_ended(enum end_cause cause)
{
    return cause == CAUSE_RUNNING || cause == CAUSE_KILLED_BY_PLATFORM;
}

static void tally_kill(const struct gate_lifetime *lifetime, struct tally *tally)
{
    if (tally->kills++ == 0) {
        tally->first_requests = lifetime->requests_completed;
        tally->first_seconds = lifetime->uptime_s;
    }
    tally->proven += gate_kernel_proven(lifetime);
    tally->exit_137 += lifetime->by_signal && lifetime->code == SIGKILL;
    tally->before_ready += !lifetime->ready;
    tally->fewest = fmin(tally->fewest, lifetime->requests_completed);
    tally->most = fmax(tally->most, lifetime->requests_completed);
}

static struct tally tally_of(const struct gate_arm *arm)
{
    struct tally tally = {.fewest = NAN, .most = NAN, .first_requests = NAN, .first_seconds = NAN};
    for (size_t i = 0; i < arm->lifetime_count; i++) {
        const struct gate_lifetime *lifetime = &arm->lifetimes[i];
        if (cause_is_kernel_oom(lifetime->cause))
            tally_kill(lifetime, &tally);
        tally.deaths += !platform_ended(lifetime->cause);
        tally.longest_served = fmax(tally.longest_served, lifetime->requests_completed);
        tally.longest_seconds = fmax(tally.longest_seconds, lifetime->uptime_s);
        tally.ready |= lifetime->ready;
    }
    return tally;
}

/* Median of the requests before the kills: by selection, without a copy. */
static double median_requests(const struct gate_arm *arm)
{
    size_t kills = 0;
    double low = NAN, high = NAN;
    for (size_t i = 0; i < arm->lifetime_count; i++)
        kills += cause_is_kernel_oom(arm->lifetimes[i].cause);
    for (size_t i = 0; i < arm->lifetime_count; i++) {
        double mine = arm->lifetimes[i].requests_completed;
        size_t below = 0, equal = 0;
        if (!cause_is_kernel_oom(arm->lifetimes[i].cause))
            continue;
        for (size_t k = 0; k < arm->lifetime_count; k++) {
            if (!cause_is_kernel_oom(arm->lifetimes[k].cause))
                continue;
            below += arm->lifetimes[k].requests_completed < mine;
            equal += arm->lifetimes[k].requests_completed == mine;
        }
        if (below <= (kills - 1) / 2 && (kills - 1) / 2 < below + equal)
            low = mine;
        if (below <= kills / 2 && kills / 2 < below + equal)
            high = mine;
    }
    return (low + high) / 2;
}

/* --- checks that several gates share -------------------------------------------------------------
 */

static void check_kills(struct gate *gate, const struct tally *tally, unsigned wanted)
{
    struct gate_check *check = gate_add(gate, "kernel-proven-kills",
                                        tally->proven >= wanted && tally->proven == tally->kills,
                                        "at least %u, every kill proven by the kernel", wanted);
    gate_observed(check, "%u of %u kill%s", tally->proven, tally->kills, plural(tally->kills));
    check = gate_add(gate, "exit-137", tally->kills > 0 && tally->exit_137 == tally->kills,
                     "exit 137 (SIGKILL) for each kill");
    gate_observed(check, "%u of %u kill%s", tally->exit_137, tally->kills, plural(tally->kills));
    check = gate_add(gate, "no-other-deaths", tally->deaths == tally->kills, "0");
    gate_observed(check, "%u", tally->deaths - tally->kills);
}

static void check_place(struct gate *gate, const struct tally *tally, enum gate_failure failure)
{
    if (failure == GATE_FAILS_AT_START) {
        struct gate_check *check =
            gate_add(gate, "at-start",
                     tally->kills > 0 && tally->before_ready == tally->kills && !(tally->most > 0),
                     "every kill before readiness and before any request");
        gate_observed(
            check, "%u of %u kill%s before readiness, at most %.0f requests before a kill",
            tally->before_ready, tally->kills, plural(tally->kills), fmax(0, tally->most));
        return;
    }
    bool after_readiness = tally->kills > 0 && tally->before_ready == 0;
    struct gate_check *check =
        failure == GATE_FAILS_IN_SERVICE
            ? gate_add(gate, "in-service", after_readiness, "every kill after readiness")
            : gate_add(gate, "after-sustained-traffic",
                       after_readiness && tally->fewest >= GATE_SUSTAINED_REQUESTS,
                       "every kill after readiness and at least %.0f completed requests",
                       GATE_SUSTAINED_REQUESTS);
    gate_observed(check, "%u of %u kill%s before readiness, at least %.0f requests before a kill",
                  tally->before_ready, tally->kills, plural(tally->kills), fmax(0, tally->fewest));
}

static void check_class(struct gate *gate, const struct gate_arm *arm, enum verdict_class wanted)
{
    struct gate_check *check =
        gate_add(gate, "verdict", arm->verdict->class == wanted, "%s", verdict_class_name(wanted));
    gate_observed(check, "%s, confidence %.2f", verdict_class_name(arm->verdict->class),
                  arm->verdict->confidence);
}

static enum verdict_class class_of(enum gate_failure failure)
{
    return failure == GATE_FAILS_AT_START ? VERDICT_STARTUP_DEMAND : VERDICT_LEAK;
}

static void check_no_deaths(struct gate *gate, const struct gate_arm *arm,
                            const struct tally *tally)
{
    unsigned children = arm->verdict ? arm->verdict->child_kills : 0;
    struct gate_check *check = gate_add(gate, "no-death",
                                        tally->deaths == 0 && children == 0 && arm->restarts == 0 &&
                                            arm->lifetime_count > 0,
                                        "0 deaths, 0 restarts");
    gate_observed(check, "%u death%s (%u by the OOM killer), %u restart%s in %zu lifetime%s",
                  tally->deaths, plural(tally->deaths), tally->kills, arm->restarts,
                  plural(arm->restarts), arm->lifetime_count, plural((double)arm->lifetime_count));
    if (children > 0) {
        size_t used = strlen(check->observed);
        snprintf(check->observed + used, sizeof(check->observed) - used,
                 ", %u child process%s killed for memory", children, children == 1 ? "" : "es");
    }
}

static void check_ready(struct gate *gate, const struct tally *tally)
{
    gate_observed(gate_add(gate, "ready", tally->ready, "became ready"), "%s",
                  tally->ready ? "became ready" : "never ready");
}

static void check_higher_limit(struct gate *gate, const struct gate_arm *trigger,
                               const struct gate_arm *raise)
{
    struct gate_check *check =
        gate_add(gate, "higher-limit", raise->limit_bytes > trigger->limit_bytes, "above %s",
                 limit_words(trigger->limit_bytes).text);
    gate_observed(check, "%s", limit_words(raise->limit_bytes).text);
}

static void check_same_limit(struct gate *gate, const struct gate_arm *trigger,
                             const struct gate_arm *arm)
{
    struct gate_check *check =
        gate_add(gate, "same-limit", arm->limit_bytes == trigger->limit_bytes, "%s",
                 limit_words(trigger->limit_bytes).text);
    gate_observed(check, "%s", limit_words(arm->limit_bytes).text);
}

/* --- the gates -----------------------------------------------------------------------------------
 */

void gate_trigger_reproduces(const struct gate_arm *trigger, enum gate_failure failure,
                             bool expected, unsigned wanted_kills, struct gate *ret)
{
    struct tally tally = tally_of(trigger);
    gate_begin(
        ret, "trigger-reproduces",
        failure == GATE_FAILS_AT_START
            ? "The failure reproduces: the OOM killer ends the container at its start, each time."
            : "The failure reproduces: the OOM killer ends the container again and again under "
              "sustained traffic.");
    check_kills(ret, &tally, wanted_kills);
    unsigned least = tally.kills > 0 ? tally.kills - 1 : 1; /* the last kill may end the arm */
    struct gate_check *check =
        gate_add(ret, "restarts-rise", trigger->restarts >= least, "at least %u", least);
    gate_observed(check, "%u", trigger->restarts);
    check_place(ret, &tally, failure);
    if (expected)
        check_class(ret, trigger, class_of(failure));
}

static void observe_no_kill(struct gate_check *check, const struct tally *tally, bool seconds)
{
    gate_observed(check, "no kill observed in %.4g %s of one process",
                  seconds ? tally->longest_seconds : tally->longest_served,
                  seconds ? "seconds" : "requests");
}

/* The first kill against the trigger's typical one. */
static void check_later(struct gate *gate, const struct gate_arm *trigger,
                        const struct tally *before, const struct tally *after, bool seconds)
{
    double old = seconds ? before->first_seconds : median_requests(trigger);
    double now = seconds ? after->first_seconds : after->first_requests;
    struct gate_check *check = gate_add(gate, "later", now > old, "more than %.4g %s", old,
                                        seconds ? "seconds" : "requests");
    if (isnan(now))
        observe_no_kill(check, after, seconds);
    else if (isnan(old) || !(old > 0))
        gate_observed(check, "%.4g %s", now, seconds ? "seconds" : "requests");
    else
        gate_observed(check, "%.4g %s, %.2f times the trigger's", now,
                      seconds ? "seconds" : "requests", now / old);
}

void gate_raise_only_delays(const struct gate_arm *trigger, const struct gate_arm *raise,
                            const struct prediction *prediction, unsigned wanted_kills,
                            struct gate *ret)
{
    struct tally before = tally_of(trigger), after = tally_of(raise);
    bool seconds = prediction && strcmp(prediction->metric, PREDICT_SECONDS) == 0;
    double observed = seconds ? after.first_seconds : after.first_requests;
    gate_begin(ret, "raise-only-delays",
               "It is a leak: more memory only delays the kill, by the predicted factor.");
    check_higher_limit(ret, trigger, raise);
    check_kills(ret, &after, wanted_kills);
    check_later(ret, trigger, &before, &after, seconds);
    if (!prediction) {
        gate_observed(gate_add(ret, "as-predicted", false, "a prediction made before"), "none");
        return;
    }
    struct gate_check *check =
        gate_add(ret, "as-predicted", predict_holds(prediction, observed), "%s from %.4g to %.4g",
                 prediction->metric, prediction->low, prediction->high);
    if (!isnan(observed)) {
        gate_observed(check, "%.4g", observed);
        return;
    }
    observe_no_kill(check, &after, seconds);
    double reached = seconds ? after.longest_seconds : after.longest_served;
    size_t used = strlen(check->observed);
    snprintf(check->observed + used, sizeof(check->observed) - used, "%s",
             reached > prediction->high ? ": refuted" : ": not decided, the traffic ended first");
}

void gate_raise_cures(const struct gate_arm *trigger, const struct gate_arm *raise,
                      struct gate *ret)
{
    struct tally tally = tally_of(raise);
    gate_begin(ret, "raise-cures",
               "The start needs more than the limit: with more memory it starts and stays up.");
    check_higher_limit(ret, trigger, raise);
    check_no_deaths(ret, raise, &tally);
    check_ready(ret, &tally);
}

void gate_patch_cures(const struct gate_arm *trigger, const struct gate_arm *patch,
                      struct gate *ret)
{
    struct tally before = tally_of(trigger), after = tally_of(patch);
    gate_begin(ret, "patch-cures",
               "The cause is the patched path: without it the old limit is enough.");
    check_same_limit(ret, trigger, patch);
    check_no_deaths(ret, patch, &after);
    check_ready(ret, &after);
    double most = fmax(0, before.most);
    struct gate_check *check = gate_add(ret, "outlives-the-trigger", after.longest_served > most,
                                        "more than %.0f requests by one process", most);
    gate_observed(check, "%.0f", after.longest_served);
    check = gate_add(ret, "no-leak-left", patch->verdict->class != VERDICT_LEAK, "not leak");
    gate_observed(check, "%s", verdict_class_name(patch->verdict->class));
}

void gate_fix_reaches_healthy(const struct gate_arm *fix, struct gate *ret)
{
    struct tally tally = tally_of(fix);
    gate_begin(ret, "fix-reaches-healthy", "The shipped fix recovers the app within one revision.");
    gate_observed(gate_add(ret, "one-revision", fix->revisions == 1, "1"), "%u", fix->revisions);
    bool healthy = fix->health_state && strcmp(fix->health_state, "Healthy") == 0;
    gate_observed(gate_add(ret, "healthy", healthy, "Healthy"), "%s",
                  fix->health_state ? fix->health_state : "unknown");
    check_no_deaths(ret, fix, &tally);
    struct gate_check *check =
        gate_add(ret, "all-served", fix->requests_completed >= fix->requests_planned,
                 "%.0f requests completed", fix->requests_planned);
    gate_observed(check, "%.0f", fix->requests_completed);
}

static bool is_flat(const struct estimate *drift, double bound)
{
    if (isnan(drift->value))
        return false;
    return drift->high < bound || (drift->low <= 0 && drift->value < bound);
}

void gate_control_stays_flat(const struct gate_arm *control, struct gate *ret)
{
    struct tally tally = tally_of(control);
    const struct estimate *drift = &control->verdict->drift_bytes;
    double bound = GATE_FLAT_SHARE * control->limit_bytes;
    gate_begin(ret, "control-stays-flat",
               "The platform itself is sound: without a leak nothing is killed and nothing grows.");
    check_no_deaths(ret, control, &tally);
    check_ready(ret, &tally);
    struct gate_check *check = gate_add(ret, "flat", is_flat(drift, bound),
                                        "growth after warm-up below %s (%.0f %% of the limit)",
                                        bytes_words(bound).text, 100 * GATE_FLAT_SHARE);
    gate_observed(check, "%s (95 %% %s to %s)", growth_words(drift->value).text,
                  growth_words(drift->low).text, growth_words(drift->high).text);
    check = gate_add(ret, "no-leak", control->verdict->class != VERDICT_LEAK, "not leak");
    gate_observed(check, "%s", verdict_class_name(control->verdict->class));
}

void gate_revert_brings_it_back(const struct gate_arm *trigger, const struct gate_arm *revert,
                                enum gate_failure failure, unsigned wanted_kills, struct gate *ret)
{
    struct tally tally = tally_of(revert);
    gate_begin(ret, "revert-brings-it-back",
               "The fix is the reason for the recovery: without it the failure comes back.");
    check_same_limit(ret, trigger, revert);
    check_kills(ret, &tally, wanted_kills);
    check_place(ret, &tally, failure);
    if (failure == GATE_FAILS_AT_START)
        return;
    double old = median_requests(trigger), now = median_requests(revert);
    struct gate_check *check =
        gate_add(ret, "like-the-trigger", now >= old / REVERT_FACTOR && now <= old * REVERT_FACTOR,
                 "%.4g to %.4g requests", old / REVERT_FACTOR, old * REVERT_FACTOR);
    if (isnan(now))
        observe_no_kill(check, &tally, false);
    else
        gate_observed(check, "median %.4g", now);
}
