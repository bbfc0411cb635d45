/* SPDX-License-Identifier: Apache-2.0 */
/* The pairing of summaries and kill lines. They share the pid; before 5.0 the summary has none and
 * is simply the last one before. Two processors' reports can be interleaved, and a rate-limited
 * report has no summary at all. */
#include "import/kernel_kills.h"

#include "base/duration.h"
#include "import/cgroup_ids.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A limit this large is none: 2^63 rounded down to pages, in KiB. */
#define UNLIMITED_KIB 9007199254740000.0
/* Within this time the same pid is the same process. */
#define SAME_KILL_NS NS_PER_S

void kernel_kills_init(struct kernel_kills *kills)
{
    *kills = (struct kernel_kills){.usage_bytes = NAN, .limit_bytes = NAN};
}

static void fill_place(struct fact *fact, const char *cgroup, struct cgroup_ids *ids)
{
    if (cgroup[0] == '\0')
        return;
    cgroup_ids_read(cgroup, ids);
    fact->place.cgroup = cgroup;
    fact->place.container_id = ids->container_id[0] ? ids->container_id : NULL;
    fact->place.pod_uid = ids->pod_uid[0] ? ids->pod_uid : NULL;
}

struct moment {
    int64_t at_ns, boot_ns;
    uint64_t line;
};

static void fact_at(struct fact *fact, enum fact_kind kind, struct moment moment)
{
    fact_init(fact, kind, ORIGIN_KERNEL_LOG, moment.line);
    fact->at_ns = moment.at_ns;
    fact->boot_ns = moment.boot_ns;
}

/* The report's own figures belong to the cgroup whose limit fired; only when that is the victim's
 * own are they this container's. */
static int give_figures(struct kernel_kills *kills, const struct kmsg_oom *oom,
                        struct moment moment, const struct fact_sink *sink, struct error *err)
{
    struct cgroup_ids ids;
    struct fact fact;
    double usage = kills->usage_bytes, limit = kills->limit_bytes;
    kills->usage_bytes = kills->limit_bytes = NAN;
    if (oom->oom_memcg[0] == '\0' || strcmp(oom->oom_memcg, oom->task_memcg) != 0)
        return 0;
    int r = 0;
    if (!isnan(limit)) {
        fact_at(&fact, FACT_LIMIT, moment);
        fill_place(&fact, oom->task_memcg, &ids);
        fact.value = limit;
        r = fact_give(sink, &fact, err);
    }
    if (r >= 0 && !isnan(usage)) {
        fact_at(&fact, FACT_SAMPLE, moment);
        fill_place(&fact, oom->task_memcg, &ids);
        fact.metric = METRIC_USAGE;
        fact.value = usage;
        r = fact_give(sink, &fact, err);
    }
    return r;
}

static int give_kill(struct kernel_kills *kills, const struct kmsg_oom *oom, struct moment moment,
                     const char *text, const char *reason, const struct fact_sink *sink,
                     struct error *err)
{
    struct cgroup_ids ids;
    struct fact fact;
    int r = give_figures(kills, oom, moment, sink, err);
    if (r < 0)
        return r;
    fact_at(&fact, FACT_OOM_KILL, moment);
    fill_place(&fact, oom->task_memcg[0] ? oom->task_memcg : oom->oom_memcg, &ids);
    fact.oom = oom;
    fact.text = text;
    fact.reason = reason;
    return fact_give(sink, &fact, err);
}

static int flush_slot(struct kernel_kills *kills, struct kernel_summary *slot,
                      const struct fact_sink *sink, struct error *err)
{
    if (!slot->used)
        return 0;
    slot->used = false;
    struct moment moment = {slot->at_ns, slot->boot_ns, slot->line};
    const char *reason = slot->sole ? KERNEL_KILLS_SOLE : NULL;
    return give_kill(kills, &slot->oom, moment, slot->text, reason, sink, err);
}

