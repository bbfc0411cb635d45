/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/replica.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "heap/recording.h"
#include "platform/environment.h"
#include "platform/killer.h"
#include "platform/replica_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* A console log grows to this size at most; what a container writes beyond it is counted. */
#define CONSOLE_LOG_MAX_BYTES (UINT64_C(4) << 30)

/* The console of a dead container ends at once, unless something outside holds its pipe. */
#define CONSOLE_EOF_DEADLINE_MS 1000

/* systemd-oomd logs right after it has sent its signals; the rest is the journal's own delay. */
#define KILLER_LOG_WAIT_MS 500

static void finish_lifetime(struct replica *replica);

static void fail(struct replica *replica, const struct error *err)
{
    /* The observer may have seen the held child go before it was taken off: its END is nobody's. */
    replica->id = 0;
    replica->state = REPLICA_STOPPED;
    if (replica->listener.failed)
        replica->listener.failed(replica->listener.context, err);
}

int replica_memory_fd(const struct replica *replica)
{
    return sandbox_cgroup(replica->sandbox)->dir_fd[CGROUP_MEMORY];
}

/* --- starting ------------------------------------------------------------------------------- */

static int insert_lifetime(struct replica *replica, struct error *err)
{
    const struct store_value values[] = {
        STORE_INT("id", replica->id),
        STORE_INT("arm_id", replica->subject.arm_id),
        STORE_STR("replica", replica->name),
        STORE_INT("idx", replica->lifetimes),
        STORE_INT("pid", sandbox_pid(replica->sandbox)),
        STORE_STR("cgroup", sandbox_cgroup(replica->sandbox)->kernel_path),
        STORE_INT("started_ns", replica->started_ns),
        STORE_INT("backoff_ns", replica->backoff_ns),
        STORE_END,
    };
    return store_insert(replica->core->store, "lifetime", values, NULL, err);
}

/* As the system log names it. */
static const char *container_name(const struct replica *replica)
{
    const struct revision_template *template = replica->template;
    return template->container ? template->container : template->app;
}

static void on_console_eof(void *context)
{
    struct replica *replica = context;
    replica->console_ended = true;
    if (replica->has_end)
        finish_lifetime(replica);
}

static int make_sandbox(struct replica *replica, int out, int error_out, struct error *err)
{
    const struct revision_template *template = replica->template;
    char name[128];
    snprintf(name, sizeof(name), "%s-%u", replica->name, replica->lifetimes);

    AUTO_FREE char *layer = NULL;
    if (template->root_is_shared &&
        asprintf(&layer, "%s/layer-%s", replica->core->directory, name) < 0) {
        layer = NULL;
        return error_errno(err, ENOMEM, "preparing a layer");
    }
    char **env = environment_new(template, replica->subject.revision, replica->name);
    if (!env)
        return error_errno(err, ENOMEM, "preparing the environment");
    const struct sandbox_spec spec = {
        .name = name,
        .argv = (const char *const *)template->command,
        .env = (const char *const *)env,
        .directory = template->directory,
        .root = template->root,
        .layer = layer,
        .user = template->user,
        .limits =
            {
                .memory_bytes = template->memory_bytes,
                .forbid_swap = true,
                .oom_group = true,
                .cpu_cores = template->cpu_cores,
                .pids_max = template->pids_max,
            },
        .stdout_fd = out,
        .stderr_fd = error_out,
    };
    int r = sandbox_start(replica->core->root, &spec, &replica->sandbox, err);
    environment_free(env);
    return r;
}

/* The container exists and waits; put the watcher on it, write its row, let it run. */
static int release(struct replica *replica, struct error *err)
{
    struct platform_core *core = replica->core;
    int r = observer_add(core->observer, replica->id, sandbox_cgroup(replica->sandbox),
                         sandbox_pidfd(replica->sandbox), err);
    if (r < 0)
        return r;
    replica->started_ns = clock_monotonic_ns();
    r = insert_lifetime(replica, err);
    if (r == 0)
        r = sandbox_release(replica->sandbox, err);
    if (r < 0)
        observer_remove(core->observer, replica->id);
    return r;
}

static int try_start(struct replica *replica, struct error *err)
{
    AUTO_CLOSE int out = -1;
    AUTO_CLOSE int error_out = -1;
    int r = console_open(&replica->core->loop, &replica->log, on_console_eof, replica,
                         &replica->console, &out, &error_out, err);
    if (r == 0)
        r = make_sandbox(replica, out, error_out, err);
    if (r == 0)
        replica_heap_start(replica);
    if (r == 0)
        r = release(replica, err);
    if (r < 0) {
        replica_heap_drop(replica);
        console_close(steal_ptr(&replica->console));
        sandbox_free(steal_ptr(&replica->sandbox));
    }
    return r;
}

