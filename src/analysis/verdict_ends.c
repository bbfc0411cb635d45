/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/verdict_ends.h"

#include "analysis/view.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

bool ended_by_probe(const struct lifetime_series *lifetime)
{
    return lifetime->cause == CAUSE_KILLED_BY_PLATFORM &&
           (lifetime->platform_kill == PLATFORM_KILL_LIVENESS ||
            lifetime->platform_kill == PLATFORM_KILL_STARTUP);
}

static bool is_told(const struct lifetime_series *lifetime)
{
    return ended_by_probe(lifetime) || cause_is_other_death(lifetime->cause);
}

static bool same_end(const struct lifetime_series *a, const struct lifetime_series *b)
{
    if (a->cause != b->cause)
        return false;
    if (ended_by_probe(a))
        return a->platform_kill == b->platform_kill;
    return a->has_exit_code == b->has_exit_code && a->exit_code == b->exit_code;
}

static void end_words(const struct lifetime_series *lifetime, char *text, size_t size)
{
    int code = lifetime->exit_code;
    if (ended_by_probe(lifetime)) {
        snprintf(text, size, "restarted by its %s probe",
                 lifetime->platform_kill == PLATFORM_KILL_LIVENESS ? "liveness" : "startup");
    } else if (lifetime->cause == CAUSE_KILLED_EXTERNALLY) {
        snprintf(text, size, "killed from outside");
    } else if (lifetime->cause == CAUSE_UNKNOWN || !lifetime->has_exit_code) {
        snprintf(text, size, "ended in a way that was not recorded");
    } else if (lifetime->cause == CAUSE_EXITED) {
        snprintf(text, size, "exited with code %d", code);
    } else {
        const char *name = code > 128 ? sigabbrev_np(code - 128) : NULL;
        if (name)
            snprintf(text, size, "ended by SIG%s", name);
        else
            snprintf(text, size, "ended by signal %d", code - 128);
    }
}

void ends_words(const struct arm_series *arm, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < arm->count && used < size; i++) {
        const struct lifetime_series *lifetime = &arm->lifetimes[i];
        bool told = !is_told(lifetime);
        for (size_t k = 0; k < i && !told; k++)
            told = is_told(&arm->lifetimes[k]) && same_end(&arm->lifetimes[k], lifetime);
        if (told)
            continue;
        unsigned times = 0;
        for (size_t k = i; k < arm->count; k++)
            times += is_told(&arm->lifetimes[k]) && same_end(&arm->lifetimes[k], lifetime);
        char words[96];
        end_words(lifetime, words, sizeof(words));
        int written =
            times == 1 ? snprintf(text + used, size - used, "%s%s, once", used ? "; " : "", words)
                       : snprintf(text + used, size - used, "%s%s, %u times", used ? "; " : "",
                                  words, times);
        used += (size_t)written;
    }
}
