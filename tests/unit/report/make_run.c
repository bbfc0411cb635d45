/* SPDX-License-Identifier: Apache-2.0 */
#include "make_run.h"

#include "base/size.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS(ms)      ((int64_t)(ms)*1000000)
#define ZERO        MS(5000000)                  /* the monotonic clock at the run's start */
#define EPOCH       INT64_C(1795352519123456000) /* 2026-11-22T13:01:59.123456Z */
#define CYCLES      5
#define PER_CYCLE   60
#define PERIOD_MS   25 /* between two requests */
#define IDLE_MS     1000
#define GAP_MS      500
#define CYCLE_MS    ((int64_t)PER_CYCLE * PERIOD_MS)
#define COOLDOWN_MS 1500
#define STARTUP_MS  200

const char *const HOSTILE_TEXT = "</script></style><img src=x onerror=alert(1)> | `a` ``b`` **c** "
                                 "[d](javascript:e) \033[31m\x07 \xff\xfe &amp; \"q\" 'r' \\ "
                                 "\xE2\x80\xAE\n# h\n\001bold\002 \003x\004";

struct maker {
    struct store *store;
    struct error *err;
    int failed;
    enum run_kind kind;
    int sample_ms;
    int64_t now_ns;   /* monotonic */
    int evidence;     /* number of the last */
    const char *text; /* stands in many places; hostile in RUN_HOSTILE */
};

struct arm_spec {
    const char *scenario, *name, *reference, *differs_in, *purpose;
    double limit_mib, cpu;
    double start_mib; /* allocated before it is ready */
    double leak_mib;  /* kept per request */
    unsigned kill_stop;
    const char *class, *driver, *summary;
    bool interrupted;
};

static int64_t insert(struct maker *maker, const char *table, const struct store_value *values)
{
    int64_t rowid = 0;
    if (maker->failed == 0)
        maker->failed = store_insert(maker->store, table, values, &rowid, maker->err);
    return rowid;
}
#define INSERT(maker, table, ...)                                                                  \
    insert(maker, table, (const struct store_value[]){__VA_ARGS__, STORE_END})

static void update(struct maker *maker, const char *table, struct store_value key,
                   const struct store_value *values)
{
    if (maker->failed == 0)
        maker->failed = store_update(maker->store, table, &key, values, maker->err);
}
#define UPDATE(maker, table, key, ...)                                                             \
    update(maker, table, (struct store_value)key,                                                  \
           (const struct store_value[]){__VA_ARGS__, STORE_END})

/* A statement with its source; its id comes back in `id`. */
static void add_evidence(struct maker *maker, const char *level, int64_t arm, const char *table,
                         int64_t row, const char *statement, char id[static 16])
{
    char key[32];
    snprintf(id, 16, "E%d", ++maker->evidence);
    snprintf(key, sizeof(key), "%" PRId64, row);
    INSERT(maker, "evidence", STORE_STR("id", id), STORE_STR("level", level),
           STORE_STR("statement", statement), STORE_INT("arm_id", arm),
           STORE_STR("source_table", table), STORE_STR("source_row", key));
}

static void add_event(struct maker *maker, int64_t arm, const char *type, const char *reason,
                      const char *message, const char *oomlab)
{
    INSERT(maker, "event", STORE_INT("arm_id", arm), STORE_INT("at_ns", maker->now_ns),
           STORE_STR("type", type), STORE_STR("app", "ca-oom"), STORE_STR("revision", "ca-oom--r1"),
           STORE_STR("replica", "ca-oom--r1-6d8f-x2x"), STORE_STR("msg", message),
           STORE_STR("reason", reason), STORE_STR("event_source", "ContainerAppController"),
           STORE_INT("count", 1), STORE_STR("oomlab", oomlab));
}

