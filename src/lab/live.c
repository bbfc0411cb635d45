/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/live.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/panel.h"
#include "base/terminal.h"
#include "lab/live_points.h"
#include "lab/live_view.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GROWTH_PERIOD_NS (NS_PER_S / 2)
/* Requests are in flight, and none was answered for so long: they may take their whole time. */
#define SILENCE_NS NS_PER_S
/* So long after a kill, an end of the container that it led to is on record. */
#define END_RECORDED_NS NS_PER_S
/* An arm that goes on beyond its traffic is being stopped, which takes no known time. */
#define REST_LEAST_S 1.0

/* A scenario's arm under way, beside what is shown of it. */
struct follow {
    const struct arm_run *run;
    size_t arm;
    int64_t arm_id, began_ns;
    double duration_s;   /* of an arm's traffic */
    uint32_t answered;   /* requests, failed ones included */
    int64_t answered_ns; /* when that was last seen to grow */
    struct live_points points;
};

struct live {
    const struct plan *plan;
    struct store *store;
    struct live_scenario *shown; /* one for each scenario, as the next */
    struct follow *follows;
    int64_t began_ns, growth_ns;
    int64_t cursor;      /* the last sample seen */
    int64_t kill_cursor; /* the last kill seen */
    double overhead_s;   /* what finished arms took beyond their traffic, together */
    unsigned finished;
};

bool live_possible(void)
{
    return panel_possible() && isatty(STDOUT_FILENO) == 1;
}

static int prepare_scenario(const struct scenario_plan *plan, struct live_scenario *shown,
                            struct follow *follow, struct error *err)
{
    struct traffic_plan *traffic = NULL;
    int r = traffic_plan_new(&plan->traffic, &traffic, err);
    if (r < 0)
        return r;
    follow->duration_s = (double)traffic_plan_duration_ns(traffic) / NS_PER_S;
    traffic_plan_free(traffic);
    shown->name = plan->name;
    shown->arm_count = plan->arm_count;
    for (size_t i = 0; i < plan->arm_count; i++)
        shown->arms[i].kind = plan->arms[i].kind;
    return 0;
}

int live_new(const struct plan *plan, struct store *store, struct live **ret, struct error *err)
{
    struct live *live = calloc(1, sizeof(*live));
    if (live) {
        live->shown = calloc(plan->scenario_count, sizeof(*live->shown));
        live->follows = calloc(plan->scenario_count, sizeof(*live->follows));
    }
    if (!live || !live->shown || !live->follows) {
        live_free(live);
        return error_errno(err, ENOMEM, "preparing the live view");
    }
    live->plan = plan;
    live->store = store;
    live->began_ns = clock_monotonic_ns();
    for (size_t i = 0; i < plan->scenario_count; i++) {
        int r = prepare_scenario(&plan->scenarios[i], &live->shown[i], &live->follows[i], err);
        if (r < 0) {
            live_free(live);
            return r;
        }
    }
    *ret = live;
    return 0;
}

void live_free(struct live *live)
{
    if (!live)
        return;
    free(live->shown);
    free(live->follows);
    free(live);
}

static double seconds_since(int64_t begin_ns)
{
    return (double)(clock_monotonic_ns() - begin_ns) / NS_PER_S;
}

void live_arm_began(struct live *live, size_t scenario, size_t arm, const struct arm_run *run)
{
    if (!live)
        return;
    struct live_scenario *shown = &live->shown[scenario];
    struct follow *follow = &live->follows[scenario];
    struct arm_status status;
    arm_get_status(run, &status);
    follow->run = run;
    follow->arm = arm;
    follow->arm_id = status.arm_id;
    follow->began_ns = clock_monotonic_ns();
    follow->answered = 0;
    follow->answered_ns = follow->began_ns;
    follow->points.lifetime_id = 0;
    follow->points.count = 0;
    shown->arms[arm].state = LIVE_CURRENT;
    shown->due = shown->failed = shown->child_kills = 0;
    shown->current = &shown->arms[arm];
    shown->limit_bytes = (double)live->plan->scenarios[scenario].arms[arm].memory_bytes;
    shown->working_set_bytes = (double)NAN;
    shown->growth = (struct live_growth){.kind = LIVE_MEASURING};
    shown->trace = (struct live_trace){.extent_s = fmax(follow->duration_s, 1)};
}

void live_arm_skipped(struct live *live, size_t scenario, size_t arm)
{
    if (live)
        live->shown[scenario].arms[arm].state = LIVE_SKIPPED;
}

