/* SPDX-License-Identifier: Apache-2.0 */
/* What startup, readiness and liveness probes do to a replica: kubelet's rules. */
#include "platform/replica_internal.h"

#include "base/clock.h"
#include "base/duration.h"
#include "platform/listener.h"

#include <stdio.h>
#include <string.h>

/* The readiness probe's period once the container has been ready, unless its own is longer: often
 * enough to notice a closed port, rarely enough not to be traffic. */
#define READINESS_PERIOD_NS (250 * NS_PER_MS)
#define PROBE_REPEAT_NS     NS_PER_S

static int64_t watchful_period_ns(const struct probe_spec *readiness)
{
    return readiness->period_ns > READINESS_PERIOD_NS ? readiness->period_ns : READINESS_PERIOD_NS;
}

static int64_t steady_period_ns(const struct probe_spec *readiness)
{
    return readiness->steady_period_ns > 0 ? readiness->steady_period_ns
                                           : watchful_period_ns(readiness);
}

static void become_ready(struct replica *replica)
{
    bool first = replica->ready_ns == 0;
    if (replica->readiness && (first || replica->readiness_failures > 0))
        probe_set_period(replica->readiness, steady_period_ns(&replica->template->readiness));
    replica->is_ready = true;
    replica->was_ready = true;
    replica->readiness_failures = 0;
    if (!first)
        return;
    replica->ready_ns = clock_monotonic_ns();

    struct error ignored;
    const struct store_value key = STORE_INT("id", replica->id);
    const struct store_value values[] = {STORE_INT("ready_ns", replica->ready_ns), STORE_END};
    store_update(replica->core->store, "lifetime", &key, values, &ignored);

    if (replica->listener.ready) {
        const struct lifetime_report report = {
            .id = replica->id,
            .index = replica->lifetimes,
            .started_ns = replica->started_ns,
            .ready_ns = replica->ready_ns,
        };
        replica->listener.ready(replica->listener.context, &report);
    }
}

/* A probe demands another container: the running one is ended, and the restart follows its end. */
static void end_for_probe(struct replica *replica, enum platform_kill reason, const char *probe)
{
    replica_probes_stop(replica);
    replica->is_ready = false;
    EVENT(replica, "Warning", "ProbeFailed", NULL,
          "Container %s failed %s probe, will be restarted", replica->template->app, probe);
    replica_end_container(replica, reason);
}

/* Repeats are counted, not listed: twenty a second would bury the log. A new reason is news, and so
 * is that as many have come since as before, at most once a second. Each row says how many since
 * the one before, so that their sum is right. */
static void record_probe_failure(struct replica *replica, const char *stage, unsigned failures,
                                 int status, const char *text)
{
    char told[sizeof(replica->probe_failure)];
    int64_t now_ns = clock_monotonic_ns();
    if (status != 0)
        snprintf(told, sizeof(told), "Probe of %s failed with status code: %d", stage, status);
    else
        snprintf(told, sizeof(told), "Probe of %s failed: %s", stage, text);
    if (failures == 1 || strcmp(told, replica->probe_failure) != 0) {
        replica->probe_count = 1;
        replica->probe_count_told = 0;
    } else {
        replica->probe_count++;
        if (replica->probe_count < 2 * replica->probe_count_told ||
            now_ns < replica->probe_told_ns + PROBE_REPEAT_NS)
            return;
    }
    unsigned since = replica->probe_count - replica->probe_count_told;
    snprintf(replica->probe_failure, sizeof(replica->probe_failure), "%s", told);
    replica->probe_count_told = replica->probe_count;
    replica->probe_told_ns = now_ns;
    struct error ignored;
    event_add_count(&replica->subject, "Warning", "ProbeFailed", since, &ignored, told);
}

const char *replica_probe_failure(const struct replica *replica)
{
    return replica->probe_failure;
}

unsigned replica_listening_ports(const struct replica *replica, uint16_t *ret_ports, unsigned max)
{
    return replica->sandbox && replica->state == REPLICA_RUNNING
               ? listener_ports(sandbox_cgroup(replica->sandbox), ret_ports, max)
               : 0;
}