static void add_run(struct maker *maker)
{
    bool hostile = maker->kind == RUN_HOSTILE;
    bool lab = maker->kind == RUN_LAB;
    INSERT(maker, "run", STORE_STR("id", "20261122-130159-4f2a"),
           STORE_STR("lab", hostile ? HOSTILE_TEXT
                            : lab   ? "memory-leak-oomkilled"
                                    : "my-server"),
           STORE_STR("command", hostile ? HOSTILE_TEXT
                                : lab   ? "oomlab run"
                                        : "oomlab run -- ./my-server"),
           STORE_STR("lab_json",
                     lab ? "{\"question\": \"Does this service leak, or is its limit too small?\"}"
                         : "{}"),
           STORE_INT("seed", 42), STORE_INT("started_at_ns", EPOCH),
           STORE_INT("monotonic_zero_ns", ZERO), STORE_STR("tool_version", "0.1.0"),
           STORE_STR("kernel", "6.18.0"), STORE_INT("cgroup_version", 1), STORE_INT("cpus", 2),
           STORE_INT("memory_bytes", 8 * GIB),
           STORE_DBL("sample_rate_hz", 1000.0 / maker->sample_ms), STORE_STR("backoff", "fast"),
           STORE_DBL("backoff_scale", 0.05), STORE_INT("kernel_log", 1));
}

