/* SPDX-License-Identifier: Apache-2.0 */
#include "report/story_ends.h"

#include "base/size.h"
#include "base/terms.h"
#include "report/text.h"

#include <math.h>
#include <string.h>

static const struct memory_end MEMORY_ENDS[] = {
    {"oom-container-limit", "The kernel's OOM killer", "Its own, %s",
     "The kernel killed it at its own %s limit"},
    {"oom-ancestor-limit", "The kernel's OOM killer", "That of a group above it, not its own %s",
     "The kernel killed it at the limit of a group above it, not at its own %s limit"},
    {"oom-host", "The kernel's OOM killer", "None: the whole machine was short, not its %s",
     "The kernel killed it because the whole machine was short of memory, not at its own %s limit"},
    {"oom-userspace-killer", "A user-space OOM killer (systemd-oomd, earlyoom)",
     "None of the kernel's; its own is %s",
     "A user-space OOM killer ended it, below its own %s limit"},
    {"runtime-out-of-memory", "Its own language runtime", "The runtime's own, below %s",
     "Its own language runtime ran out of memory, below its container's %s limit"},
};

static const struct other_end OTHER_ENDS[] = {
    {"killed-externally", "was killed by SIGKILL from somebody else, not by the kernel",
     "Somebody else, by SIGKILL; not the kernel, for memory"},
    {"signalled", "was ended by a signal, not for its memory",
     "Nobody, for memory: a signal ended it"},
    {"exited", "exited by itself, not for its memory", "Nobody: it exited by itself"},
    {"unknown", "ended, and by whom is not known", "Not known: its end was not recorded"},
};

bool ends_is(const json_t *lifetime, const char *cause)
{
    return is_text(lifetime, "end.cause", cause);
}

unsigned ends_count(const json_t *arm, const char *cause)
{
    unsigned count = 0;
    size_t index;
    json_t *lifetime;
    json_array_foreach(json_object_get(arm, "lifetimes"), index, lifetime) count +=
        ends_is(lifetime, cause);
    return count;
}

double ends_in_run(const struct story *story, const char *cause)
{
    double count = 0;
    size_t index;
    json_t *arm;
    if (cause_is_kernel_kill(cause_parse(cause)))
        return total_kills(story);
    json_array_foreach((json_t *)story->arms, index, arm) count += ends_count(arm, cause);
    return count;
}

const json_t *ends_first(const json_t *arm, const char *cause)
{
    size_t index;
    json_t *lifetime;
    json_array_foreach(json_object_get(arm, "lifetimes"), index, lifetime)
    {
        if (ends_is(lifetime, cause))
            return lifetime;
    }
    return NULL;
}

const struct memory_end *ends_main(const json_t *arm, unsigned *ret_count)
{
    const struct memory_end *found = NULL;
    *ret_count = 0;
    for (size_t i = 0; i < sizeof(MEMORY_ENDS) / sizeof(MEMORY_ENDS[0]); i++) {
        unsigned count = ends_count(arm, MEMORY_ENDS[i].cause);
        if (count > *ret_count) {
            *ret_count = count;
            found = &MEMORY_ENDS[i];
        }
    }
    return found;
}

const struct other_end *ends_other(const json_t *arm)
{
    for (size_t i = 0; i < sizeof(OTHER_ENDS) / sizeof(OTHER_ENDS[0]); i++) {
        if (ends_count(arm, OTHER_ENDS[i].cause) > 0)
            return &OTHER_ENDS[i];
    }
    return NULL;
}

unsigned ends_restarts(const json_t *arm, const char *probe)
{
    unsigned count = 0;
    size_t index;
    json_t *lifetime;
    json_array_foreach(json_object_get(arm, "lifetimes"), index, lifetime) count +=
        is_text(lifetime, "end.platform_kill", probe);
    return count;
}

const char *ends_limit_text(double bytes, char text[static FIGURE_TEXT_MAX])
{
    double mebibytes = bytes / (double)MIB;
    if (!isfinite(bytes))
        snprintf(text, FIGURE_TEXT_MAX, "(not recorded)");
    else if (mebibytes >= 1024 && fmod(mebibytes, 1024) == 0)
        snprintf(text, FIGURE_TEXT_MAX, "%.0f GiB", mebibytes / 1024);
    else if (fmod(mebibytes, 1) == 0)
        snprintf(text, FIGURE_TEXT_MAX, "%.0f MiB", mebibytes);
    else
        figure_bytes(bytes, text);
    return text;
}
