/* SPDX-License-Identifier: Apache-2.0 */
/* What `oomlab check` asks of a run, and what the run answers. Internal to the verb. */
#pragma once

#include "analysis/budget.h"
#include "base/error.h"
#include "cli/state.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CHECK_TEXT_MAX 256

struct check_budget {
    struct growth_budget growth;
    uint64_t memory_bytes; /* 0: not asked */
    double failed_share;   /* of the requests, 0 to 1 */
    bool allow_inconclusive;
};

/* "1KiB/request", "2MiB/h" (s, m, h, d): sets the one it speaks of. Usage error otherwise, and when
 * that one is set already. */
int check_growth_parse(const char *text, struct check_budget *budget, struct error *err);
/* "1%", "0", "0.5 %" as a share. */
int check_share_parse(const char *text, double *ret, struct error *err);

/* One check of one scenario. */
struct check_row {
    char scenario[64];
    const char *name; /* "kills"; static */
    enum budget_outcome outcome;
    double value, low, high, most; /* NAN: not a number, or no interval */
    const char *unit;              /* of these: "bytes/request"; static */
    char observed[CHECK_TEXT_MAX], interval[CHECK_TEXT_MAX], allowed[CHECK_TEXT_MAX];
    char reason[CHECK_TEXT_MAX]; /* why it is not settled; "" where it is */
    double seconds;              /* how long its scenario took; NAN unknown */
};

struct check_rows {
    struct check_row *items;
    size_t count;
};
void check_rows_done(struct check_rows *rows);

/* All checks of a finished run: `result` is its result object, the estimates are made from its
 * evidence. At least one row for each arm. */
int check_judge(const struct run_directory *run, const json_t *result,
                const struct check_budget *budget, struct check_rows *ret, struct error *err);

/* Whether the row lets the check pass as a whole. */
bool check_row_passes(const struct check_row *row, const struct check_budget *budget);

/* A table, one line a check, and a last line with the outcome of the whole. `annotate`: followed by
 * a GitHub workflow command for each check that does not pass. */
int check_print_text(const struct check_rows *rows, const struct check_budget *budget,
                     const struct run_directory *run, bool annotate, FILE *out, struct error *err);
/* The object of --format json; NULL on failed allocation. */
json_t *check_to_json(const struct check_rows *rows, const struct check_budget *budget,
                      const struct run_directory *run);
/* JUnit XML into the file, which stays open and may be NULL: a suite for each scenario, a test case
 * for each check. */
int check_write_junit(const struct check_rows *rows, const struct check_budget *budget,
                      const char *lab, FILE *out, struct error *err);
/* Markdown for a CI service's page of a job: the checks, then the run's result. `out` may be NULL.
 */
int check_write_summary(const struct check_rows *rows, const struct check_budget *budget,
                        const char *lab, const json_t *result, FILE *out, struct error *err);
