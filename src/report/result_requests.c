/* SPDX-License-Identifier: Apache-2.0 */
/* What became of an arm's requests: how many, why not, how late, how long. */
#include "report/result.h"

#include <errno.h>

/* The load generator's own words for a request that it did not send (src/traffic): no fault of the
 * service. */
#define NOT_SENT "error IS 'too many in flight'"
#define ANSWERED "status BETWEEN 1 AND 499"

static int no_memory(struct error *err)
{
    return error_errno(err, ENOMEM, "making the result");
}

/* The commonest first. */
static int add_failures(struct store *store, int64_t arm_id, json_t *requests, struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store,
                       "SELECT CASE WHEN status > 0 THEN 'HTTP ' || status"
                       " ELSE coalesce(error, 'no response') END AS reason, count(*)"
                       " FROM request WHERE arm_id = ?1 AND NOT (" ANSWERED ")"
                       " AND NOT (" NOT_SENT ") GROUP BY reason ORDER BY 2 DESC, 1",
                       arm_id, err);
    bool failed = false;
    json_t *failures = json_array();
    while (r >= 0 && (r = rows_next(&rows, err)) == 1) {
        json_t *failure = json_object();
        result_set(failure, "reason", row_json_text(&rows, 0), &failed);
        result_set(failure, "count", row_json_integer(&rows, 1), &failed);
        json_array_append_new(failures, failure);
    }
    result_set(requests, "failures", failures, &failed);
    return r < 0 ? r : failed ? no_memory(err) : 0;
}

/* Percentiles by nearest rank, of the values that `sql` selects as v; null without any. */
static int add_times(struct store *store, int64_t arm_id, const char *sql, const char *key,
                     json_t *requests, struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store, sql, arm_id, err);
    if (r == 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    bool failed = false;
    json_t *times = json_object();
    result_set(times, "p50", row_json_real(&rows, 0), &failed);
    result_set(times, "p99", row_json_real(&rows, 1), &failed);
    result_set(times, "max", row_json_real(&rows, 2), &failed);
    result_set(requests, key, times, &failed);
    return failed ? no_memory(err) : 0;
}
#define PERCENTILES(value, where)                                                                  \
    "WITH t AS (SELECT (" value ") / 1e6 AS v FROM request WHERE arm_id = ?1 AND " where "),"      \
    " s AS (SELECT v, row_number() OVER (ORDER BY v) AS k, count(*) OVER () AS n FROM t)"          \
    " SELECT max(v) FILTER (WHERE k <= (n * 50 + 99) / 100),"                                      \
    " max(v) FILTER (WHERE k <= (n * 99 + 99) / 100), max(v) FROM s"

/* Completed: a response below 500. Failed: every other one that was sent and has an outcome: no
 * response, or an error of the server. */
static int add_counts(struct store *store, int64_t arm_id, json_t *requests, struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store,
                       "SELECT (SELECT requests_planned FROM arm WHERE id = ?1),"
                       " count(*) FILTER (WHERE " ANSWERED "),"
                       " count(*) FILTER (WHERE NOT (" ANSWERED ") AND NOT (" NOT_SENT ")),"
                       " count(*) FILTER (WHERE " NOT_SENT "),"
                       " (SELECT sequence_sha256 FROM arm WHERE id = ?1)"
                       " FROM request WHERE arm_id = ?1",
                       arm_id, err);
    if (r == 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    bool failed = false;
    result_set(requests, "planned", row_json_integer(&rows, 0), &failed);
    result_set(requests, "completed", row_json_integer(&rows, 1), &failed);
    result_set(requests, "failed", row_json_integer(&rows, 2), &failed);
    result_set(requests, "not_sent", row_json_integer(&rows, 3), &failed);
    result_set(requests, "sequence_sha256", row_json_text(&rows, 4), &failed);
    return failed ? no_memory(err) : 0;
}

int result_requests(struct store *store, int64_t arm_id, json_t **ret, struct error *err)
{
    json_t *requests = json_object();
    int r = requests ? add_counts(store, arm_id, requests, err) : no_memory(err);
    if (r == 0)
        r = add_failures(store, arm_id, requests, err);
    if (r == 0)
        r = add_times(store, arm_id,
                      PERCENTILES("sent_ns - due_ns", "sent_ns IS NOT NULL AND NOT (" NOT_SENT ")"),
                      "lateness_ms", requests, err);
    if (r == 0)
        r = add_times(store, arm_id,
                      PERCENTILES("done_ns - sent_ns",
                                  "status > 0 AND sent_ns IS NOT NULL AND done_ns IS NOT NULL"),
                      "latency_ms", requests, err);
    *ret = requests;
    return r;
}