/* Its kills may have come since it was last looked at. */
static void count_kills(struct live *live, size_t scenario, const struct arm_status *status)
{
    struct live_scenario *shown = &live->shown[scenario];
    struct follow *follow = &live->follows[scenario];
    struct live_arm *arm = &shown->arms[follow->arm];
    if (status->kills > arm->kills)
        live_trace_add(&shown->trace, (double)(status->killed_ns - follow->began_ns) / NS_PER_S, 0,
                       status->kills - arm->kills);
    arm->kills = status->kills;
}

void live_arm_ended(struct live *live, size_t scenario)
{
    if (!live)
        return;
    struct live_scenario *shown = &live->shown[scenario];
    struct follow *follow = &live->follows[scenario];
    struct arm_status status;
    arm_get_status(follow->run, &status);
    count_kills(live, scenario, &status);
    if (status.traffic_started_ns > 0) {
        live->overhead_s +=
            fmax((double)(status.traffic_started_ns - follow->began_ns) / NS_PER_S, 0);
        live->finished++;
    }
    shown->arms[follow->arm].state = LIVE_DONE;
    shown->current = NULL;
    follow->run = NULL;
}

/* --- looking --------------------------------------------------------------------------------- */

static void take_sample(struct live *live, sqlite3_stmt *row)
{
    int64_t arm_id = sqlite3_column_int64(row, 1);
    live->cursor = sqlite3_column_int64(row, 0);
    for (size_t i = 0; i < live->plan->scenario_count; i++) {
        struct follow *follow = &live->follows[i];
        if (!follow->run || follow->arm_id != arm_id)
            continue;
        struct arm_status status;
        double bytes = sqlite3_column_double(row, 4);
        double at_s = (double)(sqlite3_column_int64(row, 3) - follow->began_ns) / NS_PER_S;
        arm_get_status(follow->run, &status);
        live->shown[i].working_set_bytes = bytes;
        live_trace_add(&live->shown[i].trace, at_s, bytes, 0);
        if (status.traffic_started_ns > 0)
            live_points_add(&follow->points, sqlite3_column_int64(row, 2),
                            status.progress.completed, at_s, bytes);
    }
}

/* What cannot be read now is not shown; the run itself tells of the fault. */
static void read_samples(struct live *live)
{
    static const char sql[] =
        "SELECT s.rowid, l.arm_id, s.lifetime_id, s.at_ns, s.working_set_bytes"
        " FROM sample s JOIN lifetime l ON l.id = s.lifetime_id"
        " WHERE s.rowid > ?1 AND s.working_set_bytes IS NOT NULL ORDER BY s.rowid";
    sqlite3_stmt *rows = NULL;
    struct error ignored;
    if (store_prepare(live->store, sql, &rows, &ignored) < 0)
        return;
    sqlite3_bind_int64(rows, 1, live->cursor);
    while (sqlite3_step(rows) == SQLITE_ROW)
        take_sample(live, rows);
    sqlite3_finalize(rows);
}

static void take_child_kill(struct live *live, sqlite3_stmt *row)
{
    for (size_t i = 0; i < live->plan->scenario_count; i++) {
        const struct follow *follow = &live->follows[i];
        if (!follow->run || follow->arm_id != sqlite3_column_int64(row, 1))
            continue;
        unsigned kills = (unsigned)sqlite3_column_int64(row, 3);
        double at_s = (double)(sqlite3_column_int64(row, 2) - follow->began_ns) / NS_PER_S;
        live->shown[i].child_kills += kills;
        live_trace_add(&live->shown[i].trace, at_s, 0, kills);
    }
}

/* Kills after which the container went on; those that ended it come from the arm. */
static void read_child_kills(struct live *live)
{
    static const char sql[] = "SELECT k.id, l.arm_id, k.noticed_ns, k.kills, e.lifetime_id IS NULL"
                              " FROM kill k JOIN lifetime l ON l.id = k.lifetime_id"
                              " LEFT JOIN lifetime_end e ON e.lifetime_id = k.lifetime_id"
                              " WHERE k.id > ?1 AND k.noticed_ns < ?2 ORDER BY k.id";
    sqlite3_stmt *rows = NULL;
    struct error ignored;
    if (store_prepare(live->store, sql, &rows, &ignored) < 0)
        return;
    sqlite3_bind_int64(rows, 1, live->kill_cursor);
    sqlite3_bind_int64(rows, 2, clock_monotonic_ns() - END_RECORDED_NS);
    while (sqlite3_step(rows) == SQLITE_ROW) {
        live->kill_cursor = sqlite3_column_int64(rows, 0);
        if (sqlite3_column_int(rows, 4))
            take_child_kill(live, rows);
    }
    sqlite3_finalize(rows);
}

