/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/verdict.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "cli/compare.h"
#include "report/wrap.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define CELL_MAX  96
#define NAMES_MAX 160 /* two arms' names */
#define KEPT_MAX  256

#define DIFFERS_MAX 800

enum kind { KIND_BYTES, KIND_COUNT, KIND_SECONDS };

static const struct {
    const char *key, *label, *unit; /* unit: of the JSON's figures */
    enum kind kind;
    double scale; /* to what people read */
} WORDS[COMPARE_MEASURES] = {
    [COMPARE_PER_REQUEST] = {"growth_per_request", "growth per request", "bytes/request",
                             KIND_BYTES, 1},
    [COMPARE_PER_SECOND] = {"growth_per_second", "growth per hour", "bytes/s", KIND_BYTES, 3600},
    [COMPARE_KILL_REQUESTS] = {"requests_to_kill", "requests to kill", "requests", KIND_COUNT, 1},
    [COMPARE_KILL_SECONDS] = {"seconds_to_kill", "seconds to kill", "s", KIND_SECONDS, 1},
    [COMPARE_PEAK] = {"peak_working_set", "peak of a lifetime", "bytes", KIND_BYTES, 1},
    [COMPARE_KILLS] = {"kills", "kills", "kills", KIND_COUNT, 1},
};

/* --- figures --------------------------------------------------------------------------------- */

/* Both ends of an interval are read more easily in one unit. */
static const char *unit_of(enum kind kind, double most, double *ret_divisor)
{
    static const char *const BYTES[] = {" B", " KiB", " MiB", " GiB", " TiB"};
    size_t i = 0;
    *ret_divisor = 1;
    if (kind != KIND_BYTES)
        return kind == KIND_SECONDS ? " s" : "";
    for (; i < 4 && fabs(most) / *ret_divisor >= 1024; i++)
        *ret_divisor *= 1024;
    return BYTES[i];
}

/* `most`: what the unit is chosen by. `sign`: "+" writes one before what is above zero. */
static void put_figure_as(enum compare_measure measure, double value, double most, const char *sign,
                          char text[static CELL_MAX])
{
    double divisor, scaled = value * WORDS[measure].scale;
    const char *unit = unit_of(WORDS[measure].kind, most * WORDS[measure].scale, &divisor);
    bool whole =
        WORDS[measure].kind == KIND_COUNT && scaled >= round(scaled) && scaled <= round(scaled);
    snprintf(text, CELL_MAX, "%s%.*f%s", scaled > 0 ? sign : "", whole ? 0 : 1, scaled / divisor,
             unit);
}

static void put_figure(enum compare_measure measure, double value, const char *sign,
                       char text[static CELL_MAX])
{
    put_figure_as(measure, value, value, sign, text);
}

/* In the unit that its interval is shown in: "0.1 KiB (-1.8 to 3.5 KiB)". */
static void put_figure_of(enum compare_measure measure, const struct estimate *estimate,
                          const char *sign, char text[static CELL_MAX])
{
    put_figure_as(measure, estimate->value, fmax(fabs(estimate->low), fabs(estimate->high)), sign,
                  text);
}

static void put_interval(enum compare_measure measure, double low, double high,
                         char text[static CELL_MAX])
{
    double divisor, scale = WORDS[measure].scale;
    const char *unit = unit_of(WORDS[measure].kind, scale * fmax(fabs(low), fabs(high)), &divisor);
    snprintf(text, CELL_MAX, "%.1f to %.1f%s", scale * low / divisor, scale * high / divisor, unit);
}

static void put_cell(enum compare_measure measure, const struct estimate *estimate,
                     const char *sign, char text[static CELL_MAX])
{
    char figure[CELL_MAX], interval[CELL_MAX];
    snprintf(text, CELL_MAX, "-");
    if (isnan(estimate->value))
        return;
    if (isnan(estimate->low) || isnan(estimate->high)) {
        put_figure(measure, estimate->value, sign, text);
        return;
    }
    put_figure_of(measure, estimate, sign, figure);
    put_interval(measure, estimate->low, estimate->high, interval);
    snprintf(text, CELL_MAX, "%.30s (%.60s)", figure, interval);
}

/* --- sentences ------------------------------------------------------------------------------- */

bool compare_by_time(const struct compare_pair *pair)
{
    bool requests = !isnan(pair->a.figures[COMPARE_PER_REQUEST].value) &&
                    !isnan(pair->b.figures[COMPARE_PER_REQUEST].value);
    return !requests || pair->a.driver == DRIVER_TIME || pair->b.driver == DRIVER_TIME;
}