void replica_start_lifetime(struct replica *replica)
{
    replica->id = ++replica->core->last_lifetime_id;
    replica->lifetimes++;
    replica->ready_ns = 0;
    replica->is_ready = false;
    replica->has_end = false;
    replica->console_ended = false;
    replica->killer_awaited = false;
    life_facts_init(&replica->facts);
    recorder_set_platform_kill(replica->core->recorder, replica->id, PLATFORM_KILL_NONE);

    struct error err;
    if (try_start(replica, &err) < 0) {
        EVENT(replica, "Warning", "ContainerTerminated", NULL,
              "Container '%s' was terminated with exit code '1' and reason "
              "'ContainerCreateFailure'. %s",
              container_name(replica), err.text);
        fail(replica, &err);
        return;
    }
    replica->facts.main_pid = sandbox_pid(replica->sandbox);
    replica->facts.cgroup_version = (int)sandbox_cgroup(replica->sandbox)->version;
    replica->facts.kernel_log_readable = observer_has_kmsg(replica->core->observer);
    replica->facts.oomd_marks[0] = life_facts_oomd_marks(replica_memory_fd(replica));
    snprintf(replica->facts.kernel_path, sizeof(replica->facts.kernel_path), "%s",
             sandbox_cgroup(replica->sandbox)->kernel_path);
    replica->state = REPLICA_RUNNING;
    EVENT(replica, "Normal", "ContainerCreated", NULL, "Created container '%s'",
          container_name(replica));
    EVENT(replica, "Normal", "ContainerStarted", NULL, "Started container '%s'",
          container_name(replica));
    replica_probes_start(replica);
}

/* --- ending --------------------------------------------------------------------------------- */

static void store_end(struct replica *replica, const struct death *death)
{
    struct error ignored;
    const struct store_value key = STORE_INT("lifetime_id", replica->id);
    const struct store_value values[] = {
        STORE_INT("committed_ns", replica->committed_ns),
        STORE_STR("console_tail", console_tail(replica->console)),
        STORE_STR("cause", cause_name(death->cause)),
        STORE_STR("level", level_name(death->level)),
        STORE_END,
    };
    store_update(replica->core->store, "lifetime_end", &key, values, &ignored);
}

static void terminated_events(struct replica *replica, const struct death *death, int exit_code)
{
    char json[512];
    life_facts_json(&replica->facts, &replica->end, death, json, sizeof(json));
    const char *name = container_name(replica);
    enum platform_kill reason = replica->facts.platform_kill;
    if (death->oom_child && !replica->facts.oom_child_told)
        EVENT(replica, "Warning", "OOMKilledChild", "{\"event\":\"oom-child\"}",
              "A child process of container '%s' was killed by the OOM killer", name);
    if (reason == PLATFORM_KILL_LIVENESS || reason == PLATFORM_KILL_STARTUP) {
        EVENT(replica, "Warning", "ContainerTerminated", json,
              "Container '%s' was terminated with exit code '' and reason 'ProbeFailure'", name);
    } else if (reason != PLATFORM_KILL_NONE && death->cause != CAUSE_OOM_CONTAINER_LIMIT) {
        EVENT(replica, "Normal", "ContainerTerminated", json,
              "Container '%s' was terminated with exit code '' and reason 'ManuallyStopped'", name);
    } else {
        EVENT(replica, "Warning", "ContainerTerminated", json,
              "Container '%s' was terminated with exit code '%d' and reason 'ProcessExited'", name,
              exit_code);
        /* Azure tells the same end twice: whoever reads events must count ends, not rows. */
        EVENT(replica, "Warning", "ProcessExited", NULL,
              "Container '%s' was terminated with exit code '%d'", name, exit_code);
    }
}

static void on_heap_timer_closed(uv_handle_t *handle)
{
    struct replica *replica = handle->data;
    free(replica->name);
    free(replica);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct replica *replica = handle->data;
    uv_close((uv_handle_t *)&replica->heap_timer, on_heap_timer_closed);
}

static void on_backoff_over(uv_timer_t *timer)
{
    replica_start_lifetime(timer->data);
}

