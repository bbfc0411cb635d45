/* SPDX-License-Identifier: Apache-2.0 */
#include "base/terms.h"

#include <stddef.h>
#include <string.h>

const char *level_name(enum evidence_level level)
{
    static const char *const names[LEVEL_COUNT] = {
        [LEVEL_MEASURED] = "Measured",     [LEVEL_OBSERVED] = "Observed",
        [LEVEL_CORRELATED] = "Correlated", [LEVEL_STRONGLY_SUGGESTED] = "Strongly Suggested",
        [LEVEL_INFERRED] = "Inferred",     [LEVEL_NOT_PROVEN] = "Not Proven",
    };
    return names[level];
}

const char *cause_name(enum end_cause cause)
{
    static const char *const names[CAUSE_COUNT] = {
        [CAUSE_OOM_CONTAINER_LIMIT] = "oom-container-limit",
        [CAUSE_OOM_ANCESTOR_LIMIT] = "oom-ancestor-limit",
        [CAUSE_OOM_HOST] = "oom-host",
        [CAUSE_OOM_USERSPACE_KILLER] = "oom-userspace-killer",
        [CAUSE_RUNTIME_OUT_OF_MEMORY] = "runtime-out-of-memory",
        [CAUSE_KILLED_BY_PLATFORM] = "killed-by-platform",
        [CAUSE_KILLED_EXTERNALLY] = "killed-externally",
        [CAUSE_SIGNALLED] = "signalled",
        [CAUSE_EXITED] = "exited",
        [CAUSE_RUNNING] = "running",
        [CAUSE_UNKNOWN] = "unknown",
    };
    return names[cause];
}

const char *verdict_class_name(enum verdict_class verdict)
{
    static const char *const names[VERDICT_COUNT] = {
        [VERDICT_LEAK] = "leak",
        [VERDICT_STARTUP_DEMAND] = "startup-demand",
        [VERDICT_PEAK_DEMAND] = "peak-demand",
        [VERDICT_BOUNDED_CACHE] = "bounded-cache",
        [VERDICT_RECLAIMABLE_CACHE] = "reclaimable-cache",
        [VERDICT_STABLE] = "stable",
        [VERDICT_NOT_MEMORY] = "not-memory",
        [VERDICT_INCONCLUSIVE] = "inconclusive",
    };
    return names[verdict];
}

const char *driver_name(enum driver driver)
{
    static const char *const names[DRIVER_COUNT] = {
        [DRIVER_NONE] = NULL,
        [DRIVER_REQUESTS] = "requests",
        [DRIVER_TIME] = "time",
        [DRIVER_STARTUP] = "startup",
    };
    return names[driver];
}

const char *platform_kill_name(enum platform_kill kill)
{
    static const char *const names[PLATFORM_KILL_COUNT] = {
        [PLATFORM_KILL_NONE] = "none",
        [PLATFORM_KILL_STOP] = "stop",
        [PLATFORM_KILL_DEADLINE] = "deadline",
        [PLATFORM_KILL_LIVENESS] = "liveness-probe",
        [PLATFORM_KILL_STARTUP] = "startup-probe",
    };
    return names[kill];
}

enum end_cause cause_parse(const char *text)
{
    for (int i = 0; text && i < CAUSE_COUNT; i++) {
        if (strcmp(text, cause_name((enum end_cause)i)) == 0)
            return (enum end_cause)i;
    }
    return CAUSE_UNKNOWN;
}

bool cause_is_kernel_kill(enum end_cause cause)
{
    return cause == CAUSE_OOM_CONTAINER_LIMIT || cause == CAUSE_OOM_ANCESTOR_LIMIT ||
           cause == CAUSE_OOM_HOST;
}