static void on_readiness(void *context, bool ok, int status, const char *text)
{
    struct replica *replica = context;
    /* Asked once a lifetime: an answer by somebody else's process is not this container's. */
    if (ok && replica->ready_ns == 0 &&
        listener_of_port(replica->template->port, sandbox_cgroup(replica->sandbox)) ==
            LISTENER_OTHER) {
        ok = false;
        status = 0;
        text = "another process listens on this port";
    }
    if (ok) {
        if (replica->is_ready ||
            ++replica->readiness_successes >= replica->template->readiness.success_threshold)
            become_ready(replica);
        return;
    }
    replica->readiness_successes = 0;
    if (replica->ready_ns != 0 && replica->readiness_failures == 0)
        probe_set_period(replica->readiness, watchful_period_ns(&replica->template->readiness));
    replica->readiness_failures++;
    record_probe_failure(replica, "Readiness", replica->readiness_failures, status, text);
    if (replica->readiness_failures >= replica->template->readiness.failure_threshold)
        replica->is_ready = false;
}

static void on_liveness(void *context, bool ok, int status, const char *text)
{
    struct replica *replica = context;
    replica->liveness_failures = ok ? 0 : replica->liveness_failures + 1;
    if (ok)
        return;
    record_probe_failure(replica, "Liveness", replica->liveness_failures, status, text);
    if (replica->liveness_failures < replica->template->liveness.failure_threshold)
        return;
    end_for_probe(replica, PLATFORM_KILL_LIVENESS, "liveness");
}

static void start_ordinary_probes(struct replica *replica)
{
    if (replica->liveness)
        probe_start(replica->liveness);
    if (replica->readiness)
        probe_start(replica->readiness);
    else
        become_ready(replica);
}

static void on_startup(void *context, bool ok, int status, const char *text)
{
    struct replica *replica = context;
    if (ok) {
        probe_stop(replica->startup);
        start_ordinary_probes(replica);
        return;
    }
    replica->startup_failures++;
    record_probe_failure(replica, "StartUp", replica->startup_failures, status, text);
    if (replica->startup_failures < replica->template->startup.failure_threshold)
        return;
    end_for_probe(replica, PLATFORM_KILL_STARTUP, "startup");
}

void replica_probes_stop(struct replica *replica)
{
    struct probe *probes[] = {replica->startup, replica->readiness, replica->liveness};
    for (size_t i = 0; i < 3; i++) {
        if (probes[i])
            probe_stop(probes[i]);
    }
}

static int make_probe(struct replica *replica, const struct probe_spec *spec, probe_result result,
                      struct probe **ret, struct error *err)
{
    if (spec->kind == READY_NONE)
        return 0;
    return probe_new(replica->core->prober, spec, replica->template->port, replica->template->https,
                     result, replica, ret, err);
}

void replica_probes_start(struct replica *replica)
{
    replica->probe_failure[0] = '\0';
    replica->startup_failures = 0;
    replica->readiness_failures = 0;
    replica->readiness_successes = 0;
    replica->liveness_failures = 0;
    if (replica->readiness)
        probe_set_period(replica->readiness, replica->template->readiness.period_ns);
    if (replica->startup || replica->readiness)
        EVENT(replica, "Normal", "ProbeStarted", NULL, "Probe started from stage %s",
              replica->startup ? "StartUp" : "Readiness");
    if (replica->startup)
        probe_start(replica->startup);
    else
        start_ordinary_probes(replica);
}

int replica_probes_new(struct replica *replica, struct error *err)
{
    const struct revision_template *template = replica->template;
    int r = make_probe(replica, &template->startup, on_startup, &replica->startup, err);
    if (r == 0)
        r = make_probe(replica, &template->readiness, on_readiness, &replica->readiness, err);
    if (r == 0)
        r = make_probe(replica, &template->liveness, on_liveness, &replica->liveness, err);
    return r;
}

void replica_probes_free(struct replica *replica)
{
    probe_free(replica->startup);
    probe_free(replica->readiness);
    probe_free(replica->liveness);
}