void replica_tell_stopped(struct replica *replica)
{
    replica->state = REPLICA_STOPPED;
    if (!replica->stopped_told && replica->listener.stopped) {
        replica->stopped_told = true;
        replica->listener.stopped(replica->listener.context);
    }
}

static void schedule_restart(struct replica *replica, int64_t wait_ns)
{
    replica->state = REPLICA_BACKOFF;
    replica->backoff_ns = wait_ns;
    if (wait_ns > 0) {
        char text[DURATION_TEXT_MAX];
        EVENT(replica, "Warning", "ContainerBackOff", NULL,
              "Container '%s' is in back-off: restart in %s", container_name(replica),
              duration_format(wait_ns, text));
    }
    uv_timer_start(&replica->timer, on_backoff_over, (uint64_t)(wait_ns / NS_PER_MS), 0);
}

static void on_finish_time(uv_timer_t *timer);

/* What a user-space killer says of this end. It writes its line after the kill, so an end that
 * nothing else explains is put off once where such killers are at work. False: it is put off. */
static bool hear_killers(struct replica *replica)
{
    struct life_facts *facts = &replica->facts;
    if (killer_is_wanted(facts, &replica->end)) {
        int64_t age_ns = clock_monotonic_ns() - replica->started_ns;
        struct killer_line line;
        int r = killer_find_line(facts, clock_realtime_ns() - age_ns, &line);
        if (r == 0 && !replica->killer_awaited) {
            replica->killer_awaited = true;
            uv_timer_start(&replica->timer, on_finish_time, KILLER_LOG_WAIT_MS, 0);
            return false;
        }
        if (r == 1)
            killer_add_line(facts, &line, replica->core->store, replica->id);
    }
    facts->oomd_marks[1] = life_facts_oomd_marks(replica_memory_fd(replica));
    killer_add_marks(facts, replica->core->store, replica->id);
    return true;
}

/* The end is committed and the console is complete: judge, record, remove, go on. */
static void finish_lifetime(struct replica *replica)
{
    uv_timer_stop(&replica->timer);
    if (!hear_killers(replica))
        return;
    struct death death;
    struct death_facts facts;
    life_facts_fill(&replica->facts, &replica->end, console_tail(replica->console), &facts);
    attribute_death(&facts, &death);
    store_end(replica, &death);

    int status = replica->end.end.wait_status;
    int exit_code = replica->end.end.wait_code == CLD_EXITED ? status : 128 + status;
    terminated_events(replica, &death, exit_code);

    console_close(steal_ptr(&replica->console));
    sandbox_free(steal_ptr(&replica->sandbox));
    replica_heap_save(replica,
                      cause_is_kernel_kill(death.cause) ? HEAP_ENDING_KILLED : HEAP_ENDING_OTHER);

    int64_t wait_ns = 0;
    if (replica->restarting)
        backoff_init(&replica->backoff, &replica->template->backoff);
    else if (!replica->stopping)
        wait_ns = backoff_next(&replica->backoff, replica->end.at_ns - replica->started_ns);
    replica->restarting = false;
    const struct lifetime_report report = {
        .id = replica->id,
        .index = replica->lifetimes,
        .started_ns = replica->started_ns,
        .ready_ns = replica->ready_ns,
        .ended_ns = replica->end.at_ns,
        .exit_code = exit_code,
        .death = death,
        .next_start_ns = wait_ns,
    };
    replica->id = 0;
    bool restart = true;
    if (replica->listener.ended)
        restart = replica->listener.ended(replica->listener.context, &report);
    if (replica->stopping)
        replica_tell_stopped(replica);
    else if (restart)
        schedule_restart(replica, wait_ns);
    else
        replica->state = REPLICA_BACKOFF; /* without a timer: the stop follows */
}

static void on_finish_time(uv_timer_t *timer)
{
    finish_lifetime(timer->data);
}

static void on_end(struct replica *replica, const struct observation *observation,
                   int64_t committed_ns)
{
    replica->end = *observation;
    replica->committed_ns = committed_ns;
    replica->has_end = true;
    replica->is_ready = false;
    replica->state = REPLICA_ENDING;
    replica_probes_stop(replica);
    if (replica->console_ended)
        finish_lifetime(replica);
    else
        uv_timer_start(&replica->timer, on_finish_time, CONSOLE_EOF_DEADLINE_MS, 0);
}

static void commit_kill(struct replica *replica, const struct observation *observation,
                        int64_t committed_ns)
{
    struct error ignored;
    const struct store_value key = STORE_INT("recorded_ns", observation->recorded_ns);
    const struct store_value values[] = {STORE_INT("committed_ns", committed_ns), STORE_END};
    store_update(replica->core->store, "kill", &key, values, &ignored);
}

