/* SPDX-License-Identifier: Apache-2.0 */
/* Which memory limit a container has, by the records. */
#include "import/arm.h"

#include <math.h>

/* The newest other one of its own, where its limit was changed. */
static int load_other_limit(struct arm_work *arm, struct error *err)
{
    sqlite3_stmt *row = NULL;
    int r = store_prepare(
        arm->store,
        "SELECT f.value, f.id, f.at_ns FROM fact f JOIN place p ON p.id = f.place_id"
        " WHERE f.kind = 'limit' AND f.value > 0 AND p.arm_id = ?1 AND abs(f.value - ?2) >= 1"
        " ORDER BY f.at_ns DESC, f.id DESC LIMIT 1",
        &row, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(row, 1, arm->container->arm_id);
    sqlite3_bind_double(row, 2, arm->limit);
    if (sqlite3_step(row) == SQLITE_ROW) {
        arm->other_limit = sqlite3_column_double(row, 0);
        arm->other_limit_fact = sqlite3_column_int64(row, 1);
        arm->other_limit_ns = sqlite3_column_type(row, 2) == SQLITE_NULL
                                  ? FACT_TIME_UNKNOWN
                                  : sqlite3_column_int64(row, 2);
    }
    sqlite3_finalize(row);
    return 0;
}

int arm_limit_load(struct arm_work *arm, double given, struct error *err)
{
    arm->limit = given;
    arm->other_limit = NAN;
    if (!isnan(arm->limit))
        return load_other_limit(arm, err);
    sqlite3_stmt *row = NULL;
    int r = store_prepare(
        arm->store,
        "SELECT f.value, f.id FROM fact f JOIN place p ON p.id = f.place_id"
        " WHERE f.kind = 'limit' AND (f.value > 0 OR p.arm_id = ?1) AND (p.arm_id = ?1 OR"
        " (p.replica IS NULL AND p.container IS NULL AND"
        "  ((p.revision IS NOT NULL AND p.revision = ?2) OR"
        "   (p.revision IS NULL AND p.app = ?3))))"
        " ORDER BY f.value > 0 DESC, p.arm_id = ?1 DESC, f.at_ns DESC, f.id DESC LIMIT 1",
        &row, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(row, 1, arm->container->arm_id);
    sqlite3_bind_text(row, 2, arm->container->revision, -1, SQLITE_STATIC);
    sqlite3_bind_text(row, 3, arm->container->app, -1, SQLITE_STATIC);
    if (sqlite3_step(row) == SQLITE_ROW) {
        arm->limit = sqlite3_column_double(row, 0);
        arm->limit_fact = sqlite3_column_int64(row, 1);
    }
    sqlite3_finalize(row);
    return arm->limit > 0 ? load_other_limit(arm, err) : 0;
}