static int take_summary(struct kernel_kills *kills, const struct kmsg_oom *oom,
                        struct moment moment, const char *text, const struct fact_sink *sink,
                        struct error *err)
{
    struct kernel_summary *slot = &kills->pending[kills->next++ % KERNEL_KILLS_PENDING];
    double usage = kills->usage_bytes, limit = kills->limit_bytes;
    int r = flush_slot(kills, slot, sink, err);
    kills->usage_bytes = usage;
    kills->limit_bytes = limit;
    slot->used = true;
    slot->sole = kills->in_report && kills->tasks == 1 && oom->pid != 0 && kills->task == oom->pid;
    slot->oom = *oom;
    slot->at_ns = moment.at_ns;
    slot->boot_ns = moment.boot_ns;
    slot->line = moment.line;
    snprintf(slot->text, sizeof(slot->text), "%s", text);
    kills->in_group = false;
    kills->in_report = false;
    return r;
}

/* The summary of this kill line: same pid, else the latest without one. */
static struct kernel_summary *find_summary(struct kernel_kills *kills, pid_t pid)
{
    struct kernel_summary *found = NULL;
    for (size_t i = 0; i < KERNEL_KILLS_PENDING; i++) {
        struct kernel_summary *slot = &kills->pending[(kills->next + i) % KERNEL_KILLS_PENDING];
        if (slot->used && slot->oom.pid == pid)
            return slot;
        if (slot->used && slot->oom.pid == 0)
            found = slot;
    }
    return found;
}

static bool close_in_time(int64_t a, int64_t b)
{
    return a != FACT_TIME_UNKNOWN && b != FACT_TIME_UNKNOWN && a - b <= SAME_KILL_NS &&
           b - a <= SAME_KILL_NS;
}

/* `whole`: the line tells that nothing in the cgroup was left, which is worth telling once. */
static bool told_already(struct kernel_kills *kills, pid_t pid, struct moment moment, bool whole)
{
    for (size_t i = 0; i < KERNEL_KILLS_PENDING; i++) {
        bool timeless = moment.at_ns == FACT_TIME_UNKNOWN && moment.boot_ns == FACT_TIME_UNKNOWN;
        if (kills->recent[i].pid == pid &&
            (timeless || close_in_time(kills->recent[i].at_ns, moment.at_ns) ||
             close_in_time(kills->recent[i].boot_ns, moment.boot_ns))) {
            bool news = whole && !kills->recent[i].whole;
            kills->recent[i].whole = kills->recent[i].whole || whole;
            return !news;
        }
    }
    size_t at = kills->next_recent++ % KERNEL_KILLS_PENDING;
    kills->recent[at].pid = pid;
    kills->recent[at].at_ns = moment.at_ns;
    kills->recent[at].boot_ns = moment.boot_ns;
    kills->recent[at].whole = whole;
    return false;
}

static void copy_cgroup(char *to, const char *from)
{
    if (to[0] == '\0')
        memcpy(to, from, KMSG_CGROUP_MAX);
}

/* A summary cannot tell a cgroup "/a,task=x" with a task "y" from "/a" with "x,task=y"; the kill
 * line has the name alone. */
static void settle_name(struct kmsg_oom *summary, const char *comm)
{
    static const char key[] = ",task=";
    size_t whole = strlen(summary->comm), name = strlen(comm), used = strlen(summary->task_memcg);
    size_t both = name + sizeof(key) - 1;
    if (name == 0 || whole <= both || strcmp(summary->comm + whole - name, comm) != 0 ||
        memcmp(summary->comm + whole - both, key, sizeof(key) - 1) != 0)
        return;
    snprintf(summary->task_memcg + used, sizeof(summary->task_memcg) - used, "%s%.*s", key,
             (int)(whole - both), summary->comm);
}