static void name_phase(const struct arm_status *status, char *text, size_t size)
{
    size_t count = 0;
    const struct traffic_phase_span *spans = traffic_plan_phases(status->traffic_plan, &count);
    int64_t offset = clock_monotonic_ns() - status->traffic_started_ns;
    unsigned cycles = count > 0 ? 1 : 0;
    for (size_t i = 0; i < count; i++)
        cycles = spans[i].cycle > cycles ? spans[i].cycle : cycles;
    snprintf(text, size, "starting");
    for (size_t i = 0; status->traffic_started_ns > 0 && i < count; i++) {
        if (offset < spans[i].start_ns)
            break;
        if (spans[i].phase == TRAFFIC_CYCLE)
            snprintf(text, size, "cycle %u of %u", spans[i].cycle, cycles);
        else
            snprintf(text, size, "%s", traffic_phase_name(spans[i].phase));
    }
    if (!status->alive && status->traffic_started_ns > 0)
        snprintf(text, size, "waiting for the restart");
}

/* Of the arm under way, without what the start may still take. Never nothing: it goes on. */
static double rest_of_traffic(struct follow *follow, const struct arm_status *status)
{
    const struct traffic_progress *progress = &status->progress;
    if (progress->completed + progress->failed != follow->answered || progress->in_flight == 0)
        follow->answered_ns = clock_monotonic_ns();
    follow->answered = progress->completed + progress->failed;
    if (status->traffic_started_ns == 0)
        return follow->duration_s;
    bool silent = clock_monotonic_ns() - follow->answered_ns > SILENCE_NS;
    double most_s = follow->duration_s + (silent ? (double)TRAFFIC_TIMEOUT_NS / NS_PER_S : 0);
    return fmax(most_s - seconds_since(status->traffic_started_ns), REST_LEAST_S);
}

/* When the traffic's thread is gone its counters are, too; the last ones stand. */
static void count_requests(struct live_scenario *shown, const struct arm_status *status)
{
    if (status->progress.due < shown->due)
        return;
    shown->due = status->progress.due;
    shown->failed = status->progress.failed;
}

static double look_at(struct live *live, size_t scenario, bool growth_due)
{
    struct live_scenario *shown = &live->shown[scenario];
    struct follow *follow = &live->follows[scenario];
    struct arm_status status;
    arm_get_status(follow->run, &status);
    count_kills(live, scenario, &status);
    count_requests(shown, &status);
    shown->planned = (unsigned)traffic_plan_requests(status.traffic_plan);
    name_phase(&status, shown->phase, sizeof(shown->phase));
    double rest_s = rest_of_traffic(follow, &status);
    const struct live_rest rest = {
        .limit_bytes = shown->limit_bytes,
        .requests = shown->planned - shown->due,
        .seconds = rest_s,
    };
    if (!status.alive) {
        shown->working_set_bytes = (double)NAN;
        shown->growth.kind = LIVE_MEASURING;
    } else if (growth_due) {
        shown->growth = live_points_growth(&follow->points, &rest);
    }
    return rest_s;
}

/* At most: arms may be over sooner, and those without a point are skipped. */
static double rest_of_scenario(const struct live *live, size_t scenario, double current_s)
{
    double overhead = live->finished > 0 ? live->overhead_s / live->finished : 0;
    double rest = current_s;
    for (size_t i = 0; i < live->shown[scenario].arm_count; i++) {
        if (live->shown[scenario].arms[i].state == LIVE_PENDING)
            rest += live->follows[scenario].duration_s + overhead;
    }
    return rest;
}

static void look(struct live *live, struct live_view *view)
{
    int64_t now_ns = clock_monotonic_ns();
    bool growth_due = now_ns - live->growth_ns >= GROWTH_PERIOD_NS;
    read_samples(live);
    read_child_kills(live);
    for (size_t i = 0; i < live->plan->scenario_count; i++) {
        double current = live->follows[i].run ? look_at(live, i, growth_due) : 0;
        double rest = rest_of_scenario(live, i, current);
        view->remaining_s =
            live->plan->side_by_side ? fmax(view->remaining_s, rest) : view->remaining_s + rest;
    }
    if (growth_due)
        live->growth_ns = now_ns;
    view->elapsed_s = seconds_since(live->began_ns);
}

void live_draw(struct live *live, bool stopping)
{
    AUTO_BUFFER text = {0};
    struct live_view view = {
        .scenarios = live->shown, .count = live->plan->scenario_count, .stopping = stopping};
    const struct live_screen screen = {
        .columns = (unsigned)terminal_width(STDERR_FILENO),
        .rows = (unsigned)terminal_height(STDERR_FILENO),
        .colour = terminal_has_colour(STDERR_FILENO),
        .utf8 = terminal_has_utf8(),
    };
    look(live, &view);
    if (live_render(&view, &screen, &text))
        panel_draw(&text);
    else
        panel_clear();
}
