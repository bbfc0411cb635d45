/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/size.h"
#include "cli/check.h"
#include "lab/series.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* kills, other-ends, requests, verdict, two growths, memory */
#define ROWS_PER_ARM_MAX 7

void check_rows_done(struct check_rows *rows)
{
    free(rows->items);
    *rows = (struct check_rows){0};
}

bool check_row_passes(const struct check_row *row, const struct check_budget *budget)
{
    return row->outcome == BUDGET_PASS ||
           (row->outcome == BUDGET_INCONCLUSIVE && budget->allow_inconclusive);
}

/* --- what is asked --------------------------------------------------------------------------- */

int check_growth_parse(const char *text, struct check_budget *budget, struct error *err)
{
    static const struct {
        const char *name;
        enum budget_rate rate;
        double seconds;
    } units[] = {
        {"request", BUDGET_PER_REQUEST, 1}, {"s", BUDGET_PER_SECOND, 1},
        {"m", BUDGET_PER_SECOND, 60},       {"h", BUDGET_PER_SECOND, 3600},
        {"d", BUDGET_PER_SECOND, 86400},
    };
    const char *slash = strchr(text, '/');
    char size[32];
    uint64_t bytes = 0;
    if (slash && (size_t)(slash - text) < sizeof(size)) {
        snprintf(size, sizeof(size), "%.*s", (int)(slash - text), text);
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
            double *growth = &budget->growth.most[units[i].rate];
            if (strcmp(slash + 1, units[i].name) != 0)
                continue;
            int r = size_parse(size, &bytes, err);
            if (r == 0 && !isnan(*growth))
                r = error_usage(err, "'%s': growth %s was given before", text,
                                units[i].rate == BUDGET_PER_REQUEST ? "per request" : "in time");
            if (r == 0)
                *growth = (double)bytes / units[i].seconds;
            return r;
        }
    }
    return error_usage(err,
                       "'%.60s' is no growth; write a size per request or time, as 1KiB/request "
                       "or 2MiB/h (s, m, h, d)",
                       text);
}

int check_share_parse(const char *text, double *ret, struct error *err)
{
    char *end = NULL;
    double percent = text[0] >= '0' && text[0] <= '9' ? strtod(text, &end) : NAN;
    if (end)
        end += strspn(end, " ");
    if (!(percent >= 0 && percent <= 100) || (strcmp(end, "%") != 0 && *end != '\0'))
        return error_usage(err, "'%.60s' is no share; write a percentage from 0 to 100, as 1%%",
                           text);
    *ret = percent / 100;
    return 0;
}

/* --- one arm --------------------------------------------------------------------------------- */

/* An arm under judgement. */
struct subject {
    const json_t *arm; /* of the result */
    const struct arm_data *data;
    const struct verdict *verdict;
    const struct check_budget *budget;
    struct check_rows *rows;
};

static struct check_row *add_row(const struct subject *subject, const char *name, const char *unit,
                                 enum budget_outcome outcome)
{
    struct check_row *row = &subject->rows->items[subject->rows->count++];
    *row = (struct check_row){
        .name = name,
        .outcome = outcome,
        .value = NAN,
        .low = NAN,
        .high = NAN,
        .most = NAN,
        .unit = unit,
        .seconds = NAN,
    };
    snprintf(row->scenario, sizeof(row->scenario), "%s", subject->data->scenario);
    double seconds = 0;
    for (size_t i = 0; i < subject->data->count; i++)
        seconds += fmax(subject->data->lifetimes[i].uptime_s, 0);
    row->seconds = seconds;
    return row;
}

static __attribute__((format(printf, 2, 3))) void put(char text[static CHECK_TEXT_MAX],
                                                      const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(text, CHECK_TEXT_MAX, format, list);
    va_end(list);
}

static void check_kills(const struct subject *subject)
{
    unsigned kills = subject->verdict->kills + subject->verdict->child_kills;
    struct check_row *row =
        add_row(subject, "kills", "kills", kills > 0 ? BUDGET_FAIL : BUDGET_PASS);
    char limit[SIZE_TEXT_MAX];
    row->value = kills;
    row->most = 0;
    put(row->observed, "%u for memory", kills);
    if (kills > 0)
        put(row->observed, "%u for memory, under a limit of %s", kills,
            size_format((uint64_t)subject->data->series.limit_bytes, limit));
    put(row->allowed, "none");
}

/* Ends that are no kernel's kills: the service is to outlive its requests. */
static void check_ends(const struct subject *subject)
{
    unsigned ends = 0;
    const struct lifetime_series *last = NULL;
    for (size_t i = 0; i < subject->data->count; i++) {
        const struct lifetime_series *lifetime = &subject->data->lifetimes[i];
        bool kernel = lifetime->cause == CAUSE_OOM_CONTAINER_LIMIT ||
                      lifetime->cause == CAUSE_OOM_ANCESTOR_LIMIT ||
                      lifetime->cause == CAUSE_OOM_HOST;
        if (lifetime->cause == CAUSE_RUNNING || kernel ||
            (lifetime->cause == CAUSE_KILLED_BY_PLATFORM &&
             (lifetime->platform_kill == PLATFORM_KILL_STOP ||
              lifetime->platform_kill == PLATFORM_KILL_DEADLINE)))
            continue;
        ends++;
        last = lifetime;
    }
    struct check_row *row = add_row(subject, "ends", "ends", ends > 0 ? BUDGET_FAIL : BUDGET_PASS);
    row->value = ends;
    row->most = 0;
    put(row->observed, "%u", ends);
    if (last && last->has_exit_code)
        put(row->observed, "%u, the last %s with exit code %d", ends, cause_name(last->cause),
            last->exit_code);
    else if (last)
        put(row->observed, "%u, the last %s", ends, cause_name(last->cause));
    put(row->allowed, "none");
}

