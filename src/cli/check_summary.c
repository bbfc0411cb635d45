/* SPDX-License-Identifier: Apache-2.0 */
/* The outcome of a check as Markdown, for a CI service's page of a job. */
#include "cli/check.h"
#include "cli/job_summary.h"
#include "report/job_summary.h"

static const char *outcome_mark(const struct check_row *row, const struct check_budget *budget)
{
    if (row->outcome == BUDGET_PASS)
        return GOOD("PASS");
    if (row->outcome == BUDGET_FAIL)
        return BAD("FAIL");
    return check_row_passes(row, budget) ? "inconclusive, allowed" : BAD("INCONCLUSIVE");
}

int check_write_summary(const struct check_rows *rows, const struct check_budget *budget,
                        const char *lab, const json_t *result, FILE *out, struct error *err)
{
    bool pass = true;
    if (!out)
        return 0;
    for (size_t i = 0; i < rows->count; i++)
        pass = pass && check_row_passes(&rows->items[i], budget);
    struct document *document = job_summary_begin("check", lab, pass ? "PASS" : "FAIL");
    if (!document)
        return job_summary_write(document, out, err);
    document_table(document, (const char *const[]){"Result", "Scenario", "Check", "Observed",
                                                   "95 % interval", "Allowed", NULL});
    for (size_t i = 0; i < rows->count; i++) {
        const struct check_row *row = &rows->items[i];
        document_cell(document, "%s", outcome_mark(row, budget));
        document_cell(document, "`%s`", row->scenario);
        document_cell(document, "`%s`", row->name);
        document_cell(document, "%s", row->observed);
        document_cell(document, "%s", row->interval);
        document_cell(document, "%s", row->allowed);
    }
    job_summary_append(result, document);
    return job_summary_write(document, out, err);
}