/* By how much, without a sign, and the interval's ends in the same direction. */
static void put_distance(const struct compare_pair *pair, enum compare_measure measure,
                         char value[static CELL_MAX], char interval[static CELL_MAX])
{
    struct estimate d = pair->differences[measure];
    if (pair->outcomes[measure] == COMPARISON_LESS)
        d = (struct estimate){-d.value, -d.high, -d.low};
    put_figure_of(measure, &d, "", value);
    put_interval(measure, d.low, d.high, interval);
}

static bool has_interval(const struct estimate *estimate)
{
    return !isnan(estimate->low) && !isnan(estimate->high);
}

/* Which of the arms lack something: "trigger", "patch", "trigger and patch". */
static void put_lacking(const struct compare_pair *pair, bool a, bool b,
                        char text[static NAMES_MAX])
{
    snprintf(text, NAMES_MAX, "%.64s%s%.64s", a ? pair->a_name : "", a && b ? " and " : "",
             b ? pair->b_name : "");
}

static void say_why_open(const struct compare_pair *pair, enum compare_measure measure,
                         char text[static COMPARE_TEXT_MAX])
{
    char interval[CELL_MAX], why[NAMES_MAX + 64] = ", which holds 0";
    enum comparison figures = comparison_of(&pair->differences[measure]);
    put_interval(measure, pair->differences[measure].low, pair->differences[measure].high,
                 interval);
    if (figures != COMPARISON_OPEN)
        snprintf(why, sizeof(why), ", but by its verdict what %.64s keeps does not grow on",
                 figures == COMPARISON_LESS ? pair->a_name : pair->b_name);
    snprintf(text, COMPARE_TEXT_MAX, "No difference in %s can be shown: B - A is %s (95 %%)%s.",
             WORDS[measure].label, interval, why);
}

/* What one arm keeps: "4.0 MiB per request (95 % 3.9 to 4.1 MiB)", or that it cannot be told from
 * nothing. */
static void put_kept(const struct compare_side *side, enum compare_measure measure, const char *per,
                     char text[static KEPT_MAX])
{
    const struct estimate *growth = &side->figures[measure];
    char value[CELL_MAX], interval[CELL_MAX];
    put_figure_of(measure, growth, "", value);
    put_interval(measure, growth->low, growth->high, interval);
    bool nothing = growth->low <= 0 && growth->high >= 0;
    snprintf(text, KEPT_MAX, "%s%s (95 %% %s%s)", nothing ? "nothing measurable" : value, per,
             interval, side->levels_off && !nothing ? ", levelling off" : "");
}

static void say_growth_differs(const struct compare_pair *pair, enum compare_measure measure,
                               char text[static COMPARE_TEXT_MAX])
{
    char value[CELL_MAX], interval[CELL_MAX], a[KEPT_MAX], b[KEPT_MAX];
    put_kept(&pair->a, measure, "", a);
    put_kept(&pair->b, measure, measure == COMPARE_PER_REQUEST ? " per request" : " per hour", b);
    put_distance(pair, measure, value, interval);
    snprintf(text, COMPARE_TEXT_MAX, "%.64s keeps %s where %.64s keeps %s: %s %s (95 %% %s; %s).",
             pair->b_name, b, pair->a_name, a, value, comparison_name(pair->outcomes[measure]),
             interval, level_name(pair->levels[measure]));
}

void compare_say_growth(const struct compare_pair *pair, char text[static COMPARE_TEXT_MAX])
{
    char lacking[NAMES_MAX];
    enum compare_measure measure = compare_by_time(pair) ? COMPARE_PER_SECOND : COMPARE_PER_REQUEST;
    switch (pair->outcomes[measure]) {
    case COMPARISON_UNKNOWN:
        put_lacking(pair, !has_interval(&pair->a.figures[measure]),
                    !has_interval(&pair->b.figures[measure]), lacking);
        snprintf(text, COMPARE_TEXT_MAX,
                 "No difference in %s can be shown: too few samples under way for an interval in "
                 "%s.",
                 WORDS[measure].label, lacking);
        return;
    case COMPARISON_OPEN:
        say_why_open(pair, measure, text);
        return;
    case COMPARISON_LESS:
    case COMPARISON_MORE:
        say_growth_differs(pair, measure, text);
        return;
    }
}

