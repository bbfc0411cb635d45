/* SPDX-License-Identifier: Apache-2.0 */
/* The one list of what can be said about a lab: each line is an option of `oomlab run` and a key of
 * the lab file. It makes the parsers, --help, the shell completion and the tests of the manual. */
#pragma once

#include <stddef.h>

/* Where a key may stand in a lab file: at the top level only, or also within a scenario (where it
 * wins over the top level). The command line wins over both. */
enum setting_scope { SCOPE_PLAN, SCOPE_SCENARIO };

/* X(identifier, field of struct plan_options, name, argument, scope, default, help): one value
 * each. The default is a text that the same parser reads; NULL: none, or it depends on others. */
#define PLAN_SERVICE_SETTING_LIST(X)                                                               \
    X(MEMORY, memory, "memory", "SIZE", SCOPE_SCENARIO, NULL,                                      \
      "memory limit under test, as 512Mi or 0.5Gi")                                                \
    X(CPU, cpu, "cpu", "CORES", SCOPE_SCENARIO, NULL, "CPU quota, as 0.25 (default: none)")        \
    X(PORT, port, "port", "PORT", SCOPE_PLAN, "auto",                                              \
      "where the service listens; auto: a free port, passed as $PORT")                             \
    X(REQUESTS_FILE, requests_file, "requests-file", "FILE", SCOPE_SCENARIO, NULL,                 \
      "requests from a file, one on each line")                                                    \
    X(RATE, rate, "rate", "RATE", SCOPE_SCENARIO, "50/s", "requests per second in a cycle")        \
    X(ARRIVAL, arrival, "arrival", "PATTERN", SCOPE_SCENARIO, "uniform",                           \
      "spacing of the requests: uniform or poisson")                                               \
    X(CYCLES, cycles, "cycles", "N", SCOPE_SCENARIO, "5", "identical cycles of requests")          \
    X(BUDGET, budget, "budget", "TIME", SCOPE_SCENARIO, NULL,                                      \
      "an arm that is not settled goes on for so long (default: 2m, or fixed cycles and kills)")   \
    X(PER_CYCLE, per_cycle, "per-cycle", "N", SCOPE_SCENARIO, "100", "requests in each cycle")     \
    X(IDLE, idle, "idle", "TIME", SCOPE_SCENARIO, "1s", "wait before the first cycle")             \
    X(GAP, gap, "gap", "TIME", SCOPE_SCENARIO, "300ms", "wait between two cycles")                 \
    X(COOLDOWN, cooldown, "cooldown", "TIME", SCOPE_SCENARIO, "1s", "wait after the last cycle")   \
    X(READY, ready, "ready", "PROBE", SCOPE_PLAN, "tcp", "readiness: http:/path, tcp or none")     \
    X(READY_DEADLINE, ready_deadline, "ready-deadline", "TIME", SCOPE_PLAN, "60s",                 \
      "give an arm up that is not ready so long after a start")                                    \
    X(LIVENESS, liveness, "liveness", "PROBE", SCOPE_PLAN, "none",                                 \
      "liveness probe; it restarts a service that fails it")                                       \
    X(STARTUP, startup, "startup", "PROBE", SCOPE_PLAN, "none",                                    \
      "startup probe; the other probes wait for it")                                               \
    X(BACKOFF, backoff, "backoff", "KIND", SCOPE_PLAN, "fast",                                     \
      "restart delays: kubernetes, fast (1/20 of it) or FIRST,MAX")                                \
    X(SCENARIOS, scenarios, "scenarios", "LIST", SCOPE_PLAN, NULL,                                 \
      "which scenarios of the lab, in order (default: all)")                                       \
    X(SIDE_BY_SIDE, side_by_side, "side-by-side", "yes|no", SCOPE_PLAN, "no",                      \
      "run the scenarios of a lab at the same time")                                               \
    X(DEADLINE, deadline, "deadline", "TIME", SCOPE_PLAN, "10m", "an arm takes at most so long")   \
    X(SAMPLE_RATE, sample_rate, "sample-rate", "RATE", SCOPE_PLAN, "20/s",                         \
      "memory samples per second, at most 1000/s")                                                 \
    X(HEAP_RATE, heap_rate, "heap-rate", "SIZE", SCOPE_PLAN, NULL,                                 \
      "heap profile with one sample in so many bytes (default: limit/16384, 4Ki to 512Ki)")        \
    X(PIDS_MAX, pids_max, "pids-max", "N", SCOPE_PLAN, "4096",                                     \
      "processes and threads that the service may have")                                           \
    X(STOP_GRACE, stop_grace, "stop-grace", "TIME", SCOPE_PLAN, "2s",                              \
      "from SIGTERM to SIGKILL when a service is stopped")                                         \
    X(SEED, seed, "seed", "N", SCOPE_PLAN, "1",                                                    \
      "the same seed gives the same request sequence, byte for byte")

