/* SPDX-License-Identifier: Apache-2.0 */
/* The options of the verbs that run a lab, made from the one list of settings: rows of a verb's
 * table of options. The verb's arguments have the members `struct plan_options plan`, `bool https`,
 * `bool heap`, `const char *output` and `bool quiet`. */
#pragma once

#include "cli/verb.h"
#include "lab/plan_settings.h"

/* What completion offers for a setting's value. */
#define VALUES_MEMORY         NULL
#define VALUES_RAISE          NULL
#define VALUES_CPU            NULL
#define VALUES_PATCH_MEMORY   NULL
#define VALUES_PATCH_CPU      NULL
#define VALUES_PORT           "auto"
#define VALUES_REQUESTS_FILE  "@file"
#define VALUES_RATE           NULL
#define VALUES_ARRIVAL        "uniform poisson"
#define VALUES_CYCLES         NULL
#define VALUES_PER_CYCLE      NULL
#define VALUES_IDLE           NULL
#define VALUES_GAP            NULL
#define VALUES_COOLDOWN       NULL
#define VALUES_READY          "http:/ tcp none"
#define VALUES_READY_DEADLINE NULL
#define VALUES_LIVENESS       "http:/ tcp none"
#define VALUES_STARTUP        "http:/ tcp none"
#define VALUES_BACKOFF        "kubernetes fast"
#define VALUES_ARMS           "trigger raise patch fix control revert"
#define VALUES_SCENARIOS      "hard leak healthy"
#define VALUES_BUDGET         NULL
#define VALUES_CONFIDENCE     NULL
#define VALUES_DEADLINE       NULL
#define VALUES_SAMPLE_RATE    NULL
#define VALUES_PIDS_MAX       NULL
#define VALUES_STOP_GRACE     NULL
#define VALUES_SEED           NULL
#define VALUES_HEAP_RATE      NULL
#define VALUES_SIDE_BY_SIDE   "yes no"

/* What each compound setting is, and where it goes. */
#define KIND_HTTPS           OPTION_FLAG
#define KIND_HEAP            OPTION_FLAG
#define KIND_ENV             OPTION_LIST
#define KIND_PATCH_ENV       OPTION_LIST
#define KIND_PATCH_COMMAND   OPTION_TEXT
#define KIND_REQUESTS        OPTION_LIST
#define KIND_KILLS           OPTION_TEXT
#define MEMBER_https         https
#define MEMBER_heap          heap
#define MEMBER_env           plan.env
#define MEMBER_patch_env     plan.patch_env
#define MEMBER_patch_command plan.patch_command
#define MEMBER_requests      plan.requests
#define MEMBER_kills         plan.kills

/* For the PLAN_..._SETTING_LIST and PLAN_..._COMPOUND_LIST; `RUN_ARGUMENTS` is defined as the type
 * of the verb's arguments. */
#define RUN_TEXT_OPTION(id, field, option, value, scope, initial, text)                            \
    {.name = (option),                                                                             \
     .kind = OPTION_TEXT,                                                                          \
     .argument = (value),                                                                          \
     .fallback = (initial),                                                                        \
     .help = (text),                                                                               \
     .values = VALUES_##id,                                                                        \
     .offset = offsetof(RUN_ARGUMENTS, plan.field)},
#define RUN_COMPOUND_OPTION(id, field, option, key, value, scope, text)                            \
    {.name = (option),                                                                             \
     .kind = KIND_##id,                                                                            \
     .argument = (value),                                                                          \
     .help = (text),                                                                               \
     .offset = offsetof(RUN_ARGUMENTS, MEMBER_##field)},

#define RUN_OPTION_OUTPUT                                                                          \
    {                                                                                              \
        .name = "output", .kind = OPTION_TEXT, .argument = "DIR",                                  \
        .help = "where the run goes: a directory that is new or empty (default: "                  \
                "$XDG_STATE_HOME/oomlab/runs/ID)",                                                 \
        .values = "@file", .offset = offsetof(RUN_ARGUMENTS, output)                               \
    }
#define RUN_OPTION_QUIET                                                                           \
    {                                                                                              \
        .name = "quiet", .letter = 'q', .kind = OPTION_FLAG,                                       \
        .help = "no progress on standard error", .offset = offsetof(RUN_ARGUMENTS, quiet)          \
    }
