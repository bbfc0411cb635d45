/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/killer_log.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const char *const NAMES[] = {
    [KILLER_OOMD] = "systemd-oomd",
    [KILLER_EARLYOOM] = "earlyoom",
};

const char *killer_name(enum killer killer)
{
    return NAMES[killer];
}

enum killer killer_of_name(const char *name, size_t length)
{
    for (enum killer killer = KILLER_OOMD; killer <= KILLER_EARLYOOM; killer++)
        if (strlen(NAMES[killer]) == length && memcmp(NAMES[killer], name, length) == 0)
            return killer;
    return KILLER_NONE;
}

static bool skip(const char **text, const char *prefix)
{
    size_t length = strlen(prefix);
    if (strncmp(*text, prefix, length) != 0)
        return false;
    *text += length;
    return true;
}

/* What stands before `end`, unless it is empty or too long. */
static bool copy_until(const char *text, const char *end, char *ret, size_t size)
{
    size_t length = end ? (size_t)(end - text) : 0;
    if (length == 0 || length >= size)
        return false;
    memcpy(ret, text, length);
    ret[length] = '\0';
    return true;
}

/* "Killed /a/b.scope due to memory used (1) / total (2) and swap used ..." and "... due to memory
 * pressure for /a being 71.00% > 50.00% for > 20s with reclaim activity" (src/oom/oomd-manager.c).
 * A cgroup whose name holds the reason's own words is cut there. */
static bool parse_oomd(const char *message, struct killer_log *ret)
{
    static const char *const REASONS[] = {" due to memory used (", " due to memory pressure for "};
    const char *text = message;
    if (!skip(&text, "Killed ") || *text != '/')
        return false;
    for (size_t i = 0; i < sizeof(REASONS) / sizeof(REASONS[0]); i++)
        if (copy_until(text, strstr(text, REASONS[i]), ret->cgroup, sizeof(ret->cgroup))) {
            ret->signal = SIGKILL;
            return true;
        }
    return false;
}

/* earlyoom(1): `sending SIGKILL to process 1234 uid 1000 "name": badness 900, VmRSS 12 MiB`; up to
 * 1.5 the uid is not there. */
static bool parse_earlyoom(const char *message, struct killer_log *ret)
{
    const char *text = message;
    if (skip(&text, "sending SIGKILL to process "))
        ret->signal = SIGKILL;
    else if (skip(&text, "sending SIGTERM to process "))
        ret->signal = SIGTERM;
    else
        return false;
    char *end;
    long pid = strtol(text, &end, 10);
    if (end == text || pid <= 0 || pid > INT32_MAX)
        return false;
    ret->pid = (pid_t)pid;
    const char *name = strchr(end, '"');
    if (name)
        copy_until(name + 1, strstr(name + 1, "\": "), ret->comm, sizeof(ret->comm));
    return true;
}

bool killer_log_parse(enum killer killer, const char *message, struct killer_log *ret)
{
    *ret = (struct killer_log){.killer = killer};
    switch (killer) {
    case KILLER_OOMD:
        return parse_oomd(message, ret);
    case KILLER_EARLYOOM:
        return parse_earlyoom(message, ret);
    case KILLER_NONE:
        break;
    }
    return false;
}
