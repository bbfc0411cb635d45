/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/facts.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* include/linux/proc_ns.h: the inode of the initial pid namespace. */
#define PROC_PID_INIT_INO 0xEFFFFFFCU

#define ANCESTORS_MAX 16

void life_facts_init(struct life_facts *facts)
{
    struct stat own;
    *facts = (struct life_facts){0};
    facts->initial_pid_ns = stat("/proc/self/ns/pid", &own) == 0 && own.st_ino == PROC_PID_INIT_INO;
}

void life_facts_add_kill(struct life_facts *facts, const struct observation *kill)
{
    facts->last_kill_ns = kill->at_ns;
}

/* Is `path` a proper ancestor of `below` in the cgroup tree? */
static bool is_ancestor(const char *path, const char *below)
{
    size_t length = strlen(path);
    if (strcmp(path, "/") == 0)
        return strcmp(below, "/") != 0;
    return strncmp(path, below, length) == 0 && below[length] == '/';
}

static enum kernel_log_scope scope_of(const struct life_facts *facts, const struct kmsg_oom *oom)
{
    if (oom->scope == KMSG_SCOPE_GLOBAL)
        return KERNEL_LOG_HOST;
    if (oom->oom_memcg[0] == '\0')
        return KERNEL_LOG_NONE;
    if (is_ancestor(oom->oom_memcg, facts->kernel_path))
        return KERNEL_LOG_ANCESTOR;
    return KERNEL_LOG_OWN;
}

void life_facts_add_kmsg(struct life_facts *facts, const struct kmsg_oom *oom)
{
    bool main_victim = facts->initial_pid_ns && oom->pid == facts->main_pid;
    switch (oom->kind) {
    case KMSG_OOM_SUMMARY:
        /* The main process's own record decides; a child's counts until that comes. */
        if (facts->kernel_log == KERNEL_LOG_NONE || main_victim)
            facts->kernel_log = scope_of(facts, oom);
        facts->victim_is_main |= main_victim;
        break;
    case KMSG_OOM_KILLED:
        facts->victim_is_main |= main_victim;
        break;
    case KMSG_OOM_GROUP:
        facts->group_kill = true;
        break;
    case KMSG_OOM_REAPED:
    case KMSG_OOM_INVOKED:
    case KMSG_OOM_SELECTED:
    case KMSG_NOT_OOM:
        break;
    }
}

bool life_facts_child_killed(struct life_facts *facts, const struct kmsg_oom *oom)
{
    if (oom->kind != KMSG_OOM_KILLED || !facts->initial_pid_ns)
        return false;
    if (facts->group_kill || facts->oom_group)
        return false;
    if (facts->victim_is_main || oom->pid == 0 || oom->pid == facts->main_pid)
        return false;
    facts->oom_child_told = true;
    return true;
}

bool life_facts_read_oom_group(int cgroup_fd)
{
    char text[16];
    return file_read_text(cgroup_fd, "memory.oom.group", text, sizeof(text)) > 0 && text[0] == '1';
}

static uint64_t mark(int fd, const char *name)
{
    char text[32] = "";
    ssize_t n = fgetxattr(fd, name, text, sizeof(text) - 1);
    return n > 0 ? strtoull(text, NULL, 10) : 0;
}

/* Up to the mount's root, where ".." leaves the file system. */
uint64_t life_facts_oomd_marks(int cgroup_fd)
{
    struct stat first, here;
    uint64_t marks = 0;
    AUTO_CLOSE int fd = openat(cgroup_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &first) < 0)
        return 0;
    for (int level = 0; level < ANCESTORS_MAX && fd >= 0; level++) {
        if (fstat(fd, &here) < 0 || here.st_dev != first.st_dev)
            break;
        marks += mark(fd, "user.oomd_ooms") + mark(fd, "user.oomd_kill");
        int above = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close_fd(&fd);
        fd = above;
    }
    return marks;
}

static struct counter_pair counter(const struct metrics *start, const struct metrics *end,
                                   enum metric metric)
{
    if (!metrics_has(start, metric) || !metrics_has(end, metric))
        return (struct counter_pair){0};
    return (struct counter_pair){
        .known = true,
        .start = start->value[metric],
        .end = end->value[metric],
    };
}

void life_facts_fill(const struct life_facts *facts, const struct observation *end,
                     const char *console_tail, struct death_facts *ret)
{
    const struct metrics *first = &end->end.start;
    const struct metrics *last = &end->end.end;
    bool exited = end->end.wait_code == CLD_EXITED;
    *ret = (struct death_facts){
        .ended = true,
        .by_signal = !exited,
        .signal = exited ? 0 : end->end.wait_status,
        .exit_code = exited ? end->end.wait_status : 0,
        .cgroup_version = facts->cgroup_version,
        .oom = counter(first, last, METRIC_OOM),
        .oom_kill = counter(first, last, METRIC_OOM_KILL),
        .oom_group_kill = counter(first, last, METRIC_OOM_GROUP_KILL),
        .limit_hits = counter(first, last, METRIC_LIMIT_HITS),
        .ancestor_oom =
            {
                .known = end->end.has_ancestor_oom,
                .start = end->end.ancestor_oom[0],
                .end = end->end.ancestor_oom[1],
            },
        .kill_age_known = facts->last_kill_ns != 0,
        .kill_age_ns = facts->last_kill_ns != 0 ? end->at_ns - facts->last_kill_ns : 0,
        .main_ran_after_kill = end->end.main_ran_after_kill,
        .main_dying_after_kill = end->end.main_dying_after_kill,
        .platform_kill = facts->platform_kill,
        .platform_sent_sigkill = facts->platform_sent_sigkill,
        .kernel_log_readable = facts->kernel_log_readable,
        .kernel_log = facts->kernel_log,
        .kernel_log_victim_is_main = facts->victim_is_main,
        .kernel_log_group_kill = facts->group_kill,
        .oomd_xattr = facts->oomd_marks[1] > facts->oomd_marks[0],
        .oomd_log = facts->oomd_log,
        .earlyoom_log = facts->earlyoom_log,
        .console_tail = console_tail,
    };
}

void life_facts_json(const struct life_facts *facts, const struct observation *end,
                     const struct death *death, char *json, size_t size)
{
    struct counter_pair kills = counter(&end->end.start, &end->end.end, METRIC_OOM_KILL);
    char counters[96] = "";
    if (kills.known)
        snprintf(counters, sizeof(counters),
                 ",\"oom_kill\":{\"start\":%" PRIu64 ",\"end\":%" PRIu64 "}", kills.start,
                 kills.end);
    /* Every string here is one of ours: nothing needs escaping. */
    snprintf(json, size, "{\"cause\":\"%s\",\"level\":\"%s\",\"platform_kill\":\"%s\"%s}",
             cause_name(death->cause), level_name(death->level),
             platform_kill_name(facts->platform_kill), counters);
}