static void put_extent(enum compare_measure measure, double value, char text[static CELL_MAX])
{
    if (measure == COMPARE_KILL_SECONDS)
        snprintf(text, CELL_MAX, "%.1f s", value);
    else
        snprintf(text, CELL_MAX, "%.0f requests", value);
}

/* Whether the survivor lived long enough to show anything. */
static const char *judge_survival(const struct estimate *kills, double survived)
{
    if (!has_interval(kills))
        return ", but one kill has no interval to be beyond";
    return survived > kills->high ? ", which is beyond that" : ", which is too little to show more";
}

/* One of them was not killed: there is nothing to take the difference of. */
static void say_survival(const struct compare_pair *pair, enum compare_measure measure,
                         char text[static COMPARE_TEXT_MAX])
{
    bool a_killed = pair->a.observed[measure].count > 0;
    const struct compare_side *killed = a_killed ? &pair->a : &pair->b;
    const struct compare_side *other = a_killed ? &pair->b : &pair->a;
    const struct estimate *figure = &killed->figures[measure];
    size_t kills = killed->observed[measure].count;
    double survived =
        measure == COMPARE_KILL_SECONDS ? other->survived_seconds : other->survived_requests;
    if (kills == 0) {
        snprintf(text, COMPARE_TEXT_MAX, "Neither main process was killed for memory.");
        return;
    }
    char often[CELL_MAX] = "once", after[CELL_MAX], within[CELL_MAX], interval[CELL_MAX + 32] = "";
    put_extent(measure, figure->value, after);
    put_extent(measure, survived, within);
    if (kills > 1) {
        char ends[CELL_MAX];
        snprintf(often, sizeof(often), "%zu times", kills);
        put_interval(measure, figure->low, figure->high, ends);
        snprintf(interval, sizeof(interval), " on average (95 %% %s)", ends);
    }
    snprintf(text, COMPARE_TEXT_MAX,
             "%.64s was killed %s, after %s%s; %.64s was not killed within %s%s.",
             a_killed ? pair->a_name : pair->b_name, often, after, interval,
             a_killed ? pair->b_name : pair->a_name, within, judge_survival(figure, survived));
}

static void say_kills_differ(const struct compare_pair *pair, enum compare_measure measure,
                             char text[static COMPARE_TEXT_MAX])
{
    char value[CELL_MAX], interval[CELL_MAX], a[CELL_MAX], b[CELL_MAX];
    put_distance(pair, measure, value, interval);
    put_extent(measure, pair->a.figures[measure].value, a);
    put_extent(measure, pair->b.figures[measure].value, b);
    snprintf(text, COMPARE_TEXT_MAX,
             "%.64s is killed after %s where %.64s is killed after %s: %s%s %s (95 %% %s; %s).",
             pair->b_name, b, pair->a_name, a, value,
             measure == COMPARE_KILL_SECONDS ? "" : " requests",
             pair->outcomes[measure] == COMPARISON_MORE ? "later" : "sooner", interval,
             level_name(pair->levels[measure]));
}

void compare_say_kills(const struct compare_pair *pair, char text[static COMPARE_TEXT_MAX])
{
    char lacking[NAMES_MAX];
    enum compare_measure measure =
        compare_by_time(pair) ? COMPARE_KILL_SECONDS : COMPARE_KILL_REQUESTS;
    size_t a = pair->a.observed[measure].count, b = pair->b.observed[measure].count;
    if (a == 0 || b == 0) {
        say_survival(pair, measure, text);
    } else if (pair->outcomes[measure] == COMPARISON_UNKNOWN) {
        put_lacking(pair, a < 2, b < 2, lacking);
        snprintf(text, COMPARE_TEXT_MAX,
                 "No difference in %s can be shown: one kill has no spread, and %s had no more.",
                 WORDS[measure].label, lacking);
    } else if (pair->outcomes[measure] == COMPARISON_OPEN) {
        say_why_open(pair, measure, text);
    } else {
        say_kills_differ(pair, measure, text);
    }
}

void compare_say_differs(const struct compare_pair *pair, char text[static COMPARE_TEXT_MAX])
{
    size_t index;
    const json_t *difference;
    AUTO_BUFFER list = {0};
    text[0] = '\0';
    if (!pair->differs.known)
        return;
    json_array_foreach(pair->differs.texts, index, difference)
        buffer_printf(&list, "%s%s", index ? "; " : "", json_string_value(difference));
    if (list.length == 0)
        snprintf(text, COMPARE_TEXT_MAX, "Nothing was set differently, as far as is recorded.");
    else
        snprintf(text, COMPARE_TEXT_MAX, "Set differently: %.*s%s.", DIFFERS_MAX,
                 buffer_text(&list), list.length > DIFFERS_MAX ? "..." : "");
}