static double request_count(const json_t *arm, const char *key)
{
    return json_number_value(json_object_get(json_object_get(arm, "requests"), key));
}

static bool was_ready(const struct arm_data *data)
{
    bool ready = false;
    for (size_t i = 0; i < data->count; i++)
        ready |= !isnan(data->lifetimes[i].ready_s);
    return ready;
}

/* Growth per request is worth nothing when the requests were not served. */
static void check_requests(const struct subject *subject)
{
    double planned = request_count(subject->arm, "planned");
    double completed = request_count(subject->arm, "completed");
    double failed = request_count(subject->arm, "failed") + request_count(subject->arm, "not_sent");
    double sent = completed + failed;
    double share = sent > 0 ? failed / sent : planned > 0;
    bool pass = share <= subject->budget->failed_share;
    struct check_row *row =
        add_row(subject, "requests", "share failed", pass ? BUDGET_PASS : BUDGET_FAIL);
    row->value = share;
    row->most = subject->budget->failed_share;
    put(row->observed, "%.0f of %.0f failed", failed, sent);
    if (sent <= 0 && planned > 0)
        put(row->observed, "none could be sent%s",
            was_ready(subject->data) ? "" : ": it never became ready");
    put(row->allowed, "%g %% failed", 100 * row->most);
}

/* A leak is allowed where its growth is: the worst of what was asked. */
static enum budget_outcome judge_leak(const struct subject *subject)
{
    enum budget_outcome worst = BUDGET_PASS;
    for (enum budget_rate rate = 0; rate < BUDGET_RATES; rate++) {
        double most = subject->budget->growth.most[rate];
        if (isnan(most))
            continue;
        enum budget_outcome outcome = budget_judge_growth(subject->verdict, rate, most);
        if (outcome == BUDGET_FAIL || worst == BUDGET_PASS)
            worst = outcome;
    }
    return worst;
}

static void check_verdict(const struct subject *subject)
{
    enum budget_outcome outcome = BUDGET_FAIL;
    bool growth_asked = growth_budget_is_asked(&subject->budget->growth);
    const char *class = verdict_class_name(subject->verdict->class);
    switch (subject->verdict->class) {
    case VERDICT_STABLE:
    case VERDICT_BOUNDED_CACHE:
    case VERDICT_RECLAIMABLE_CACHE:
        outcome = BUDGET_PASS;
        break;
    case VERDICT_INCONCLUSIVE:
        outcome = BUDGET_INCONCLUSIVE;
        break;
    case VERDICT_LEAK:
        outcome = growth_asked ? judge_leak(subject) : BUDGET_FAIL;
        break;
    case VERDICT_STARTUP_DEMAND:
    case VERDICT_PEAK_DEMAND:
    case VERDICT_NOT_MEMORY:
    case VERDICT_COUNT:
        break;
    }
    struct check_row *row = add_row(subject, "verdict", "class", outcome);
    put(row->observed, "%s", class);
    put(row->allowed, !growth_asked            ? "no leak, and the limit fits"
                      : outcome == BUDGET_PASS ? "a leak within --max-growth"
                                               : "no leak beyond --max-growth");
}

static const char *signed_size(double bytes, char text[static CHECK_TEXT_MAX])
{
    char size[SIZE_TEXT_MAX];
    put(text, "%s%s", bytes < -0.5 ? "-" : "", size_format((uint64_t)llround(fabs(bytes)), size));
    return text;
}

/* How many times the traffic it takes until the interval is narrow enough: most of its width is
 * what the counters are wrong by at both ends, so that it shrinks as the traffic grows. 0: more of
 * the same may never tell. */
static double traffic_factor(const struct estimate *estimate, double most)
{
    double room = most - estimate->value;
    double wants = estimate->high - estimate->value;
    return room > 0 && wants > room ? wants / room : 0;
}

/* The budget against the interval: why that settles nothing. */
static void tell_why_open(const struct subject *subject, const struct estimate *estimate,
                          struct check_row *row)
{
    if (row->outcome != BUDGET_INCONCLUSIVE)
        return;
    if (isnan(estimate->low) || isnan(estimate->high))
        put(row->reason, "too few samples under way for an interval; more requests give one");
    else if (estimate->low > row->most)
        put(row->reason,
            "the interval is above the budget, but the verdict, %s, knows of no growth: this may "
            "be a warm-up, and more requests tell",
            verdict_class_name(subject->verdict->class));
    else
        put(row->reason, "the interval holds the budget; more requests narrow it");
}

