/* SPDX-License-Identifier: Apache-2.0 */
/* The killer writes before it sends; platforms tell ends in whole seconds, and earlyoom waits up to
 * ten for an end. */
#include "import/killer_kills.h"

#include <errno.h>

static const char COINCIDENCES[] =
    "WITH fitting AS ("
    " SELECT k.id AS kill, p.arm_id AS arm, min(e.place_id) AS place"
    " FROM fact k JOIN fact e JOIN place p ON p.id = e.place_id"
    " WHERE k.kind = 'killer-kill' AND k.task_memcg IS NULL AND e.kind = 'end'"
    " AND e.at_ns BETWEEN k.at_ns - 1500000000 AND k.at_ns + 10000000000"
    " AND coalesce(e.exit_code, 128 + e.signal) IN (137, 128 + k.signal) AND NOT e.oom_killed"
    " AND NOT EXISTS (SELECT 1 FROM fact o JOIN place q ON q.id = o.place_id"
    "  WHERE o.kind = 'oom-kill' AND q.arm_id = p.arm_id"
    "  AND o.at_ns BETWEEN e.at_ns - 10000000000 AND e.at_ns + 10000000000)"
    " GROUP BY k.id, p.arm_id)"
    " UPDATE fact SET place_id = (SELECT place FROM fitting WHERE kill = fact.id)"
    " WHERE id IN (SELECT kill FROM fitting GROUP BY kill HAVING count(*) = 1)";

int killer_kills_place(struct store *store, struct error *err)
{
    sqlite3_stmt *update = NULL;
    int r = store_prepare(store, COINCIDENCES, &update, err);
    if (r < 0)
        return r;
    if (sqlite3_step(update) != SQLITE_DONE)
        r = error_errno(err, EIO, "giving the user-space killers' kills to their containers");
    sqlite3_finalize(update);
    return r;
}