void compare_say_caveat(const struct compare_pair *pair, char text[static COMPARE_TEXT_MAX])
{
    AUTO_BUFFER list = {0};
    text[0] = '\0';
    if (!pair->same_requests)
        buffer_puts(&list, "the request sequences differ, which may be the difference; ");
    if (!pair->same_limit)
        buffer_puts(&list,
                    "the memory limits differ, and with them the way to a kill and the peak; ");
    if (pair->differs.factors > 1)
        buffer_printf(&list, "%u settings differ at once, and which of them matters is not shown; ",
                      pair->differs.factors);
    if (list.length > 0)
        snprintf(text, COMPARE_TEXT_MAX, "Not alike: %.*s.", (int)list.length - 2,
                 buffer_text(&list));
}

/* --- output ---------------------------------------------------------------------------------- */

static int add_row(struct table *table, const struct compare_pair *pair,
                   enum compare_measure measure)
{
    char a[CELL_MAX], b[CELL_MAX], difference[CELL_MAX];
    put_cell(measure, &pair->a.figures[measure], "", a);
    put_cell(measure, &pair->b.figures[measure], "", b);
    put_cell(measure, &pair->differences[measure], "+", difference);
    const char *const cells[] = {WORDS[measure].label, a, b, difference,
                                 level_name(pair->levels[measure])};
    return table_add(table, cells);
}

int compare_print_pair(const struct compare_pair *pair, FILE *out, struct error *err)
{
    static const char *const headings[] = {"",         ">A (95 %)", ">B (95 %)", ">B - A (95 %)",
                                           "EVIDENCE", NULL};
    enum compare_measure hidden = compare_by_time(pair) ? COMPARE_PER_REQUEST : COMPARE_PER_SECOND;
    struct table *table = table_new(headings);
    int r = table ? 0 : -ENOMEM;
    for (enum compare_measure i = 0; r == 0 && i < COMPARE_MEASURES; i++) {
        if (i != hidden)
            r = add_row(table, pair, i);
    }
    if (r == 0)
        table_print(table, out);
    table_free(table);
    if (r < 0)
        return error_errno(err, -r, "comparing the arms");
    char texts[4][COMPARE_TEXT_MAX];
    compare_say_growth(pair, texts[0]);
    compare_say_kills(pair, texts[1]);
    compare_say_differs(pair, texts[2]);
    compare_say_caveat(pair, texts[3]);
    fputc('\n', out);
    for (size_t i = 0; i < 4; i++) {
        if (texts[i][0])
            wrap_print(out, 0, "%s", texts[i]);
    }
    return 0;
}

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *estimate_to_json(const struct estimate *estimate)
{
    return json_pack("{s:o, s:[o, o]}", "value", number(estimate->value), "ci95",
                     number(estimate->low), number(estimate->high));
}

int compare_pair_to_json(const struct compare_pair *pair, json_t *arm)
{
    char growth[COMPARE_TEXT_MAX], kills[COMPARE_TEXT_MAX], caveat[COMPARE_TEXT_MAX];
    json_t *measures = json_object();
    int failed = 0;
    compare_say_growth(pair, growth);
    compare_say_kills(pair, kills);
    compare_say_caveat(pair, caveat);
    for (size_t i = 0; i < COMPARE_MEASURES; i++)
        failed |= json_object_set_new(
            measures, WORDS[i].key,
            json_pack("{s:s, s:o, s:o, s:o, s:s, s:s}", "unit", WORDS[i].unit, "a",
                      estimate_to_json(&pair->a.figures[i]), "b",
                      estimate_to_json(&pair->b.figures[i]), "difference",
                      estimate_to_json(&pair->differences[i]), "outcome",
                      comparison_name(pair->outcomes[i]), "level", level_name(pair->levels[i])));
    failed |= json_object_set_new(arm, "measures", measures);
    failed |= json_object_set_new(
        arm, "same",
        json_pack("{s:b, s:b}", "requests", pair->same_requests, "memory_limit", pair->same_limit));
    failed |= json_object_set_new(
        arm, "differs_in", pair->differs.known ? json_incref(pair->differs.texts) : json_null());
    failed |= json_object_set_new(arm, "sentences", json_pack("[s, s]", growth, kills));
    failed |= json_object_set_new(arm, "caveat", caveat[0] ? json_string(caveat) : json_null());
    return failed ? -ENOMEM : 0;
}