static void tell_what_would_settle(const struct subject *subject, const struct estimate *estimate,
                                   struct check_row *row)
{
    double done = 0;
    for (size_t i = 0; i < subject->data->count; i++)
        done += subject->data->lifetimes[i].requests_completed;
    double factor = traffic_factor(estimate, row->most);
    size_t used = strlen(row->observed);
    if (row->outcome == BUDGET_INCONCLUSIVE && done > 0 && factor > 0 && factor < 1000)
        snprintf(row->observed + used, sizeof(row->observed) - used,
                 "; some %.0f requests would tell", ceil(done * factor / 100) * 100);
}

static void check_growth(const struct subject *subject, enum budget_rate rate)
{
    static const struct {
        const char *name, *unit, *suffix;
        double scale; /* to the unit that is shown */
    } words[BUDGET_RATES] = {
        [BUDGET_PER_REQUEST] = {"growth-per-request", "bytes/request", "/request", 1},
        [BUDGET_PER_SECOND] = {"growth-per-time", "bytes/s", "/h", 3600},
    };
    double most = subject->budget->growth.most[rate];
    const struct estimate *estimate = budget_estimate(subject->verdict, rate);
    if (isnan(most))
        return;
    char low[CHECK_TEXT_MAX], high[CHECK_TEXT_MAX], value[CHECK_TEXT_MAX];
    double scale = words[rate].scale;
    struct check_row *row = add_row(subject, words[rate].name, words[rate].unit,
                                    budget_judge_growth(subject->verdict, rate, most));
    row->value = estimate->value;
    row->low = estimate->low;
    row->high = estimate->high;
    row->most = most;
    put(row->observed, "could not be estimated");
    if (!isnan(estimate->value))
        put(row->observed, "%.64s%s", signed_size(scale * estimate->value, value),
            words[rate].suffix);
    tell_what_would_settle(subject, estimate, row);
    tell_why_open(subject, estimate, row);
    if (!isnan(estimate->low) && !isnan(estimate->high))
        put(row->interval, "%.64s to %.64s", signed_size(scale * estimate->low, low),
            signed_size(scale * estimate->high, high));
    put(row->allowed, "%.64s%s", signed_size(scale * most, value), words[rate].suffix);
}

/* What it needed at its peak: page cache does not count, for the kernel takes it back. */
static void check_memory(const struct subject *subject)
{
    const struct verdict *verdict = subject->verdict;
    double most = (double)subject->budget->memory_bytes;
    if (subject->budget->memory_bytes == 0)
        return;
    double peak = verdict->need_bytes > 0 ? verdict->need_bytes : verdict->peak_bytes;
    bool killed = verdict->kills + verdict->child_kills > 0;
    enum budget_outcome outcome = isnan(peak)             ? BUDGET_INCONCLUSIVE
                                  : killed || peak > most ? BUDGET_FAIL
                                                          : BUDGET_PASS;
    struct check_row *row = add_row(subject, "memory", "bytes", outcome);
    char text[CHECK_TEXT_MAX];
    row->value = peak;
    row->most = most;
    if (isnan(peak))
        put(row->observed, "no sample was taken");
    else
        put(row->observed, "%.64s at its peak%s", signed_size(peak, text),
            killed ? ", where it was killed" : "");
    put(row->allowed, "%.64s", signed_size(most, text));
}

static int judge_arm(struct store *store, const json_t *arm, const struct check_budget *budget,
                     struct check_rows *rows, struct error *err)
{
    struct arm_data data = {0};
    struct verdict verdict;
    int r =
        arm_data_load(store, (int64_t)json_integer_value(json_object_get(arm, "row")), &data, err);
    if (r < 0)
        return r;
    if (verdict_of_arm(&data.series, &verdict) < 0) {
        arm_data_done(&data);
        return error_errno(err, ENOMEM, "judging the arm");
    }
    const struct subject subject = {arm, &data, &verdict, budget, rows};
    check_kills(&subject);
    check_ends(&subject);
    check_requests(&subject);
    check_verdict(&subject);
    check_growth(&subject, BUDGET_PER_REQUEST);
    check_growth(&subject, BUDGET_PER_SECOND);
    check_memory(&subject);
    arm_data_done(&data);
    return 0;
}

int check_judge(const struct run_directory *run, const json_t *result,
                const struct check_budget *budget, struct check_rows *ret, struct error *err)
{
    const json_t *arms = json_object_get(result, "arms");
    const json_t *arm;
    size_t index;
    struct store *store = NULL;
    *ret = (struct check_rows){0};
    struct check_rows rows = {
        .items = calloc(json_array_size(arms) + 1, ROWS_PER_ARM_MAX * sizeof(*ret->items))};
    if (!rows.items)
        return error_errno(err, ENOMEM, "judging the run");
    int r = store_open(run->path, &store, err);
    json_array_foreach(arms, index, arm)
    {
        if (r == 0)
            r = judge_arm(store, arm, budget, &rows, err);
    }
    store_close(store);
    if (r == 0)
        *ret = rows;
    else
        check_rows_done(&rows);
    return r;
}