/* The same, of settings that are about arms beyond the first. */
#define PLAN_ARM_SETTING_LIST(X)                                                                   \
    X(RAISE, raise, "raise", "SIZE", SCOPE_SCENARIO, NULL,                                         \
      "limit of the arm 'raise' (default: twice the memory)")                                      \
    X(PATCH_MEMORY, patch_memory, "patch-memory", "SIZE", SCOPE_SCENARIO, NULL,                    \
      "limit of the arms 'fix' and 'control' (default: as raise)")                                 \
    X(PATCH_CPU, patch_cpu, "patch-cpu", "CORES", SCOPE_SCENARIO, NULL,                            \
      "CPU quota of the arms 'fix' and 'control' (default: as cpu)")                               \
    X(CONFIDENCE, confidence, "confidence", "SHARE", SCOPE_SCENARIO, "0.8",                        \
      "an arm ends as soon as its question is settled with it")                                    \
    X(ARMS, arms, "arms", "LIST", SCOPE_SCENARIO, NULL,                                            \
      "which arms, in order: trigger,raise,patch,fix,control,revert")

#define PLAN_SETTING_LIST(X) PLAN_SERVICE_SETTING_LIST(X) PLAN_ARM_SETTING_LIST(X)

/* X(identifier, field, option, lab-file key, argument, scope, help): what takes more than one
 * value. */
#define PLAN_SERVICE_COMPOUND_LIST(X)                                                              \
    X(HTTPS, https, "https", "https", NULL, SCOPE_PLAN, "the service speaks HTTPS")                \
    X(HEAP, heap, "heap", "heap", NULL, SCOPE_PLAN,                                                \
      "record which code holds the memory (see 'oomlab heap')")                                    \
    X(ENV, env, "env", "env", "NAME=VALUE", SCOPE_SCENARIO,                                        \
      "environment of the service (repeatable)")                                                   \
    X(REQUESTS, requests, "request", "requests", "REQUEST", SCOPE_SCENARIO,                        \
      "'GET /path' or 'POST /path BODY' (repeatable; default: GET /)")

#define PLAN_ARM_COMPOUND_LIST(X)                                                                  \
    X(PATCH_ENV, patch_env, "patch-env", "patch-env", "NAME=VALUE", SCOPE_SCENARIO,                \
      "what the arms 'patch' and 'fix' set to remove the leak (repeatable)")                       \
    X(PATCH_COMMAND, patch_command, "patch-command", "patch-command", "COMMAND", SCOPE_SCENARIO,   \
      "command of the arms 'patch' and 'fix'")                                                     \
    X(KILLS, kills, "kills", "kills", "N", SCOPE_SCENARIO,                                         \
      "stop an arm after so many kills; or trigger=3,raise=2,revert=2 (the default)")

#define PLAN_COMPOUND_LIST(X) PLAN_SERVICE_COMPOUND_LIST(X) PLAN_ARM_COMPOUND_LIST(X)

/* Keys of the lab file alone. */
#define PLAN_FILE_KEY_LIST(X)                                                                      \
    X(NAME, "name", SCOPE_PLAN)                                                                    \
    X(QUESTION, "question", SCOPE_PLAN)                                                            \
    X(APP, "app", SCOPE_SCENARIO)                                                                  \
    X(EXPECT, "expect", SCOPE_SCENARIO)

enum setting {
#define SETTING_ENUM(id, ...) SETTING_##id,
    PLAN_SETTING_LIST(SETTING_ENUM) PLAN_FILE_KEY_LIST(SETTING_ENUM)
#undef SETTING_ENUM
        SETTING_COUNT
};

struct setting_info {
    const char *name;
    enum setting_scope scope;
    const char *fallback; /* NULL: none */
    size_t option_offset; /* of the const char * in struct plan_options; SIZE_MAX: file only */
};

/* All of them, by enum setting; static storage. */
const struct setting_info *setting_info(enum setting setting);
