/* SPDX-License-Identifier: Apache-2.0 */
#include "report/words.h"

#include "report/text.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct word {
    const char *term, *text;
};

static const char *find(const struct word *words, size_t count, const char *term)
{
    for (size_t i = 0; term && i < count; i++) {
        if (strcmp(words[i].term, term) == 0)
            return words[i].text;
    }
    return term ? term : "not known";
}
#define FIND(words, term) find(words, sizeof(words) / sizeof((words)[0]), term)

const char *words_class(const char *verdict_class)
{
    static const struct word words[] = {
        {"leak", "memory leak"},
        {"startup-demand", "needs more memory to start than the limit allows"},
        {"peak-demand", "needs more memory at peak than the limit allows"},
        {"bounded-cache", "a cache that fills and then levels off"},
        {"reclaimable-cache", "page cache that the kernel takes back on demand"},
        {"stable", "stable"},
        {"not-memory", "not a memory problem"},
        {"inconclusive", "not settled by this evidence"},
    };
    return FIND(words, verdict_class);
}

const char *words_class_meaning(const char *verdict_class)
{
    static const struct word words[] = {
        {"leak", "The process keeps memory that it should have released. More memory does not cure "
                 "that, it only moves the next kill; the code must release the memory."},
        {"startup-demand",
         "The process needs more memory before it can serve its first request than "
         "its limit allows. It will be killed at every start until the limit is "
         "higher or the start needs less."},
        {"peak-demand",
         "The work needs more memory for a while than the limit allows, and gives it "
         "back afterwards. A limit above that peak cures this; so does less work at a time."},
        {"bounded-cache", "Memory grows while a cache fills and then stays level. It needs a limit "
                          "above that level, not a fix."},
        {"reclaimable-cache",
         "The growth is page cache, which the kernel takes back when memory gets "
         "short. It is not a problem."},
        {"stable",
         "Memory stays level under this traffic. There is no sign of a leak, and the limit "
         "fits."},
        {"not-memory", "Memory is not what went wrong here. A larger limit will not "
                       "help."},
        {"inconclusive", "The evidence does not settle the question; see what would settle it."},
    };
    return FIND(words, verdict_class);
}

bool words_class_is_bad(const char *verdict_class)
{
    static const char *const good[] = {"stable", "bounded-cache", "reclaimable-cache"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (verdict_class && strcmp(good[i], verdict_class) == 0)
            return false;
    }
    return true;
}

const char *words_cause(const char *cause)
{
    static const struct word words[] = {
        {"oom-container-limit",
         "killed by the kernel's OOM killer: the container's own memory limit"},
        {"oom-ancestor-limit", "killed by the kernel's OOM killer: the limit of a cgroup above"},
        {"oom-host", "killed by the kernel's OOM killer: the whole machine ran out of memory"},
        {"oom-userspace-killer", "killed by a user-space OOM killer (systemd-oomd or earlyoom)"},
        {"runtime-out-of-memory", "gave up by itself: the language runtime's own memory limit"},
        {"killed-by-platform", "stopped by the platform (oomlab itself)"},
        {"killed-externally",
         "killed by SIGKILL from somebody else, not by the kernel's OOM killer"},
        {"signalled", "ended by a signal"},
        {"exited", "exited by itself"},
        {"running", "still running when the arm ended"},
        {"unknown", "not known"},
    };
    return FIND(words, cause);
}

const char *words_level(const char *level)
{
    static const struct word words[] = {
        {"Measured", "read from a counter or a clock"},
        {"Observed", "a record was seen, such as a line of the kernel log"},
        {"Correlated", "happened together, without proof of a cause"},
        {"Strongly Suggested", "several findings point to it, none proves it"},
        {"Inferred", "follows from other statements and an assumption"},
        {"Not Proven", "said, but not shown"},
    };
    return FIND(words, level);
}

const char *words_action(const char *action)
{
    static const struct word words[] = {
        {"fix-leak", "Fix the leak"},
        {"raise-limit", "Raise the memory limit"},
        {"keep-limit", "Keep the limit"},
        {"investigate", "Investigate further"},
    };
    return FIND(words, action);
}

const char *words_ended(const char *ended_because, const char *stop_reason)
{
    static const struct word words[] = {
        {"sequence-complete", "all requests were sent"},
        {"settled", "its question was settled"},
        {"kill-stop", "enough kills were seen"},
        {"deadline", "its time was up"},
        {"interrupted", "interrupted"},
        {"failed", "the container could not be started"},
        {"crash-loop", "it kept ending by itself"},
        {"never-ready", "it never became ready"},
    };
    if (!ended_because)
        return "not recorded";
    if (stop_reason && strcmp(ended_because, "sequence-complete") == 0)
        return "its budget was spent";
    return FIND(words, ended_because);
}

const char *words_metric(const char *metric)
{
    static const struct word words[] = {
        {"requests-to-kill", "requests until the next kill"},
        {"seconds-to-kill", "seconds until the next kill"},
        {"kills", "kills"},
        {"killed", "whether it is killed"},
    };
    return FIND(words, metric);
}

static bool is_yes_or_no(const char *metric)
{
    return metric && strcmp(metric, "killed") == 0;
}

const char *words_observed(const char *metric, double value, char text[static WORDS_RANGE_MAX])
{
    char number[FIGURE_TEXT_MAX];
    if (is_yes_or_no(metric) && isfinite(value))
        snprintf(text, WORDS_RANGE_MAX, "%s", value > 0.5 ? "killed" : "not killed");
    else
        snprintf(text, WORDS_RANGE_MAX, "%s", figure_number(value, 1, number));
    return text;
}

const char *words_range(const char *metric, double low, double high,
                        char text[static WORDS_RANGE_MAX])
{
    char from[FIGURE_TEXT_MAX];
    char to[FIGURE_TEXT_MAX];
    if (is_yes_or_no(metric) && (low > 0.5) == (high > 0.5))
        return words_observed(metric, low, text);
    snprintf(text, WORDS_RANGE_MAX, "%s to %s", figure_number(low, 1, from),
             figure_number(high, 1, to));
    return text;
}
