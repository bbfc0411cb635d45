/* SPDX-License-Identifier: Apache-2.0 */
/* Every container in turn: what is known of it, how it ended, what follows, and the rows of all
 * that. One container is in memory at a time. */
#include "import/conclude.h"

#include "analysis/attribution.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "conclude/advice.h"
#include "conclude/caveats.h"
#include "conclude/kinds.h"
#include "import/arm.h"
#include "import/killer_kills.h"
#include "import/oom_counters.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static void arm_done(struct arm_work *arm)
{
    lives_done(&arm->lives);
    curves_done(&arm->curves);
    free(arm->judged);
    free(arm->life_rows);
}

static struct store_value time_value(const char *column, int64_t ns)
{
    if (ns == FACT_TIME_UNKNOWN)
        return (struct store_value)STORE_NIL(column);
    return (struct store_value)STORE_INT(column, ns);
}

/* --- what is known of one container -------------------------------------------------------------
 */

static int load_span(struct arm_work *arm, struct error *err)
{
    sqlite3_stmt *row = NULL;
    arm->first_ns = arm->last_ns = FACT_TIME_UNKNOWN;
    int r = store_prepare(arm->store,
                          "SELECT min(min(f.at_ns, coalesce(f.started_ns, f.at_ns))),"
                          " max(max(f.at_ns, coalesce(f.started_ns, f.at_ns))),"
                          " min(f.started_ns), max(f.started_ns) FROM place p JOIN fact f"
                          " ON f.place_id = p.id WHERE p.arm_id = ?1",
                          &row, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(row, 1, arm->container->arm_id);
    if (sqlite3_step(row) == SQLITE_ROW && sqlite3_column_type(row, 0) != SQLITE_NULL) {
        arm->first_ns = sqlite3_column_int64(row, 0);
        arm->last_ns = sqlite3_column_int64(row, 1);
    }
    if (row && sqlite3_column_type(row, 3) != SQLITE_NULL) { /* rows without a time of their own */
        int64_t first = sqlite3_column_int64(row, 2), last = sqlite3_column_int64(row, 3);
        arm->first_ns =
            arm->first_ns == FACT_TIME_UNKNOWN || first < arm->first_ns ? first : arm->first_ns;
        arm->last_ns = last > arm->last_ns ? last : arm->last_ns;
    }
    sqlite3_finalize(row);
    return 0;
}

/* The last lines that a lifetime printed, for a runtime's own out-of-memory message. */
static int load_console(struct arm_work *arm, const struct life *life, struct buffer *ret,
                        struct error *err)
{
    sqlite3_stmt *row = NULL;
    int r =
        store_prepare(arm->store,
                      "SELECT text FROM (SELECT f.id, f.at_ns, f.text FROM place p JOIN fact f"
                      " ON f.place_id = p.id WHERE p.arm_id = ?1 AND f.kind = 'console'"
                      " AND f.at_ns BETWEEN ?2 AND ?3 ORDER BY f.at_ns DESC, f.id DESC LIMIT 40)"
                      " ORDER BY at_ns, id",
                      &row, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(row, 1, arm->container->arm_id);
    sqlite3_bind_int64(row, 2, life->start_ns == FACT_TIME_UNKNOWN ? 0 : life->start_ns);
    sqlite3_bind_int64(row, 3, life->end_ns == FACT_TIME_UNKNOWN ? INT64_MAX : life->end_ns);
    while (sqlite3_step(row) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(row, 0);
        buffer_printf(ret, "%s\n", text ? text : "");
    }
    sqlite3_finalize(row);
    return ret->failed ? error_errno(err, ENOMEM, "reading the console lines") : 0;
}

static int judge_life(struct arm_work *arm, size_t index, struct error *err)
{
    const struct life *life = &arm->lives.items[index];
    struct judged *judged = &arm->judged[index];
    AUTO_BUFFER console = {0};
    int r = life->ended ? load_console(arm, life, &console, err) : 0;
    if (r < 0)
        return r;
    const char *runtime = runtime_out_of_memory(buffer_text(&console), false, 0, life->exit_code);
    judge_end(life, arm->limit, &arm->curves.items[index], runtime, judged);
    if (!life->ended)
        return 0;
    if (judged->cause <= CAUSE_OOM_HOST) {
        arm->kills++;
        arm->weakest = level_weaker(arm->weakest, judged->level);
    } else if (judged->cause == CAUSE_OOM_USERSPACE_KILLER) {
        arm->killer_kills++;
    } else if (judged->cause == CAUSE_UNKNOWN) {
        arm->unsettled += life->fact_count > 0;
    } else {
        arm->others++;
    }
    struct spoken spoken;
    r = spoken_load(arm->store, arm->container->arm_id, life, &spoken, err);
    if (r == 0 && spoken.lines > arm->spoken.lines)
        arm->spoken = spoken;
    return r;
}

/* The lifetime that still runs speaks, too. */
static int hear_rest(struct arm_work *arm, struct error *err)
{
    const struct life everything = {.start_ns = FACT_TIME_UNKNOWN, .end_ns = FACT_TIME_UNKNOWN};
    const struct life *last =
        arm->lives.count ? &arm->lives.items[arm->lives.count - 1] : &everything;
    if (last->ended)
        return 0;
    struct spoken spoken;
    int r = spoken_load(arm->store, arm->container->arm_id, last, &spoken, err);
    if (r == 0 && spoken.lines > arm->spoken.lines && spoken.rising >= arm->spoken.rising)
        arm->spoken = spoken;
    return r;
}

static int know(struct arm_work *arm, const struct import_options *options, struct error *err)
{
    int64_t arm_id = arm->container->arm_id;
    arm->weakest = LEVEL_MEASURED;
    int r = arm_limit_load(arm, options->limit_bytes, err);
    if (r == 0)
        r = load_span(arm, err);
    if (r == 0)
        r = lives_load(arm->store, arm_id, &arm->lives, err);
    if (r == 0)
        r = curves_load(arm->store, arm_id, &arm->lives, &arm->curves, err);
    if (r < 0)
        return r;
    size_t count = arm->lives.count + 1;
    arm->judged = calloc(count, sizeof(*arm->judged));
    arm->life_rows = calloc(count, sizeof(*arm->life_rows));
    if (!arm->judged || !arm->life_rows)
        return error_errno(err, ENOMEM, "judging '%s'", arm->name);
    for (size_t i = 0; i < arm->lives.count && r == 0; i++)
        r = judge_life(arm, i, err);
    return r < 0 ? r : hear_rest(arm, err);
}

/* --- its rows -----------------------------------------------------------------------------------
 */

static int insert_arm(struct arm_work *arm, struct error *err)
{
    const struct container *container = arm->container;
    const char *health = arm->lives.state.reason;
    bool known = strcmp(health, "Healthy") == 0 || strcmp(health, "Unhealthy") == 0 ||
                 strcmp(health, "None") == 0;
    const char *revision = container->revision ? container->revision : arm->name;
    const struct store_value values[] = {
        STORE_INT("id", container->arm_id),
        STORE_STR("scenario", "diagnosis"),
        STORE_STR("name", arm->name),
        STORE_STR("differs_in", "[]"),
        STORE_STR("purpose", "A container that the sources tell of."),
        STORE_STR("app", container->app ? container->app : arm->name),
        STORE_STR("revision", revision),
        STORE_STR("command", "[]"),
        STORE_STR("env", "{}"),
        arm->limit >= 0 ? (struct store_value)STORE_INT("memory_limit_bytes", arm->limit)
                        : (struct store_value)STORE_NIL("memory_limit_bytes"),
        STORE_INT("requests_planned", 0),
        STORE_STR("sequence_sha256", ""),
        STORE_INT("started_ns", arm->first_ns == FACT_TIME_UNKNOWN ? 0 : arm->first_ns),
        time_value("ended_ns", arm->last_ns),
        STORE_STR("health_state", known ? health : NULL),
        STORE_END,
    };
    return store_insert(arm->store, "arm", values, NULL, err);
}

static int insert_life(struct arm_work *arm, size_t index, struct error *err)
{
    if (!arm->lives.items)
        return 0;
    const struct life *life = &arm->lives.items[index];
    const struct life *before = index ? &arm->lives.items[index - 1] : NULL;
    bool waited = before && before->end_ns != FACT_TIME_UNKNOWN &&
                  life->start_ns != FACT_TIME_UNKNOWN && life->start_ns > before->end_ns;
    const struct store_value values[] = {
        STORE_INT("arm_id", arm->container->arm_id),
        STORE_STR("replica", arm->name),
        STORE_INT("idx", index + 1),
        STORE_STR("cgroup", arm->container->cgroup),
        time_value("started_ns", life->start_ns),
        STORE_INT("backoff_ns", waited ? life->start_ns - before->end_ns : 0),
        STORE_END,
    };
    return store_insert(arm->store, "lifetime", values, &arm->life_rows[index], err);
}

static int insert_end(struct arm_work *arm, size_t index, struct error *err)
{
    const struct life *life = &arm->lives.items[index];
    const struct judged *judged = &arm->judged[index];
    int code = life->exit_code;
    int signal = code > 128 && code <= 128 + 64 ? code - 128 : life->signal;
    bool known = code != FACT_CODE_UNKNOWN || signal > 0;
    const struct store_value nil_code = STORE_NIL("wait_code"), nil = STORE_NIL("wait_status");
    const struct store_value wait_code = STORE_INT("wait_code", signal ? CLD_KILLED : CLD_EXITED);
    const struct store_value wait_status = STORE_INT("wait_status", signal ? signal : code);
    const struct store_value values[] = {
        STORE_INT("lifetime_id", arm->life_rows[index]),
        time_value("ended_ns", life->end_ns),
        known ? wait_code : nil_code,
        known ? wait_status : nil,
        STORE_STR("platform_kill", platform_kill_name(PLATFORM_KILL_NONE)),
        STORE_STR("cause", cause_name(judged->cause)),
        STORE_STR("level", level_name(judged->level)),
        STORE_END,
    };
    return store_insert(arm->store, "lifetime_end", values, NULL, err);
}

static struct store_value sample_value(const char *column, double value)
{
    if (isnan(value))
        return (struct store_value)STORE_NIL(column);
    return (struct store_value)STORE_INT(column, value);
}

static int insert_samples(struct arm_work *arm, size_t index, struct error *err)
{
    const struct curve *curve = &arm->curves.items[index];
    int r = 0;
    for (size_t i = 0; i < curve->count && r == 0; i++) {
        const struct point *point = &curve->points[i];
        const struct store_value values[] = {
            STORE_INT("lifetime_id", arm->life_rows[index]),
            STORE_INT("at_ns", curve->zero_ns + (int64_t)(point->t_s * 1e9)),
            sample_value("working_set_bytes", point->working_set),
            sample_value("anon_bytes", point->anon),
            sample_value("file_bytes", point->file),
            sample_value("inactive_file_bytes", point->inactive_file),
            sample_value("shmem_bytes", point->shmem),
            sample_value("kernel_bytes", point->kernel),
            STORE_END,
        };
        r = store_insert(arm->store, "sample", values, NULL, err);
    }
    return r;
}

/* A container of which only samples are known has one lifetime: from the first to the last. */
static int add_sampled_life(struct arm_work *arm, struct error *err)
{
    const struct curve *curve = &arm->curves.items[0];
    if (arm->lives.count > 0 || curve->count == 0)
        return 0;
    const struct store_value values[] = {
        STORE_INT("arm_id", arm->container->arm_id),
        STORE_STR("replica", arm->name),
        STORE_INT("idx", 1),
        STORE_NIL("started_ns"),
        STORE_INT("backoff_ns", 0),
        STORE_END,
    };
    int r = store_insert(arm->store, "lifetime", values, &arm->life_rows[0], err);
    return r < 0 ? r : insert_samples(arm, 0, err);
}

static int insert_lives(struct arm_work *arm, struct error *err)
{
    int r = 0;
    for (size_t i = 0; i < arm->lives.count && r == 0; i++) {
        r = insert_life(arm, i, err);
        if (r == 0 && arm->lives.items[i].ended)
            r = insert_end(arm, i, err);
        if (r == 0)
            r = insert_samples(arm, i, err);
    }
    return r < 0 ? r : add_sampled_life(arm, err);
}

static char *evidence_json(const struct arm_work *arm)
{
    AUTO_BUFFER text = {0};
    buffer_puts(&text, "[");
    for (size_t i = 0; i < arm->evidence_count; i++)
        buffer_printf(&text, "%s\"E%u\"", i ? "," : "", arm->evidence[i]);
    buffer_puts(&text, "]");
    return buffer_steal(&text);
}

static int insert_verdict(struct arm_work *arm, bool whole, struct error *err)
{
    const struct verdict *verdict = &arm->verdict;
    AUTO_FREE char *because = evidence_json(arm);
    if (!because)
        return error_errno(err, ENOMEM, "recording the verdict");
    const struct estimate *interval =
        verdict_by_requests(verdict) ? &verdict->per_request : &verdict->per_second;
    const struct store_value none = STORE_NIL("arm_id");
    const struct store_value own = STORE_INT("arm_id", arm->container->arm_id);
    const struct store_value values[] = {
        whole ? none : own,
        STORE_STR("class", verdict_class_name(verdict->class)),
        STORE_DBL("confidence", verdict->confidence),
        STORE_STR("driver", driver_name(verdict->driver)),
        STORE_STR("level", level_name(verdict->level)),
        STORE_STR("because", because),
        STORE_STR("summary", verdict->summary),
        store_real("growth_bytes_per_request", verdict->per_request.value),
        store_real("growth_bytes_per_s", verdict->per_second.value),
        store_real("growth_low", interval->low),
        store_real("growth_high", interval->high),
        STORE_STR("would_settle", verdict->would_settle[0] ? verdict->would_settle : NULL),
        STORE_END,
    };
    return store_insert(arm->store, "verdict", values, NULL, err);
}

static bool was_evicted(const struct arm_work *arm)
{
    for (size_t i = 0; i < arm->lives.count; i++) {
        if (arm->judged[i].cause == CAUSE_KILLED_BY_PLATFORM &&
            strcmp(arm->lives.items[i].stop_reason, "Evicted") == 0)
            return true;
    }
    return false;
}

static int insert_recommendation(struct arm_work *arm, struct error *err)
{
    struct recommendation advice;
    double limit = isnan(arm->above_limit) ? arm->limit : NAN; /* not that of these samples */
    recommend(&arm->verdict, NULL, limit, &arm->forecasts, &advice);
    if (!(arm->limit > 0) && advice.action == ADVISE_KEEP_LIMIT)
        snprintf(advice.reason, sizeof(advice.reason),
                 arm->limit == 0
                     ? "No out-of-memory kill is recorded, and the container has no memory limit: "
                       "only one above it, or the host's memory, can end it for want of memory."
                     : "No out-of-memory kill is recorded; the limit is not, either (--limit), so "
                       "how near its memory came to it cannot be said.");
    else if (!isnan(arm->above_limit) && advice.action == ADVISE_KEEP_LIMIT)
        snprintf(advice.reason, sizeof(advice.reason),
                 "No out-of-memory kill is recorded; the samples are above the limit that is, so "
                 "how near its memory came to its own cannot be said.");
    if (was_evicted(arm) && advice.action == ADVISE_KEEP_LIMIT)
        snprintf(advice.reason, sizeof(advice.reason),
                 "The kubelet evicted it because its node ran low; the message says on what. Not "
                 "its limit was reached: where it was memory, raise its request, or give the node "
                 "room.");
    return conclude_advice(arm->store, &advice, err);
}

/* --- all containers -----------------------------------------------------------------------------
 */

static bool is_negative(const struct arm_work *arm)
{
    return arm->kills + arm->killer_kills > 0 || arm->verdict.class == VERDICT_LEAK ||
           arm->verdict.class == VERDICT_STARTUP_DEMAND ||
           arm->verdict.class == VERDICT_PEAK_DEMAND;
}

/* The container that the whole is named after: the worst one. */
static int weight(const struct arm_work *arm)
{
    static const int weights[VERDICT_COUNT] = {
        [VERDICT_LEAK] = 7,         [VERDICT_STARTUP_DEMAND] = 6,    [VERDICT_PEAK_DEMAND] = 5,
        [VERDICT_INCONCLUSIVE] = 2, [VERDICT_NOT_MEMORY] = 3,        [VERDICT_BOUNDED_CACHE] = 1,
        [VERDICT_STABLE] = 0,       [VERDICT_RECLAIMABLE_CACHE] = 1,
    };
    bool killed = arm->verdict.class == VERDICT_INCONCLUSIVE &&
                  arm->kills + arm->killer_kills + arm->unsettled > 0;
    return killed ? 4 : weights[arm->verdict.class];
}

/* A name that only carries a limit or a state for others is no container of its own. */
static bool is_empty(const struct arm_work *arm)
{
    const struct lives *lives = &arm->lives;
    return lives->count == 0 && lives->kill_count == 0 && arm->curves.items[0].count == 0 &&
           lives->probes.count + lives->images.count + lives->backoffs.count + lives->stops.count +
                   lives->running.count ==
               0 &&
           isnan(lives->restart_count);
}

struct all {
    struct store *store;
    const struct import_options *options;
    struct containers containers;
    unsigned next_evidence, arms;
    int best;
    struct conclusion *result;
};

static void all_done(struct all *all)
{
    containers_done(&all->containers);
}

static int write_arm(struct all *all, struct arm_work *arm, struct error *err)
{
    int r = insert_arm(arm, err);
    if (r == 0)
        r = insert_lives(arm, err);
    if (r == 0)
        r = arm_judge(arm, err);
    if (r == 0)
        r = arm_state_all(arm, err);
    if (r == 0)
        r = insert_verdict(arm, false, err);
    if (r == 0 && arm->kinds_known)
        r = conclude_kinds(arm->store, arm->container->arm_id, &arm->kinds, err);
    if (r == 0)
        r = conclude_caveats(arm->store, arm->container->arm_id, &arm->caveats, err);
    if (r == 0 && weight(arm) > all->best) {
        all->best = weight(arm);
        r = insert_verdict(arm, true, err);
        if (r == 0)
            r = insert_recommendation(arm, err);
    }
    all->result->containers++;
    all->result->kills += arm->kills;
    all->result->negative = all->result->negative || is_negative(arm);
    return r;
}

/* `empty`: whether those without a life are taken, too. */
static int conclude_one(struct all *all, const struct container *container, bool empty,
                        struct error *err)
{
    __attribute__((cleanup(arm_done))) struct arm_work arm = {
        .store = all->store, .container = container, .next_evidence = &all->next_evidence};
    container_name(container, arm.name, sizeof(arm.name));
    int r = know(&arm, all->options, err);
    if (r < 0 || is_empty(&arm) != empty)
        return r;
    return write_arm(all, &arm, err);
}

static int insert_run(struct all *all, const char *id, const char *command, struct error *err)
{
    struct utsname host;
    sqlite3_stmt *row = NULL;
    int64_t first = 0, last = 0;
    int r = store_prepare(all->store, "SELECT min(at_ns), max(at_ns) FROM fact", &row, err);
    if (r < 0)
        return r;
    if (sqlite3_step(row) == SQLITE_ROW) {
        first = sqlite3_column_int64(row, 0);
        last = sqlite3_column_int64(row, 1);
    }
    sqlite3_finalize(row);
    if (uname(&host) < 0)
        return error_errno(err, errno, "asking for the kernel's version");
    bool unified = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
    const struct store_value values[] = {
        STORE_STR("id", id),
        STORE_STR("lab", "diagnosis"),
        STORE_STR("command", command),
        STORE_STR("lab_json", "{}"),
        STORE_INT("seed", 0),
        STORE_INT("started_at_ns", first), /* of the records: the two clocks are one */
        STORE_INT("monotonic_zero_ns", first),
        STORE_INT("ended_ns", last),
        STORE_STR("tool_version", OOMLAB_VERSION),
        STORE_STR("kernel", host.release),
        STORE_INT("cgroup_version", unified ? 2 : 1),
        STORE_INT("cpus", sysconf(_SC_NPROCESSORS_ONLN)),
        STORE_INT("memory_bytes", sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE)),
        STORE_NIL("sample_rate_hz"),
        STORE_STR("backoff", "as recorded"),
        STORE_DBL("backoff_scale", 1),
        STORE_INT("kernel_log", 0),
        STORE_END,
    };
    return store_insert(all->store, "run", values, NULL, err);
}

static int conclude_all(struct all *all, bool empty, struct error *err)
{
    int r = 0;
    for (size_t i = 0; i < all->containers.count && r == 0; i++)
        r = conclude_one(all, &all->containers.items[i], empty, err);
    return r;
}

static int conclude_nothing(struct all *all, struct error *err)
{
    static const struct container nobody;
    struct arm_work arm = {
        .store = all->store, .container = &nobody, .limit = NAN, .above_limit = NAN};
    static const struct estimate none = {NAN, NAN, NAN};
    arm.verdict = (struct verdict){.class = VERDICT_INCONCLUSIVE,
                                   .level = LEVEL_NOT_PROVEN,
                                   .per_request = none,
                                   .per_second = none,
                                   .peak_bytes = NAN};
    snprintf(arm.verdict.summary, sizeof(arm.verdict.summary),
             "The sources tell of no container: no start, no end, no memory.");
    snprintf(arm.verdict.would_settle, sizeof(arm.verdict.would_settle),
             "Rows from around the restart: system logs, the pod's status or the kernel log.");
    int r = insert_verdict(&arm, true, err);
    return r < 0 ? r : insert_recommendation(&arm, err);
}

int conclude(struct store *store, const struct import_options *options, const char *id,
             const char *command, struct conclusion *ret, struct error *err)
{
    *ret = (struct conclusion){0};
    __attribute__((cleanup(all_done))) struct all all = {
        .store = store, .options = options, .next_evidence = 1, .best = -1, .result = ret};
    int r = oom_counters_read(store, err);
    if (r == 0)
        r = containers_find(store, &all.containers, err);
    if (r == 0)
        r = killer_kills_place(store, err);
    if (r == 0)
        r = store_begin(store, err);
    if (r < 0)
        return r;
    r = insert_run(&all, id, command, err);
    if (r == 0)
        r = conclude_all(&all, false, err);
    if (r == 0 && ret->containers == 0) /* nothing lived: say so of what is named */
        r = conclude_all(&all, true, err);
    if (r == 0 && ret->containers == 0)
        r = conclude_nothing(&all, err);
    const struct store_value key = STORE_STR("id", id);
    const struct store_value status[] = {STORE_INT("exit_status", ret->negative ? 3 : 0),
                                         STORE_END};
    if (r == 0)
        r = store_update(store, "run", &key, status, err);
    return r < 0 ? r : store_commit(store, err);
}
