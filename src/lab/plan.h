/* SPDX-License-Identifier: Apache-2.0 */
/* A lab after all defaults: what will be run, in which order, and what each arm differs in.
 *
 * Made from the built-in lab, a lab file (YAML) or the command line's options; executing it is
 * src/lab/run.c's business. A plan is immutable once made. */
#pragma once

#include "analysis/budget.h"
#include "base/error.h"
#include "platform/template.h"
#include "traffic/traffic.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum arm_kind { ARM_TRIGGER, ARM_RAISE, ARM_PATCH, ARM_FIX, ARM_CONTROL, ARM_REVERT, ARM_KINDS };
const char *arm_kind_name(enum arm_kind kind);
/* What the arm tests, one sentence (DESIGN.md's table). */
const char *arm_kind_purpose(enum arm_kind kind);

struct arm_plan {
    enum arm_kind kind;
    int reference;  /* index of the arm it is compared with, in the same scenario; -1 none */
    char **command; /* NULL-terminated argv; owned */
    char **env;     /* NULL-terminated "K=V" beyond the base environment; owned */
    uint64_t memory_bytes;
    char *memory_place; /* where that was said: "lab.yaml:3:9: memory" or "--raise"; NULL: nowhere;
                           owned */
    double cpu_cores;   /* 0: no quota */
    unsigned kill_stop; /* stop the arm after so many kills; 0: never */
    char *
        *differs_in; /* NULL-terminated, human: "memory: 512Mi -> 1Gi"; owned, empty for trigger */
};

enum expectation { EXPECT_NOTHING, EXPECT_LEAK, EXPECT_STARTUP_DEMAND, EXPECT_HEALTHY };

struct scenario_plan {
    char name[64]; /* hard, leak, healthy; "service" for one's own command */
    char app[64];  /* ca-oom-leak, ... */
    enum expectation
        expect;            /* decides which gates must hold; EXPECT_NOTHING for one's own service */
    struct arm_plan *arms; /* in the order in which they run; owned */
    size_t arm_count;
    bool until_settled; /* the stopping rule ends an arm; the traffic is the longest it may be */
    double confidence;  /* that it asks for; 0 without the rule */
    struct traffic_spec traffic; /* the same for every arm; strings owned by the plan */
};

struct plan {
    char name[64];  /* memory-leak-oomkilled, or the lab file's name */
    char *question; /* one sentence for the report; owned */
    struct scenario_plan *scenarios;
    size_t scenario_count;
    uint16_t port; /* 0: a free one is chosen for each arm and passed as $PORT */
    bool https;
    bool trigger_only; /* as in struct plan_options */
    bool side_by_side; /* the scenarios run at the same time, each on ports of its own */
    struct probe_spec readiness, liveness, startup;
    int64_t
        ready_deadline_ns; /* not ready so long after a start: the arm is given up (default 60 s) */
    int64_t arm_deadline_ns; /* an arm takes at most so long (default 10 min) */
    struct backoff_spec backoff;
    double sample_rate_hz;
    bool heap;                /* record which code holds the memory */
    uint64_t heap_rate_bytes; /* sampling mean; 0: by each arm's limit */
    uint64_t pids_max;        /* default 4096 */
    uint64_t seed;
    int64_t stop_grace_ns; /* SIGTERM to SIGKILL; default 2 s */
    bool to_growth_budget; /* the stopping rule asks whether growth keeps to this budget */
    struct growth_budget growth;
};

/* What the command line says; NULL means "not given". Strings are borrowed. plan_settings.h has
 * each option's meaning and default; a lab file has the same keys. */
struct plan_options {
    const char *lab_file;       /* "-" is standard input */
    const char *const *command; /* NULL-terminated, after "--" */
    const char *memory, *raise, *cpu, *port, *https, *ready, *liveness, *startup, *rate, *backoff;
    const char *cycles, *per_cycle, *kills, *budget, *confidence, *sample_rate, *requests_file,
        *patch_command;
    const char *patch_memory, *patch_cpu, *arms, *seed, *pids_max, *stop_grace;
    const char *side_by_side, *heap, *heap_rate;
    const char *idle, *gap, *cooldown, *deadline, *ready_deadline, *arrival, *scenarios;
    const char *const *env, *const *patch_env, *const *requests; /* NULL-terminated or NULL */
    /* The arm 'trigger' of each scenario alone, over at its first kill, and without expectations:
     * the service as it is under its limit. Arms, kills and expectations of a lab file do not
     * count. */
    bool trigger_only;
    /* What such an arm may keep: it goes on until that is decided. NULL: not asked. Borrowed. */
    const struct growth_budget *growth;
};

/* The plan for these options: the built-in lab when neither a lab file nor a command is given
 * (options then change its numbers), the lab file (options win over its keys), or one's own
 * service. Every fault is a usage error; in a lab file with "FILE:LINE:COLUMN: ". */
int plan_new(const struct plan_options *options, struct plan **ret, struct error *err);
/* The plan for the text of a lab file alone; `file` is its name for messages. */
int plan_from_text(const char *file, const char *text, size_t length, struct plan **ret,
                   struct error *err);
void plan_free(struct plan *plan);

/* Refuse what this machine cannot hold (ERROR_UNAVAILABLE): the largest limit plus a reserve (512
 * MiB, or a quarter of a machine with less than 2 GiB) must fit into available memory, which is
 * also what the cgroup leaves that oomlab runs in; an arm's CPU quota must not be more than the
 * machine's CPUs. */
int plan_check_machine(const struct plan *plan, struct error *err);

/* The whole plan as JSON (goes into run.lab_json and under `oomlab show`). New reference or NULL.
 */
json_t *plan_to_json(const struct plan *plan);
