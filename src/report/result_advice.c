/* SPDX-License-Identifier: Apache-2.0 */
/* The recommendation of a result: action, forecasts of a leak, the sizes of other rules. */
#include "report/result.h"

#include "analysis/sizing.h"

#include <errno.h>

enum {
    COLUMN_LIMIT,
    COLUMN_SECONDS,
    COLUMN_REQUESTS = COLUMN_SECONDS + 3,
    COLUMN_LEFT = COLUMN_REQUESTS + 3
};

static json_t *estimate_json(const struct rows *rows, int column)
{
    if (row_is_null(rows, column))
        return json_null();
    return json_pack("{s:o, s:o, s:o}", "value", row_json_real(rows, column), "low",
                     row_json_real(rows, column + 1), "high", row_json_real(rows, column + 2));
}

static int forecasts_json(struct store *store, json_t *into, struct error *err)
{
    AUTO_ROWS rows = {0};
    struct forecasts forecasts = {.count = 0};
    json_t *list = json_array();
    bool failed = false;
    int r = rows_query(&rows, store,
                       "SELECT limit_bytes, seconds, seconds_low, seconds_high, requests,"
                       " requests_low, requests_high, left_s, left_low_s, left_high_s FROM forecast"
                       " ORDER BY limit_bytes",
                       0, err);
    while (r == 0 && (r = rows_next(&rows, err)) == 1) {
        r = json_array_append_new(list,
                                  json_pack("{s:o, s:o, s:o, s:o}", "limit_bytes",
                                            row_json_integer(&rows, COLUMN_LIMIT), "seconds",
                                            estimate_json(&rows, COLUMN_SECONDS), "requests",
                                            estimate_json(&rows, COLUMN_REQUESTS), "seconds_left",
                                            estimate_json(&rows, COLUMN_LEFT)));
        if (forecasts.count < FORECASTS_MAX)
            forecasts.items[forecasts.count++] =
                (struct forecast){.limit_bytes = row_real(&rows, COLUMN_LIMIT),
                                  .seconds = {.value = row_real(&rows, COLUMN_SECONDS)}};
    }
    double hiding = forecast_hiding_limit(&forecasts);
    result_set(into, "forecasts", list, &failed);
    result_set(into, "crash_loop_hidden_from_bytes",
               hiding < 9e18 ? json_integer((json_int_t)hiding) : json_null(), &failed);
    return r < 0 ? r : failed ? error_errno(err, ENOMEM, "making the result") : 0;
}

static int rules_json(struct store *store, json_t *into, struct error *err)
{
    AUTO_ROWS rows = {0};
    json_t *list = json_array();
    bool failed = false;
    int r = rows_query(&rows, store,
                       "SELECT name, memory_bytes, formula FROM size_rule ORDER BY rowid", 0, err);
    while (r == 0 && (r = rows_next(&rows, err)) == 1)
        r = json_array_append_new(
            list, json_pack("{s:o, s:o, s:o}", "name", row_json_text(&rows, 0), "memory_bytes",
                            row_json_integer(&rows, 1), "formula", row_json_text(&rows, 2)));
    result_set(into, "rules", list, &failed);
    return r < 0 ? r : failed ? error_errno(err, ENOMEM, "making the result") : 0;
}

int result_recommendation(struct store *store, const struct run_clock *clock, json_t **ret,
                          struct error *err)
{
    (void)clock;
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store,
                       "SELECT action, memory_bytes, reason FROM recommendation"
                       " ORDER BY rowid DESC LIMIT 1",
                       0, err);
    if (r == 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    if (r == 1)
        *ret = json_pack("{s:o, s:o, s:o}", "action", row_json_text(&rows, 0), "memory_bytes",
                         row_json_integer(&rows, 1), "reason", row_json_text(&rows, 2));
    else
        *ret = json_pack("{s:s, s:n, s:s}", "action", "investigate", "memory_bytes", "reason",
                         "The run gave no recommendation: it ended before its analysis.");
    if (!*ret)
        return error_errno(err, ENOMEM, "making the result");
    r = forecasts_json(store, *ret, err);
    return r < 0 ? r : rules_json(store, *ret, err);
}