static int take_killed(struct kernel_kills *kills, struct kmsg_oom *oom, struct moment moment,
                       const char *text, const struct fact_sink *sink, struct error *err)
{
    struct kernel_summary *slot = find_summary(kills, oom->pid);
    const char *reason = slot && slot->sole ? KERNEL_KILLS_SOLE : NULL;
    if (oom->scope == KMSG_SCOPE_UNKNOWN)
        oom->scope = kills->selected_scope;
    kills->selected_scope = KMSG_SCOPE_UNKNOWN;
    kills->in_report = false;
    if (slot && !(slot->oom.pid == 0 && oom->scope == KMSG_SCOPE_GLOBAL)) {
        slot->used = false;
        settle_name(&slot->oom, oom->comm);
        copy_cgroup(oom->oom_memcg, slot->oom.oom_memcg);
        copy_cgroup(oom->task_memcg, slot->oom.task_memcg);
        if (oom->scope == KMSG_SCOPE_UNKNOWN || slot->oom.scope == KMSG_SCOPE_GLOBAL)
            oom->scope = slot->oom.scope;
    } else if (kills->in_group && oom->scope != KMSG_SCOPE_GLOBAL) {
        copy_cgroup(oom->task_memcg, kills->group);
        copy_cgroup(oom->oom_memcg, kills->group_oom);
        reason = KERNEL_KILLS_GROUP;
    }
    /* A summary of its own tells a second kill of a pid that came round again; the group's line
     * tells of the same kill that it was everyone's. */
    if (told_already(kills, oom->pid, moment, reason != NULL) && !slot)
        return 0;
    copy_cgroup(kills->group_oom, oom->oom_memcg);
    if (oom->oom_memcg[0])
        memcpy(kills->group_oom, oom->oom_memcg, sizeof(kills->group_oom));
    return give_kill(kills, oom, moment, text, reason, sink, err);
}

static void take_group(struct kernel_kills *kills, const struct kmsg_oom *oom)
{
    kills->in_group = true;
    memcpy(kills->group, oom->task_memcg, sizeof(kills->group));
}

/* "memory: usage 24576kB, limit 24576kB, failcnt 45", within a report. */
static void take_figures(struct kernel_kills *kills, const char *text)
{
    double usage, limit;
    if (!kills->in_report ||
        sscanf(text, "memory: usage %lfkB, limit %lfkB", &usage, &limit) != 2 || usage < 0)
        return;
    kills->usage_bytes = usage * 1024;
    kills->limit_bytes = limit > 0 && limit < UNLIMITED_KIB ? limit * 1024 : NAN;
}

/* "[    686]     0   686     7641     5940 …", within a report: pid, uid, tgid. */
static void take_task(struct kernel_kills *kills, const char *text)
{
    int pid, tgid;
    unsigned uid;
    if (!kills->in_report || sscanf(text, "[%d] %u %d", &pid, &uid, &tgid) != 3)
        return;
    kills->tasks++;
    kills->task = pid;
}

static void take_invoked(struct kernel_kills *kills)
{
    kills->tasks = 0;
    kills->in_report = true;
    kills->in_group = false;
    kills->usage_bytes = kills->limit_bytes = NAN;
    kills->selected_scope = KMSG_SCOPE_UNKNOWN;
}

static int take(struct kernel_kills *kills, struct kmsg_oom *oom, struct moment moment,
                const char *text, const struct fact_sink *sink, struct error *err)
{
    switch (oom->kind) {
    case KMSG_OOM_SUMMARY:
        return take_summary(kills, oom, moment, text, sink, err);
    case KMSG_OOM_KILLED:
        return take_killed(kills, oom, moment, text, sink, err);
    case KMSG_OOM_GROUP:
        take_group(kills, oom);
        return 0;
    case KMSG_OOM_INVOKED:
        take_invoked(kills);
        return 0;
    case KMSG_OOM_SELECTED:
        kills->selected_scope = oom->scope;
        return 0;
    case KMSG_NOT_OOM:
        take_figures(kills, text);
        take_task(kills, text);
        return 0;
    case KMSG_OOM_REAPED:
        return 0;
    }
    return 0;
}

