/* SPDX-License-Identifier: Apache-2.0 */
/* The vocabulary of the contract (result.json): one enum and its spelling each, used by every part.
 */
#pragma once

#include <stdbool.h>

/* How sure a statement is; a smaller value is stronger. A statement never carries a stronger level
 * than its weakest source. */
enum evidence_level {
    LEVEL_MEASURED, /* a counter or a clock */
    LEVEL_OBSERVED, /* a record seen */
    LEVEL_CORRELATED,
    LEVEL_STRONGLY_SUGGESTED,
    LEVEL_INFERRED,
    LEVEL_NOT_PROVEN,
    LEVEL_COUNT
};

enum end_cause {
    CAUSE_OOM_CONTAINER_LIMIT,
    CAUSE_OOM_ANCESTOR_LIMIT,
    CAUSE_OOM_HOST,
    CAUSE_OOM_USERSPACE_KILLER,
    CAUSE_RUNTIME_OUT_OF_MEMORY,
    CAUSE_KILLED_BY_PLATFORM,
    CAUSE_KILLED_EXTERNALLY,
    CAUSE_SIGNALLED,
    CAUSE_EXITED,
    CAUSE_RUNNING,
    CAUSE_UNKNOWN,
    CAUSE_COUNT
};

enum verdict_class {
    VERDICT_LEAK,
    VERDICT_STARTUP_DEMAND,
    VERDICT_PEAK_DEMAND,
    VERDICT_BOUNDED_CACHE,
    VERDICT_RECLAIMABLE_CACHE,
    VERDICT_STABLE,
    VERDICT_NOT_MEMORY,
    VERDICT_INCONCLUSIVE,
    VERDICT_COUNT
};

/* What memory grows with. */
enum driver { DRIVER_NONE, DRIVER_REQUESTS, DRIVER_TIME, DRIVER_STARTUP, DRIVER_COUNT };

/* Why the platform itself ended a process. */
enum platform_kill {
    PLATFORM_KILL_NONE,
    PLATFORM_KILL_STOP,     /* revision deactivated, lab over, Ctrl-C */
    PLATFORM_KILL_DEADLINE, /* the arm's time was up */
    PLATFORM_KILL_LIVENESS, /* liveness probe failed */
    PLATFORM_KILL_STARTUP,  /* startup probe failed or readiness deadline passed */
    PLATFORM_KILL_COUNT
};

/* The spellings of result.json; static storage. driver_name(DRIVER_NONE) is NULL (JSON null). */
const char *level_name(enum evidence_level level);
const char *cause_name(enum end_cause cause);
/* The cause of that name; CAUSE_UNKNOWN for none, or NULL. */
enum end_cause cause_parse(const char *text);
/* The kernel killed the main process for memory: at the container's limit, an ancestor's, or the
 * host's. */
bool cause_is_kernel_kill(enum end_cause cause);
const char *verdict_class_name(enum verdict_class verdict);
const char *driver_name(enum driver driver);
const char *platform_kill_name(enum platform_kill kill);

/* The weaker of two levels. */
static inline enum evidence_level level_weaker(enum evidence_level a, enum evidence_level b)
{
    return a > b ? a : b;
}
