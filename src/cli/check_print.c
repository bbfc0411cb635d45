/* SPDX-License-Identifier: Apache-2.0 */
/* The outcome of a check: for a log, for programs, for a CI service's page of tests. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/table.h"
#include "cli/check.h"
#include "cli/junit.h"
#include "report/wrap.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const char *outcome_word(const struct check_row *row)
{
    static const char *const words[] = {
        [BUDGET_PASS] = "PASS",
        [BUDGET_FAIL] = "FAIL",
        [BUDGET_INCONCLUSIVE] = "INCONCLUSIVE",
    };
    return words[row->outcome];
}

static size_t count_failed(const struct check_rows *rows, const struct check_budget *budget)
{
    size_t failed = 0;
    for (size_t i = 0; i < rows->count; i++)
        failed += !check_row_passes(&rows->items[i], budget);
    return failed;
}

/* "3.0 KiB/request (95 %: 2.9 KiB to 3.1 KiB), allowed 1.0 KiB/request" */
static void row_sentence(const struct check_row *row, struct buffer *text)
{
    buffer_puts(text, row->observed);
    if (row->interval[0] != '\0')
        buffer_printf(text, " (95 %%: %s)", row->interval);
    buffer_printf(text, ", allowed: %s", row->allowed);
}

/* --- text ------------------------------------------------------------------------------------ */

/* The data of a workflow command: %, CR and LF are escaped. Nothing here holds the latter two. */
static void print_annotation(const struct check_row *row, FILE *out)
{
    AUTO_BUFFER text = {0};
    row_sentence(row, &text);
    fprintf(out, "::error title=oomlab check: %s of %s::", row->name, row->scenario);
    for (const char *at = buffer_text(&text); *at; at++) {
        if (*at == '%')
            fputs("%25", out);
        else
            fputc(*at, out);
    }
    fputc('\n', out);
}

static void print_reasons(const struct check_rows *rows, FILE *out)
{
    bool growth = false;
    for (size_t i = 0; i < rows->count; i++) {
        const struct check_row *row = &rows->items[i];
        if (row->reason[0] == '\0')
            continue;
        growth = true;
        wrap_print(out, 0, "INCONCLUSIVE %s of %s: %s.", row->name, row->scenario, row->reason);
    }
    if (growth)
        fputs("--budget and --rate give more requests.\n", out);
}

int check_print_text(const struct check_rows *rows, const struct check_budget *budget,
                     const struct run_directory *run, bool annotate, FILE *out, struct error *err)
{
    static const char *const headings[] = {"RESULT",        "SCENARIO", "CHECK", "OBSERVED",
                                           "95 % INTERVAL", "ALLOWED",  NULL};
    struct table *table = table_new(headings);
    int r = table ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < rows->count; i++) {
        const struct check_row *row = &rows->items[i];
        const char *const cells[] = {outcome_word(row), row->scenario, row->name,
                                     row->observed,     row->interval, row->allowed};
        r = table_add(table, cells);
    }
    if (r == 0)
        table_print(table, out);
    table_free(table);
    if (r < 0)
        return error_errno(err, -r, "printing the checks");
    size_t failed = count_failed(rows, budget);
    if (failed > 0)
        fprintf(out, "\nFAIL: %zu of %zu checks do not pass\n", failed, rows->count);
    else
        fprintf(out, "\nPASS: all %zu checks\n", rows->count);
    print_reasons(rows, out);
    fprintf(out, "Report: %s/report.html\n", run->path);
    for (size_t i = 0; annotate && i < rows->count; i++) {
        if (!check_row_passes(&rows->items[i], budget))
            print_annotation(&rows->items[i], out);
    }
    return 0;
}

/* --- JSON ------------------------------------------------------------------------------------ */

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *check_to_json(const struct check_rows *rows, const struct check_budget *budget,
                      const struct run_directory *run)
{
    json_t *checks = json_array();
    for (size_t i = 0; i < rows->count; i++) {
        const struct check_row *row = &rows->items[i];
        json_array_append_new(
            checks, json_pack("{s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:o, s:[o, o], s:o, s:o}",
                              "scenario", row->scenario, "check", row->name, "outcome",
                              budget_outcome_name(row->outcome), "pass",
                              check_row_passes(row, budget), "observed", row->observed, "allowed",
                              row->allowed, "unit", row->unit, "value", number(row->value), "ci95",
                              number(row->low), number(row->high), "most", number(row->most),
                              "reason", row->reason[0] ? json_string(row->reason) : json_null()));
    }
    return json_pack("{s:s, s:s, s:s, s:b, s:o}", "schema", "oomlab.check/1", "run", run->id,
                     "directory", run->path, "pass", count_failed(rows, budget) == 0, "checks",
                     checks);
}

/* --- JUnit ----------------------------------------------------------------------------------- */

static void add_case(struct junit *junit, const struct check_row *row, double seconds,
                     const struct check_budget *budget)
{
    AUTO_BUFFER text = {0};
    AUTO_BUFFER message = {0};
    row_sentence(row, &text);
    buffer_printf(&message, "%s: %s", outcome_word(row), buffer_text(&text));
    bool pass = check_row_passes(row, budget);
    junit_add(junit, &(const struct junit_case){
                         .suite = row->scenario,
                         .name = row->name,
                         .outcome = row->outcome == BUDGET_PASS ? JUNIT_PASS
                                    : pass                      ? JUNIT_SKIPPED
                                                                : JUNIT_FAILURE,
                         .message = buffer_text(&message),
                         .type = pass ? NULL : budget_outcome_name(row->outcome),
                         .output = buffer_text(&text),
                         .seconds = seconds,
                     });
}

int check_write_junit(const struct check_rows *rows, const struct check_budget *budget,
                      const char *lab, FILE *out, struct error *err)
{
    struct junit *junit = junit_new("check", lab);
    const char *scenario = "";
    for (size_t i = 0; i < rows->count; i++) {
        const struct check_row *row = &rows->items[i];
        /* The measurement took one time for all of its checks; the first carries it. */
        add_case(junit, row, strcmp(scenario, row->scenario) == 0 ? 0 : row->seconds, budget);
        scenario = row->scenario;
    }
    return junit_write(junit, out, err);
}