void replica_observe(struct replica *replica, const struct observation *observation,
                     int64_t committed_ns)
{
    switch (observation->kind) {
    case OBSERVATION_KILL:
        life_facts_add_kill(&replica->facts, observation);
        commit_kill(replica, observation, committed_ns);
        break;
    case OBSERVATION_KMSG:
        life_facts_add_kmsg(&replica->facts, &observation->kmsg.oom);
        replica->facts.oom_group = life_facts_read_oom_group(replica_memory_fd(replica));
        if (life_facts_child_killed(&replica->facts, &observation->kmsg.oom))
            EVENT(replica, "Warning", "OOMKilledChild", "{\"event\":\"oom-child\"}",
                  "A child process of container '%s' was killed by the OOM killer: %s (pid %d)",
                  container_name(replica), observation->kmsg.oom.comm, observation->kmsg.oom.pid);
        break;
    case OBSERVATION_END:
        on_end(replica, observation, committed_ns);
        break;
    case OBSERVATION_SAMPLE:
        break;
    }
}

/* --- life of the object --------------------------------------------------------------------- */

int replica_new(struct platform_core *core, const struct revision_template *template,
                const char *revision, const char *name, int64_t arm_id,
                const struct replica_listener *listener, struct replica **ret, struct error *err)
{
    struct replica *replica = calloc(1, sizeof(*replica));
    if (!replica)
        return error_errno(err, ENOMEM, "making a replica");
    replica->core = core;
    replica->template = template;
    replica->listener = *listener;
    replica->log.fd = -1;
    backoff_init(&replica->backoff, &template->backoff);
    uv_timer_init(&core->loop, &replica->timer);
    uv_timer_init(&core->loop, &replica->heap_timer);
    replica->timer.data = replica->heap_timer.data = replica;
    replica->name = strdup(name);
    replica->subject = (struct event_subject){
        .store = core->store,
        .arm_id = arm_id,
        .app = template->app,
        .revision = revision,
        .replica = replica->name,
    };

    char log_name[256];
    snprintf(log_name, sizeof(log_name), "console-%s.log", name);
    int r = replica->name ? 0 : error_errno(err, ENOMEM, "making a replica");
    if (r == 0)
        r = console_log_open(core->directory, log_name, CONSOLE_LOG_MAX_BYTES, &replica->log, err);
    replica->log.redactor = template->secrets ? template->secrets
                            : core->store     ? store_redactor(core->store)
                                              : NULL;
    if (r == 0)
        r = replica_probes_new(replica, err);
    if (r < 0) {
        replica_free(replica);
        return r;
    }
    *ret = replica;
    return 0;
}

void replica_start(struct replica *replica)
{
    EVENT(replica, "Normal", "AssigningReplica", NULL,
          "Replica '%s' has been scheduled to run on a node.", replica->name);
    replica_start_lifetime(replica);
}

void replica_free(struct replica *replica)
{
    if (!replica)
        return;
    if (replica->log.lost_bytes > 0)
        EVENT(replica, "Warning", "ConsoleLogTruncated", NULL,
              "The console log of replica '%s' lacks its last %llu bytes: %s", replica->name,
              (unsigned long long)replica->log.lost_bytes,
              replica->log.write_error ? strerror(replica->log.write_error)
                                       : "it reached its largest size");
    replica_probes_free(replica);
    console_close(replica->console);
    sandbox_free(replica->sandbox);
    console_log_close(&replica->log);
    uv_close((uv_handle_t *)&replica->timer, on_timer_closed);
}

int replica_open_entrance(const struct replica *replica, struct entrance **ret, struct error *err)
{
    if (replica->state != REPLICA_RUNNING)
        return error_set(err, ESRCH, "the container of replica '%s' does not run", replica->name);
    return entrance_open(replica->sandbox, ret, err);
}

const char *replica_name(const struct replica *replica)
{
    return replica->name;
}

uint32_t replica_lifetime_id(const struct replica *replica)
{
    return replica->id;
}

enum replica_state replica_state(const struct replica *replica)
{
    return replica->state;
}

bool replica_is_ready(const struct replica *replica)
{
    return replica->is_ready;
}

bool replica_was_ready(const struct replica *replica)
{
    return replica->was_ready;
}

unsigned replica_lifetimes(const struct replica *replica)
{
    return replica->lifetimes;
}