static int64_t add_arm(struct maker *maker, const struct arm_spec *spec)
{
    char revision[160];
    snprintf(revision, sizeof(revision), "ca-oom-%s--%s", spec->scenario, spec->name);
    return INSERT(maker, "arm", STORE_STR("scenario", spec->scenario),
                  STORE_STR("name", spec->name), STORE_STR("reference", spec->reference),
                  STORE_STR("differs_in", spec->differs_in ? spec->differs_in : "[]"),
                  STORE_STR("purpose", spec->purpose), STORE_STR("app", "ca-oom"),
                  STORE_STR("revision", revision), STORE_STR("command", "[\"./my-server\"]"),
                  STORE_STR("env", "{}"),
                  STORE_INT("memory_limit_bytes", spec->limit_mib * (double)MIB),
                  STORE_DBL("cpu_cores", spec->cpu), STORE_INT("kill_stop", spec->kill_stop),
                  STORE_INT("requests_planned", CYCLES * PER_CYCLE),
                  STORE_STR("sequence_sha256",
                            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
                  STORE_INT("started_ns", maker->now_ns));
}

struct process {
    int64_t lifetime_id;
    int64_t started_ns;
    double bytes;
    unsigned served, number;
    bool alive, ready;
};

static void start_process(struct maker *maker, struct process *process, int64_t arm,
                          int64_t backoff)
{
    char cgroup[160];
    snprintf(cgroup, sizeof(cgroup), "/oomlab-4f2a/arm%" PRId64 "-%u", arm, process->number + 1);
    *process = (struct process){.started_ns = maker->now_ns,
                                .bytes = 6.0 * (double)MIB,
                                .number = process->number + 1,
                                .alive = true};
    process->lifetime_id = INSERT(
        maker, "lifetime", STORE_INT("arm_id", arm), STORE_STR("replica", "ca-oom--r1-6d8f-x2x"),
        STORE_INT("idx", process->number), STORE_INT("pid", 4000 + process->number),
        STORE_STR("cgroup", maker->kind == RUN_HOSTILE ? HOSTILE_TEXT : cgroup),
        STORE_INT("started_ns", maker->now_ns), STORE_INT("backoff_ns", backoff));
    add_event(maker, arm, "Normal", "ContainerStarted", "Started container 'ca-oom'", NULL);
}

static void add_sample(struct maker *maker, const struct process *process)
{
    INSERT(maker, "sample", STORE_INT("lifetime_id", process->lifetime_id),
           STORE_INT("at_ns", maker->now_ns),
           STORE_INT("usage_bytes", process->bytes + 2.0 * (double)MIB),
           STORE_INT("working_set_bytes", process->bytes),
           STORE_INT("anon_bytes", process->bytes * 0.9), STORE_INT("oom_kill", 0));
}

static void add_end(struct maker *maker, const struct process *process, bool oom, int64_t ended_ns)
{
    INSERT(maker, "lifetime_end", STORE_INT("lifetime_id", process->lifetime_id),
           STORE_INT("ended_ns", ended_ns), STORE_INT("recorded_ns", ended_ns + 200000),
           STORE_INT("committed_ns", ended_ns + 1700000), STORE_INT("wait_code", oom ? 2 : 1),
           STORE_INT("wait_status", oom ? 9 : 0), STORE_STR("platform_kill", oom ? "none" : "stop"),
           STORE_INT("oom_kill_start", 0), STORE_INT("oom_kill_end", oom),
           STORE_INT("limit_hits_start", 0), STORE_INT("limit_hits_end", oom ? 311 : 0),
           STORE_INT("peak_bytes", process->bytes), STORE_INT("user_ns", MS(40)),
           STORE_INT("system_ns", MS(20)),
           STORE_STR("console_tail", maker->kind == RUN_HOSTILE
                                         ? HOSTILE_TEXT
                                         : "[app] listening on :8000\n[leak] tick 1: +30 MiB\n"),
           STORE_STR("cause", oom ? "oom-container-limit" : "killed-by-platform"),
           STORE_STR("level", "Measured"));
    INSERT(maker, "growth", STORE_INT("lifetime_id", process->lifetime_id),
           STORE_INT("requests_completed", process->served),
           STORE_DBL("bytes_per_request", process->served ? 8388608.0 : 0.0),
           STORE_DBL("bytes_per_s", 41943040.0), STORE_DBL("low", 1000000.0),
           STORE_DBL("high", 1100000.0));
}

static void kill_process(struct maker *maker, struct process *process, int64_t arm)
{
    char text[512];
    char id[16];
    INSERT(maker, "kill", STORE_INT("lifetime_id", process->lifetime_id), STORE_INT("kills", 1),
           STORE_INT("kernel_ns", maker->now_ns - 310000), STORE_INT("noticed_ns", maker->now_ns),
           STORE_INT("recorded_ns", maker->now_ns + 90000),
           STORE_INT("committed_ns", maker->now_ns + 1500000),
           STORE_INT("usage_bytes", process->bytes), STORE_INT("oom_kill", 1));
    snprintf(text, sizeof(text),
             "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,"
             "oom_memcg=/oomlab-4f2a/arm%" PRId64 "-%u,task_memcg=/oomlab-4f2a/arm%" PRId64
             "-%u,task=workload,pid=%u,uid=0",
             arm, process->number, arm, process->number, 4000 + process->number);
    INSERT(maker, "kernel_log", STORE_INT("lifetime_id", process->lifetime_id),
           STORE_INT("sequence", 1000 + process->lifetime_id), STORE_INT("boot_ns", maker->now_ns),
           STORE_INT("noticed_ns", maker->now_ns), STORE_STR("kind", "summary"),
           STORE_STR("text", maker->kind == RUN_HOSTILE ? HOSTILE_TEXT : text));
    add_end(maker, process, true, maker->now_ns + 150000);
    add_evidence(maker, "Measured", arm, "lifetime_end", process->lifetime_id,
                 "the kernel counter oom_kill of this process's cgroup went from 0 to 1", id);
    add_event(maker, arm, "Warning", "ContainerTerminated",
              "Container 'ca-oom' was terminated with exit code '137' and reason 'ProcessExited'",
              "{\"cause\": \"oom-container-limit\", \"oom_kill\": 1}");
    add_event(maker, arm, "Warning", "ProcessExited",
              "Container 'ca-oom' was terminated with exit code '137'", NULL);
    process->alive = process->ready = false;
}

static void step_process(struct maker *maker, const struct arm_spec *spec, struct process *process,
                         int64_t arm)
{
    double target = spec->start_mib * (double)MIB;
    if (!process->ready && process->bytes < target)
        process->bytes += fmax(3.0 * maker->sample_ms * (double)MIB / 10, 1);
    else if (!process->ready && maker->now_ns - process->started_ns >= MS(STARTUP_MS)) {
        process->ready = true;
        UPDATE(maker, "lifetime", STORE_INT("id", process->lifetime_id),
               STORE_INT("ready_ns", maker->now_ns));
    }
    double jitter = 0.4 * sin((double)maker->now_ns / 7e7) * (double)MIB;
    struct process seen = *process;
    seen.bytes += jitter;
    add_sample(maker, &seen);
    if (process->bytes >= spec->limit_mib * (double)MIB)
        kill_process(maker, process, arm);
}

/* Requests are due in fixed steps from the start of the traffic on. */
static void step_request(struct maker *maker, const struct arm_spec *spec, struct process *process,
                         int64_t arm, int seq)
{
    bool ok = process->alive && process->ready;
    INSERT(maker, "request", STORE_INT("arm_id", arm), STORE_INT("seq", seq),
           STORE_INT("cycle", seq / PER_CYCLE + 1), STORE_INT("due_ns", maker->now_ns),
           STORE_INT("sent_ns", maker->now_ns + 20000),
           STORE_INT("done_ns", maker->now_ns + 900000), STORE_INT("status", ok ? 200 : 0),
           STORE_STR("error", ok ? NULL : "Couldn't connect to server"),
           ok ? (struct store_value)STORE_INT("lifetime_id", process->lifetime_id)
              : (struct store_value)STORE_NIL("lifetime_id"));
    if (ok) {
        process->served++;
        process->bytes += spec->leak_mib * (double)MIB;
    }
}

static void add_phase(struct maker *maker, int64_t arm, const char *kind, int cycle, int64_t from,
                      int64_t to, int64_t end)
{
    if (from >= end)
        return;
    INSERT(maker, "phase", STORE_INT("arm_id", arm), STORE_STR("kind", kind),
           STORE_INT("cycle", cycle), STORE_INT("started_ns", from),
           STORE_INT("ended_ns", to < end ? to : end));
}

static void add_phases(struct maker *maker, int64_t arm, int64_t start, int64_t end)
{
    int64_t at = start + MS(IDLE_MS);
    add_phase(maker, arm, "idle", 0, start, at, end);
    for (int cycle = 1; cycle <= CYCLES; cycle++) {
        add_phase(maker, arm, "cycle", cycle, at, at + MS(CYCLE_MS), end);
        at += MS(CYCLE_MS);
        if (cycle < CYCLES)
            add_phase(maker, arm, "gap", cycle, at, at + MS(GAP_MS), end);
        at += cycle < CYCLES ? MS(GAP_MS) : 0;
    }
    add_phase(maker, arm, "cooldown", 0, at, at + MS(COOLDOWN_MS), end);
}

/* The sequence number of the request that is due at `ms` of the traffic; -1: none. */
static int request_due(int64_t ms)
{
    ms -= IDLE_MS;
    int64_t cycle = ms / (CYCLE_MS + GAP_MS);
    int64_t within = ms % (CYCLE_MS + GAP_MS);
    if (ms < 0 || cycle >= CYCLES || within >= CYCLE_MS || within % PERIOD_MS != 0)
        return -1;
    return (int)(cycle * PER_CYCLE + within / PERIOD_MS);
}

struct arm_state {
    struct process process;
    unsigned kills;
    int64_t restart_ns, backoff_ns, traffic_ns;
};

static void step_arm(struct maker *maker, const struct arm_spec *spec, struct arm_state *state,
                     int64_t arm)
{
    struct process *process = &state->process;
    if (!process->alive && maker->now_ns >= state->restart_ns)
        start_process(maker, process, arm, state->backoff_ns);
    int64_t ms = (maker->now_ns - state->traffic_ns) / 1000000;
    int seq = request_due(ms);
    if (seq >= 0)
        step_request(maker, spec, process, arm, seq);
    if (process->alive && ms % maker->sample_ms == 0) {
        step_process(maker, spec, process, arm);
        if (!process->alive) {
            state->kills++;
            state->backoff_ns = state->kills == 1 ? 0 : MS(500) << (state->kills - 2);
            state->restart_ns = maker->now_ns + MS(30) + state->backoff_ns;
        }
    }
}

static void judge_arm(struct maker *maker, const struct arm_spec *spec, int64_t arm)
{
    char id[16];
    char because[32];
    bool leak = strcmp(spec->class, "leak") == 0;
    add_evidence(maker, leak ? "Strongly Suggested" : "Measured", arm, "sample", arm, spec->summary,
                 id);
    snprintf(because, sizeof(because), "[\"%s\"]", id);
    INSERT(maker, "verdict", STORE_INT("arm_id", arm), STORE_STR("class", spec->class),
           STORE_DBL("confidence", 0.97), STORE_STR("driver", spec->driver),
           STORE_STR("level", leak ? "Strongly Suggested" : "Measured"),
           STORE_STR("because", because),
           STORE_STR("summary", maker->kind == RUN_HOSTILE ? HOSTILE_TEXT : spec->summary),
           STORE_DBL("growth_bytes_per_request", spec->leak_mib * (double)MIB),
           STORE_DBL("growth_bytes_per_s", spec->leak_mib * 30 * (double)MIB),
           STORE_DBL("growth_low", spec->leak_mib * 0.95 * (double)MIB),
           STORE_DBL("growth_high", spec->leak_mib * 1.05 * (double)MIB));
    INSERT(maker, "arm_growth", STORE_INT("arm_id", arm), STORE_STR("driver", spec->driver),
           STORE_DBL("bytes_per_request", spec->leak_mib * (double)MIB),
           STORE_DBL("request_low", spec->leak_mib * 0.95 * (double)MIB),
           STORE_DBL("request_high", spec->leak_mib * 1.05 * (double)MIB),
           STORE_INT("levels_off", !leak));
    INSERT(maker, "growth_kind", STORE_INT("arm_id", arm), STORE_STR("kind", "anon"),
           STORE_STR("per", "request"), STORE_DBL("bytes", spec->leak_mib * (double)MIB));
    INSERT(maker, "growth_kind", STORE_INT("arm_id", arm), STORE_STR("kind", "shmem"),
           STORE_STR("per", "request"), STORE_DBL("bytes", -512));
}

static void close_arm(struct maker *maker, const struct arm_spec *spec, struct arm_state *state,
                      int64_t arm)
{
    if (state->process.alive)
        add_end(maker, &state->process, false, maker->now_ns);
    add_phases(maker, arm, state->traffic_ns, maker->now_ns);
    UPDATE(maker, "arm", STORE_INT("id", arm), STORE_INT("traffic_started_ns", state->traffic_ns),
           STORE_INT("ended_ns", maker->now_ns),
           STORE_STR("ended_because", state->kills ? "kill-stop" : "sequence-complete"),
           STORE_STR("health_state", state->kills ? "Unhealthy" : "Healthy"),
           STORE_STR("provisioning_state", "Provisioned"),
           STORE_STR("running_state", state->kills ? "Failed" : "Running"));
    judge_arm(maker, spec, arm);
}

static int64_t run_arm(struct maker *maker, const struct arm_spec *spec)
{
    int64_t arm = add_arm(maker, spec);
    struct arm_state state = {.restart_ns = maker->now_ns, .traffic_ns = maker->now_ns + MS(400)};
    int64_t length =
        IDLE_MS + CYCLES * CYCLE_MS + (int64_t)(CYCLES - 1) * GAP_MS + COOLDOWN_MS + 400;
    int64_t end = maker->now_ns + MS(spec->interrupted ? length / 3 : length);
    for (; maker->now_ns < end && maker->failed == 0; maker->now_ns += MS(1)) {
        step_arm(maker, spec, &state, arm);
        if (spec->kill_stop && state.kills >= spec->kill_stop)
            break;
    }
    if (!spec->interrupted)
        close_arm(maker, spec, &state, arm);
    maker->now_ns += MS(300);
    return arm;
}

static void add_prediction(struct maker *maker, int64_t arm, const char *hypothesis,
                           const char *metric, double low, double high, double observed)
{
    char id[16];
    int64_t row = INSERT(
        maker, "prediction", STORE_INT("arm_id", arm),
        STORE_STR("scenario", maker->kind == RUN_LAB ? "leak" : "service"),
        STORE_STR("for_arm", "raise"), STORE_STR("hypothesis", hypothesis),
        STORE_STR("metric", metric), STORE_DBL("low", low), STORE_DBL("high", high),
        STORE_INT("made_ns", maker->now_ns), STORE_INT("made_at_ns", EPOCH),
        STORE_STR("text", "{\"for_arm\":\"raise\"}"),
        STORE_STR("sha256", "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"),
        STORE_DBL("observed", observed), STORE_INT("holds", observed >= low && observed <= high));
    add_evidence(maker, "Measured", arm, "prediction", row,
                 "the prediction was stored before the arm it is for had started", id);
}

static void add_gate(struct maker *maker, const char *id, const char *scenario,
                     const char *hypothesis, bool pass, const char *observed, const char *threshold)
{
    INSERT(maker, "gate", STORE_STR("id", id), STORE_STR("scenario", scenario),
           STORE_STR("hypothesis", hypothesis), STORE_INT("pass", pass));
    INSERT(maker, "gate_check", STORE_STR("gate_id", id), STORE_STR("id", "kernel-proven-kills"),
           STORE_INT("pass", pass), STORE_STR("observed", observed),
           STORE_STR("threshold", threshold), STORE_STR("evidence", "[\"E1\", \"E2\"]"));
    INSERT(maker, "gate_check", STORE_STR("gate_id", id), STORE_STR("id", "exit-137"),
           STORE_INT("pass", 1), STORE_STR("observed", "137 each time"),
           STORE_STR("threshold", "137"), STORE_STR("evidence", "[\"E1\"]"));
}

static void close_run(struct maker *maker, const char *class, const char *summary,
                      const char *action)
{
    INSERT(maker, "verdict", STORE_STR("class", class), STORE_DBL("confidence", 0.98),
           STORE_STR("driver", "requests"), STORE_STR("level", "Strongly Suggested"),
           STORE_STR("because", "[\"E1\", \"E2\", \"E3\"]"), STORE_STR("summary", summary));
    INSERT(maker, "recommendation", STORE_STR("action", action), STORE_NIL("memory_bytes"),
           STORE_STR("reason",
                     "A leak fills any limit. Release what each request keeps; then the old "
                     "limit of 512Mi is enough."));
    UPDATE(maker, "run", STORE_STR("id", "20261122-130159-4f2a"),
           STORE_INT("ended_ns", maker->now_ns), STORE_INT("dropped_observations", 0),
           STORE_INT("exit_status", 0));
}

#define TRIGGER "does the failure reproduce?"
#define RAISE   "does more memory cure it, or only delay the restart?"
#define PATCH   "does removing the leak cure it at the old limit?"
#define FIX     "the shipped fix: recovery within one revision"
#define REVERT  "falsification: the failure must come back"
#define LEAKS   "Working set grows by 8.0 MiB per request in every cycle and is never given back."
#define DEMAND  "Killed before it was ready: it needs 600 MiB to start and may have 512 MiB."
#define LEVEL   "Working set stays level over all cycles."

static void make_lab(struct maker *maker)
{
    const struct arm_spec arms[] = {
        {"hard", "trigger", NULL, NULL, TRIGGER, 512, 0.25, 600, 0, 3, "startup-demand", "startup",
         DEMAND, 0},
        {"hard", "raise", "trigger", "[\"memory: 512Mi -> 1Gi\"]", RAISE, 1024, 0.25, 600, 0, 3,
         "stable", NULL, LEVEL, 0},
        {"hard", "patch", "trigger", "[\"env: MODE=healthy\"]", PATCH, 512, 0.25, 20, 0, 3,
         "stable", NULL, LEVEL, 0},
        {"hard", "fix", "trigger",
         "[\"memory: 512Mi -> 1Gi\", \"cpu: 0.25 -> 0.5\", \"env: MODE=healthy\"]", FIX, 1024, 0.5,
         20, 0, 3, "stable", NULL, LEVEL, 0},
        {"hard", "revert", "trigger", "[]", REVERT, 512, 0.25, 600, 0, 3, "startup-demand",
         "startup", DEMAND, 0},
        {"leak", "trigger", NULL, NULL, TRIGGER, 512, 0.25, 20, 8, 3, "leak", "requests", LEAKS, 0},
        {"leak", "raise", "trigger", "[\"memory: 512Mi -> 1Gi\"]", RAISE, 1024, 0.25, 20, 8, 2,
         "leak", "requests", LEAKS, 0},
        {"leak", "patch", "trigger", "[\"env: MODE=healthy\"]", PATCH, 512, 0.25, 20, 0, 3,
         "stable", NULL, LEVEL, 0},
        {"leak", "fix", "trigger",
         "[\"memory: 512Mi -> 1Gi\", \"cpu: 0.25 -> 0.5\", \"env: MODE=healthy\"]", FIX, 1024, 0.5,
         20, 0, 3, "stable", NULL, LEVEL, 0},
        {"leak", "revert", "trigger", "[]", REVERT, 512, 0.25, 20, 8, 3, "leak", "requests", LEAKS,
         0},
        {"healthy", "control", NULL, NULL, "is the platform itself sound?", 1024, 0.5, 20, 0, 3,
         "stable", NULL, LEVEL, 0},
    };
    for (size_t i = 0; i < sizeof(arms) / sizeof(arms[0]); i++) {
        if (i == 6) {
            add_prediction(maker, 7, "leak", "requests-to-kill", 110.2, 140.9, 126);
            add_prediction(maker, 7, "startup-demand", "killed", 0, 0, 1);
            maker->now_ns += MS(120);
        }
        run_arm(maker, &arms[i]);
    }
    add_gate(maker, "hard/trigger-reproduces", "hard",
             "The kernel kills it at every start, before it is ready.", true, "3 of 3 kills",
             "at least 3");
    add_gate(maker, "leak/trigger-reproduces", "leak",
             "The kernel kills it after sustained traffic.", true, "3 of 3 kills", "at least 3");
    add_gate(maker, "leak/raise-only-delays", "leak",
             "More memory only delays the kill, as long as predicted.", true,
             "2 of 2 kills, after 126 requests", "at least 2, after 110.2 to 140.9 requests");
    add_gate(maker, "leak/patch-cures", "leak", "Without the leak the old limit is enough.", true,
             "0 kills", "0");
    add_gate(maker, "healthy/control-stays-flat", "healthy", "Without a leak nothing happens.",
             true, "0 kills", "0");
    close_run(maker, "leak",
              "Memory grows by 8.0 MiB with each request and is never given back; more memory only "
              "delayed the kill, removing the leak cured it.",
              "fix-leak");
}

static void make_service(struct maker *maker)
{
    const char *text = maker->text;
    const struct arm_spec arms[] = {
        {"service", "trigger", NULL, NULL, text ? text : TRIGGER, 256, NAN, 20, 3, 3, "leak",
         "requests", LEAKS, 0},
        {"service", "raise", "trigger", "[\"memory: 256Mi -> 512Mi\"]", RAISE, 512, NAN, 20, 3, 2,
         "leak", "requests", LEAKS, 0},
    };
    run_arm(maker, &arms[0]);
    add_prediction(maker, 2, "leak", "requests-to-kill", 150.2, 184.9, 164);
    run_arm(maker, &arms[1]);
    close_run(maker, "leak", text ? text : LEAKS, "fix-leak");
}

static void make_interrupted(struct maker *maker)
{
    const struct arm_spec arms[] = {
        {"leak", "trigger", NULL, NULL, TRIGGER, 512, 0.25, 20, 8, 3, "leak", "requests", LEAKS, 0},
        {"leak", "raise", "trigger", "[\"memory: 512Mi -> 1Gi\"]", RAISE, 1024, 0.25, 20, 8, 2,
         "leak", "requests", LEAKS, true},
    };
    run_arm(maker, &arms[0]);
    run_arm(maker, &arms[1]);
}

static int write_console(const char *directory, struct error *err)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/console-ca-oom--r1-6d8f-x2x.log", directory);
    FILE *file = fopen(path, "we");
    if (!file)
        return error_set(err, 5, "creating '%s'", path);
    fputs("[app] listening on :8000\n", file);
    return fclose(file) == 0 ? 0 : error_set(err, 5, "writing '%s'", path);
}

int make_run(const char *directory, enum run_kind kind, struct store **ret, struct error *err)
{
    struct maker maker = {.err = err,
                          .kind = kind,
                          .sample_ms = kind == RUN_DENSE ? 1 : 50,
                          .now_ns = ZERO + MS(250),
                          .text = kind == RUN_HOSTILE ? HOSTILE_TEXT : NULL};
    int r = store_create(directory, &maker.store, err);
    if (r < 0)
        return r;
    add_run(&maker);
    if (kind == RUN_LAB)
        make_lab(&maker);
    else if (kind == RUN_INTERRUPTED)
        make_interrupted(&maker);
    else if (kind != RUN_EMPTY)
        make_service(&maker);
    if (maker.failed == 0)
        maker.failed = write_console(directory, err);
    if (maker.failed < 0) {
        store_close(maker.store);
        return maker.failed;
    }
    *ret = maker.store;
    return 0;
}
