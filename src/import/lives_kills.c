/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's kills, and the user-space killers', among a container's rows: told twice they are
 * one, and each belongs to the end that it made. */
#include "import/lives_walk.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>

#define KILL_NEAR_NS (10 * NS_PER_S)
#define GROUP_NS     (100 * NS_PER_MS) /* one report: no new process can start in between */

static int read_kill_texts(struct walk *walk, const struct row *row, struct recorded_kill *ret,
                           struct error *err)
{
    sqlite3_stmt *found = NULL;
    int r = store_prepare(walk->store,
                          "SELECT oom_memcg, task_memcg, comm, pid FROM fact WHERE id = ?1", &found,
                          err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(found, 1, row->id);
    if (sqlite3_step(found) == SQLITE_ROW) {
        lives_copy(ret->oom_memcg, sizeof(ret->oom_memcg),
                   (const char *)sqlite3_column_text(found, 0));
        lives_copy(ret->task_memcg, sizeof(ret->task_memcg),
                   (const char *)sqlite3_column_text(found, 1));
        lives_copy(ret->comm, sizeof(ret->comm), (const char *)sqlite3_column_text(found, 2));
        ret->pid = sqlite3_column_int64(found, 3);
    }
    sqlite3_finalize(found);
    return 0;
}

static bool same_kill(const struct recorded_kill *a, const struct recorded_kill *b)
{
    if (a->from_log != b->from_log || a->killer != b->killer)
        return false;
    if (a->pid != b->pid) /* the others of a group */
        return b->whole && b->task_memcg[0] && strcmp(a->task_memcg, b->task_memcg) == 0 &&
               (lives_near(a->at_ns, b->at_ns, GROUP_NS) ||
                lives_near(a->boot_ns, b->boot_ns, GROUP_NS));
    return lives_near(a->at_ns, b->at_ns, a->pid ? KILL_NEAR_NS : SAME_NS) ||
           (a->at_ns == b->at_ns && lives_near(a->boot_ns, b->boot_ns, KILL_NEAR_NS));
}

static void complete(struct recorded_kill *kill, const struct recorded_kill *other)
{
    if (kill->scope == KMSG_SCOPE_UNKNOWN)
        kill->scope = other->scope;
    if (!kill->oom_memcg[0])
        memcpy(kill->oom_memcg, other->oom_memcg, sizeof(kill->oom_memcg));
    if (!kill->task_memcg[0])
        memcpy(kill->task_memcg, other->task_memcg, sizeof(kill->task_memcg));
    if (!kill->comm[0])
        memcpy(kill->comm, other->comm, sizeof(kill->comm));
    kill->sigterm = kill->sigterm || other->sigterm;
    kill->whole = kill->whole || other->whole;
    if (kill->fact_count < LIFE_FACTS_MAX)
        kill->facts[kill->fact_count++] = other->facts[0];
}

int lives_walk_kill(struct walk *walk, const struct row *row, struct error *err)
{
    bool by_killer = row->kind == FACT_KILLER_KILL, from_log = row->oom_kind >= 0;
    if (from_log && !by_killer && row->oom_kind != KMSG_OOM_SUMMARY &&
        row->oom_kind != KMSG_OOM_KILLED)
        return 0;
    struct recorded_kill kill = {
        .at_ns = row->at_ns,
        .boot_ns = row->boot_ns,
        .scope = row->scope,
        .from_log = from_log,
        .whole = from_log && !by_killer && row->reason[0] != '\0',
        .killer = by_killer ? killer_of_name(row->reason, strlen(row->reason)) : KILLER_NONE,
        .sigterm = by_killer && row->signal == SIGTERM,
        .count = row->count,
        .facts = {row->id},
        .fact_count = 1};
    int r = read_kill_texts(walk, row, &kill, err);
    if (r < 0)
        return r;
    struct lives *lives = walk->lives;
    for (size_t i = lives->kill_count; i-- > 0 && i + 64 > lives->kill_count;) {
        if (same_kill(&lives->kills[i], &kill)) {
            complete(&lives->kills[i], &kill);
            return 0;
        }
    }
    struct recorded_kill *grown = lives_grow(lives->kills, lives->kill_count, sizeof(*grown));
    if (!grown)
        return error_errno(err, ENOMEM, "telling the kills apart");
    lives->kills = grown;
    lives->kills[lives->kill_count++] = kill;
    return 0;
}

/* A kernel's kill that names no cgroup may have been anybody's: only a SIGKILL at that very moment
 * is likely to be it. */
static bool unnamed_fits(const struct recorded_kill *kill, const struct life *life)
{
    bool sigkill = life->exit_code == FACT_CODE_UNKNOWN || life->exit_code == 128 + SIGKILL;
    return sigkill && lives_near(life->end_ns, kill->at_ns, SAME_NS);
}

/* A user-space killer's kill makes an end by its signal, and none that the platform puts down to
 * the kernel. */
static bool may_have_made(const struct recorded_kill *kill, const struct life *life)
{
    if (kill->killer == KILLER_NONE)
        return !kill->from_log || kill->task_memcg[0] || kill->oom_memcg[0] ||
               unnamed_fits(kill, life);
    bool fits = life->exit_code == FACT_CODE_UNKNOWN || life->exit_code == 128 + SIGKILL ||
                (kill->sigterm && life->exit_code == 128 + SIGTERM);
    return fits && !life->oom_killed;
}

/* The kernel's kills have the first choice of the ends; among equals the nearer one has. */
static bool has_better(const struct life *life, const struct recorded_kill *kill)
{
    if (!life->kill)
        return false;
    if ((life->kill->killer == KILLER_NONE) != (kill->killer == KILLER_NONE))
        return true;
    return llabs(life->end_ns - life->kill->at_ns) <= llabs(life->end_ns - kill->at_ns);
}

/* The nearest end in time that has no better kill. */
static struct life *end_of_kill(const struct lives *lives, const struct recorded_kill *kill)
{
    struct life *best = NULL;
    int64_t distance = KILL_NEAR_NS;
    for (size_t i = 0; i < lives->count; i++) {
        struct life *life = &lives->items[i];
        if (!life->ended || !may_have_made(kill, life) || has_better(life, kill) ||
            !lives_near(life->end_ns, kill->at_ns, distance))
            continue;
        distance = llabs(life->end_ns - kill->at_ns);
        best = life;
    }
    return best;
}

/* Each end gets the kill nearest to it: after quick restarts the kill of a lifetime before is near,
 * too, and gives way. It then looks for an end of its own. */
static void pair_kills_with_ends(struct lives *lives, bool by_killer)
{
    for (size_t i = 0; i < lives->kill_count; i++) {
        const struct recorded_kill *kill = &lives->kills[i];
        if ((kill->killer != KILLER_NONE) != by_killer)
            continue;
        struct life *life;
        while (kill && (life = end_of_kill(lives, kill)) != NULL) {
            const struct recorded_kill *gives_way = life->kill;
            life->kill = kill;
            kill = gives_way;
        }
    }
}

static bool made_an_end(const struct lives *lives, const struct recorded_kill *kill)
{
    for (size_t i = 0; i < lives->count; i++) {
        if (lives->items[i].kill == kill)
            return true;
    }
    return false;
}

static int life_of_kill(struct walk *walk, struct recorded_kill *kill)
{
    struct life *life = lives_add(walk);
    if (!life)
        return -ENOMEM;
    life->ended = true;
    life->end_ns = kill->at_ns;
    life->boot_ns = kill->boot_ns;
    life->origin = kill->killer     ? ORIGIN_KILLER_LOG
                   : kill->from_log ? ORIGIN_KERNEL_LOG
                                    : ORIGIN_PROMETHEUS;
    life->kill = kill;
    life->rows = kill->fact_count;
    memcpy(life->facts, kill->facts, sizeof(life->facts));
    life->fact_count = kill->fact_count;
    return 0;
}

/* A counter rose near an end that no row tells, but the restart counter or the next start shows. */
static struct life *unseen_end_of_kill(const struct lives *lives, const struct recorded_kill *kill)
{
    struct life *best = NULL;
    int64_t distance = SCRAPE_NS;
    for (size_t i = 0; !kill->from_log && i < lives->count; i++) {
        struct life *life = &lives->items[i];
        int64_t start_ns = i + 1 < lives->count ? lives->items[i + 1].start_ns : FACT_TIME_UNKNOWN;
        int64_t next_ns = start_ns != FACT_TIME_UNKNOWN ? start_ns : life->gone_ns;
        bool running = life->start_ns == FACT_TIME_UNKNOWN || kill->at_ns >= life->start_ns;
        if (!life->ended || life->kill || life->end_ns != FACT_TIME_UNKNOWN || !running ||
            !lives_near(next_ns, kill->at_ns, distance))
            continue;
        distance = llabs(next_ns - kill->at_ns);
        best = life;
    }
    return best;
}

/* The kernel killed there at the same moment: what the user-space killer found was over. */
static bool kernel_was_first(const struct lives *lives, const struct recorded_kill *kill)
{
    for (size_t i = 0; i < lives->kill_count; i++) {
        const struct recorded_kill *other = &lives->kills[i];
        int64_t within = kill->pid && kill->pid == other->pid ? KILL_NEAR_NS : SAME_NS;
        if (other->killer == KILLER_NONE && (lives_near(kill->at_ns, other->at_ns, within) ||
                                             lives_near(kill->boot_ns, other->boot_ns, within)))
            return true;
    }
    return false;
}

/* Logs alone know ends by their kills only. */
static int settle_alone(struct walk *walk)
{
    struct lives *lives = walk->lives;
    int r = 0;
    for (size_t i = 0; i < lives->kill_count && r == 0; i++) {
        struct recorded_kill *kill = &lives->kills[i];
        if (kill->killer == KILLER_NONE || !kernel_was_first(lives, kill))
            r = life_of_kill(walk, kill);
    }
    return r;
}

/* A kill in the cgroup before its first known start, which made no end that is known. */
static bool is_earlier(const struct lives *lives, int64_t start_ns,
                       const struct recorded_kill *kill)
{
    return kill->from_log && kill->killer == KILLER_NONE && kill->at_ns != FACT_TIME_UNKNOWN &&
           kill->at_ns < start_ns && !made_an_end(lives, kill);
}

/* What was added behind the first `known` lifetimes happened before them. */
static int move_to_front(struct lives *lives, size_t known)
{
    size_t added = lives->count - known;
    struct life *later = malloc(known * sizeof(*later));
    if (!later)
        return -ENOMEM;
    memcpy(later, lives->items, known * sizeof(*later));
    memmove(lives->items, lives->items + known, added * sizeof(*later));
    memcpy(lives->items + added, later, known * sizeof(*later));
    free(later);
    return 0;
}

/* What was killed in lifetimes of which nothing else is recorded, while the restart count leaves
 * room for them. More kills than that: some were of children, and which is not known. */
static int settle_earlier(struct walk *walk)
{
    struct lives *lives = walk->lives;
    size_t known = lives->count, earlier = 0;
    if (known == 0 || isnan(lives->restart_count) || lives->items[0].start_ns == FACT_TIME_UNKNOWN)
        return 0;
    for (size_t i = 0; i < lives->kill_count; i++)
        earlier += is_earlier(lives, lives->items[0].start_ns, &lives->kills[i]);
    if (earlier == 0 || (double)(earlier + known) > lives->restart_count + 1)
        return 0;
    const int64_t start_ns = lives->items[0].start_ns;
    for (size_t i = 0; i < lives->kill_count; i++) {
        if (is_earlier(lives, start_ns, &lives->kills[i]) &&
            life_of_kill(walk, &lives->kills[i]) < 0)
            return -ENOMEM;
    }
    return move_to_front(lives, known);
}

int lives_settle_kills(struct walk *walk)
{
    static const unsigned logs = 1U << ORIGIN_KERNEL_LOG | 1U << ORIGIN_KILLER_LOG;
    struct lives *lives = walk->lives;
    if (lives->count == 0 && !(lives->origins & ~logs))
        return settle_alone(walk);
    pair_kills_with_ends(lives, false);
    pair_kills_with_ends(lives, true);
    for (size_t i = 0; i < lives->kill_count; i++) {
        const struct recorded_kill *kill = &lives->kills[i];
        struct life *life = made_an_end(lives, kill) ? NULL : unseen_end_of_kill(lives, kill);
        if (life)
            life->kill = kill;
    }
    return settle_earlier(walk);
}