/* A user-space killer's own word. It names a cgroup, or only a process: then that is all there is
 * to call the victim by. */
static int give_killer(enum killer killer, const char *text, struct moment moment,
                       const struct fact_sink *sink, struct error *err)
{
    struct killer_log log;
    struct cgroup_ids ids;
    struct fact fact;
    if (!killer_log_parse(killer, text, &log))
        return 0;
    struct kmsg_oom victim = {.kind = KMSG_NOT_OOM, .pid = log.pid};
    memcpy(victim.task_memcg, log.cgroup, sizeof(victim.task_memcg));
    memcpy(victim.comm, log.comm, sizeof(victim.comm));
    fact_at(&fact, FACT_KILLER_KILL, moment);
    fact.origin = ORIGIN_KILLER_LOG;
    fill_place(&fact, log.cgroup, &ids);
    if (log.cgroup[0] == '\0')
        fact.place.container = log.comm[0] ? log.comm : "process";
    fact.signal = log.signal;
    fact.reason = killer_name(killer);
    fact.text = text;
    fact.oom = &victim;
    return fact_give(sink, &fact, err);
}

static int give_announced(struct kernel_kills *kills, const struct fact_sink *sink,
                          struct error *err)
{
    struct announced_kill *announced = &kills->announced;
    if (!announced->used)
        return 0;
    announced->used = false;
    struct moment moment = {announced->at_ns, announced->boot_ns, announced->line};
    return give_killer(KILLER_EARLYOOM, announced->text, moment, sink, err);
}

/* earlyoom writes before it sends, and then whether it failed or was not to send at all. */
static int take_killer(struct kernel_kills *kills, const struct kernel_log_line *line,
                       struct moment moment, const struct fact_sink *sink, struct error *err)
{
    static const char failed[] = "kill failed", dryrun[] = "dryrun,";
    if (line->killer != KILLER_EARLYOOM)
        return give_killer(line->killer, line->text, moment, sink, err);
    if (strncmp(line->text, failed, sizeof(failed) - 1) == 0 ||
        strncmp(line->text, dryrun, sizeof(dryrun) - 1) == 0) {
        kills->announced.used = false;
        return 0;
    }
    struct killer_log ignored;
    if (!killer_log_parse(line->killer, line->text, &ignored))
        return 0;
    int r = give_announced(kills, sink, err);
    kills->announced = (struct announced_kill){true, moment.at_ns, moment.boot_ns, moment.line, ""};
    snprintf(kills->announced.text, sizeof(kills->announced.text), "%s", line->text);
    return r;
}

int kernel_kills_line(struct kernel_kills *kills, const struct kernel_log_line *line,
                      uint64_t number, const struct fact_sink *sink, struct error *err)
{
    struct kmsg_oom oom;
    if (line->form == KERNEL_LOG_FOREIGN)
        return 0;
    struct moment moment = {line->at_ns, line->boot_ns, number};
    bool killer = line->form == KERNEL_LOG_KILLER;
    if (killer)
        oom.kind = KMSG_NOT_OOM;
    else
        kmsg_parse_oom(line->text, &oom);
    if (line->no_year && !kills->warned_year && (killer || oom.kind != KMSG_NOT_OOM)) {
        kills->warned_year = true;
        fact_warn(sink, number,
                  "times without a year or a zone: taken for the latest year that is not in the "
                  "future, and for UTC");
    }
    if (killer)
        return take_killer(kills, line, moment, sink, err);
    return take(kills, &oom, moment, line->text, sink, err);
}

int kernel_kills_end(struct kernel_kills *kills, const struct fact_sink *sink, struct error *err)
{
    int r = give_announced(kills, sink, err);
    kills->usage_bytes = kills->limit_bytes = NAN;
    for (size_t i = 0; i < KERNEL_KILLS_PENDING && r >= 0; i++)
        r = flush_slot(kills, &kills->pending[(kills->next + i) % KERNEL_KILLS_PENDING], sink, err);
    return r < 0 ? r : 0;
}
