/* SPDX-License-Identifier: Apache-2.0 */
#include "import/oom_counters.h"

#include "base/metrics.h"

#include <errno.h>

/* Of one moment several series may tell (two scrapers): the highest counts. */
static const char RISES[] =
    "WITH told AS ("
    " SELECT max(id) AS id, source_id, line, place_id, origin, at_ns, max(value) AS value FROM fact"
    "  WHERE kind = 'sample' AND metric = ?1 AND at_ns IS NOT NULL GROUP BY place_id, at_ns"
    " UNION ALL SELECT id, source_id, line, place_id, origin, at_ns, value FROM fact"
    "  WHERE kind = 'sample' AND metric = ?1 AND at_ns IS NULL),"
    " steps AS ("
    " SELECT *, lag(value) OVER (PARTITION BY place_id ORDER BY at_ns IS NULL, at_ns, id) AS before"
    "  FROM told)"
    " INSERT INTO fact (source_id, line, place_id, kind, origin, at_ns, oom_killed, value, count)"
    " SELECT source_id, line, place_id, 'oom-kill', origin, at_ns, 0, 0,"
    "  CAST(min(value - before, 1e6) AS INTEGER) FROM steps WHERE value >= before + 1 ORDER BY id";

int oom_counters_read(struct store *store, struct error *err)
{
    sqlite3_stmt *insert = NULL;
    int r = store_prepare(store, RISES, &insert, err);
    if (r < 0)
        return r;
    sqlite3_bind_int(insert, 1, METRIC_OOM_KILL);
    if (sqlite3_step(insert) != SQLITE_DONE)
        r = error_errno(err, EIO, "reading the counters of out-of-memory events");
    sqlite3_finalize(insert);
    return r;
}
